//! Clients: they submit, cancel and look, and ask again with the same request until answered.

use std::sync::Arc;

use dagmar_common::ids::{Digest, RequestId, RunId};
use dagmar_common::time::{BootTime, Span};
use dagmar_common::value::Value;
use dagmar_coordinator_core::command::{self, Command, Payload, Submit};
use dagmar_coordinator_core::effect::{Refusal, Reply};
use dagmar_coordinator_core::stored;

use super::around::{Around, Ticket};
use super::host::Host;
use crate::pipelines::{GIVEN, Gallery};
use crate::random::Random;

/// More runs at once would only wait for each other.
const LIVE_RUNS_MAX: usize = 12;
/// So long after its answer a client may still repeat a request; the log remembers longer.
const REPEATS_WITHIN: Span = Span::from_secs(3_600);

/// What was proposed under a ticket.
#[derive(Clone, Copy, PartialEq)]
enum Part {
    Whole,
    /// A piece of what goes ahead of it.
    Chunk,
}

struct Asking {
    request: RequestId,
    command: Command,
    /// What is too large for it, in pieces.
    chunks: Vec<Command>,
    /// The pieces of this try that are not there yet.
    missing: usize,
    /// The first ticket of its last try, while that may still be answered.
    ticket: Option<Ticket>,
}

pub struct Client {
    number: u64,
    due: BootTime,
    asking: Option<Asking>,
    requests: u64,
    /// The last request that was answered.
    answered: Option<(BootTime, Asking)>,
    /// Between two requests, in milliseconds.
    pace: u64,
    pub is_calm: bool,
}

/// All clients, and the tickets of all that was ever asked.
pub struct Clients {
    pub all: Vec<Client>,
    tickets: Vec<(usize, RequestId, Part)>,
    gallery: Gallery,
    /// Requests that were answered.
    pub answers: u64,
    /// Of these, graphs that went ahead in pieces.
    pub staged: u64,
}

impl Clients {
    pub fn new(count: u64, pace: u64) -> Self {
        let client = |number| Client {
            number,
            due: BootTime(0),
            asking: None,
            requests: 0,
            answered: None,
            pace,
            is_calm: false,
        };
        Clients {
            all: (0..count).map(client).collect(),
            tickets: Vec::new(),
            gallery: Gallery::default(),
            answers: 0,
            staged: 0,
        }
    }

    pub fn wakes_at(&self) -> Option<BootTime> {
        let awake = self.all.iter().filter(|client| !client.is_done());
        awake.map(|client| client.due).min()
    }

    /// Nobody wants anything any more.
    pub fn are_done(&self) -> bool {
        self.all.iter().all(Client::is_done)
    }

    pub fn turn(&mut self, host: Option<&mut Host>, around: &mut Around) {
        let mut host = host.filter(|host| host.leads());
        for (at, client) in self.all.iter_mut().enumerate() {
            if client.is_done() || client.due > around.now {
                continue;
            }
            let tickets = &mut self.tickets;
            let gallery = &mut self.gallery;
            client.turn(host.as_deref_mut(), around, gallery, &mut |request, part| {
                tickets.push((at, request, part));
                tickets.len() as Ticket - 1
            });
        }
    }

    /// Answers that reached those who asked; also one that came after they had asked again.
    pub fn hear(&mut self, around: &mut Around) {
        for (ticket, reply) in std::mem::take(&mut around.replies) {
            let (at, request, part) = self.tickets[ticket as usize];
            if part == Part::Chunk {
                self.all[at].hear_of_chunk(request, ticket, &reply, around);
                continue;
            }
            let is_answer = !may_be_asked_again(&reply);
            if is_answer {
                self.answers += 1;
                around.history.mix(around.now, format!("{reply:?}").as_bytes());
                around.ledger.answered(request, &reply);
            }
            self.staged += u64::from(self.all[at].hear(request, ticket, is_answer, around));
        }
    }

    /// The process that they talked to is gone, with all that it had not answered.
    pub fn disconnected(&mut self, around: &mut Around) {
        for client in &mut self.all {
            if let Some(asking) = client.asking.as_mut().filter(|asking| asking.ticket.is_some()) {
                asking.ticket = None;
                client.due = around.now + Span::from_millis(around.random.pick(&[1, 200, 3_000]));
            }
        }
    }
}

impl Client {
    fn is_done(&self) -> bool {
        self.is_calm && self.asking.is_none()
    }

    fn turn(
        &mut self,
        host: Option<&mut Host>,
        around: &mut Around,
        gallery: &mut Gallery,
        ticket: &mut dyn FnMut(RequestId, Part) -> Ticket,
    ) {
        let random = &mut around.random;
        let Some(host) = host else {
            self.due = around.now + Span::from_millis(random.pick(&[10, 100, 1_000]));
            return;
        };
        if self.asking.is_none() {
            self.due =
                around.now + Span::from_millis(1 + random.below(2 * self.pace as usize) as u64);
            let is_full = host.state().runs().count() >= LIVE_RUNS_MAX;
            self.asking = match random.below(8) {
                0 => return self.look(host, around),
                1 => self.repeat(around.now),
                2 => self.cancel(host, random),
                _ if is_full => None,
                _ => Some(self.submit(gallery, random)),
            };
        }
        let Some(asking) = &mut self.asking else { return };
        asking.propose(host, ticket);
        self.due = around.now + Span::from_millis(around.random.pick(&[500, 5_000, 30_000]));
    }

