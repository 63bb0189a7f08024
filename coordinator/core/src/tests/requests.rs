//! Submitting and cancelling: names, repeats, staging, what is refused.

use dagmar_common::graph;
use dagmar_common::ids::{Digest, RequestId, RunId, RunNo};
use dagmar_common::limits::{REQUEST_MEMORY, STAGE_CHUNK_BYTES};
use dagmar_common::record::RunStatus;

use super::drawing::{Step, graph as draw, stub, task};
use super::world::World;
use crate::command::{Command, Part, Payload};
use crate::effect::{Effect, Refusal, Reply};

/// More than one entry's units, and more than one chunk's bytes.
fn many() -> Vec<Step> {
    let name = |number| format!("a-step-with-quite-a-long-name-{number:020}");
    (0..6_000).map(|number: u32| stub(&name(number))).collect()
}

fn submitted(run: &str, number: u64) -> Reply {
    Reply::Submitted { run: RunId::new(run), number: RunNo(number) }
}

#[test]
fn a_repeat_gets_the_first_answer_for_a_day() {
    let mut world = World::new(1);
    let one = world.submission("one", &draw(&[task("a")]), &[]);
    assert_eq!(world.apply(vec![Command::Submit(one.clone())]), [submitted("one", 1)]);
    assert_eq!(world.apply(vec![Command::Submit(one.clone())]), [submitted("one", 1)]);
    let mut other = one.clone();
    other.run = RunId::new("two");
    let reused = Reply::Refused(Refusal::RequestReused);
    assert_eq!(world.apply(vec![Command::Submit(other)]), [reused]);
    world.time += REQUEST_MEMORY.0;
    let taken = Reply::Refused(Refusal::RunIdTaken { run: RunId::new("one") });
    assert_eq!(world.apply(vec![Command::Submit(one)]), [taken]);
}

#[test]
fn a_generated_name_that_is_taken_gets_a_suffix() {
    let mut world = World::new(1);
    let mut names = Vec::new();
    for _ in 0..3 {
        let mut submit = world.submission("calm-otter", &draw(&[stub("a")]), &[]);
        submit.generated = true;
        names.extend(world.apply(vec![Command::Submit(submit)]));
    }
    let expected = [("calm-otter", 1), ("calm-otter-2", 2), ("calm-otter-3", 3)];
    assert_eq!(names, expected.map(|(name, number)| submitted(name, number)));
}

#[test]
fn a_large_graph_is_staged_in_chunks() {
    let steps = many();
    let drawn = draw(&steps);
    let bytes = graph::encode(&drawn);
    let digest = Digest::of(&bytes);
    assert!(bytes.len() > 2 * STAGE_CHUNK_BYTES);
    let mut world = World::new(1);
    let mut submit = world.submission("large", &drawn, &[]);
    submit.graph = Payload::Staged(digest);
    let refused = Reply::Refused(Refusal::NotStaged);
    assert_eq!(world.apply(vec![Command::Submit(submit.clone())]), [refused]);
    for (number, chunk) in bytes.chunks(STAGE_CHUNK_BYTES).enumerate() {
        let offset = (number * STAGE_CHUNK_BYTES) as u64;
        let (part, total) = (Part::Graph, bytes.len() as u64);
        let stage = Command::Stage { part, digest, offset, total, bytes: chunk.to_vec() };
        // Each comes twice, as after a lost answer.
        assert_eq!(world.apply(vec![stage.clone(), stage]), [Reply::Done, Reply::Done]);
    }
    assert_eq!(world.apply(vec![Command::Submit(submit)]), [submitted("large", 1)]);
    world.settle();
    assert_eq!(world.ended.get(&RunNo(1)), Some(&RunStatus::Succeeded));
}

