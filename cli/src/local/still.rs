//! An interrupted run, looked at: its log is replayed, nothing is started, nothing is added.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use dagmar_common::ids::Fence;
use dagmar_common::lease::LogPlace;
use dagmar_common::problem::Problem;
use dagmar_common::record::follow::Stream;
use dagmar_coordinator::services::{Live as LivePiece, Logs, Runs, Still};
use dagmar_worker::records::{self, Left};

use super::live::{LOG, LOGS};
use super::{damage, embedded, logs};

/// Needs the live directory only until it returns; output is read from there when it is asked for.
pub fn look(live_dir: &Path) -> Result<Arc<dyn Runs>, Problem> {
    let (recovered, state) = embedded::look(live_dir)?;
    let logs = Arc::new(StoredLogs(live_dir.join(LOGS)));
    // Records that cannot be read are for whoever goes on with the run.
    let left = Left::read(&live_dir.join(records::FILE)).unwrap_or_default();
    let begun = left.open.into_iter().filter_map(|(fence, began)| began.map(|_| fence));
    let still = Still::replay(state, recovered.entries, begun.collect(), logs);
    let still =
        still.map_err(|problem| damage::of_log(live_dir, &live_dir.join(LOG), problem.message))?;
    Ok(Arc::new(still))
}

/// Segments of a worker that is gone.
pub struct StoredLogs(pub PathBuf);

impl Logs for StoredLogs {
    fn read(
        &self,
        place: &LogPlace,
        take: &mut dyn FnMut(Stream, &[u8]) -> bool,
    ) -> Result<(), Problem> {
        logs::read(&self.0, place, take)
    }

    fn live(&self, _: Fence, _: u64) -> Result<Option<LivePiece>, Problem> {
        Ok(None)
    }
}
