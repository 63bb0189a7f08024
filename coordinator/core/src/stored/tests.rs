//! Golden bytes: what was written once is read for ever, and is not written otherwise.
#![allow(clippy::disallowed_methods, reason = "golden files are read here, and written on demand")]

use dagmar_common::ids::{
    ClusterId, Digest, Fence, Incarnation, RequestId, RunId, Session, Term, WorkerId,
};
use dagmar_common::lease::{
    Ending, ExitReason, Held, HeldAs, LogPlace, Outcome, Output, OutputWay, Returned,
};
use dagmar_common::time::{LogTime, Span, WallTime};
use dagmar_common::value::Value;

use super::*;
use crate::State;
use crate::command::{Batch, Command, Part, Payload, Submit, WorkerHello};
use crate::tests::drawing::{graph as draw, map, stub, task};
use crate::tests::world::{World, snapshot};

const WALL: WallTime = WallTime(1_700_000_000_000_000);

fn outcome(fence: u64, ending: Ending) -> Outcome {
    Outcome {
        fence: Fence(fence),
        ending,
        began: WallTime(WALL.0 - 70_000),
        took: Span(900),
        outputs: Vec::new(),
        log: None,
        last_lines: "".into(),
    }
}

/// One of everything.
fn everything() -> Batch {
    let worker = WorkerId(0x0123_4567_89ab_cdef);
    let states = [HeldAs::Queued, HeldAs::Running, HeldAs::Finished, HeldAs::Gone];
    let held = (5..).map(Fence).zip(states).map(|(fence, state)| Held { fence, state });
    let digest = Digest([7; 32]);
    let run = RunId::new("greedy-yonath-1608");
    let submit = Submit {
        request: RequestId(3),
        run: run.clone(),
        generated: true,
        tag: "t".into(),
        graph: Payload::Inline(vec![1, 2, 3]),
        parameters: Payload::Staged(digest),
        context: Value::from_loose("{}"),
    };
    let hello = WorkerHello {
        worker,
        incarnation: Incarnation { number: 2, nonce: 9 },
        name: "w".into(),
        cpu_millis: 4_000,
        labels: vec![("zone".into(), "a".into())],
        held: held.collect(),
        born_ready: Some(Session(1)),
        lost_after: Some(Span(60)),
    };
    let (incarnation, session) = (hello.incarnation, Session(1 << 32));
    let (started, unsent) = (vec![Fence(5)], vec![Fence(6), Fence(4)]);
    let regains = vec![Fence(5), Fence(8)];
    let returned = vec![Returned { fence: Fence(9), started: true }];
    Batch {
        term: Term(3),
        at: LogTime(1_000_000),
        wall: WALL,
        commands: vec![
            Command::LeaderUp,
            Command::Continue,
            Command::Stage {
                part: Part::Graph,
                digest,
                offset: 1,
                total: 300,
                bytes: vec![0, 255],
            },
            Command::Submit(submit),
            Command::Cancel { request: RequestId(4), run: run.clone(), reason: "r".into() },
            Command::Hello(hello),
            Command::WorkerReady { worker, incarnation, session, regains: Vec::new() },
            Command::WorkerSuspended { worker, session },
            Command::WorkerLost { worker, started, unsent },
            Command::Outcomes { worker, outcomes: outcomes() },
            Command::Returned { worker, incarnation, returned },
            Command::Archived { run },
            Command::Drain { worker, is_on: true },
            Command::RemoveWorker { worker },
            Command::Restored { cluster: ClusterId(8) },
            Command::WorkerReady { worker, incarnation, session, regains },
        ],
    }
}

/// One of every ending, and one with all that an outcome can say.
fn outcomes() -> Vec<Outcome> {
    let mut full = outcome(7, Ending::Failed(ExitReason::NotStarted(-2)));
    let value = Value::from_loose("[1, 2]");
    full.outputs.push(Output { name: "x".into(), value, way: OutputWay::Variable });
    full.log = Some(LogPlace { fence: Fence(7), segment: 1, offset: 2, length: 3, dropped: 4 });
    full.last_lines = "oh".into();
    let endings = [
        Ending::Succeeded,
        Ending::Cancelled,
        Ending::Failed(ExitReason::Code(3)),
        Ending::Failed(ExitReason::Signal(9)),
        Ending::Failed(ExitReason::TimeLimit),
        Ending::Failed(ExitReason::BadOutput),
    ];
    (100..).zip(endings).map(|(f, e)| outcome(f, e)).chain([full]).collect()
}

/// The golden bytes of `name`, after writing them where they are asked for.
fn golden(name: &str, bytes: &[u8]) -> Vec<u8> {
    let place = format!("{}/src/stored/golden/{name}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("DAGMAR_WRITE_GOLDEN").is_some() {
        std::fs::write(&place, bytes).expect("the golden bytes can be written");
    }
    std::fs::read(&place).expect("the golden bytes are there")
}

#[test]
fn a_batch_of_everything_has_its_golden_bytes() {
    let mut bytes = Vec::new();
    encode_batch(&everything(), &mut bytes);
    let golden = golden("batch-v1.bin", &bytes);
    assert!(bytes == golden, "the stored form changed; entries of older logs cannot be read");
    assert_eq!(decode_batch(&golden), Ok(everything()));
}

