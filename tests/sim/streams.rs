//! The streams between workers and leaders: in order, nothing lost, until they break.

use std::collections::{BTreeMap, VecDeque};

use dagmar_common::ids::StreamNo;
use dagmar_common::lease::{FromWorker, Numbered, ToWorker};
use dagmar_common::time::BootTime;
use dagmar_member::SHELL_STREAMS_FROM;

/// One stream. Each end learns of a break by itself, after what arrived before it.
#[derive(Debug, Default)]
pub struct Stream {
    pub to_leader: VecDeque<Numbered<FromWorker>>,
    pub to_worker: VecDeque<Numbered<ToWorker>>,
    pub is_broken: bool,
    /// The end there still counts on it.
    pub leader_has_it: bool,
    pub worker_has_it: bool,
    /// The machines at its two ends.
    pub node: usize,
    pub worker: usize,
    /// When what is on its way to either end arrives.
    pub leader_hears_at: Option<BootTime>,
    pub worker_hears_at: Option<BootTime>,
}

impl Stream {
    pub fn has_for_leader(&self) -> bool {
        self.leader_has_it && (self.is_broken || !self.to_leader.is_empty())
    }

    pub fn has_for_worker(&self) -> bool {
        self.worker_has_it && (self.is_broken || !self.to_worker.is_empty())
    }
}

#[derive(Debug, Default)]
pub struct Streams {
    pub all: BTreeMap<StreamNo, Stream>,
    opened: u64,
}

impl Streams {
    pub fn open(&mut self, node: usize, worker: usize) -> StreamNo {
        let number = self.number();
        let (leader_has_it, worker_has_it) = (true, true);
        let stream = Stream { leader_has_it, worker_has_it, node, worker, ..Stream::default() };
        self.all.insert(number, stream);
        number
    }

    /// Of a stream that goes through no network.
    pub fn number(&mut self) -> StreamNo {
        self.opened += 1;
        StreamNo(SHELL_STREAMS_FROM + self.opened)
    }

    /// What is under way beyond `to_leader` and `to_worker` messages never arrives.
    pub fn cut(&mut self, stream: StreamNo, to_leader: usize, to_worker: usize) {
        if let Some(stream) = self.all.get_mut(&stream) {
            stream.is_broken = true;
            stream.to_leader.truncate(to_leader);
            stream.to_worker.truncate(to_worker);
        }
    }

    pub fn leader_leaves(&mut self, stream: StreamNo) {
        self.leaves(stream, |stream| {
            stream.leader_has_it = false;
            stream.to_leader.clear();
        });
    }

    pub fn worker_leaves(&mut self, stream: StreamNo) {
        self.leaves(stream, |stream| {
            stream.worker_has_it = false;
            stream.to_worker.clear();
        });
    }

    fn leaves(&mut self, number: StreamNo, change: impl FnOnce(&mut Stream)) {
        let Some(stream) = self.all.get_mut(&number) else { return };
        change(stream);
        stream.is_broken = true;
        if !stream.leader_has_it && !stream.worker_has_it {
            self.all.remove(&number);
        }
    }

    pub fn say_to_leader(&mut self, stream: StreamNo, message: Numbered<FromWorker>) {
        if let Some(stream) = self.all.get_mut(&stream).filter(|stream| !stream.is_broken) {
            stream.to_leader.push_back(message);
        }
    }

    pub fn say_to_worker(&mut self, stream: StreamNo, message: Numbered<ToWorker>) {
        if let Some(stream) = self.all.get_mut(&stream).filter(|stream| !stream.is_broken) {
            stream.to_worker.push_back(message);
        }
    }

    pub fn numbers(&self) -> Vec<StreamNo> {
        self.all.keys().copied().collect()
    }
}
