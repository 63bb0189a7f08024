//! The words that everybody uses: ids, time, values, limits, graphs, lease messages, run records.

pub mod envelope;
pub mod graph;
pub mod ids;
pub mod lease;
pub mod limits;
pub mod mutant;
pub mod parameter;
pub mod problem;
pub mod record;
pub mod time;
pub mod value;
pub mod view;
