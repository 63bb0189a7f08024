//! The worker's end of one stream: numbers in both directions, when to beat, when to give up.

use std::collections::VecDeque;

use dagmar_common::ids::{Fence, Session, StreamNo};
use dagmar_common::lease::{FromWorker, Heartbeat, Numbered, ToWorker};
use dagmar_common::limits::{HEARTBEAT_EVERY, LEADER_SILENT_AFTER};
use dagmar_common::time::BootTime;

use crate::turn::Output;

#[derive(Debug)]
pub(crate) struct Stream {
    pub number: StreamNo,
    /// Given with the answer to the hello; before it nothing but the hello is said.
    session: Option<Session>,
    received: u64,
    sent: u64,
    /// When the leader last showed that it leads.
    heard: BootTime,
    beats_at: BootTime,
    begun_sum: u64,
    /// Heartbeats that were sent and not acknowledged, with the time of each.
    beats: VecDeque<(u64, BootTime)>,
}

impl Stream {
    pub fn open(number: StreamNo, born_ready: Option<Session>, now: BootTime) -> Self {
        let (session, beats_at) = (born_ready, now + HEARTBEAT_EVERY);
        Stream {
            number,
            session,
            received: 0,
            sent: 0,
            heard: now,
            beats_at,
            begun_sum: 0,
            beats: VecDeque::new(),
        }
    }

    pub fn is_answered(&self) -> bool {
        self.session.is_some()
    }

    /// It beats at once: an answer may have come late, and the leader has counted since.
    pub fn answered(&mut self, session: Session, now: BootTime) {
        self.session = Some(session);
        self.heard = now;
        self.beats_at = now;
    }

    /// When the heartbeat of this number was sent; of one that never was, nothing is believed.
    pub fn acknowledged(&mut self, number: u64, now: BootTime) -> Option<BootTime> {
        self.heard = now;
        while let Some((sent, at)) = self.beats.front().copied()
            && sent <= number
        {
            self.beats.pop_front();
            if sent == number {
                return Some(at);
            }
        }
        None
    }

    /// False if this is not the next message: then something is lost, and so is the stream.
    pub fn receives(&mut self, message: &Numbered<ToWorker>) -> bool {
        let next = message.number == self.received + 1;
        let answer = matches!(message.message, ToWorker::HelloAnswer(_));
        self.received = message.number;
        next && answer != self.is_answered()
    }

    pub fn send(&mut self, message: FromWorker, out: &mut Vec<Output>) {
        if !matches!(message, FromWorker::Hello(_)) {
            self.sent += 1;
        }
        let message = Numbered { number: self.sent, message };
        out.push(Output::Send { stream: self.number, message });
    }

    /// A fence enters or leaves the sum of those begun and not reported.
    pub fn toggle_begun(&mut self, fence: Fence) {
        self.begun_sum ^= fence.hash();
    }

    pub fn is_silent(&self, now: BootTime) -> bool {
        now >= self.heard + LEADER_SILENT_AFTER
    }

    pub fn beats(&mut self, now: BootTime, out: &mut Vec<Output>) {
        if self.is_answered() && now >= self.beats_at {
            self.beats_at = now + HEARTBEAT_EVERY;
            let (received, sent, begun_sum) = (self.received, self.sent, self.begun_sum);
            self.send(FromWorker::Heartbeat(Heartbeat { received, sent, begun_sum }), out);
            self.beats.push_back((self.sent, now));
        }
    }

    pub fn wakes_at(&self) -> BootTime {
        let silent = self.heard + LEADER_SILENT_AFTER;
        if self.is_answered() { silent.min(self.beats_at) } else { silent }
    }

    pub fn check(&self, begun_sum: u64) {
        assert_eq!(self.begun_sum, begun_sum, "the sum of fences told as begun");
    }
}
