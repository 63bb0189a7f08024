//! Clients: they submit, cancel and look, and ask again with the same request until answered.

use std::sync::Arc;

use dagmar_common::ids::{RequestId, RunId};
use dagmar_common::time::{BootTime, Span};
use dagmar_common::value::Value;
use dagmar_coordinator_core::command::{Command, Payload, Submit};
use dagmar_coordinator_core::effect::Reply;
use dagmar_coordinator_core::stored;

use super::around::{Around, Ticket};
use super::host::Host;
use super::pipelines::{GIVEN, Gallery};
use crate::random::Random;

/// More runs at once would only wait for each other.
const LIVE_RUNS_MAX: usize = 12;
/// So long after its answer a client may still repeat a request; the log remembers longer.
const REPEATS_WITHIN: Span = Span::from_secs(3_600);

struct Asking {
    request: RequestId,
    command: Command,
    /// Of its last try, while that may still be answered.
    ticket: Option<Ticket>,
}

pub struct Client {
    number: u64,
    due: BootTime,
    asking: Option<Asking>,
    requests: u64,
    /// The last request that was answered.
    answered: Option<(BootTime, RequestId, Command)>,
    /// Between two requests, in milliseconds.
    pace: u64,
    pub is_calm: bool,
}

/// All clients, and the tickets of all that was ever asked.
pub struct Clients {
    pub all: Vec<Client>,
    tickets: Vec<(usize, RequestId)>,
    gallery: Gallery,
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
            client.turn(host.as_deref_mut(), around, gallery, &mut |request| {
                tickets.push((at, request));
                tickets.len() as Ticket - 1
            });
        }
    }

    /// Answers that reached those who asked; also one that came after they had asked again.
    pub fn hear(&mut self, around: &mut Around) {
        for (ticket, reply) in std::mem::take(&mut around.replies) {
            let (at, request) = self.tickets[ticket as usize];
            if reply != Reply::Dropped {
                around.history.mix(around.now, format!("{reply:?}").as_bytes());
                around.ledger.answered(request, &reply);
            }
            self.all[at].hear(request, ticket, &reply, around);
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
        ticket: &mut dyn FnMut(RequestId) -> Ticket,
    ) {
        let random = &mut around.random;
        let Some(host) = host else {
            self.due = around.now + Span::from_millis(random.pick(&[10, 100, 1_000]));
            return;
        };
        if self.asking.is_none() {
            self.due =
                around.now + Span::from_millis(1 + random.below(2 * self.pace as usize) as u64);
            let is_full = host.state.runs().count() >= LIVE_RUNS_MAX;
            self.asking = match random.below(8) {
                0 => return self.look(host, around),
                1 => self.repeat(around.now),
                2 => self.cancel(host, random),
                _ if is_full => None,
                _ => Some(self.submit(gallery, random)),
            };
        }
        let Some(asking) = &mut self.asking else { return };
        let number = ticket(asking.request);
        asking.ticket = Some(number);
        host.propose(asking.command.clone(), number);
        self.due = around.now + Span::from_millis(around.random.pick(&[500, 5_000, 30_000]));
    }

    fn hear(&mut self, request: RequestId, ticket: Ticket, reply: &Reply, around: &mut Around) {
        let Some(asking) = self.asking.take_if(|asking| asking.request == request) else { return };
        if *reply == Reply::Dropped {
            let is_last = asking.ticket == Some(ticket);
            if is_last {
                self.due = around.now + Span::from_millis(around.random.pick(&[1, 50]));
            }
            self.asking = Some(asking);
            return;
        }
        self.due =
            around.now + Span::from_millis(around.random.below(2 * self.pace as usize) as u64);
        self.answered = Some((around.now, request, asking.command));
    }

    fn look(&mut self, host: &mut Host, around: &mut Around) {
        let place = around.random.below(around.ledger.accepted_count());
        if let Some(run) = around.ledger.accepted(place) {
            host.look(run.clone());
        }
    }

    /// As one does who never heard the answer.
    fn repeat(&self, now: BootTime) -> Option<Asking> {
        let (at, request, command) = self.answered.clone()?;
        let is_remembered = now < at + REPEATS_WITHIN;
        is_remembered.then_some(Asking { request, command, ticket: None })
    }

    fn request(&mut self) -> RequestId {
        self.requests += 1;
        RequestId(u128::from(self.number) << 64 | u128::from(self.requests))
    }

    fn cancel(&mut self, host: &Host, random: &mut Random) -> Option<Asking> {
        let live = host.state.runs().count();
        let run = host.state.runs().nth(random.below(live))?.run_id().clone();
        let request = self.request();
        let command = Command::Cancel { request, run, reason: "enough".to_owned() };
        Some(Asking { request, command, ticket: None })
    }

    /// Names are few, so that they are taken.
    fn submit(&mut self, gallery: &mut Gallery, random: &mut Random) -> Asking {
        let request = self.request();
        let generated = random.chance(3, 4);
        let run = match generated {
            true => RunId::new(&format!("generated-{}", random.below(40))),
            false => RunId::new(&format!("wanted-{}", random.below(40))),
        };
        let given = GIVEN.map(|(name, text)| (Arc::from(name), Value::from_loose(text)));
        let command = Command::Submit(Submit {
            request,
            run,
            generated,
            tag: String::new(),
            graph: Payload::Inline(gallery.pick(random)),
            parameters: Payload::Inline(stored::encode_parameters(&given)),
            context: Value::from_loose("{}"),
        });
        Asking { request, command, ticket: None }
    }
}
