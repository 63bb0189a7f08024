//! What is due at a log time: backoffs and time limits of runs, in one order.

use std::collections::BTreeSet;

use dagmar_common::ids::RunNo;
use dagmar_common::time::LogTime;

use super::column::{Column, Freeze};
use super::node::NONE;

#[derive(Clone, Debug, Default)]
pub(crate) struct Timers {
    pub rows: Column<TimerRow, 256>,
    /// The first row that is free.
    pub free: u32,
    pub sequence: u64,
    /// Follows from the rows: by deadline, then by when it was set.
    order: BTreeSet<(LogTime, u64, u32)>,
}

#[derive(Clone, Debug)]
pub(crate) struct TimerRow {
    pub deadline: LogTime,
    /// Of a free row: the next that is free.
    pub sequence: u64,
    pub due: Option<Due>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// The next attempt at a node may start.
    Backoff {
        run: RunNo,
        node: u32,
    },
    RunLimit {
        run: RunNo,
    },
}

impl Freeze for TimerRow {}

impl Timers {
    pub fn new() -> Self {
        Timers { free: NONE, ..Timers::default() }
    }

    pub fn set(&mut self, deadline: LogTime, due: Due) -> u32 {
        self.sequence += 1;
        let row = TimerRow { deadline, sequence: self.sequence, due: Some(due) };
        let place = match self.free {
            NONE => self.rows.push(row),
            place => {
                let slot = self.rows.get_mut(place);
                self.free = slot.sequence as u32;
                *slot = row;
                place
            }
        };
        self.order.insert((deadline, self.sequence, place));
        place
    }

    pub fn remove(&mut self, place: u32) {
        let row = self.rows.get_mut(place);
        self.order.remove(&(row.deadline, row.sequence, place));
        *row = TimerRow { deadline: LogTime::default(), sequence: u64::from(self.free), due: None };
        self.free = place;
    }

    /// Takes the earliest timer that is due at `now`.
    pub fn pop(&mut self, now: LogTime) -> Option<Due> {
        let &(deadline, _, place) = self.order.first()?;
        if deadline > now {
            return None;
        }
        let due = self.rows.get(place).due;
        self.remove(place);
        due
    }

    pub fn earliest(&self) -> Option<LogTime> {
        self.order.first().map(|(deadline, ..)| *deadline)
    }

    pub fn freeze(&mut self) -> Self {
        let (free, sequence) = (self.free, self.sequence);
        Timers { rows: self.rows.freeze(), free, sequence, order: BTreeSet::new() }
    }

    /// Puts together again what follows from the rows.
    pub fn derive(&mut self) {
        self.order = (0..)
            .zip(self.rows.iter())
            .filter(|(_, row)| row.due.is_some())
            .map(|(place, row)| (row.deadline, row.sequence, place))
            .collect();
    }

    pub fn is_order_true(&self) -> bool {
        let mut derived = self.clone();
        derived.derive();
        derived.order == self.order
    }
}
