//! How remembered requests and their answers stand in a snapshot.

use super::forms::fields;
use super::pack::{Pack, Reader, RestoreError, Writer};
use crate::effect::{Refusal, Reply};
use crate::state::request::{Remembered, Requests};

fields!(Remembered { content, reply });
fields!(Requests { known, order });

impl Pack for Reply {
    fn pack(&self, out: &mut Writer<'_>) {
        match self {
            Reply::Done => out.number(0),
            Reply::Dropped => out.number(1),
            Reply::Later => out.number(4),
            Reply::Submitted { run, number } => {
                out.number(2);
                run.pack(out);
                number.pack(out);
            }
            Reply::Refused(refusal) => {
                out.number(3);
                refusal.pack(out);
            }
        }
    }

    fn unpack(from: &mut Reader<'_>) -> Result<Self, RestoreError> {
        Ok(match from.number()? {
            0 => Reply::Done,
            1 => Reply::Dropped,
            4 => Reply::Later,
            2 => Reply::Submitted { run: Pack::unpack(from)?, number: Pack::unpack(from)? },
            3 => Reply::Refused(Pack::unpack(from)?),
            _ => return Err(RestoreError::Malformed("an unknown reply")),
        })
    }
}

impl Pack for Refusal {
    fn pack(&self, out: &mut Writer<'_>) {
        match self {
            Refusal::RunIdTaken { run } => (0_u8, run.clone()).pack(out),
            Refusal::NoSuchRun { run } => (1_u8, run.clone()).pack(out),
            Refusal::RunEnded { run, status } => (2_u8, (run.clone(), *status)).pack(out),
            Refusal::BadGraph { why } => (3_u8, why.clone()).pack(out),
            Refusal::BadParameters { why } => (4_u8, why.clone()).pack(out),
            Refusal::NotStaged => out.number(5),
            Refusal::StagingFull => out.number(6),
            Refusal::RequestReused => out.number(7),
        }
    }

    fn unpack(from: &mut Reader<'_>) -> Result<Self, RestoreError> {
        Ok(match from.number()? {
            0 => Refusal::RunIdTaken { run: Pack::unpack(from)? },
            1 => Refusal::NoSuchRun { run: Pack::unpack(from)? },
            2 => {
                let (run, status) = Pack::unpack(from)?;
                Refusal::RunEnded { run, status }
            }
            3 => Refusal::BadGraph { why: Pack::unpack(from)? },
            4 => Refusal::BadParameters { why: Pack::unpack(from)? },
            5 => Refusal::NotStaged,
            6 => Refusal::StagingFull,
            7 => Refusal::RequestReused,
            _ => return Err(RestoreError::Malformed("an unknown refusal")),
        })
    }
}
