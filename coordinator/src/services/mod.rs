//! What the daemons answer to: the questions about runs as a trait, and its gRPC face.

mod answers;
mod here;
mod output;
mod reading;
mod runs;
mod still;
#[cfg(test)]
mod testing;
mod watching;
mod why;

use bytes::Bytes;
use crossbeam_channel::Receiver;

use dagmar_common::ids::{RequestId, RunId};
use dagmar_common::problem::Problem;
use dagmar_common::record::follow::{Change, Detail, LogPiece, LogQuestion, Progress, Reason};
use dagmar_common::record::{Entry, RunRecord, RunSummary, Submission};

pub use here::{Here, Live, Logs};
pub use output::stored;
pub use runs::RunDoor;
pub use still::Still;

/// Whoever knows of runs: the cluster in this process, a cluster elsewhere, an archive.
///
/// Calls may block, and never for long: what takes long comes through the receiver or iterator.
pub trait Runs: Send + Sync + 'static {
    /// Returns when the run is durable.
    fn submit(&self, submission: Submission) -> Result<RunId, Problem>;

    fn list(&self) -> Result<Vec<RunSummary>, Problem>;

    /// The run as it stands now. A run that goes on may move while its entries are read.
    fn story(&self, run: &RunId) -> Result<Story, Problem>;

    /// With at most `most` steps of the root.
    fn progress(&self, run: &RunId, most: usize) -> Result<Progress, Problem>;

    /// Changes from now on, [`Change::Ended`] last; at once, if the run has ended already.
    fn watch(&self, run: &RunId, detail: Detail) -> Result<Receiver<Change>, Problem>;

    /// What steps wrote, of each attempt in order; ends when there is no more, or with the run.
    fn logs(
        &self,
        run: &RunId,
        question: LogQuestion,
    ) -> Result<Receiver<Result<LogPiece, Problem>>, Problem>;

    /// Returns when the cancel is durable. `reason` stands in the record.
    fn cancel(&self, run: &RunId, request: RequestId, reason: &str) -> Result<(), Problem>;

    /// Of one step, or of the run and what holds it up.
    fn why(&self, run: &RunId, path: Option<&str>) -> Result<Vec<Reason>, Problem>;
}

/// A run as data, the large part as it comes.
pub struct Story {
    pub record: RunRecord,
    /// The canonical bytes of its graph.
    pub graph: Bytes,
    pub entries: Entries,
}

pub type Entries = Box<dyn Iterator<Item = Result<Entry, Problem>> + Send>;
