//! Stored output of attempts as pieces for whoever reads it, and what is missing at its end.

use std::sync::Arc;

use crossbeam_channel::{Receiver, bounded};
use dagmar_common::problem::Problem;
use dagmar_common::record::follow::{LogEnd, LogPiece, LogQuestion, Stream};
use dagmar_common::record::{AttemptRecord, AttemptStatus, Entry, NodeRecord, spread};

use super::Entries;
use super::here::{Logs, spawn};

/// Pieces that wait for a slow reader; the one who reads the disk waits then.
pub(super) const PIECES_MAX: usize = 64;

/// What the attempts of a story wrote, that nobody adds to any more, in the order of its steps.
pub fn stored(
    entries: Entries,
    logs: Arc<dyn Logs>,
    question: LogQuestion,
) -> Result<Receiver<Result<LogPiece, Problem>>, Problem> {
    let (pieces, receiver) = bounded(PIECES_MAX);
    let tell = move || {
        let mut unread = None;
        for entry in entries {
            let told = entry.and_then(|entry| {
                spread(entry, &mut |entry| {
                    let Entry::Node(node) = entry else { return Ok(()) };
                    for attempt in asked(&question, &node) {
                        let mut send = |piece| pieces.send(Ok(piece)).is_ok();
                        // Damage in the output of one step is no reason to hide the others'.
                        if let Err(problem) = tell(&*logs, &node.path, attempt, 0, &mut send) {
                            unread.get_or_insert(problem);
                        }
                    }
                    Ok(())
                })
            });
            if let Err(problem) = told {
                unread = Some(problem);
                break;
            }
        }
        // Whoever read may have gone.
        let _ = unread.map(|problem| pieces.send(Err(problem)));
    };
    spawn("logs", tell)?;
    Ok(receiver)
}

/// The attempts of a node that somebody wants to read.
pub(super) fn asked<'a>(
    question: &LogQuestion,
    node: &'a NodeRecord,
) -> impl Iterator<Item = &'a AttemptRecord> {
    let is_inside = question.path.as_ref().is_none_or(|asked| is_inside(&node.path, asked));
    let named = question.attempt.and_then(|number| node.attempt(number));
    let all = if question.attempt.is_none() { &node.attempts[..] } else { &[] };
    all.iter().chain(named).filter(move |_| is_inside)
}

/// Hands on what lies behind the first `from` bytes, and the end; false once nobody reads.
pub(super) fn tell(
    logs: &dyn Logs,
    path: &Arc<str>,
    attempt: &AttemptRecord,
    mut from: u64,
    send: &mut dyn FnMut(LogPiece) -> bool,
) -> Result<bool, Problem> {
    let Some(place) = attempt.log else { return Ok(true) };
    let mut is_heard = true;
    logs.read(&place, &mut |stream, bytes| {
        let skipped = from.min(bytes.len() as u64);
        from -= skipped;
        let rest = &bytes[skipped as usize..];
        is_heard = rest.is_empty() || send(piece(path, attempt, stream, rest.to_vec()));
        is_heard
    })?;
    let is_cut = attempt.status == AttemptStatus::Lost || place.is_cut();
    let end = LogEnd { dropped: place.dropped, is_cut };
    let last = piece(path, attempt, Stream::Stdout, Vec::new());
    Ok(is_heard && send(LogPiece { end: Some(end), ..last }))
}

pub(super) fn piece(
    path: &Arc<str>,
    attempt: &AttemptRecord,
    stream: Stream,
    bytes: Vec<u8>,
) -> LogPiece {
    LogPiece { path: path.clone(), attempt: attempt.number, stream, bytes, end: None }
}

/// The path itself, or below it.
fn is_inside(path: &str, asked: &str) -> bool {
    path.strip_prefix(asked).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}
