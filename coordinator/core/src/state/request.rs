//! The changing requests of the last day, so that a repeat gives the first answer.

use std::collections::{BTreeMap, VecDeque};

use dagmar_common::ids::{Digest, RequestId};
use dagmar_common::limits::REQUEST_MEMORY;
use dagmar_common::time::LogTime;

use crate::effect::Reply;

#[derive(Clone, Debug, Default)]
pub(crate) struct Requests {
    pub known: BTreeMap<RequestId, Remembered>,
    /// In the order in which they came, which is that of their time.
    pub order: VecDeque<(LogTime, RequestId)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Remembered {
    /// Of what was asked: the same id with other content is another request's mistake.
    pub content: Digest,
    pub reply: Reply,
}

impl Requests {
    pub fn remember(&mut self, now: LogTime, request: RequestId, content: Digest, reply: Reply) {
        self.known.insert(request, Remembered { content, reply });
        self.order.push_back((now, request));
    }

    pub fn forget_old(&mut self, now: LogTime) {
        while let Some((at, request)) = self.order.front() {
            if *at + REQUEST_MEMORY > now {
                return;
            }
            self.known.remove(request);
            self.order.pop_front();
        }
    }
}
