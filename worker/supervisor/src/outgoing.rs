//! Events on their way to the daemon: batched, never blocking, bounded.

use std::os::fd::AsFd;

use rustix::io::Errno;
use rustix::net::SendFlags;

use crate::bounds::OUTGOING_BYTES_MAX;
use crate::protocol::{Event, EventBatch};

#[derive(Default)]
pub struct Outgoing {
    batch: EventBatch,
    sent: usize,
    /// When what waits must have left; None: nothing waits.
    due: Option<u64>,
    /// The socket is full; epoll tells when it is not.
    blocked: bool,
    /// Outputs that wait for another daemon.
    backlog: EventBatch,
}

impl Outgoing {
    /// Somebody waits for it.
    pub fn push(&mut self, event: &Event<'_>) {
        self.batch.push(event);
        self.due = Some(0);
    }

    /// It may wait until `by` for others.
    pub fn push_lazily(&mut self, event: &Event<'_>, by: u64) {
        self.batch.push(event);
        self.leave_by(by);
    }

    /// For outputs, which are read straight into it; `grew_from` follows.
    pub fn batch(&mut self) -> &mut EventBatch {
        &mut self.batch
    }

    pub fn batch_len(&self) -> usize {
        self.batch.bytes().len()
    }

    pub fn grew_from(&mut self, before: usize, by: u64) {
        if self.batch_len() > before {
            self.leave_by(by);
        }
    }

    fn leave_by(&mut self, by: u64) {
        self.due = Some(self.due.map_or(by, |due| due.min(by)));
    }

    pub fn is_full(&self) -> bool {
        let waits = self.batch.bytes().len() + self.backlog.bytes().len() - self.sent;
        waits >= OUTGOING_BYTES_MAX
    }

    pub fn is_empty(&self) -> bool {
        self.batch.is_empty()
    }

    /// The daemon is gone. What tasks wrote and it did not hear is given to the next one, behind
    /// the list of what runs; the rest of what it would need to hear is told anew.
    pub fn lost(&mut self) {
        let outputs = self.batch.take_outputs(self.sent);
        self.backlog.append(&outputs);
        (self.sent, self.due, self.blocked) = (0, None, true);
    }

    /// Behind the list.
    pub fn push_backlog(&mut self) {
        let backlog = std::mem::take(&mut self.backlog);
        self.batch.append(&backlog);
    }

    pub fn is_blocked(&self) -> bool {
        self.blocked
    }

    pub fn unblock(&mut self) {
        self.blocked = false;
    }

    /// When the loop has to turn for it.
    pub fn due(&self) -> Option<u64> {
        if self.blocked || self.batch.is_empty() { None } else { self.due }
    }

    /// An error means that the daemon is gone.
    pub fn flush(&mut self, now: u64, socket: impl AsFd) -> Result<(), Errno> {
        if self.due().is_none_or(|due| due > now) {
            return Ok(());
        }
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        while self.sent < self.batch.bytes().len() {
            match rustix::net::send(&socket, &self.batch.bytes()[self.sent..], flags) {
                Ok(sent) => self.sent += sent,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    self.blocked = true;
                    return Ok(());
                }
                Err(errno) => return Err(errno),
            }
        }
        self.batch.clear();
        self.sent = 0;
        self.due = None;
        Ok(())
    }
}
