//! The frozen first form of entries: what is written here can be read for ever.
//!
//! Fences stand as differences to the one before and times as differences to the entry's label, so
//! that the outcome of a small trial takes some 12 bytes.

use bincode::config::{self, Configuration};
use bincode::{BorrowDecode, Decode, Encode};
use dagmar_common::envelope::{self, Kind};
use dagmar_common::ids::{
    ClusterId, Digest, Incarnation, RequestId, RunId, Session, Term, WorkerId,
};
use dagmar_common::lease::{
    Ending, ExitReason, Held, HeldAs, LogPlace, Outcome, Output, OutputWay, Returned,
};
use dagmar_common::time::{LogTime, Span, WallTime};
use dagmar_common::value::Value;

use super::StoredError;
use super::fences::Fences;
use crate::command::{Batch, Command, Part, Payload, Submit, WorkerHello};

const VERSION: u16 = 1;

#[derive(Encode, Decode)]
struct BatchV1 {
    term: u64,
    at: u64,
    wall: i64,
    commands: Vec<CommandV1>,
}

/// Variants are numbered by their order; new ones stand at the end.
#[derive(Encode, Decode)]
enum CommandV1 {
    LeaderUp,
    Continue,
    Stage { part: PartV1, digest: [u8; 32], offset: u64, total: u64, bytes: Vec<u8> },
    Submit(Box<SubmitV1>),
    Cancel { request: [u8; 16], run: String, reason: String },
    Hello(Box<HelloV1>),
    WorkerReady { worker: [u8; 16], incarnation: (u64, u64), session: u64 },
    WorkerSuspended { worker: [u8; 16], session: u64 },
    WorkerLost { worker: [u8; 16], started: Vec<i64>, unsent: Vec<i64> },
    Outcomes { worker: [u8; 16], outcomes: Vec<OutcomeV1> },
    Returned { worker: [u8; 16], incarnation: (u64, u64), returned: Vec<(i64, bool)> },
    Archived { run: String },
    Drain { worker: [u8; 16], is_on: bool },
    RemoveWorker { worker: [u8; 16] },
    Restored { cluster: [u8; 16] },
    WorkerRegains { worker: [u8; 16], incarnation: (u64, u64), session: u64, regains: Vec<i64> },
}

#[derive(Encode, Decode)]
enum PartV1 {
    Graph,
    Parameters,
}

#[derive(Encode, Decode)]
struct SubmitV1 {
    request: [u8; 16],
    run: String,
    generated: bool,
    tag: String,
    graph: PayloadV1,
    parameters: PayloadV1,
    context: String,
}

#[derive(Encode, Decode)]
enum PayloadV1 {
    Inline(Vec<u8>),
    Staged([u8; 32]),
}

#[derive(Encode, Decode)]
struct HelloV1 {
    worker: [u8; 16],
    incarnation: u64,
    nonce: u64,
    name: String,
    cpu_millis: u32,
    labels: Vec<(String, String)>,
    held: Vec<(i64, HeldV1)>,
    born_ready: Option<u64>,
    lost_after: Option<u64>,
}

#[derive(Encode, Decode)]
enum HeldV1 {
    Queued,
    Running,
    Finished,
    Gone,
}

#[derive(Encode, Decode)]
struct OutcomeV1 {
    /// To the one before it in its command.
    fence: i64,
    ending: EndingV1,
    /// To the entry's label.
    began: i64,
    took: u64,
    rest: Option<OutcomeRestV1>,
}

#[derive(Encode, Decode)]
enum EndingV1 {
    Succeeded,
    Cancelled,
    Code(u8),
    Signal(u8),
    TimeLimit,
    NotStarted(i32),
    BadOutput,
}

/// What only few outcomes have.
#[derive(Encode, Decode)]
struct OutcomeRestV1 {
    /// Name, value as spelled, and whether it came through the file.
    outputs: Vec<(String, String, bool)>,
    /// Segment, offset, length, dropped.
    log: Option<(u32, u64, u64, u64)>,
    last_lines: String,
}

/// One entry in its envelope, appended to `out`.
pub fn encode_batch(batch: &Batch, out: &mut Vec<u8>) {
    seal(Kind::Batch, &BatchV1::from(batch), out);
}

pub fn decode_batch(bytes: &[u8]) -> Result<Batch, StoredError> {
    let batch: BatchV1 = open(Kind::Batch, bytes)?;
    Ok(batch.into())
}

const CONFIG: Configuration = config::standard();
/// A length is believed as far as what is read can hold: of few bytes little is set aside.
const FEW_BYTES: usize = 64 << 10;
const FEW_DECODED_BYTES_MAX: usize = 256 * FEW_BYTES;
const DECODED_BYTES_MAX: usize = 1 << 30;

