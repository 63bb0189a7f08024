//! The order in which a member works: what comes before what, and what waits for what.

use dagmar_common::ids::{LogIndex, StreamNo};
use dagmar_common::mutant::{Mutant, lives};
use dagmar_common::time::Now;
use dagmar_coordinator_core::command::{Batch, Position, WorkerHello};
use dagmar_coordinator_core::effect::Applied;
use dagmar_coordinator_core::leader;
use dagmar_coordinator_core::stored;
use dagmar_replica::gate::Disk;
use dagmar_replica::{Persist, ProposeError, Role, SnapshotMeta, Standing, TICK};

use crate::intake::{Cut, Proposal};
use crate::leading::{Leading, Next};
use crate::member::Member;
use crate::output::{Halt, Output};
use crate::reading::Reader;

/// What was done since the replica was last asked what is ready.
#[derive(Clone, Copy, Debug, Default)]
pub struct Turn {
    /// The sessions looked at the time.
    has_looked: bool,
    /// What the workers said is told, and they were told nothing since.
    has_heard: bool,
}

impl<T, L> Member<T, L> {
    /// The next thing to be done outside, until there is nothing: then it waits for an input, or
    /// for its [time](Self::wakes_at). Each is done before the next is asked for.
    pub fn next_output(&mut self, now: Now) -> Option<Output<T, L>> {
        self.now = now;
        loop {
            if let Some(output) = self.outputs.pop_front() {
                return Some(output);
            }
            if self.has_halted || !self.step() {
                self.turn = Turn::default();
                return None;
            }
        }
    }

    /// One step, the first of these that has something to do. All that one answer of the replica
    /// holds is done before the next entry is formed, and the sessions speak before that too: a
    /// worker in this process answers within the turn, and its outcomes stand in that entry.
    fn step(&mut self) -> bool {
        self.spread()
            || self.apply()
            || self.install()
            || self.release()
            || self.tick()
            || self.refuse()
            || self.begin()
            || self.lead()
            || self.hear()
            || self.work()
            || self.stand_for_election()
            || self.save()
    }

    /// Reads whose entries are applied.
    fn release(&mut self) -> bool {
        let any = !self.reads.is_empty();
        for read in std::mem::take(&mut self.reads) {
            match self.reading.released(read) {
                Some((Reader::Look(ticket), _)) => self.outputs.push_back(Output::Look(ticket)),
                Some((Reader::Round(round), index)) => {
                    if let Some(leading) = &mut self.leading {
                        leading.confirmed(round, index);
                    }
                }
                None => {}
            }
        }
        any
    }

    /// Time that passed unseen (a pause) is not made up for: one tick, then on from here.
    fn tick(&mut self) -> bool {
        if self.now.boot < self.next_tick {
            return false;
        }
        self.next_tick = self.now.boot + TICK;
        match self.gate.tick() {
            Disk::Fine => self.replica.tick(),
            // Silent, so that others elect one whose disk makes progress.
            Disk::Slow => {}
            Disk::Hung => self.halt(Halt::Hung),
        }
        self.reading.ask_again(&mut self.replica);
        true
    }

    /// Where another leads nothing is proposed here.
    fn refuse(&mut self) -> bool {
        let another = matches!(self.standing.role, Role::Follower { leader: Some(_) });
        if !another || self.intake.is_empty() {
            return false;
        }
        self.refuse_all();
        true
    }

    fn refuse_all(&mut self) {
        let refused: Vec<_> = self.intake.refuse().map(Some).collect();
        self.drop_all(refused);
    }

    /// A leadership, once all that was before its term is applied: `LeaderUp` goes first.
    fn begin(&mut self) -> bool {
        let Some(leading) = &mut self.leading else { return false };
        if !leading.may_begin(self.place.index) {
            return false;
        }
        let within = self.within.as_mut().map(|worker| {
            self.streams_given += 1;
            // What an earlier life left is said once.
            let held = std::mem::take(&mut worker.held);
            (StreamNo(self.streams_given), WorkerHello { held, ..worker.clone() })
        });
        let (first, ready) = leading.begin(self.now.boot, self.state.log_time(), within);
        self.intake.put_first(first);
        let ready = ready.map(|(stream, session)| Output::BornReady { stream, session });
        self.outputs.extend(ready);
        true
    }

    /// What the sessions make of what was heard, and of the time.
    fn lead(&mut self) -> bool {
        let Some(leading) = self.leading.as_mut().filter(|leading| leading.has_begun()) else {
            return false;
        };
        let looks = !self.turn.has_looked && leading.is_due(self.now.boot);
        if !looks && !leading.has_inputs() {
            return false;
        }
        leading.turn(self.now.boot, &self.state);
        self.turn = Turn { has_looked: true, has_heard: false };
        self.carry();
        true
    }

    /// What the sessions want, to where it belongs.
    pub(crate) fn carry(&mut self) {
        let Some(leading) = &mut self.leading else { return };
        for output in leading.outputs.drain(..) {
            match output {
                leader::Output::Propose(command) => {
                    self.intake.put(Proposal { command, ticket: None });
                }
                leader::Output::Send { stream, message } => {
                    self.outputs.push_back(Output::ToWorker { stream, message });
                }
                leader::Output::CloseStream { stream, why } => {
                    self.outputs.push_back(Output::CloseWorker { stream, why });
                }
                leader::Output::Confirm { round } => {
                    self.reading.ask(&mut self.replica, Reader::Round(round));
                }
            }
        }
    }

