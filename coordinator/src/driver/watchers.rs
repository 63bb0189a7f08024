//! Who watches: events go to each; whoever falls behind is told to read the state instead.

use crossbeam_channel::{Sender, TrySendError};
use dagmar_coordinator_core::effect::Event;

use crate::handle::{Interest, Watched};

#[derive(Default)]
pub struct Watchers {
    all: Vec<Watcher>,
    /// Any of them wants nodes; most runs have nobody who looks at each.
    nodes_wanted: bool,
}

struct Watcher {
    interest: Interest,
    events: Sender<Watched>,
    /// So many events were dropped and it does not know yet.
    behind: u64,
}

impl Watchers {
    pub fn add(&mut self, interest: Interest, events: Sender<Watched>) {
        self.nodes_wanted |= interest == Interest::Nodes;
        self.all.push(Watcher { interest, events, behind: 0 });
    }

    pub fn tell(&mut self, event: &Event) {
        let of_node = matches!(event, Event::Node { .. });
        if of_node && !self.nodes_wanted {
            return;
        }
        self.all.retain_mut(|watcher| {
            (of_node && watcher.interest == Interest::Runs) || watcher.tell(event)
        });
    }

    /// Tells those that are behind as soon as they have room; true while some are.
    pub fn remind(&mut self) -> bool {
        self.all.retain_mut(|watcher| watcher.behind == 0 || watcher.remind());
        self.all.iter().any(|watcher| watcher.behind > 0)
    }
}

impl Watcher {
    /// False once it has gone away.
    fn tell(&mut self, event: &Event) -> bool {
        if self.behind > 0 {
            self.behind += 1;
            return true;
        }
        self.offer(Watched::Event(event.clone()), 1)
    }

    fn remind(&mut self) -> bool {
        let missed = std::mem::take(&mut self.behind);
        self.offer(Watched::Reset { missed }, missed)
    }

    /// `missed` events are lost where it has no room.
    fn offer(&mut self, what: Watched, missed: u64) -> bool {
        match self.events.try_send(what) {
            Ok(()) => true,
            Err(TrySendError::Full(_)) => {
                self.behind = missed;
                true
            }
            Err(TrySendError::Disconnected(_)) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::bounded;
    use dagmar_common::ids::{LogIndex, RunNo};

    use super::*;

    #[test]
    fn whoever_falls_behind_is_reset_once_it_has_room_and_then_goes_on() {
        let (events, watched) = bounded(2);
        let mut watchers = Watchers::default();
        watchers.add(Interest::Runs, events);
        let started = |run| Event::RunStarted { run: RunNo(run), index: LogIndex(run) };
        for run in 1..=4 {
            watchers.tell(&started(run));
        }
        assert!(watchers.remind(), "no room yet");
        let first = watched.try_iter().collect::<Vec<_>>();
        assert!(matches!(first[..], [Watched::Event(_), Watched::Event(_)]));
        assert!(!watchers.remind());
        watchers.tell(&started(5));
        let rest = watched.try_iter().collect::<Vec<_>>();
        assert!(matches!(rest[..], [Watched::Reset { missed: 2 }, Watched::Event(_)]));
        drop(watched);
        watchers.tell(&started(6));
        assert!(watchers.all.is_empty());
    }
}
