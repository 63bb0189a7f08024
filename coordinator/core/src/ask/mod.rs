//! Questions to the state, answered without changing it.

mod begun;
mod find;
mod progress;
mod records;
pub(crate) mod scope;
mod show;
mod start;
mod why;
mod worker;

pub use begun::Begun;
pub use records::NodeRecords;
pub use show::RunView;
pub use why::{Lack, Reason, why};
pub use worker::{LeaseView, WorkerView};
