//! How one trial ended: the one durable fact that a worker contributes.

use std::sync::Arc;

use crate::ids::Fence;
use crate::time::{Span, WallTime};
use crate::value::Value;

/// The end of one trial, as its worker reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub fence: Fence,
    pub ending: Ending,
    /// By the worker's clock.
    pub began: WallTime,
    pub took: Span,
    /// Sorted by name, each name once. Only those of a success become parameters.
    pub outputs: Vec<Output>,
    /// Where its stdout and stderr lie; None if it wrote nothing.
    pub log: Option<LogPlace>,
    /// The last lines of a failure, for the run log itself.
    pub last_lines: Arc<str>,
}

impl Outcome {
    /// At most what it takes in a message or in the log.
    pub fn bytes(&self) -> usize {
        const FIXED: usize = 56;
        const FIXED_LOG: usize = 40;
        const FIXED_OUTPUT: usize = 24;
        let outputs = self.outputs.iter();
        let outputs = outputs.map(|one| FIXED_OUTPUT + one.name.len() + one.value.spelled().len());
        let log = if self.log.is_some() { FIXED_LOG } else { 0 };
        FIXED + log + self.last_lines.len() + outputs.sum::<usize>()
    }

    /// Tells this outcome from another one under the same fence. It is no proof against malice:
    /// who is trusted with a trial is trusted with its outcome.
    pub fn digest(&self) -> u64 {
        let Outcome { fence, ending, began, took, outputs, log, last_lines } = self;
        let (kind, detail) = match *ending {
            Ending::Succeeded => (0, 0),
            Ending::Cancelled => (1, 0),
            Ending::Failed(ExitReason::Code(code)) => (2, u64::from(code)),
            Ending::Failed(ExitReason::Signal(signal)) => (3, u64::from(signal)),
            Ending::Failed(ExitReason::TimeLimit) => (4, 0),
            Ending::Failed(ExitReason::NotStarted(errno)) => (5, errno as u64),
            Ending::Failed(ExitReason::BadOutput) => (6, 0),
        };
        let mut mix = Mix(fence.hash());
        mix.words(&[kind, detail, began.0 as u64, took.0]);
        for Output { name, value, way } in outputs {
            mix.word(1 + *way as u64);
            mix.text(name);
            mix.text(value.spelled());
        }
        if let Some(LogPlace { fence, segment, offset, length, dropped }) = log {
            mix.words(&[3, fence.0, u64::from(*segment), *offset, *length, *dropped]);
        }
        mix.text(last_lines);
        Fence(mix.0).hash()
    }
}

/// Words one after another, eight bytes at a time.
struct Mix(u64);

impl Mix {
    fn word(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(23) ^ word).wrapping_mul(0x9fb2_1c65_1e98_df25);
    }

    fn words(&mut self, words: &[u64]) {
        words.iter().for_each(|word| self.word(*word));
    }

    fn text(&mut self, text: &str) {
        self.word(text.len() as u64);
        for part in text.as_bytes().chunks(8) {
            let mut word = [0; 8];
            word[..part.len()].copy_from_slice(part);
            self.word(u64::from_le_bytes(word));
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Succeeded,
    Failed(ExitReason),
    /// Stopped because its run was cancelled.
    Cancelled,
}

/// Why a trial failed, as a machine may ask; [`Outcome::last_lines`] is for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExitReason {
    Code(u8),
    Signal(u8),
    /// Its own time limit passed.
    TimeLimit,
    /// The program could not be started; the errno.
    NotStarted(i32),
    /// What it wrote or exported could not be read as outputs, or was too large.
    BadOutput,
}

/// One parameter that a trial wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    pub name: Arc<str>,
    pub value: Value,
    pub way: OutputWay,
}

/// How an output came: it decides how items of a map merge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OutputWay {
    /// A line in the file `$DAGMAR_OUTPUT`: the items of a map make a list of it.
    File,
    /// A `*_PRM_*` variable whose text changed, nothing declared: the last item wins.
    Variable,
}

/// A range in a worker's log segments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogPlace {
    /// Whose chunks in that range; attempts that wrote side by side lie between one another.
    pub fence: Fence,
    pub segment: u32,
    pub offset: u64,
    pub length: u64,
    /// Bytes read beyond the bound and not kept.
    pub dropped: u64,
}

impl LogPlace {
    /// Whoever kept the output died before it could say where: it is found by its fence alone.
    pub fn is_cut(&self) -> bool {
        self.length == 0 && self.dropped == 0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn outcomes_that_differ_anywhere_have_other_digests() {
        let output = |name: &str, value: &str, way| Output {
            name: name.into(),
            value: Value::from_loose(value),
            way,
        };
        let plain = Outcome {
            fence: Fence(7),
            ending: Ending::Succeeded,
            began: WallTime(5),
            took: Span(9),
            outputs: Vec::new(),
            log: None,
            last_lines: "".into(),
        };
        let place = LogPlace { fence: Fence(7), segment: 1, offset: 2, length: 3, dropped: 4 };
        let ended = |ending| Outcome { ending, ..plain.clone() };
        let wrote = |outputs: &[Output]| Outcome { outputs: outputs.to_vec(), ..plain.clone() };
        let (file, variable) = (OutputWay::File, OutputWay::Variable);
        let logged = |place| Outcome { log: Some(place), ..plain.clone() };
        let all = [
            plain.clone(),
            Outcome { fence: Fence(8), ..plain.clone() },
            Outcome { began: WallTime(6), ..plain.clone() },
            Outcome { took: Span(10), ..plain.clone() },
            Outcome { last_lines: "oh".into(), ..plain.clone() },
            ended(Ending::Cancelled),
            ended(Ending::Failed(ExitReason::Code(1))),
            ended(Ending::Failed(ExitReason::Code(2))),
            ended(Ending::Failed(ExitReason::Signal(1))),
            ended(Ending::Failed(ExitReason::TimeLimit)),
            ended(Ending::Failed(ExitReason::NotStarted(-1))),
            ended(Ending::Failed(ExitReason::BadOutput)),
            wrote(&[output("x", "1", file)]),
            wrote(&[output("x", "1", variable)]),
            wrote(&[output("x", "12", file)]),
            wrote(&[output("x1", "2", file)]),
            wrote(&[output("x", "1", file), output("y", "1", file)]),
            wrote(&[output("x", "\"longer than a word\"", file)]),
            logged(place),
            logged(LogPlace { dropped: 5, ..place }),
        ];
        let digests: BTreeSet<u64> = all.iter().map(Outcome::digest).collect();
        assert_eq!(digests.len(), all.len());
        assert_eq!(plain.digest(), plain.clone().digest());
    }
}
