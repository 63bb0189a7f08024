//! An interrupted run, looked at: its log is replayed, nothing is started, nothing is added.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Receiver;

use dagmar_common::ids::Fence;
use dagmar_common::lease::LogPlace;
use dagmar_common::problem::{Code, Problem};
use dagmar_common::record::follow::{Change, Detail, Stream};
use dagmar_coordinator::services::{Live as LivePiece, Logs, Runs, Still};

use super::damage;
use super::embedded::OpenLog;
use super::live::{LOG, Live};
use super::logs;
use crate::wiring::Engine;

/// An engine that stands still.
pub struct Looking {
    still: Arc<Still>,
}

impl Looking {
    pub fn open(live: &Live) -> Result<Self, Problem> {
        let OpenLog { recovered, state, .. } = OpenLog::read(live.dir())?;
        let logs = Arc::new(StoredLogs(live.logs()));
        let still = Still::replay(state, recovered.entries, logs).map_err(|problem| {
            damage::of_log(live.dir(), &live.dir().join(LOG), problem.message)
        })?;
        Ok(Looking { still: Arc::new(still) })
    }
}

impl Engine for Looking {
    fn runs(&self) -> Arc<dyn Runs> {
        self.still.clone()
    }

    fn follow(&self, _detail: Detail) -> Result<Receiver<Change>, Problem> {
        Err(Problem::new(Code::Interrupted, "nobody works on this run, so nothing changes"))
    }

    fn kill(&self) {}

    fn close(self: Box<Self>) {}
}

/// Segments of a worker that is gone.
struct StoredLogs(PathBuf);

impl Logs for StoredLogs {
    fn read(
        &self,
        place: &LogPlace,
        take: &mut dyn FnMut(Stream, &[u8]) -> bool,
    ) -> Result<(), Problem> {
        match place.length {
            // An attempt without an outcome has no more than its fence: it wrote anywhere.
            0 => logs::search(&self.0, place.fence, take),
            _ => logs::read(&self.0, place, take),
        }
    }

    fn follow(&self, _: Fence, _: u64, _: Duration) -> Result<Option<LivePiece>, Problem> {
        Ok(None)
    }
}
