//! Apply: one entry of the log becomes a change of the state, in six numbered steps.

mod agenda;
mod archive;
mod cancel;
mod outcomes;
mod removal;
mod stage;
mod submit;
mod timers;
mod workers;

use dagmar_common::limits::ENTRY_UNITS_MAX;
use dagmar_common::mutant::{Mutant, lives};

use crate::command::{Batch, Command, Position};
use crate::effect::{Applied, Reply};
use crate::rules::{Entry, Turn};
use crate::state::State;

impl State {
    /// Applies one entry. The same entries give the same state, replies and effects everywhere;
    /// what cannot be is a panic with the entry's index, for a replica must never skip.
    pub fn apply(&mut self, position: Position, batch: Batch, out: &mut Applied) {
        out.clear();
        assert!(
            position.index > self.last_applied,
            "entry {} comes after entry {}",
            position.index,
            self.last_applied
        );
        self.last_applied = position.index;
        // 1. What a deposed leader proposed is dropped whole.
        if position.term != batch.term && !lives(Mutant::DeposedBatchApplies) {
            out.replies.extend(batch.commands.iter().map(|_| Reply::Dropped));
            return;
        }
        // 2. Log time goes on, never back.
        self.time = self.time.max(batch.at);
        if lives(Mutant::LogTimeGoesBack) {
            self.time = batch.at;
        }
        let entry = Entry { index: position.index, now: self.time, wall: batch.wall };
        self.requests.forget_old(self.time);
        self.staging.forget_old(self.time);
        self.runs.shed();
        // 3. The commands, in order.
        let mut units = 0;
        for command in batch.commands {
            let reply = self.command(entry, command, &mut units, out);
            out.replies.push(reply);
        }
        // 4. Timers that are due.
        self.due_timers(entry, &mut units, out);
        // 5. The agenda: what the commands leave of this entry's units, and never nothing.
        let left = ENTRY_UNITS_MAX.saturating_sub(units).max(ENTRY_UNITS_MAX / 4);
        self.agenda(entry, left, out);
        // 6. Schedule, once.
        self.schedule(entry, out);
    }

    fn command(
        &mut self,
        entry: Entry,
        command: Command,
        units: &mut u32,
        out: &mut Applied,
    ) -> Reply {
        *units += 1;
        match command {
            Command::LeaderUp => self.leader_is_up(entry, out),
            Command::Continue => Reply::Done,
            Command::Stage { part, digest, offset, total, bytes } => {
                self.stage((digest, part), (offset, total), bytes)
            }
            Command::Submit(submit) => self.submit(entry, submit, out),
            Command::Cancel { request, run, reason } => self.cancel(entry, request, &run, &reason),
            Command::Hello(hello) => self.hello(entry, hello, out),
            Command::WorkerReady { worker, incarnation, session, regains } => {
                *units += regains.len() as u32;
                self.worker_ready(entry, (worker, incarnation), session, &regains, out)
            }
            Command::WorkerSuspended { worker, session } => {
                self.worker_suspended(entry, worker, session)
            }
            Command::WorkerLost { worker, started, unsent } => {
                self.worker_lost(entry, worker, (&started, &unsent), units, out)
            }
            Command::Outcomes { worker, outcomes } => {
                *units += outcomes.len() as u32;
                self.outcomes(entry, worker, outcomes, out)
            }
            Command::Returned { worker, incarnation, returned } => {
                *units += returned.len() as u32;
                self.returned(entry, (worker, incarnation), returned, out)
            }
            Command::Archived { run } => self.archived(&run),
            Command::Drain { worker, is_on } => self.drain(worker, is_on, out),
            Command::RemoveWorker { worker } => self.remove_worker(entry, worker, units, out),
            Command::Restored { cluster } => self.restored(entry, cluster, units, out),
        }
    }

    /// One run in the hands of the rules.
    pub(crate) fn turn<'a>(
        &'a mut self,
        slot: u32,
        entry: Entry,
        out: &'a mut Applied,
    ) -> Turn<'a> {
        Turn {
            run: self.runs.get_mut(slot),
            slot,
            timers: &mut self.timers,
            leases: &mut self.leases,
            ready_sequence: &mut self.ready_sequence,
            touched: &mut self.touched,
            out,
            entry,
            capacity: self.workers.capacity,
            units: 0,
        }
    }

    /// Gives the run its turns on the agenda, if it left something to do.
    pub(crate) fn enter_round(&mut self, slot: u32) {
        let run = self.runs.get_mut(slot);
        if !run.is_in_round && !run.agenda.is_empty() {
            run.is_in_round = true;
            self.round.push_back(slot);
        }
    }
}