#[test]
fn a_snapshot_of_everything_has_its_golden_bytes() {
    let mut world = World::new(3);
    let items = map("m", "xs", &[task("s").attempts(2).backoff(Span::from_secs(9)), stub("t")]);
    let steps = [items.fails("h"), task("h"), task("big").cpus(9_000), task("z").next("success")];
    let run = world.submit(&draw(&steps), &[("xs", "[1, \"two\", {\"k\": [3]}]")]);
    world.succeed("m.0.s", &[("y", "\"a value that is written once\""), ("~z", "1")]);
    world.fail("m.1.s");
    world.succeed("z", &[]);
    let ended = world.submit(&draw(&[stub("a")]), &[]);
    let id = RunId::new(&format!("run-{ended}"));
    let (part, digest) = (Part::Parameters, Digest([9; 32]));
    let stage = Command::Stage { part, digest, offset: 0, total: 9, bytes: vec![1, 2] };
    world.apply(vec![Command::Archived { run: id }, stage]);
    let stopped = world.submit(&draw(&[task("a").next("b"), task("b")]), &[]);
    world.cancel(stopped);
    let bytes = snapshot(&mut world.state).concat();
    let golden = golden("snapshot-v1.bin", &bytes);
    assert!(bytes == golden, "the stored form changed; older snapshots cannot be read");
    let restored = State::restore([golden]).expect("older snapshots are read");
    assert_eq!(restored.check(), Ok(()));
    assert_eq!(restored.run(run).map(|run| run.counts().succeeded), Some(5));
}

#[test]
fn the_outcome_of_a_small_trial_is_small() {
    let size = |count: u64| {
        let first = 3_000_000_000;
        let outcomes = (first..first + count).map(|fence| outcome(fence, Ending::Succeeded));
        let command =
            Command::Outcomes { worker: WorkerId(u128::MAX), outcomes: outcomes.collect() };
        let batch = Batch { commands: vec![command], ..everything() };
        let mut bytes = Vec::new();
        encode_batch(&batch, &mut bytes);
        bytes.len() as u64
    };
    let each = (size(200) - size(100)) / 100;
    assert!(each <= 24, "{each} bytes an outcome");
}

#[test]
fn damage_is_seen_and_a_snapshot_is_whole_or_refused() {
    let mut bytes = Vec::new();
    encode_batch(&everything(), &mut bytes);
    bytes[40] ^= 4;
    assert!(matches!(decode_batch(&bytes), Err(StoredError::Envelope(_))));

    let mut chunks: Vec<Vec<u8>> = Vec::new();
    let mut state = State::new();
    let digest = Digest::of(&vec![5; 3 << 20]);
    for offset in (0..3 << 20).step_by(1 << 16) {
        let bytes = vec![5; 1 << 16];
        let part = Part::Parameters;
        let stage = Command::Stage { part, digest, offset, total: 3 << 20, bytes };
        let index = dagmar_common::ids::LogIndex(state.last_applied().0 + 1);
        let position = crate::command::Position { index, term: Term(1) };
        let batch = Batch { term: Term(1), at: LogTime(0), wall: WALL, commands: vec![stage] };
        state.apply(position, batch, &mut Default::default());
    }
    let write = |chunk: &[u8]| {
        chunks.push(chunk.to_vec());
        Ok(())
    };
    let mut write = write;
    state.freeze().write(&mut write).expect("memory takes all");
    assert!(chunks.len() > 3 && chunks.iter().all(|chunk| chunk.len() <= 1 << 20));
    assert!(State::restore(&chunks).is_ok());
    let short = chunks.len() - 1;
    assert_eq!(State::restore(&chunks[..short]).err(), Some(RestoreError::Truncated));
    let order = Some(RestoreError::Order { expected: 1, found: 2 });
    chunks.remove(1);
    assert_eq!(State::restore(&chunks).err(), order);
    chunks[0][30] ^= 1;
    assert!(matches!(State::restore(&chunks).err(), Some(RestoreError::Envelope(_))));
}

/// A length that no memory has room for, with a checksum that holds.
#[test]
fn a_length_beyond_all_bounds_is_refused_before_room_is_made_for_it() {
    let mut body = vec![0, 0, 0];
    body.push(253);
    body.extend(u64::MAX.to_le_bytes());
    let sealed = dagmar_common::envelope::seal(dagmar_common::envelope::Kind::Batch, 1, &body);
    assert!(matches!(decode_batch(&sealed), Err(StoredError::Malformed(_))));
    assert!(matches!(decode_parameters(&body[3..]), Err(StoredError::Malformed(_))));
}

/// A chain of views where only the depth of the stack would say where it ends.
#[test]
fn a_view_deeper_than_any_is_refused() {
    use dagmar_common::envelope::{Kind, seal};
    use dagmar_common::view::View;

    let read = |depth: usize| {
        // A name, its rank, its value, and the view to its left.
        let links = [1, 2, b'x', 0, 2, b'1'].repeat(depth);
        let head = [0, 0, 0, 0, 1].to_vec();
        let body = [head, links, vec![0; depth + 1]].concat();
        let mut chunk = Some(seal(Kind::SnapshotChunk, 1, &body));
        let mut next = || chunk.take();
        <View as pack::Pack>::unpack(&mut pack::Reader::new(&mut next)).map(|_| ())
    };
    assert_eq!(read(100), Ok(()));
    assert_eq!(read(100_000), Err(RestoreError::Malformed("a view deeper than any")));
}