pub(super) fn write(form: &impl Encode, out: &mut Vec<u8>) {
    // Writing into a vector fails only for types that none of the forms holds.
    if let Err(error) = bincode::encode_into_std_write(form, out, CONFIG) {
        unreachable!("a stored form that cannot be written: {error}")
    }
}

fn seal(kind: Kind, form: &impl Encode, out: &mut Vec<u8>) {
    let mut body = Vec::new();
    write(form, &mut body);
    envelope::seal_into(kind, VERSION, &body, out);
}

pub(super) fn read<'a, T: BorrowDecode<'a, ()>>(bytes: &'a [u8]) -> Result<T, StoredError> {
    let decoded = match bytes.len() {
        0..=FEW_BYTES => {
            bincode::borrow_decode_from_slice(bytes, CONFIG.with_limit::<FEW_DECODED_BYTES_MAX>())
        }
        _ => bincode::borrow_decode_from_slice(bytes, CONFIG.with_limit::<DECODED_BYTES_MAX>()),
    };
    match decoded {
        Ok((form, length)) if length == bytes.len() => Ok(form),
        Ok(_) => Err(StoredError::Malformed("bytes are left over".to_owned())),
        Err(error) => Err(StoredError::Malformed(error.to_string())),
    }
}

fn open<'a, T: BorrowDecode<'a, ()>>(kind: Kind, bytes: &'a [u8]) -> Result<T, StoredError> {
    let (_, body) = envelope::open(kind, VERSION, bytes).map_err(StoredError::Envelope)?;
    read(body)
}

impl From<&Batch> for BatchV1 {
    fn from(batch: &Batch) -> Self {
        let command = |command| CommandV1::of(command, batch.wall);
        BatchV1 {
            term: batch.term.0,
            at: batch.at.0,
            wall: batch.wall.0,
            commands: batch.commands.iter().map(command).collect(),
        }
    }
}

impl From<BatchV1> for Batch {
    fn from(batch: BatchV1) -> Self {
        let wall = WallTime(batch.wall);
        Batch {
            term: Term(batch.term),
            at: LogTime(batch.at),
            wall,
            commands: batch.commands.into_iter().map(|command| command.back(wall)).collect(),
        }
    }
}

impl CommandV1 {
    fn of(command: &Command, wall: WallTime) -> Self {
        let worker = |worker: &WorkerId| worker.0.to_le_bytes();
        let life = |incarnation: &Incarnation| (incarnation.number, incarnation.nonce);
        match command {
            Command::LeaderUp => CommandV1::LeaderUp,
            Command::Continue => CommandV1::Continue,
            Command::Stage { part, digest, offset, total, bytes } => CommandV1::Stage {
                part: match part {
                    Part::Graph => PartV1::Graph,
                    Part::Parameters => PartV1::Parameters,
                },
                digest: digest.0,
                offset: *offset,
                total: *total,
                bytes: bytes.clone(),
            },
            Command::Submit(submit) => CommandV1::Submit(Box::new(submit.into())),
            Command::Cancel { request, run, reason } => CommandV1::Cancel {
                request: request.0.to_le_bytes(),
                run: run.to_string(),
                reason: reason.clone(),
            },
            Command::Hello(hello) => CommandV1::Hello(Box::new(hello.into())),
            Command::WorkerReady { worker: id, incarnation, session, regains } => {
                let (worker, incarnation, session) = (worker(id), life(incarnation), session.0);
                match Fences::pack_all(regains) {
                    none if none.is_empty() => {
                        CommandV1::WorkerReady { worker, incarnation, session }
                    }
                    regains => CommandV1::WorkerRegains { worker, incarnation, session, regains },
                }
            }
            Command::WorkerSuspended { worker: id, session } => {
                CommandV1::WorkerSuspended { worker: worker(id), session: session.0 }
            }
            Command::WorkerLost { worker: id, started, unsent } => CommandV1::WorkerLost {
                worker: worker(id),
                started: Fences::pack_all(started),
                unsent: Fences::pack_all(unsent),
            },
            Command::Outcomes { worker: id, outcomes } => {
                let mut fences = Fences::default();
                let packed = outcomes.iter().map(|one| OutcomeV1::of(one, wall, &mut fences));
                CommandV1::Outcomes { worker: worker(id), outcomes: packed.collect() }
            }
            Command::Returned { worker: id, incarnation, returned } => {
                let mut fences = Fences::default();
                let packed = returned.iter().map(|one| (fences.pack(one.fence), one.started));
                let (incarnation, returned) = (life(incarnation), packed.collect());
                CommandV1::Returned { worker: worker(id), incarnation, returned }
            }
            Command::Archived { run } => CommandV1::Archived { run: run.to_string() },
            Command::Drain { worker: id, is_on } => {
                CommandV1::Drain { worker: worker(id), is_on: *is_on }
            }
            Command::RemoveWorker { worker: id } => CommandV1::RemoveWorker { worker: worker(id) },
            Command::Restored { cluster } => {
                CommandV1::Restored { cluster: cluster.0.to_le_bytes() }
            }
        }
    }

