//! Questions to the state, answered without changing it.

mod find;
mod records;
pub(crate) mod scope;
mod show;
mod start;
mod why;
mod worker;

pub use records::NodeRecords;
pub use show::RunView;
pub use why::{Lack, Reason, why};
pub use worker::{LeaseView, WorkerView};