    fn hear(&mut self) -> bool {
        let leads = self.leading.as_ref().is_some_and(Leading::has_begun);
        if !leads || self.turn.has_heard {
            return false;
        }
        self.turn.has_heard = true;
        self.outputs.push_back(Output::Hear);
        true
    }

    /// The next entry, and what the replica has ready. The next write goes out before the last
    /// one's entries are applied: disk and state machine work side by side.
    fn work(&mut self) -> bool {
        self.propose_next();
        let Some(work) = self.replica.ready() else {
            if !self.writing {
                // What consensus wanted of them stands in a write.
                self.brought.clear();
            }
            return false;
        };
        self.turn = Turn::default();
        if let Some(standing) = work.standing {
            self.stands(standing);
        }
        self.outputs.extend(work.send.into_iter().map(Output::ToPeer));
        if let Some(persist) = work.persist {
            self.write(persist);
        }
        self.committed.extend(work.committed);
        self.reads.extend(work.reads);
        true
    }

    /// All that has gathered becomes the next entry as soon as no write is out. While the agenda
    /// is long and nobody works, more turns of it share the write: as many as are applied while
    /// one is written. An outcome would have to wait for all of them.
    fn propose_next(&mut self) {
        if self.is_held_up() {
            return;
        }
        let mut turns = if self.state.has_leases() { 1 } else { self.pace.turns() };
        while self.propose_one() && self.state.has_agenda() && turns > 1 {
            turns -= 1;
        }
    }

    /// What waits to be proposed waits for something else than the time.
    pub(crate) fn is_held_up(&self) -> bool {
        self.writing || self.is_full || self.replica.hands_over()
    }

    fn propose_one(&mut self) -> bool {
        let Some(leading) = &mut self.leading else { return false };
        let Some(Next { batch, mut tickets }) =
            leading.next(self.now, &self.state, &mut self.intake)
        else {
            return false;
        };
        let mut bytes = Vec::new();
        stored::encode_batch(&batch, &mut bytes);
        if lives(Mutant::ReplyBeforeCommit) {
            self.reply_too_early(&batch, &mut tickets);
        }
        match self.replica.propose(bytes) {
            Ok(proposed) => {
                // Handed to the disk with what is ready, which is asked for at once.
                self.writing = true;
                self.waiters.wait(proposed, tickets);
                true
            }
            Err(ProposeError::Full) => {
                self.is_full = true;
                self.intake.put_back(Cut { commands: batch.commands, tickets });
                false
            }
            // Not leading any more: the change of standing that says so is on its way, and the
            // sessions go with it.
            Err(ProposeError::NotLeader { .. }) => {
                self.drop_all(tickets);
                false
            }
        }
    }

    /// What [`Mutant::ReplyBeforeCommit`] does: the replies of a state that is ahead of the log.
    fn reply_too_early(&mut self, batch: &Batch, tickets: &mut [Option<T>]) {
        let (mut ahead, mut applied) = (self.state.freeze().into_state(), Applied::default());
        let position = Position { index: LogIndex(self.place.index.0 + 1), term: batch.term };
        ahead.apply(position, batch.clone(), &mut applied);
        let replies = tickets.iter_mut().zip(applied.replies);
        self.outputs.extend(
            replies.filter_map(|(ticket, reply)| {
                Some(Output::Reply { ticket: ticket.take()?, reply })
            }),
        );
    }

    fn write(&mut self, persist: Persist) {
        self.writing = true;
        self.gate.started();
        self.pace.writes(self.now.boot);
        if let Some(meta) = &persist.snapshot {
            let place = self.brought.iter().position(|brought| brought.meta == *meta);
            self.installing = place.map(|place| self.brought.swap_remove(place));
            assert!(self.installing.is_some(), "a snapshot that nobody brought: {}", meta.index);
        }
        self.outputs.push_back(Output::Persist(persist));
    }

    fn stands(&mut self, standing: Standing) {
        if std::mem::replace(&mut self.standing, standing) == standing {
            return;
        }
        let leads = standing.role == Role::Leader;
        let mark = self.replica.status().last;
        self.leading = leads.then(|| Leading::new(standing.term, mark, self.lost_after));
        if let Some(leading) = &mut self.leading {
            self.intake.commands().for_each(|command| leading.is_proposed(command));
        }
        self.is_full = false;
        self.reading.forget_rounds();
        self.outputs.push_back(Output::Standing(standing));
        for (_, tickets) in self.waiters.abandon() {
            self.drop_all(tickets);
        }
        if leads {
            self.reading.ask_again(&mut self.replica);
        } else {
            self.refuse_all();
        }
    }

    /// Before anything of it is handed to the disk: the first write of a replica that is alone
    /// holds its vote, its mark and its first entry.
    fn stand_for_election(&mut self) -> bool {
        if !std::mem::take(&mut self.campaigns) {
            return false;
        }
        self.replica.campaign();
        self.stands(self.replica.standing());
        true
    }

    fn save(&mut self) -> bool {
        if !self.snapshots.begin() {
            return false;
        }
        let (index, term) = (self.place.index, self.place.term);
        let meta = SnapshotMeta { index, term, membership: self.membership.clone() };
        if lives(Mutant::TruncatesBeforeSaved) {
            self.outputs.push_back(Output::TruncateBefore(index));
        }
        self.outputs.push_back(Output::SnapshotDue(meta));
        true
    }
}
