//! Messages as bytes: any number of frames in a row, written at once.

use super::{
    Cause, Event, Exit, Exited, Held, OnClose, Request, Spawn, StartStep, Started, Stream,
};
use super::{VERSION, kind};

/// Requests that travel together.
#[derive(Debug, Default)]
pub struct RequestBatch(Vec<u8>);

/// Events that travel together.
#[derive(Debug, Default)]
pub struct EventBatch(Vec<u8>);

impl RequestBatch {
    pub fn push(&mut self, request: &Request<'_>) {
        match *request {
            Request::Hello { on_close, cpu_millis, mark } => {
                frame(&mut self.0, kind::HELLO, |out| {
                    option(
                        out,
                        match on_close {
                            OnClose::Kill => None,
                            OnClose::Keep { for_us } => Some(for_us),
                        },
                    );
                    out.extend(cpu_millis.to_le_bytes());
                    out.extend_from_slice(mark);
                });
            }
            Request::Environment { number, over, entries } => {
                frame(&mut self.0, kind::ENVIRONMENT, |out| {
                    out.extend(number.to_le_bytes());
                    option(out, over.map(u64::from));
                    out.extend_from_slice(entries.bytes());
                });
            }
            Request::Forget { number } => {
                frame(&mut self.0, kind::FORGET, |out| out.extend(number.to_le_bytes()));
            }
            Request::Spawn(spawn) => frame(&mut self.0, kind::SPAWN, |out| put_spawn(out, &spawn)),
            Request::Stop { fence, grace_us } => frame(&mut self.0, kind::STOP, |out| {
                out.extend(fence.to_le_bytes());
                out.extend(grace_us.to_le_bytes());
            }),
            Request::Kill { fence } => {
                frame(&mut self.0, kind::KILL, |out| out.extend(fence.to_le_bytes()));
            }
            Request::List => frame(&mut self.0, kind::LIST, |_| ()),
            Request::Heard { fence } => {
                frame(&mut self.0, kind::HEARD, |out| out.extend(fence.to_le_bytes()));
            }
            Request::Deadline { at_us } => {
                frame(&mut self.0, kind::DEADLINE, |out| out.extend(at_us.to_le_bytes()));
            }
            Request::Shutdown { grace_us } => {
                frame(&mut self.0, kind::SHUTDOWN, |out| out.extend(grace_us.to_le_bytes()));
            }
        }
    }

    pub fn append(&mut self, later: &RequestBatch) {
        self.0.extend_from_slice(&later.0);
    }

    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn clear(&mut self) {
        self.0.clear();
        self.0.shrink_to(1 << 20);
    }
}

impl EventBatch {
    pub fn push(&mut self, event: &Event<'_>) {
        match event {
            Event::Welcome { pid } => {
                frame(&mut self.0, kind::WELCOME, |out| out.extend(pid.to_le_bytes()));
            }
            Event::Started(started) => put_started(&mut self.0, started),
            Event::Output { fence, stream, bytes } => {
                self.output(*fence, *stream, |out| {
                    out.extend_from_slice(bytes);
                    bytes.len()
                });
            }
            Event::Exited(exited) => put_exited(&mut self.0, exited),
            Event::NotStarted { fence, step, errno } => {
                frame(&mut self.0, kind::NOT_STARTED, |out| {
                    out.extend(fence.to_le_bytes());
                    out.push(match step {
                        StartStep::Pipes => 0,
                        StartStep::Directory => 1,
                        StartStep::Program => 2,
                        StartStep::Guard => 3,
                    });
                    out.extend(errno.to_le_bytes());
                });
            }
            Event::NeverBegan { fence } => {
                frame(&mut self.0, kind::NEVER_BEGAN, |out| out.extend(fence.to_le_bytes()));
            }
            Event::Refused { fence, started } => frame(&mut self.0, kind::REFUSED, |out| {
                out.extend(fence.to_le_bytes());
                out.push(u8::from(*started));
            }),
            Event::Held(held) => frame(&mut self.0, kind::HELD, |out| put_held(out, held)),
        }
    }

