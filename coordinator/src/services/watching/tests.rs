//! What a watcher is told, and that its own clock is no part of it.
#![allow(clippy::unwrap_used)]

use dagmar_common::graph::{Graph, NodeKind, SectionBuilder, encode};
use dagmar_common::ids::{LogIndex, RequestId, Term};
use dagmar_common::record::Submission;
use dagmar_common::time::LogTime;
use dagmar_common::value::Value;
use dagmar_coordinator_core::State;
use dagmar_coordinator_core::ask::Begun;
use dagmar_coordinator_core::command::{Batch, Command, Position};
use dagmar_coordinator_core::effect::{Applied, Effect, Reply};

use super::*;
use crate::handle::{Handle, Input};
use crate::services::Runs;
use crate::services::testing::NoLogs;

/// The wall clock of the entry with this index.
fn wall(index: LogIndex) -> WallTime {
    WallTime(index.0 as i64 * 1_000_000)
}

fn apply(state: &mut State, command: Command, watcher: Option<&Sender<Watched>>) -> Reply {
    let index = LogIndex(state.last_applied().0 + 1);
    let batch = Batch { term: Term(1), at: LogTime(0), wall: wall(index), commands: vec![command] };
    let mut applied = Applied::default();
    state.apply(Position { index, term: Term(1) }, batch, &mut applied);
    for effect in &applied.effects {
        if let (Effect::Event(event), Some(watcher)) = (effect, watcher) {
            watcher.send(Watched::Event(event.clone())).unwrap();
        }
    }
    applied.replies.remove(0)
}

/// A coordinator without a disk or a worker, for as long as somebody holds its handle.
fn serve() -> Here {
    let (handle, inputs) = Handle::new();
    std::thread::spawn(move || {
        let (mut state, mut watcher) = (State::new(), None);
        while let Ok(input) = inputs.recv() {
            match input {
                Input::Propose(proposals) => {
                    for proposal in proposals {
                        let reply = apply(&mut state, proposal.command, watcher.as_ref());
                        while state.has_agenda() {
                            apply(&mut state, Command::Continue, watcher.as_ref());
                        }
                        proposal.answer.unwrap().send(reply).unwrap();
                    }
                }
                Input::Read(look) => look(&state, &Begun::default),
                Input::Watch(_, events) => watcher = Some(events),
                _ => {}
            }
        }
    });
    Here::new(handle, Arc::new(NoLogs), || None)
}

fn stubs() -> Submission {
    let mut section = SectionBuilder::default();
    for name in ["a", "b"] {
        section.node(name, NodeKind::Stub, true);
    }
    let graph = Graph { name: "s".into(), sections: vec![section.finish()], ..Graph::default() };
    Submission {
        request: RequestId(1),
        run: RunId::new("r"),
        generated: false,
        tag: String::new(),
        graph: encode(&graph.finish()).into(),
        parameters: Vec::new(),
        context: Value::from_spelled("null".to_owned()),
    }
}

#[test]
fn what_has_no_process_ends_when_the_log_says_so() {
    let here = serve();
    let changes = here.follow(Detail::Steps).unwrap();
    here.submit(stubs()).unwrap();
    let told: Vec<Change> = changes.iter().collect();
    let times: Vec<(String, i64)> = told
        .iter()
        .map(|change| match change {
            Change::Started { at } => ("started".to_owned(), at.0),
            Change::Step(step) => (step.path.to_string(), step.at.0),
            Change::Ended { at, .. } => ("ended".to_owned(), at.0),
            Change::Missed { .. } => panic!("nothing is missed"),
        })
        .collect();
    let first = |name: &str| (name.to_owned(), wall(LogIndex(1)).0);
    assert_eq!(times, [first("started"), first("a"), first("b"), first("ended")]);
}
