//! The answer to a hello: what a worker holds against what it is leased, and then its readiness.

use std::collections::BTreeSet;

use dagmar_common::ids::{Fence, StreamNo, WorkerNo};
use dagmar_common::lease::{Held, HeldAs, Hello, HelloAnswer, ToWorker, Verdict};
use dagmar_common::mutant::{Mutant, lives};

use super::facts::{Facts, WorkerFacts};
use super::quorum::Haste;
use super::session::{Answered, Greeting, Phase};
use super::{Closing, Leader, Output};
use crate::command::{Command, WorkerHello};

impl Leader {
    /// The older streams of this incarnation are over: their worker reads nothing from them.
    pub(super) fn greet(&mut self, stream: StreamNo, hello: Hello, out: &mut Vec<Output>) {
        let known = self.workers.entry(hello.worker).or_default();
        let older: Vec<StreamNo> = known.streams.clone();
        for other in older {
            let of = self.sessions.get(&other).and_then(|session| session.worker());
            if of == Some((hello.worker, hello.incarnation)) {
                self.close(other, Closing::Superseded, out);
            }
        }
        let Some(session) = self.sessions.get_mut(&stream) else { return };
        self.workers.entry(hello.worker).or_default().streams.push(stream);
        let round = self.rounds.want(Haste::Now);
        let (is_proposed, behind) = (false, Vec::new());
        session.phase = Phase::Greeted(Box::new(Greeting { hello, round, is_proposed, behind }));
        self.greeted.insert(stream);
    }

    /// Those whose round is confirmed and applied, with nothing about their worker under way.
    pub(super) fn answer_hellos(&mut self, state: &impl Facts, out: &mut Vec<Output>) {
        if !self.is_up && !lives(Mutant::HelloBeforeLeaderUp) {
            return;
        }
        let waiting: Vec<StreamNo> = self.greeted.iter().copied().collect();
        for stream in waiting {
            let Some(session) = self.sessions.get_mut(&stream) else { continue };
            let Phase::Greeted(greeting) = &mut session.phase else { continue };
            let known = self.workers.entry(greeting.hello.worker).or_default();
            let is_busy = known.is_busy() && !lives(Mutant::HelloOverProposals);
            let is_settled = self.rounds.is_settled(greeting.round);
            if is_busy || !is_settled && !lives(Mutant::HelloWithoutRound) {
                continue;
            }
            let worker = state.worker(greeting.hello.worker);
            let is_older = worker
                .is_some_and(|worker| worker.is_removed || is_older(&greeting.hello, &worker));
            match worker {
                Some(worker) if is_older || is_known(&greeting.hello, &worker, state) => {
                    self.answer(stream, worker, is_older, state, out);
                }
                _ if greeting.is_proposed => self.close(stream, Closing::NotWelcome, out),
                _ => {
                    greeting.is_proposed = true;
                    let command = introduction(&greeting.hello, self.lost_after);
                    self.propose(command, out);
                }
            }
        }
    }

