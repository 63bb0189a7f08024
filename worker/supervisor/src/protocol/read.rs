//! Messages as they are read from the body of a frame: any bytes give a message or an error.

use super::{Cause, Event, Exit, Exited, Held, Malformed, OnClose, Request, Spawn, StartStep};
use super::{Started, Stream, VERSION, VERSION_MIN, kind};
use crate::packed::PackedView;

impl<'a> Request<'a> {
    pub fn read(body: &'a [u8]) -> Result<Self, Malformed> {
        let (kind, mut fields) = open(body)?;
        let request = match kind {
            kind::HELLO => read_hello(&mut fields),
            kind::ENVIRONMENT => read_environment(&mut fields),
            kind::FORGET => fields.u32().map(|number| Request::Forget { number }),
            kind::SPAWN => read_spawn(&mut fields).map(Request::Spawn),
            kind::STOP => read_stop(&mut fields),
            kind::KILL => fields.u64().map(|fence| Request::Kill { fence }),
            kind::LIST => Some(Request::List),
            kind::HEARD => fields.u64().map(|fence| Request::Heard { fence }),
            kind::DEADLINE => fields.u64().map(|at_us| Request::Deadline { at_us }),
            kind::SHUTDOWN => fields.u64().map(|grace_us| Request::Shutdown { grace_us }),
            found => return Err(Malformed::Kind { found }),
        };
        fields.end(kind, request)
    }
}

impl<'a> Event<'a> {
    pub fn read(body: &'a [u8]) -> Result<Self, Malformed> {
        let (kind, mut fields) = open(body)?;
        let event = match kind {
            kind::WELCOME => fields.u32().map(|pid| Event::Welcome { pid }),
            kind::STARTED => read_started(&mut fields).map(Event::Started),
            kind::OUTPUT => read_output(&mut fields),
            kind::EXITED => read_exited(&mut fields).map(Event::Exited),
            kind::NOT_STARTED => read_not_started(&mut fields),
            kind::NEVER_BEGAN => fields.u64().map(|fence| Event::NeverBegan { fence }),
            kind::REFUSED => read_refused(&mut fields),
            kind::HELD => read_held(&mut fields).map(Event::Held),
            found => return Err(Malformed::Kind { found }),
        };
        fields.end(kind, event)
    }
}

fn open(body: &[u8]) -> Result<(u8, Fields<'_>), Malformed> {
    let [version, kind, fields @ ..] = body else { return Err(Malformed::Fields { kind: 0 }) };
    if !(VERSION_MIN..=VERSION).contains(version) {
        return Err(Malformed::Version { found: *version });
    }
    Ok((*kind, Fields(fields)))
}

fn read_hello<'a>(fields: &mut Fields<'a>) -> Option<Request<'a>> {
    let on_close = match fields.option()? {
        None => OnClose::Kill,
        Some(for_us) => OnClose::Keep { for_us },
    };
    let cpu_millis = fields.u32()?;
    let mark = fields.rest();
    (!mark.contains(&0)).then_some(Request::Hello { on_close, cpu_millis, mark })
}

fn read_environment<'a>(fields: &mut Fields<'a>) -> Option<Request<'a>> {
    let number = fields.u32()?;
    let over = match fields.option()? {
        Some(over) => Some(u32::try_from(over).ok()?),
        None => None,
    };
    let entries = PackedView::from_bytes(fields.rest())?;
    Some(Request::Environment { number, over, entries })
}

fn read_spawn<'a>(fields: &mut Fields<'a>) -> Option<Spawn<'a>> {
    let fence = fields.u64()?;
    let environment = fields.u32()?;
    let time_limit_us = fields.option()?;
    let grace_us = fields.u64()?;
    let output_max = fields.u64()?;
    let exclusive = fields.flag()?;
    let cpu_millis = fields.u32()?;
    let directory = fields.texts()?;
    let words = fields.texts()?;
    let additions = fields.texts()?;
    let whole = directory.iter().count() == 1 && !words.is_empty();
    whole.then_some(Spawn {
        fence,
        environment,
        additions,
        directory,
        words,
        time_limit_us,
        grace_us,
        output_max,
        exclusive,
        cpu_millis,
    })
}

