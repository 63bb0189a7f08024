//! Clients: they submit, cancel and look, and ask again with the same request until answered.

use dagmar_common::ids::{RequestId, RunId};
use dagmar_common::record::RunStatus;
use dagmar_common::time::{BootTime, Span};
use dagmar_coordinator_core::State;
use dagmar_coordinator_core::command::Command;
use dagmar_coordinator_core::effect::{Refusal, Reply};

use super::air::Air;
use super::network::{Answer, Asked, Parcel, Place};
use super::requests::{Request, draw_submit};
use crate::linear::{Open, Saw};
use crate::pipelines::Gallery;

/// More runs at once would only wait for each other.
const LIVE_RUNS_MAX: usize = 20;
/// So long after its answer a client may still repeat a request; the log remembers longer.
const REPEATS_WITHIN: Span = Span::from_secs(3_600);

/// What was sent under a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Whole,
    /// A piece of what goes ahead of it.
    Chunk,
}

/// Finds who asked, and for what; every try has its own.
#[derive(Clone, Copy, Debug)]
pub struct Ticket {
    pub client: usize,
    /// Of the client's askings.
    serial: u64,
    number: u64,
    part: Part,
    request: Option<RequestId>,
}

/// What somebody wants to know of a run.
#[derive(Clone, Debug)]
pub struct Look(pub RunId);

enum Want {
    Request(Box<Request>),
    Look(Look),
}

struct Asking {
    serial: u64,
    want: Want,
    /// In the history of what was asked; none of a request that was answered before.
    open: Option<Open>,
    /// The pieces of this try that are not there yet.
    missing: usize,
    /// The first ticket of its last try, while that may still be answered.
    ticket: Option<u64>,
}

pub struct Client {
    place: usize,
    /// Whom it asks.
    target: usize,
    due: BootTime,
    asking: Option<Asking>,
    serials: u64,
    tickets: u64,
    requests: u64,
    /// The last request that was answered.
    answered: Option<(BootTime, Box<Request>)>,
    /// Between two requests, in milliseconds.
    pace: u64,
    pub is_calm: bool,
}

/// What clients have seen, for the figures.
#[derive(Clone, Copy, Debug, Default)]
pub struct Served {
    pub answers: u64,
    pub looks: u64,
    /// Of the answers, those about graphs that went ahead in pieces.
    pub staged: u64,
    pub redirects: u64,
}

impl Client {
    pub fn new(place: usize, pace: u64) -> Self {
        Client {
            place,
            target: 0,
            due: BootTime(0),
            asking: None,
            serials: 0,
            tickets: 0,
            requests: 0,
            answered: None,
            pace,
            is_calm: false,
        }
    }

    /// It wants nothing any more.
    pub fn is_done(&self) -> bool {
        self.is_calm && self.asking.is_none()
    }

    pub fn wakes_at(&self) -> BootTime {
        if self.is_done() { BootTime(u64::MAX) } else { self.due }
    }

    pub fn turn(&mut self, gallery: &mut Gallery, air: &mut Air) {
        if self.is_done() || self.due > air.now {
            return;
        }
        match self.asking {
            Some(_) => self.target = air.random.below(air.members.len()),
            None => self.wish(gallery, air),
        }
        let patience = Span::from_millis(air.random.pick(&[500, 2_000, 10_000]));
        self.due = air.now + if self.asking.is_some() { patience } else { self.pause(air) };
        self.ask(air);
    }

    fn pause(&self, air: &mut Air) -> Span {
        Span::from_millis(1 + air.random.below(2 * self.pace as usize) as u64)
    }

    fn wish(&mut self, gallery: &mut Gallery, air: &mut Air) {
        let live = air.witness.shadow.runs().count();
        let (want, open) = match air.random.below(8) {
            0 | 1 => (Want::Look(draw_look(air)), Some(air.seen.asks())),
            2 => match self.answered.take_if(|(at, _)| air.now < *at + REPEATS_WITHIN) {
                // As one does who never heard the answer.
                Some((_, request)) => (Want::Request(request), None),
                None => return,
            },
            3 => {
                let nth = air.random.below(live);
                let Some(run) = air.witness.shadow.runs().nth(nth) else { return };
                let run = run.run_id().clone();
                let request = Request::cancel(self.request(), run);
                (Want::Request(Box::new(request)), Some(air.seen.asks()))
            }
            _ if live >= LIVE_RUNS_MAX => return,
            _ => {
                let request = draw_submit(self.request(), gallery, &mut air.random);
                let open = air.seen.submits(request.run());
                (Want::Request(Box::new(request)), Some(open))
            }
        };
        self.serials += 1;
        self.asking = Some(Asking { serial: self.serials, want, open, missing: 0, ticket: None });
    }

    fn request(&mut self) -> RequestId {
        self.requests += 1;
        RequestId((self.place as u128) << 64 | u128::from(self.requests))
    }

    /// The pieces first; when all are there, what names them.
    fn ask(&mut self, air: &mut Air) {
        let Some(asking) = &mut self.asking else { return };
        let (client, serial) = (self.place, asking.serial);
        let is_there = asking.ticket.is_some() && asking.missing == 0;
        let mut first = None;
        let mut send = |part, request, what| {
            self.tickets += 1;
            first = first.or(Some(self.tickets));
            let ticket = Ticket { client, serial, number: self.tickets, part, request };
            let parcel = Parcel::Asked { ticket, what };
            air.send(Place::Client(client), Place::Node(self.target), parcel);
        };
        match &asking.want {
            Want::Look(look) => send(Part::Whole, None, Asked::Look(look.clone())),
            Want::Request(request) if request.chunks.is_empty() || is_there => {
                let id = Some(request.id);
                send(Part::Whole, id, Asked::Command(request.command.clone()));
                // Where nobody answers all of it is told again.
                asking.missing = request.chunks.len();
            }
            Want::Request(request) => {
                for chunk in &request.chunks {
                    send(Part::Chunk, Some(request.id), Asked::Command(chunk.clone()));
                }
                asking.missing = request.chunks.len();
            }
        }
        asking.ticket = first;
    }