    fn back(self, wall: WallTime) -> Command {
        let worker = |bytes| WorkerId(u128::from_le_bytes(bytes));
        let life = |(number, nonce)| Incarnation { number, nonce };
        match self {
            CommandV1::LeaderUp => Command::LeaderUp,
            CommandV1::Continue => Command::Continue,
            CommandV1::Stage { part, digest, offset, total, bytes } => {
                let part = match part {
                    PartV1::Graph => Part::Graph,
                    PartV1::Parameters => Part::Parameters,
                };
                Command::Stage { part, digest: Digest(digest), offset, total, bytes }
            }
            CommandV1::Submit(submit) => Command::Submit((*submit).into()),
            CommandV1::Cancel { request, run, reason } => Command::Cancel {
                request: RequestId(u128::from_le_bytes(request)),
                run: RunId::new(&run),
                reason,
            },
            CommandV1::Hello(hello) => Command::Hello((*hello).into()),
            CommandV1::WorkerReady { worker, incarnation, session } => {
                let regains = Vec::new();
                CommandV1::WorkerRegains { worker, incarnation, session, regains }.back(wall)
            }
            CommandV1::WorkerRegains { worker: id, incarnation, session, regains } => {
                Command::WorkerReady {
                    worker: worker(id),
                    incarnation: life(incarnation),
                    session: Session(session),
                    regains: Fences::unpack_all(regains),
                }
            }
            CommandV1::WorkerSuspended { worker: id, session } => {
                Command::WorkerSuspended { worker: worker(id), session: Session(session) }
            }
            CommandV1::WorkerLost { worker: id, started, unsent } => Command::WorkerLost {
                worker: worker(id),
                started: Fences::unpack_all(started),
                unsent: Fences::unpack_all(unsent),
            },
            CommandV1::Outcomes { worker: id, outcomes } => {
                let mut fences = Fences::default();
                let outcomes = outcomes.into_iter().map(|one| one.back(wall, &mut fences));
                Command::Outcomes { worker: worker(id), outcomes: outcomes.collect() }
            }
            CommandV1::Returned { worker: id, incarnation, returned } => {
                let mut fences = Fences::default();
                let returned = returned.into_iter().map(|(difference, started)| Returned {
                    fence: fences.unpack(difference),
                    started,
                });
                let (incarnation, returned) = (life(incarnation), returned.collect());
                Command::Returned { worker: worker(id), incarnation, returned }
            }
            CommandV1::Archived { run } => Command::Archived { run: RunId::new(&run) },
            CommandV1::Drain { worker: id, is_on } => Command::Drain { worker: worker(id), is_on },
            CommandV1::RemoveWorker { worker: id } => Command::RemoveWorker { worker: worker(id) },
            CommandV1::Restored { cluster } => {
                Command::Restored { cluster: ClusterId(u128::from_le_bytes(cluster)) }
            }
        }
    }
}

impl From<&Submit> for SubmitV1 {
    fn from(submit: &Submit) -> Self {
        SubmitV1 {
            request: submit.request.0.to_le_bytes(),
            run: submit.run.to_string(),
            generated: submit.generated,
            tag: submit.tag.clone(),
            graph: (&submit.graph).into(),
            parameters: (&submit.parameters).into(),
            context: submit.context.spelled().into(),
        }
    }
}

impl From<SubmitV1> for Submit {
    fn from(submit: SubmitV1) -> Self {
        Submit {
            request: RequestId(u128::from_le_bytes(submit.request)),
            run: RunId::new(&submit.run),
            generated: submit.generated,
            tag: submit.tag,
            graph: submit.graph.into(),
            parameters: submit.parameters.into(),
            context: Value::from_spelled(submit.context),
        }
    }
}

impl From<&Payload> for PayloadV1 {
    fn from(payload: &Payload) -> Self {
        match payload {
            Payload::Inline(bytes) => PayloadV1::Inline(bytes.clone()),
            Payload::Staged(digest) => PayloadV1::Staged(digest.0),
        }
    }
}

impl From<PayloadV1> for Payload {
    fn from(payload: PayloadV1) -> Self {
        match payload {
            PayloadV1::Inline(bytes) => Payload::Inline(bytes),
            PayloadV1::Staged(digest) => Payload::Staged(Digest(digest)),
        }
    }
}