    fn answer(
        &mut self,
        stream: StreamNo,
        worker: WorkerFacts,
        is_stale: bool,
        state: &impl Facts,
        out: &mut Vec<Output>,
    ) {
        let number = self.next_session();
        self.greeted.remove(&stream);
        let Some(session) = self.sessions.get_mut(&stream) else { return };
        let Phase::Greeted(greeting) = std::mem::replace(&mut session.phase, Phase::Open) else {
            return;
        };
        let Greeting { hello, behind, .. } = *greeting;
        let of = |state: HeldAs| hello.held.iter().filter(move |held| held.state == state);
        of(HeldAs::Running).for_each(|held| session.has_begun(held.fence, None));
        let waits: BTreeSet<Fence> = of(HeldAs::Queued)
            .chain(of(HeldAs::Running))
            .map(|held| held.fence)
            .filter(|fence| state.waits_under(worker.number, *fence))
            .filter(|_| !lives(Mutant::WaitingIsKilled))
            .collect();
        let verdicts: Vec<(Fence, Verdict)> = hello
            .held
            .iter()
            .map(|held| (held.fence, verdict(held, worker.number, &waits, state)))
            .collect();
        let reports = verdicts.iter().filter(|(_, verdict)| *verdict == Verdict::Report);
        let expected: BTreeSet<Fence> = reports.map(|(fence, _)| *fence).collect();
        session.phase = Phase::Answered(Answered {
            number,
            worker: hello.worker,
            incarnation: hello.incarnation,
            is_stale,
            expected,
            regains: if is_stale { BTreeSet::new() } else { waits },
            is_ready_proposed: false,
        });
        session.heard = self.now.boot;
        session.say(ToWorker::HelloAnswer(HelloAnswer { session: number, verdicts }));
        if is_stale && lives(Mutant::StaleIsNotTold) {
        } else if is_stale {
            session.say(ToWorker::Stale);
        } else {
            let held: BTreeSet<Fence> = hello.held.iter().map(|held| held.fence).collect();
            for fence in state.leases_of(worker.number) {
                if held.contains(&fence) {
                    continue;
                }
                if state.lease(fence).is_some_and(|lease| lease.is_cancelled) {
                    if !lives(Mutant::UnheldIsNotCancelled) {
                        session.say_fence(ToWorker::Cancel, fence);
                    }
                } else if lives(Mutant::UnheldIsNotStarted) {
                } else if let Some(start) = state.start(worker.number, fence) {
                    session.say_start(start);
                }
            }
            self.reporting.insert(stream);
            let known = self.workers.entry(hello.worker).or_default();
            known.parted = None;
            known.begun.clear();
            known.unsent.clear();
        }
        self.talking.insert(stream);
        for message in behind {
            self.read(stream, message, state, out);
        }
    }

    /// As soon as all that came along with the hello is applied.
    pub(super) fn propose_ready(&mut self, out: &mut Vec<Output>) {
        let reporting: Vec<StreamNo> = self.reporting.iter().copied().collect();
        for stream in reporting {
            let session = self.sessions.get_mut(&stream);
            let Some(answered) = session.and_then(|session| session.answered_mut()) else {
                continue;
            };
            if answered.expected.is_empty() {
                answered.is_ready_proposed = true;
                let (worker, session) = (answered.worker, answered.number);
                let incarnation = answered.incarnation;
                self.reporting.remove(&stream);
                let regains = std::mem::take(&mut answered.regains).into_iter().collect();
                self.propose(Command::WorkerReady { worker, incarnation, session, regains }, out);
            }
        }
    }
}

/// A lower number, or the same with another nonce.
fn is_older(hello: &Hello, worker: &WorkerFacts) -> bool {
    let (said, known) = (hello.incarnation, worker.incarnation);
    said.number < known.number || said.number == known.number && said.nonce != known.nonce
}

fn is_known(hello: &Hello, worker: &WorkerFacts, state: &impl Facts) -> bool {
    hello.incarnation == worker.incarnation && state.offers_the_same(hello)
}

/// What is over is to be reported, leased or not: the log decides whether it counts.
fn verdict(held: &Held, worker: WorkerNo, waits: &BTreeSet<Fence>, state: &impl Facts) -> Verdict {
    match held.state {
        HeldAs::Finished | HeldAs::Gone => Verdict::Report,
        HeldAs::Queued | HeldAs::Running => match state.lease(held.fence) {
            Some(lease) if lease.worker == worker && lease.is_cancelled => Verdict::Cancel,
            Some(lease) if lease.worker == worker => Verdict::Keep,
            // It has it back with its readiness, unless somebody else is faster; or it is stale,
            // finishes what runs, and its outcome may still count. What is queued here may run by
            // the time this is read.
            None if waits.contains(&held.fence) => Verdict::Keep,
            _ => Verdict::Kill,
        },
    }
}

fn introduction(hello: &Hello, lost_after: Option<dagmar_common::time::Span>) -> Command {
    let hello = hello.clone();
    Command::Hello(WorkerHello {
        worker: hello.worker,
        incarnation: hello.incarnation,
        name: hello.name,
        cpu_millis: hello.cpu_millis,
        labels: hello.labels,
        held: hello.held,
        born_ready: None,
        lost_after,
    })
}