    /// True if a graph that went ahead in pieces was answered for.
    fn hear(
        &mut self,
        request: RequestId,
        ticket: Ticket,
        is_answer: bool,
        around: &mut Around,
    ) -> bool {
        let Some(asking) = self.asking.take_if(|asking| asking.request == request) else {
            return false;
        };
        if !is_answer {
            let is_last = asking.ticket == Some(ticket);
            self.asking = Some(asking);
            if is_last {
                self.ask_again(around);
            }
            return false;
        }
        let is_staged = !asking.chunks.is_empty();
        self.due =
            around.now + Span::from_millis(around.random.below(2 * self.pace as usize) as u64);
        self.answered = Some((around.now, asking));
        is_staged
    }

    fn hear_of_chunk(
        &mut self,
        request: RequestId,
        ticket: Ticket,
        reply: &Reply,
        around: &mut Around,
    ) {
        let asking = self.asking.as_mut().filter(|asking| asking.request == request);
        let Some(asking) = asking.filter(|asking| asking.ticket.is_some_and(|it| it <= ticket))
        else {
            return;
        };
        if *reply != Reply::Done {
            return self.ask_again(around);
        }
        asking.missing = asking.missing.saturating_sub(1);
        if asking.missing == 0 {
            self.due = around.now;
        }
    }

    /// From its first piece on.
    fn ask_again(&mut self, around: &mut Around) {
        if let Some(asking) = &mut self.asking {
            asking.ticket = None;
        }
        self.due = around.now + Span::from_millis(around.random.pick(&[1, 50]));
    }

    fn look(&mut self, host: &mut Host, around: &mut Around) {
        let place = around.random.below(around.ledger.accepted_count());
        if let Some(run) = around.ledger.accepted(place) {
            host.look(run.clone());
        }
    }

    /// As one does who never heard the answer.
    fn repeat(&mut self, now: BootTime) -> Option<Asking> {
        let (_, asking) = self.answered.take_if(|(at, _)| now < *at + REPEATS_WITHIN)?;
        Some(Asking { ticket: None, missing: 0, ..asking })
    }

    fn request(&mut self) -> RequestId {
        self.requests += 1;
        RequestId(u128::from(self.number) << 64 | u128::from(self.requests))
    }

    fn cancel(&mut self, host: &Host, random: &mut Random) -> Option<Asking> {
        let live = host.state().runs().count();
        let run = host.state().runs().nth(random.below(live))?.run_id().clone();
        let request = self.request();
        let command = Command::Cancel { request, run, reason: "enough".to_owned() };
        Some(Asking { request, command, chunks: Vec::new(), missing: 0, ticket: None })
    }

    /// Names are few, so that they are taken.
    fn submit(&mut self, gallery: &mut Gallery, random: &mut Random) -> Asking {
        let request = self.request();
        let generated = random.chance(3, 4);
        let run = match generated {
            true => RunId::new(&format!("generated-{}", random.below(40))),
            false => RunId::new(&format!("wanted-{}", random.below(40))),
        };
        let graph = gallery.pick(random);
        let pieces = if random.chance(1, 4) { 1 + random.below(4) } else { 0 };
        let (chunks, graph) = match pieces {
            0 => (Vec::new(), Payload::Inline(graph)),
            pieces => (staged(&graph, pieces), Payload::Staged(Digest::of(&graph))),
        };
        let given = GIVEN.map(|(name, text)| (Arc::from(name), Value::from_loose(text)));
        let command = Command::Submit(Submit {
            request,
            run,
            generated,
            tag: String::new(),
            graph,
            parameters: Payload::Inline(stored::encode_parameters(&given)),
            context: Value::from_loose("{}"),
        });
        Asking { request, command, chunks, missing: 0, ticket: None }
    }
}

impl Asking {
    /// The pieces first; when all are there, what names them.
    fn propose(&mut self, host: &mut Host, ticket: &mut dyn FnMut(RequestId, Part) -> Ticket) {
        let is_there = self.ticket.is_some() && self.missing == 0;
        if self.chunks.is_empty() || is_there {
            let number = ticket(self.request, Part::Whole);
            self.ticket = Some(number);
            // Where nobody answers all of it is told again.
            self.missing = self.chunks.len();
            return host.propose(self.command.clone(), number);
        }
        let tickets = self.chunks.iter().map(|_| ticket(self.request, Part::Chunk));
        let tickets: Vec<Ticket> = tickets.collect();
        (self.ticket, self.missing) = (tickets.first().copied(), tickets.len());
        for (chunk, ticket) in self.chunks.iter().zip(tickets) {
            host.propose(chunk.clone(), ticket);
        }
    }
}

/// Never happened, or has to wait for its pieces: the same request may still get any answer.
fn may_be_asked_again(reply: &Reply) -> bool {
    matches!(reply, Reply::Dropped | Reply::Later | Reply::Refused(Refusal::NotStaged))
}

fn staged(bytes: &[u8], pieces: usize) -> Vec<Command> {
    let (digest, total) = (Digest::of(bytes), bytes.len() as u64);
    let length = bytes.len().div_ceil(pieces);
    let chunks = bytes.chunks(length).zip(0_u64..);
    let stage = |(chunk, place): (&[u8], u64)| {
        let (offset, bytes) = (place * length as u64, chunk.to_vec());
        let part = command::Part::Graph;
        Command::Stage { part, digest, offset, total, bytes }
    };
    chunks.map(stage).collect()
}
