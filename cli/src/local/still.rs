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
use super::{damage, logs, store};

/// Needs the live directory only until it returns; output is read from there when it is asked for.
pub fn look(live_dir: &Path) -> Result<Arc<dyn Runs>, Problem> {
    let (recovered, state) = store::look(live_dir)?;
    let logs = Arc::new(StoredLogs(live_dir.join(LOGS)));
    let left = left(live_dir)?;
    let is_noted = left.is_noted;
    let begun = left.open.into_iter().filter_map(|(fence, began)| began.map(|_| fence));
    let still = Still::replay(state, recovered.entries, begun.collect(), logs);
    let still =
        still.map_err(|problem| damage::of_log(live_dir, &live_dir.join(LOG), problem.message))?;
    if !is_noted && still.has_careful_leases() && !damage::is_given_up(live_dir) {
        return Err(damage::of_lost_records(live_dir));
    }
    Ok(Arc::new(still))
}

/// What its worker noted. Where there is nothing, the log tells whether something is lost.
pub fn check_records(live_dir: &Path) -> Result<(), Problem> {
    if left(live_dir)?.is_noted { Ok(()) } else { look(live_dir).map(|_| ()) }
}

fn left(live_dir: &Path) -> Result<Left, Problem> {
    Left::read(&live_dir.join(records::FILE)).map_err(|error| damage::of_records(live_dir, &error))
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