impl From<&WorkerHello> for HelloV1 {
    fn from(hello: &WorkerHello) -> Self {
        let mut fences = Fences::default();
        let held = hello.held.iter().map(|held| {
            let state = match held.state {
                HeldAs::Queued => HeldV1::Queued,
                HeldAs::Running => HeldV1::Running,
                HeldAs::Finished => HeldV1::Finished,
                HeldAs::Gone => HeldV1::Gone,
            };
            (fences.pack(held.fence), state)
        });
        HelloV1 {
            worker: hello.worker.0.to_le_bytes(),
            incarnation: hello.incarnation.number,
            nonce: hello.incarnation.nonce,
            name: hello.name.clone(),
            cpu_millis: hello.cpu_millis,
            labels: hello.labels.clone(),
            held: held.collect(),
            born_ready: hello.born_ready.map(|session| session.0),
            lost_after: hello.lost_after.map(|span| span.0),
        }
    }
}

impl From<HelloV1> for WorkerHello {
    fn from(hello: HelloV1) -> Self {
        let mut fences = Fences::default();
        let held = hello.held.into_iter().map(|(difference, state)| Held {
            fence: fences.unpack(difference),
            state: match state {
                HeldV1::Queued => HeldAs::Queued,
                HeldV1::Running => HeldAs::Running,
                HeldV1::Finished => HeldAs::Finished,
                HeldV1::Gone => HeldAs::Gone,
            },
        });
        WorkerHello {
            worker: WorkerId(u128::from_le_bytes(hello.worker)),
            incarnation: Incarnation { number: hello.incarnation, nonce: hello.nonce },
            name: hello.name,
            cpu_millis: hello.cpu_millis,
            labels: hello.labels,
            held: held.collect(),
            born_ready: hello.born_ready.map(Session),
            lost_after: hello.lost_after.map(Span),
        }
    }
}

impl OutcomeV1 {
    fn of(outcome: &Outcome, wall: WallTime, fences: &mut Fences) -> Self {
        let is_plain =
            outcome.outputs.is_empty() && outcome.log.is_none() && outcome.last_lines.is_empty();
        OutcomeV1 {
            fence: fences.pack(outcome.fence),
            ending: match outcome.ending {
                Ending::Succeeded => EndingV1::Succeeded,
                Ending::Cancelled => EndingV1::Cancelled,
                Ending::Failed(ExitReason::Code(code)) => EndingV1::Code(code),
                Ending::Failed(ExitReason::Signal(signal)) => EndingV1::Signal(signal),
                Ending::Failed(ExitReason::TimeLimit) => EndingV1::TimeLimit,
                Ending::Failed(ExitReason::NotStarted(errno)) => EndingV1::NotStarted(errno),
                Ending::Failed(ExitReason::BadOutput) => EndingV1::BadOutput,
            },
            began: outcome.began.0.wrapping_sub(wall.0),
            took: outcome.took.0,
            rest: (!is_plain).then(|| OutcomeRestV1 {
                outputs: outcome.outputs.iter().map(pack_output).collect(),
                log: outcome.log.map(|log| (log.segment, log.offset, log.length, log.dropped)),
                last_lines: outcome.last_lines.to_string(),
            }),
        }
    }

    fn back(self, wall: WallTime, fences: &mut Fences) -> Outcome {
        let rest = self.rest.unwrap_or(OutcomeRestV1 {
            outputs: Vec::new(),
            log: None,
            last_lines: String::new(),
        });
        let fence = fences.unpack(self.fence);
        Outcome {
            fence,
            ending: match self.ending {
                EndingV1::Succeeded => Ending::Succeeded,
                EndingV1::Cancelled => Ending::Cancelled,
                EndingV1::Code(code) => Ending::Failed(ExitReason::Code(code)),
                EndingV1::Signal(signal) => Ending::Failed(ExitReason::Signal(signal)),
                EndingV1::TimeLimit => Ending::Failed(ExitReason::TimeLimit),
                EndingV1::NotStarted(errno) => Ending::Failed(ExitReason::NotStarted(errno)),
                EndingV1::BadOutput => Ending::Failed(ExitReason::BadOutput),
            },
            began: WallTime(self.began.wrapping_add(wall.0)),
            took: Span(self.took),
            outputs: rest.outputs.into_iter().map(unpack_output).collect(),
            log: rest.log.map(|(segment, offset, length, dropped)| LogPlace {
                fence,
                segment,
                offset,
                length,
                dropped,
            }),
            last_lines: rest.last_lines.into(),
        }
    }
}

fn pack_output(output: &Output) -> (String, String, bool) {
    let is_file = output.way == OutputWay::File;
    (output.name.to_string(), output.value.spelled().into(), is_file)
}

fn unpack_output((name, value, is_file): (String, String, bool)) -> Output {
    let way = if is_file { OutputWay::File } else { OutputWay::Variable };
    Output { name: name.into(), value: Value::from_spelled(value), way }
}