fn read_stop<'a>(fields: &mut Fields<'a>) -> Option<Request<'a>> {
    Some(Request::Stop { fence: fields.u64()?, grace_us: fields.u64()? })
}

fn read_started(fields: &mut Fields<'_>) -> Option<Started> {
    Some(Started {
        fence: fields.u64()?,
        pid: fields.u32()?,
        wall_us: fields.u64()? as i64,
        boot_us: fields.u64()?,
    })
}

fn read_output<'a>(fields: &mut Fields<'a>) -> Option<Event<'a>> {
    let fence = fields.u64()?;
    let stream = match fields.u8()? {
        1 => Stream::Stdout,
        2 => Stream::Stderr,
        _ => return None,
    };
    Some(Event::Output { fence, stream, bytes: fields.rest() })
}

fn read_exited(fields: &mut Fields<'_>) -> Option<Exited> {
    let fence = fields.u64()?;
    let exit = match (fields.u8()?, fields.u8()?) {
        (0, code) => Exit::Code(code),
        (1, signal) => Exit::Signal(signal),
        _ => return None,
    };
    let cause = fields.cause()?;
    Some(Exited { fence, exit, cause, took_us: fields.u64()?, dropped: fields.u64()? })
}

fn read_not_started<'a>(fields: &mut Fields<'a>) -> Option<Event<'a>> {
    let fence = fields.u64()?;
    let step = match fields.u8()? {
        0 => StartStep::Pipes,
        1 => StartStep::Directory,
        2 => StartStep::Program,
        3 => StartStep::Guard,
        _ => return None,
    };
    Some(Event::NotStarted { fence, step, errno: fields.u32()? as i32 })
}

fn read_refused<'a>(fields: &mut Fields<'a>) -> Option<Event<'a>> {
    let fence = fields.u64()?;
    let started = fields.flag()?;
    Some(Event::Refused { fence, started })
}

fn read_held(fields: &mut Fields<'_>) -> Option<Vec<Held>> {
    let mut held = Vec::new();
    while !fields.0.is_empty() {
        let fence = fields.u64()?;
        let (has_begun, cause) = (fields.flag()?, fields.cause()?);
        let (pid, wall_us) = (fields.u32()?, fields.u64()? as i64);
        let started = Started { fence, pid, wall_us, boot_us: fields.u64()? };
        let unbegun = Started { fence, pid: 0, wall_us: 0, boot_us: 0 };
        if !has_begun && started != unbegun {
            return None;
        }
        held.push(Held { fence, began: has_begun.then_some(started), cause });
    }
    Some(held)
}

/// What is left of a body.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn u8(&mut self) -> Option<u8> {
        self.chunk::<1>().map(|[byte]| *byte)
    }

    fn u32(&mut self) -> Option<u32> {
        self.chunk().copied().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.chunk().copied().map(u64::from_le_bytes)
    }

    fn flag(&mut self) -> Option<bool> {
        match self.u8()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn cause(&mut self) -> Option<Cause> {
        Some(match self.u8()? {
            0 => Cause::Itself,
            1 => Cause::TimeLimit,
            2 => Cause::Stopped,
            3 => Cause::Killed,
            4 => Cause::Shutdown,
            5 => Cause::Deadline,
            _ => return None,
        })
    }

    fn option(&mut self) -> Option<Option<u64>> {
        self.u64().map(|number| number.checked_sub(1))
    }

    fn texts(&mut self) -> Option<PackedView<'a>> {
        let length = self.u32()? as usize;
        let (texts, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        PackedView::from_bytes(texts)
    }

    fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    fn chunk<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        let (chunk, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(chunk)
    }

    fn end<T>(self, kind: u8, message: Option<T>) -> Result<T, Malformed> {
        match message {
            Some(message) if self.0.is_empty() => Ok(message),
            _ => Err(Malformed::Fields { kind }),
        }
    }
}
