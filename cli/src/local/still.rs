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
    Ok(Arc::new(replayed(live_dir, left(live_dir)?)?))
}

/// What its worker noted is there. Where it is gone the log tells whether something is lost; once
/// somebody has given that up it is noted anew: whatever is careful may have begun.
pub fn check_records(live_dir: &Path) -> Result<(), Problem> {
    let left = left(live_dir)?;
    if left.is_noted {
        return Ok(());
    }
    let careful = replayed(live_dir, left)?.careful_leases();
    if careful.is_empty() {
        return Ok(());
    }
    let path = live_dir.join(records::FILE);
    records::note_anew(&path, &careful).map_err(|error| Problem::storage("write", &path, &error))
}

fn replayed(live_dir: &Path, left: Left) -> Result<Still, Problem> {
    let (recovered, state) = store::look(live_dir)?;
    let logs = Arc::new(StoredLogs(live_dir.join(LOGS)));
    let begun = left.open.iter().filter_map(|(fence, began)| began.map(|_| *fence));
    let asked = |fence| !left.is_noted || left.open.contains_key(&fence);
    let still = Still::replay(state, recovered.entries, begun.collect(), asked, logs);
    let still =
        still.map_err(|problem| damage::of_log(live_dir, &live_dir.join(LOG), problem.message))?;
    if !left.is_noted && !still.careful_leases().is_empty() && !damage::is_given_up(live_dir) {
        return Err(damage::of_lost_records(live_dir));
    }
    Ok(still)
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
