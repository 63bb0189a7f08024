//! The output of a run's attempts, in the order of its steps, those that run followed to their end.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use dagmar_common::ids::{Fence, LogIndex, RunId};
use dagmar_common::lease::LogPlace;
use dagmar_common::problem::Problem;
use dagmar_common::record::follow::{LogPiece, LogQuestion};
use dagmar_common::record::{AttemptStatus, Entry, NodeRecord, RunStatus, spread};

use super::Runs;
use super::here::{Here, spawn};

/// Pieces that wait for a slow reader; the one who reads the disk waits then.
const PIECES_MAX: usize = 64;
/// How long one look at a running attempt waits for more.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(100);

pub fn logs(
    here: &Here,
    run: &RunId,
    question: LogQuestion,
) -> Result<Receiver<Result<LogPiece, Problem>>, Problem> {
    let status = here.look(run, |view| view.status())?;
    let (pieces, receiver) = bounded(PIECES_MAX);
    let teller = Teller { here: here.clone(), run: run.clone(), question, pieces };
    let tell = move || {
        if let Err(Ended::Problem(problem)) = teller.run(status) {
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

/// One attempt worth reading.
struct Attempt {
    path: Arc<str>,
    number: u32,
    place: Option<LogPlace>,
    /// Of its lease: one that was lost and the one after it have the same number.
    granted: LogIndex,
    /// It runs.
    live: Option<Fence>,
}

impl Teller {
    /// Rounds over the run until it has ended and everything was told. An attempt is told once:
    /// from its record, or live to its end.
    fn run(&self, mut status: RunStatus) -> Result<(), Ended> {
        let mut told: BTreeSet<(Arc<str>, LogIndex)> = BTreeSet::new();
        loop {
            let mut found = 0;
            for attempt in self.attempts()? {
                let key = (attempt.path.clone(), attempt.granted);
                let is_over = attempt.live.is_none();
                if (is_over || self.question.follow) && told.insert(key) {
                    found += 1;
                    self.tell(&attempt)?;
                }
            }
            if !self.question.follow || (status != RunStatus::Running && found == 0) {
                return Ok(());
            }
            if found == 0 {
                std::thread::sleep(LOOK_AGAIN_AFTER);
            }
            status = self.here.look(&self.run, |view| view.status())?;
        }
    }

    fn attempts(&self) -> Result<Vec<Attempt>, Ended> {
        let mut attempts = Vec::new();
        for entry in self.here.story(&self.run)?.entries {
            spread::<Problem>(entry?, &mut |entry| {
                if let Entry::Node(node) = entry {
                    self.of_node(&node, &mut attempts);
                }
                Ok(())
            })?;
        }
        Ok(attempts)
    }

    fn of_node(&self, node: &NodeRecord, attempts: &mut Vec<Attempt>) {
        if !self.question.path.as_ref().is_none_or(|asked| is_inside(&node.path, asked)) {
            return;
        }
        for attempt in &node.attempts {
            let number = attempt.number;
            if self.question.attempt.is_some_and(|asked| asked != number) {
                continue;
            }
            let runs = attempt.status == AttemptStatus::Running;
            attempts.push(Attempt {
                path: node.path.clone(),
                number,
                granted: attempt.granted,
                place: attempt.log,
                live: attempt.log.filter(|_| runs).map(|log| log.fence),
            });
        }
    }

    fn tell(&self, attempt: &Attempt) -> Result<(), Ended> {
        let mut from = 0;
        if let Some(fence) = attempt.live {
            while let Some(live) = self.here.logs.follow(fence, from, LOOK_AGAIN_AFTER)? {
                from = live.next;
                for (stream, bytes) in live.pieces {
                    self.send(attempt, stream, &bytes)?;
                }
            }
        }
        // What was not seen live lies where the outcome says; the bytes told already are skipped.
        let place = match (attempt.place, attempt.live) {
            (place, None) => place,
            (_, Some(_)) => self.place_of(attempt)?,
        };
        let Some(place) = place else { return Ok(()) };
        let mut unheard = false;
        self.here.logs.read(&place, &mut |stream, bytes| {
            let skipped = from.min(bytes.len() as u64);
            from -= skipped;
            let rest = &bytes[skipped as usize..];
            unheard = !rest.is_empty() && self.send(attempt, stream, rest).is_err();
            !unheard
        })?;
        if unheard { Err(Ended::Unheard) } else { Ok(()) }
    }

    /// Where an attempt that ran a moment ago wrote; waits until its outcome is recorded.
    fn place_of(&self, attempt: &Attempt) -> Result<Option<LogPlace>, Ended> {
        loop {
            let attempts = self.attempts()?;
            let same = |one: &&Attempt| one.path == attempt.path && one.granted == attempt.granted;
            match attempts.iter().find(same) {
                Some(now) if now.live.is_none() => return Ok(now.place),
                Some(_) => std::thread::sleep(LOOK_AGAIN_AFTER),
                None => return Ok(None),
            }
        }
    }

    fn send(
        &self,
        attempt: &Attempt,
        stream: dagmar_common::record::follow::Stream,
        bytes: &[u8],
    ) -> Result<(), Ended> {
        let piece = LogPiece {
            path: attempt.path.clone(),
            attempt: attempt.number,
            stream,
            bytes: bytes.to_vec(),
        };
        self.pieces.send(Ok(piece)).map_err(|_| Ended::Unheard)
    }
}

/// The path itself, or below it.
pub(super) fn is_inside(path: &str, asked: &str) -> bool {
    path.strip_prefix(asked).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}
