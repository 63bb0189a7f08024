//! Submissions whose staged parts another one takes, or a change of leader drops.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::thread::JoinHandle;

use dagmar_common::graph::{Graph, NodeKind, SectionBuilder};
use dagmar_common::ids::{LogIndex, Term};
use dagmar_common::limits::STAGE_CHUNK_BYTES;
use dagmar_common::time::{LogTime, WallTime};
use dagmar_common::value::Value;
use dagmar_coordinator_core::command::{Batch, Position};

use super::*;
use crate::handle::{Handle, Input};
use crate::services::testing::NoLogs;

/// More than one chunk.
fn large() -> Bytes {
    let mut section = SectionBuilder::default();
    for number in 0..6_000 {
        section.node(&format!("a-step-with-quite-a-long-name-{number}"), NodeKind::Stub, true);
    }
    let graph =
        Graph { name: "large".into(), sections: vec![section.finish()], ..Graph::default() };
    let bytes = encode(&graph.finish());
    assert!(bytes.len() > STAGE_CHUNK_BYTES);
    bytes.into()
}

fn submission(run: &str, request: u128) -> Submission {
    Submission {
        request: RequestId(request),
        run: RunId::new(run),
        generated: false,
        tag: String::new(),
        graph: large(),
        parameters: Vec::new(),
        context: Value::from_spelled("null".to_owned()),
    }
}

fn apply(state: &mut State, command: Command) -> Reply {
    let index = LogIndex(state.last_applied().0 + 1);
    let batch = Batch { term: Term(1), at: LogTime(0), wall: WallTime(0), commands: vec![command] };
    let mut applied = Default::default();
    state.apply(Position { index, term: Term(1) }, batch, &mut applied);
    applied.replies.remove(0)
}

/// A coordinator without a disk. What is proposed passes by `meddle`, which may answer in its
/// place.
fn serve(
    mut meddle: impl FnMut(&mut State, &Command) -> Option<Reply> + Send + 'static,
) -> (Here, JoinHandle<State>) {
    let (handle, inputs) = Handle::new();
    let here = Here::new(handle, Arc::new(NoLogs), || None);
    let served = std::thread::spawn(move || {
        let mut state = State::new();
        while let Ok(Input::Propose(proposals)) = inputs.recv() {
            for proposal in proposals {
                let answered = meddle(&mut state, &proposal.command);
                let reply = answered.unwrap_or_else(|| apply(&mut state, proposal.command));
                while state.has_agenda() {
                    apply(&mut state, Command::Continue);
                }
                proposal.answer.unwrap().send(reply).unwrap();
            }
        }
        state
    });
    (here, served)
}

/// How often the graph that is staged was taken by somebody else's submission of the same one.
fn robbed(times: u128) -> Result<RunId, Problem> {
    let mut robberies = 0;
    let (here, served) = serve(move |state, command| {
        let Command::Submit(submit) = command else { return None };
        if robberies < times {
            robberies += 1;
            let (request, run) = (RequestId(robberies), RunId::new(&format!("other-{robberies}")));
            let other = Submit { request, run, ..submit.clone() };
            let reply = apply(state, Command::Submit(other));
            assert!(matches!(reply, Reply::Submitted { .. }), "{reply:?}");
        }
        None
    });
    let submitted = here.submit(submission("mine", 1 << 90));
    drop(here);
    let runs = served.join().unwrap().runs().count() as u128;
    assert_eq!(runs, times.min(TRIES_MAX.into()) + u128::from(submitted.is_ok()));
    submitted
}

#[test]
fn a_graph_that_another_submission_took_is_staged_again_a_few_times() {
    assert_eq!(robbed(1), Ok(RunId::new("mine")));
    assert_eq!(robbed(u128::from(TRIES_MAX) - 1), Ok(RunId::new("mine")));
    assert_eq!(robbed(u128::from(TRIES_MAX)).unwrap_err().code, Code::Busy);
}

#[test]
fn a_chunk_that_was_lost_goes_again() {
    let mut chunks = 0;
    let (here, served) = serve(move |_, command| {
        chunks += u32::from(matches!(command, Command::Stage { .. }));
        (chunks == 1).then_some(Reply::Dropped)
    });
    assert_eq!(here.submit(submission("mine", 1)), Ok(RunId::new("mine")));
    drop(here);
    assert_eq!(served.join().unwrap().runs().count(), 1);
}

#[test]
fn many_that_submit_one_graph_at_once_are_all_accepted() {
    let (here, served) = serve(|_, _| None);
    std::thread::scope(|scope| {
        for number in 0..8 {
            let here = here.clone();
            scope.spawn(move || {
                let run = format!("run-{number}");
                assert_eq!(here.submit(submission(&run, number)), Ok(RunId::new(&run)));
            });
        }
    });
    drop(here);
    assert_eq!(served.join().unwrap().runs().count(), 8);
}