    /// An `Output` whose bytes `fill` appends where they will be sent from. `fill` says how many
    /// it kept; with none there is no event.
    pub fn output(
        &mut self,
        fence: u64,
        stream: Stream,
        fill: impl FnOnce(&mut Vec<u8>) -> usize,
    ) -> usize {
        let before = self.0.len();
        let mut kept = 0;
        frame(&mut self.0, kind::OUTPUT, |out| {
            out.extend(fence.to_le_bytes());
            out.push(match stream {
                Stream::Stdout => 1,
                Stream::Stderr => 2,
            });
            kept = fill(out);
        });
        if kept == 0 {
            self.0.truncate(before);
        }
        kept
    }

    pub fn append(&mut self, later: &EventBatch) {
        self.0.extend_from_slice(&later.0);
    }

    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn clear(&mut self) {
        self.0.clear();
        self.0.shrink_to(256 << 10);
    }

    /// Takes the outputs of which not all of the first `sent` bytes of this batch hold the end;
    /// all else is forgotten.
    pub fn take_outputs(&mut self, sent: usize) -> EventBatch {
        let bytes = std::mem::take(&mut self.0);
        let (mut outputs, mut rest, mut end) = (EventBatch::default(), &bytes[..], 0);
        while let Some(head) = rest.first_chunk::<4>() {
            let (whole, behind) = rest.split_at(4 + u32::from_le_bytes(*head) as usize);
            end += whole.len();
            if end > sent && whole.get(5) == Some(&kind::OUTPUT) {
                outputs.0.extend_from_slice(whole);
            }
            rest = behind;
        }
        outputs
    }
}

fn frame(out: &mut Vec<u8>, kind: u8, fill: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend([0, 0, 0, 0, VERSION, kind]);
    fill(out);
    let length = (out.len() - start - 4) as u32;
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
}

/// `number + 1`, and 0 for none.
fn option(out: &mut Vec<u8>, number: Option<u64>) {
    out.extend(number.map_or(0, |number| number.saturating_add(1)).to_le_bytes());
}

fn put_spawn(out: &mut Vec<u8>, spawn: &Spawn<'_>) {
    out.extend(spawn.fence.to_le_bytes());
    out.extend(spawn.environment.to_le_bytes());
    option(out, spawn.time_limit_us);
    out.extend(spawn.grace_us.to_le_bytes());
    out.extend(spawn.output_max.to_le_bytes());
    out.push(u8::from(spawn.exclusive));
    out.extend(spawn.cpu_millis.to_le_bytes());
    for texts in [spawn.directory, spawn.words, spawn.additions] {
        out.extend((texts.bytes().len() as u32).to_le_bytes());
        out.extend_from_slice(texts.bytes());
    }
}

fn put_started(out: &mut Vec<u8>, started: &Started) {
    frame(out, kind::STARTED, |out| {
        out.extend(started.fence.to_le_bytes());
        out.extend(started.pid.to_le_bytes());
        out.extend(started.wall_us.to_le_bytes());
        out.extend(started.boot_us.to_le_bytes());
    });
}

fn put_exited(out: &mut Vec<u8>, exited: &Exited) {
    frame(out, kind::EXITED, |out| {
        out.extend(exited.fence.to_le_bytes());
        out.extend(match exited.exit {
            Exit::Code(code) => [0, code],
            Exit::Signal(signal) => [1, signal],
        });
        out.push(number_of(exited.cause));
        out.extend(exited.took_us.to_le_bytes());
        out.extend(exited.dropped.to_le_bytes());
    });
}

fn put_held(out: &mut Vec<u8>, held: &[Held]) {
    for one in held {
        let began =
            one.began.unwrap_or(Started { fence: one.fence, pid: 0, wall_us: 0, boot_us: 0 });
        out.extend(one.fence.to_le_bytes());
        out.extend([u8::from(one.began.is_some()), number_of(one.cause)]);
        out.extend(began.pid.to_le_bytes());
        out.extend(began.wall_us.to_le_bytes());
        out.extend(began.boot_us.to_le_bytes());
    }
}

fn number_of(cause: Cause) -> u8 {
    match cause {
        Cause::Itself => 0,
        Cause::TimeLimit => 1,
        Cause::Stopped => 2,
        Cause::Killed => 3,
        Cause::Shutdown => 4,
        Cause::Deadline => 5,
    }
}
