//! Questions to the state, answered without changing it.

mod records;
pub(crate) mod scope;
mod show;
mod start;
mod worker;

pub use records::NodeRecords;
pub use show::RunView;
pub use worker::{LeaseView, WorkerView};
