//! The output of a live run's attempts: what there is, or all of it side by side until the end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use dagmar_common::ids::{LogIndex, RunId};
use dagmar_common::problem::Problem;
use dagmar_common::record::follow::{LogPiece, LogQuestion};
use dagmar_common::record::{AttemptRecord, AttemptStatus, Entry, RunStatus, spread};

use super::here::{Here, spawn};
use super::output::{self, PIECES_MAX};

/// Between two looks at attempts that said nothing new.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(50);

pub fn logs(
    here: &Here,
    run: &RunId,
    question: LogQuestion,
) -> Result<Receiver<Result<LogPiece, Problem>>, Problem> {
    here.look(run, |_| ())?;
    let (pieces, receiver) = bounded(PIECES_MAX);
    let teller = Teller { here: here.clone(), run: run.clone(), question, pieces };
    let tell = move || {
        if let Err(Ended::Problem(problem)) = teller.run() {
            // Whoever read may have gone.
            let _ = teller.pieces.send(Err(problem));
        }
    };
    spawn("logs", tell)?;
    Ok(receiver)
}

struct Teller {
    here: Here,
    run: RunId,
    question: LogQuestion,
    pieces: Sender<Result<LogPiece, Problem>>,
}

enum Ended {
    /// Nobody reads any more.
    Unheard,
    Problem(Problem),
}

impl From<Problem> for Ended {
    fn from(problem: Problem) -> Self {
        Ended::Problem(problem)
    }
}

/// Of which step, and granted by which entry: an attempt that was lost and the one that follows it
/// have the same number.
type Name = (Arc<str>, LogIndex);

#[derive(Default)]
struct Told {
    bytes: u64,
    is_whole: bool,
}

/// What one look at an attempt brought.
#[derive(PartialEq, Eq)]
enum Look {
    /// More than before.
    News,
    /// All that it said so far is told.
    Nothing,
    /// It ended, and where its output lies is known in a moment.
    Ending,
}

impl Teller {
    /// Rounds over the attempts; each goes on where it was left, live or from its record.
    fn run(&self) -> Result<(), Ended> {
        let mut told: BTreeMap<Name, Told> = BTreeMap::new();
        let (mut attempts, mut known) = (Vec::new(), None);
        loop {
            let (status, as_of) =
                self.here.look(&self.run, |view| (view.status(), view.as_of()))?;
            if known.replace(as_of) != Some(as_of) {
                attempts = self.attempts()?;
            }
            let mut looks = Vec::new();
            for (path, attempt) in &attempts {
                let told = told.entry((path.clone(), attempt.granted)).or_default();
                if !told.is_whole {
                    looks.push(self.look(path, attempt, told)?);
                }
            }
            let is_news = looks.contains(&Look::News);
            let is_over = match self.question.follow {
                true => status != RunStatus::Running,
                false => !looks.contains(&Look::Ending),
            };
            if is_over && !is_news {
                return Ok(());
            }
            if !is_news {
                std::thread::sleep(LOOK_AGAIN_AFTER);
            }
        }
    }

    fn attempts(&self) -> Result<Vec<(Arc<str>, AttemptRecord)>, Ended> {
        let mut attempts = Vec::new();
        for entry in self.here.granted(&self.run)? {
            spread::<Problem>(entry?, &mut |entry| {
                if let Entry::Node(node) = entry {
                    let asked = output::asked(&self.question, &node);
                    // What each saw is no matter here.
                    let light = |one: &AttemptRecord| AttemptRecord {
                        parameters: Vec::new(),
                        ..one.clone()
                    };
                    attempts.extend(asked.map(|one| (node.path.clone(), light(one))));
                }
                Ok(())
            })?;
        }
        Ok(attempts)
    }

    fn look(
        &self,
        path: &Arc<str>,
        attempt: &AttemptRecord,
        told: &mut Told,
    ) -> Result<Look, Ended> {
        let runs = attempt.status == AttemptStatus::Running;
        let Some(place) = attempt.log.filter(|_| runs) else {
            told.is_whole = true;
            let mut send = |piece| self.pieces.send(Ok(piece)).is_ok();
            return match output::tell(&*self.here.logs, path, attempt, told.bytes, &mut send)? {
                true => Ok(Look::News),
                false => Err(Ended::Unheard),
            };
        };
        let Some(live) = self.here.logs.live(place.fence, told.bytes)? else {
            return Ok(Look::Ending);
        };
        let is_news = live.next > told.bytes;
        told.bytes = live.next;
        for (stream, bytes) in live.pieces {
            let piece = output::piece(path, attempt, stream, bytes);
            self.pieces.send(Ok(piece)).map_err(|_| Ended::Unheard)?;
        }
        Ok(if is_news { Look::News } else { Look::Nothing })
    }
}
