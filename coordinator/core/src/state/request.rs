//! The changing requests of the last day, so that a repeat gives the first answer.

use std::collections::BTreeMap;

use dagmar_common::ids::{Digest, RequestId};
use dagmar_common::limits::REQUEST_MEMORY;
use dagmar_common::time::LogTime;

use super::column::Freeze;
use super::fifo::Fifo;
use crate::effect::Reply;

#[derive(Clone, Debug, Default)]
pub(crate) struct Requests {
    pub known: Memory,
}

/// Every request that is remembered, by its id and in the order in which they came, which is that
/// of their time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    pub rows: Fifo<Remembered, 256>,
    /// Follows from the rows.
    places: BTreeMap<RequestId, u64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Remembered {
    pub at: LogTime,
    pub request: RequestId,
    /// Of what was asked: the same id with other content is another request's mistake.
    pub content: Digest,
    pub reply: Reply,
}

impl Requests {
    pub fn remember(&mut self, now: LogTime, request: RequestId, content: Digest, reply: Reply) {
        self.known.push(Remembered { at: now, request, content, reply });
    }

    pub fn forget_old(&mut self, now: LogTime) {
        while let Some(oldest) = self.known.rows.first() {
            if oldest.at + REQUEST_MEMORY > now {
                return;
            }
            self.known.places.remove(&oldest.request);
            self.known.rows.pop();
        }
    }

    /// A copy that stays as it is; it finds nothing by its id before [`Requests::derive`].
    pub fn freeze(&mut self) -> Self {
        Requests { known: Memory { rows: self.known.rows.freeze(), places: BTreeMap::new() } }
    }

    /// Puts together again what follows from the rows.
    pub fn derive(&mut self) {
        let Memory { rows, places } = &mut self.known;
        *places = rows.iter().map(|(place, row)| (row.request, place)).collect();
    }

    /// What is found by its id is what is there.
    pub fn is_true(&self) -> bool {
        let Memory { rows, places } = &self.known;
        let found = |(place, row): (u64, &Remembered)| places.get(&row.request) == Some(&place);
        rows.len() == places.len() as u64 && rows.iter().all(found)
    }
}

impl Memory {
    pub fn get(&self, request: &RequestId) -> Option<&Remembered> {
        self.rows.get(*self.places.get(request)?)
    }

    pub fn push(&mut self, row: Remembered) {
        let request = row.request;
        let place = self.rows.push(row);
        self.places.insert(request, place);
    }
}

impl Freeze for Remembered {}