    /// Answers, also those that come after it had asked again.
    pub fn hears(&mut self, ticket: Ticket, answer: Answer, air: &mut Air, served: &mut Served) {
        match (answer, ticket.part) {
            (Answer::NotHere(hint), _) => {
                served.redirects += 1;
                let hinted = |one| air.members.iter().position(|member| *member == one);
                if let Some(place) = hint.and_then(hinted) {
                    self.target = place;
                }
                self.ask_again(ticket, air);
            }
            (Answer::Reply(reply), Part::Chunk) => self.hears_of_chunk(ticket, &reply, air),
            (Answer::Reply(reply), Part::Whole) => self.hears_reply(ticket, &reply, air, served),
            (Answer::Saw(saw), _) => {
                air.history.mix(air.now, format!("{saw:?}").as_bytes());
                let Some(Asking { want: Want::Look(Look(run)), open, .. }) = self.take(ticket)
                else {
                    return;
                };
                served.looks += 1;
                if let Some(open) = open {
                    air.seen.answered(open, &run, saw);
                }
                self.due = air.now + self.pause(air);
            }
        }
    }

    /// What the ticket is about, if it still asks for that.
    fn take(&mut self, ticket: Ticket) -> Option<Asking> {
        self.asking.take_if(|asking| asking.serial == ticket.serial)
    }

    fn is_of_last_try(&self, ticket: Ticket) -> bool {
        let asking = self.asking.as_ref().filter(|asking| asking.serial == ticket.serial);
        asking.is_some_and(|asking| asking.ticket.is_some_and(|first| first <= ticket.number))
    }

    fn hears_reply(&mut self, ticket: Ticket, reply: &Reply, air: &mut Air, served: &mut Served) {
        if may_be_asked_again(reply) {
            return self.ask_again(ticket, air);
        }
        let Some(id) = ticket.request else { return };
        air.history.mix(air.now, format!("{reply:?}").as_bytes());
        air.promises.answered(id, reply);
        served.answers += 1;
        let Some(Asking { want: Want::Request(request), open, .. }) = self.take(ticket) else {
            return;
        };
        served.staged += u64::from(!request.chunks.is_empty());
        if let Some(open) = open {
            let (run, saw) = seen_by(&request, reply);
            air.seen.answered(open, &run, saw);
        }
        self.due = air.now + self.pause(air);
        self.answered = Some((air.now, request));
    }

    fn hears_of_chunk(&mut self, ticket: Ticket, reply: &Reply, air: &mut Air) {
        if !self.is_of_last_try(ticket) {
            return;
        }
        if *reply != Reply::Done {
            return self.ask_again(ticket, air);
        }
        let Some(asking) = &mut self.asking else { return };
        asking.missing = asking.missing.saturating_sub(1);
        if asking.missing == 0 {
            self.due = air.now;
            self.ask(air);
            self.due = air.now + Span::from_secs(2);
        }
    }

    /// From its first piece on.
    fn ask_again(&mut self, ticket: Ticket, air: &mut Air) {
        if !self.is_of_last_try(ticket) {
            return;
        }
        if let Some(asking) = &mut self.asking {
            asking.ticket = None;
        }
        self.due = air.now + Span::from_millis(air.random.pick(&[1, 50, 200]));
    }
}

fn draw_look(air: &mut Air) -> Look {
    // Most of all at what was acknowledged just now.
    let (count, back) = (air.promises.accepted_count(), air.random.below(4));
    let known = match air.random.chance(1, 2) {
        true => count.saturating_sub(1 + back),
        false => air.random.below(count),
    };
    let made_up = || RunId::new("wanted-1");
    Look(air.promises.accepted(known).cloned().unwrap_or_else(made_up))
}

/// Never happened, or has to wait for its pieces: the same request may still get any answer.
fn may_be_asked_again(reply: &Reply) -> bool {
    matches!(reply, Reply::Dropped | Reply::Later | Reply::Refused(Refusal::NotStaged))
}

/// What a look finds in a state.
pub fn saw(state: &State, Look(run): &Look) -> Saw {
    let live = state.find_run(run).map(|view| view.status());
    let status = live.or_else(|| state.find_summary(run).map(|summary| summary.status));
    match status {
        None => Saw::Nothing,
        Some(RunStatus::Running) => Saw::Running,
        Some(ended) => Saw::Ended(ended),
    }
}

/// What an answer tells of which run.
fn seen_by(request: &Request, reply: &Reply) -> (RunId, Saw) {
    match (&request.command, reply) {
        (_, Reply::Submitted { run, .. }) => (run.clone(), Saw::Made),
        (_, Reply::Refused(Refusal::RunIdTaken { run })) => (run.clone(), Saw::Taken),
        (_, Reply::Refused(Refusal::NoSuchRun { run })) => (run.clone(), Saw::Nothing),
        (_, Reply::Refused(Refusal::RunEnded { run, status })) => {
            (run.clone(), Saw::Ended(*status))
        }
        (Command::Cancel { run, .. }, Reply::Done) => (run.clone(), Saw::Cancelled),
        other => panic!("an answer that nobody expects: {other:?}"),
    }
}