/// A frozen state may hold a graph on one replica and on no other, so it must not matter.
#[test]
fn what_was_staged_is_judged_the_same_whoever_still_holds_the_graph() {
    let drawn = draw(&[stub("a")]);
    let good = graph::encode(&drawn);
    let (digest, total) = (Digest::of(&good), good.len() as u64);
    let answer = |bytes: &[u8], holds: bool| {
        let mut world = World::new(1);
        let run = world.submit(&drawn, &[]);
        let held = holds.then(|| world.state.freeze());
        world.apply(vec![Command::Archived { run: RunId::new(&format!("run-{run}")) }]);
        let (part, bytes) = (Part::Graph, bytes.to_vec());
        world.apply(vec![Command::Stage { part, digest, offset: 0, total, bytes }]);
        world.settle();
        let mut submit = world.submission("again", &drawn, &[]);
        submit.graph = Payload::Staged(digest);
        let replies = world.apply(vec![Command::Submit(submit)]);
        drop(held);
        replies
    };
    let refused = Reply::Refused(Refusal::NotStaged);
    for holds in [false, true] {
        assert_eq!(answer(&good, holds), [submitted("again", 2)], "held: {holds}");
        let other = graph::encode(&draw(&[stub("b")]));
        assert_eq!(answer(&other, holds), std::slice::from_ref(&refused), "held: {holds}");
        let none = answer(&vec![0xff; good.len()], holds);
        let is_bad = matches!(none[..], [Reply::Refused(Refusal::BadGraph { .. })]);
        assert!(is_bad, "held: {holds}: {none:?}");
    }
}

#[test]
fn what_somebody_began_to_stage_in_other_pieces_holds_nobody_up() {
    let drawn = draw(&[stub("a").next("b"), stub("b")]);
    let bytes = graph::encode(&drawn);
    let (digest, total) = (Digest::of(&bytes), bytes.len() as u64);
    let mut world = World::new(1);
    let stage = |from: usize, to: usize| {
        let (part, offset) = (Part::Graph, from as u64);
        Command::Stage { part, digest, offset, total, bytes: bytes[from..to].to_vec() }
    };
    assert_eq!(world.apply(vec![stage(0, 7)]), [Reply::Done]);
    let gap = Reply::Refused(Refusal::NotStaged);
    assert_eq!(world.apply(vec![stage(8, bytes.len())]), [gap]);
    let rest = vec![stage(0, 20), stage(20, bytes.len())];
    assert_eq!(world.apply(rest), [Reply::Done, Reply::Done]);
    let mut submit = world.submission("staged", &drawn, &[]);
    submit.graph = Payload::Staged(digest);
    assert_eq!(world.apply(vec![Command::Submit(submit)]), [submitted("staged", 1)]);
}

#[test]
fn a_million_stubs_delay_another_run_by_no_entry() {
    let steps = many();
    let mut world = World::new(1);
    let large = world.submission("large", &draw(&steps), &[]);
    let small = world.submission("small", &draw(&[stub("a").next("b"), task("b")]), &[]);
    world.apply(vec![Command::Submit(large), Command::Submit(small)]);
    assert_eq!(world.paths(), ["b"], "the hop of the small one is in the same entry");
    assert!(world.state.has_agenda());
}

#[test]
fn what_a_deposed_leader_proposed_is_dropped_whole() {
    let mut world = World::new(1);
    let submit = world.submission("one", &draw(&[task("a")]), &[]);
    let position = crate::command::Position {
        index: dagmar_common::ids::LogIndex(world.state.last_applied().0 + 1),
        term: dagmar_common::ids::Term(2),
    };
    let batch = crate::command::Batch {
        term: dagmar_common::ids::Term(1),
        at: dagmar_common::time::LogTime(99),
        wall: dagmar_common::time::WallTime(0),
        commands: vec![Command::Submit(submit)],
    };
    world.state.apply(position, batch, &mut world.applied);
    assert_eq!(world.applied.replies, [Reply::Dropped]);
    assert_eq!(world.state.log_time().0, 0);
    assert_eq!(world.state.runs().count(), 0);
}

#[test]
fn an_archived_run_leaves_its_summary() {
    let mut world = World::new(1);
    let run = world.submit(&draw(&[task("a")]), &[]);
    let id = RunId::new("run-1");
    assert_eq!(world.apply(vec![Command::Archived { run: id.clone() }]), [Reply::Dropped]);
    world.succeed("a", &[]);
    let archive = Effect::Archive { run };
    assert!(world.applied.effects.contains(&archive));
    world.apply(vec![Command::LeaderUp]);
    assert!(world.applied.effects.contains(&archive), "a new leader is told again");
    assert_eq!(world.apply(vec![Command::Archived { run: id.clone() }]), [Reply::Done]);
    assert!(world.state.run(run).is_none());
    let summary = world.state.find_summary(&id).expect("a summary stays");
    assert_eq!(summary.status, RunStatus::Succeeded);
    let cancel = Command::Cancel { request: RequestId(99), run: id.clone(), reason: "".into() };
    let ended = Refusal::RunEnded { run: id, status: RunStatus::Succeeded };
    assert_eq!(world.apply(vec![cancel]), [Reply::Refused(ended)]);
}
