//! Submitting a run: once for each request, under a name of its own.

use std::sync::Arc;

use dagmar_common::graph::{self, Graph};
use dagmar_common::ids::{Digest, LogIndex, RequestId, RunId, RunNo, SectionNo};
use dagmar_common::limits::{RUN_ID_BYTES_MAX, RUN_ID_SUFFIXES_MAX};
use dagmar_common::record::{Counts, RunStatus};
use dagmar_common::value::Value;
use dagmar_common::view::{Scope, View};

use crate::command::{Part, Payload, Submit};
use crate::effect::{Applied, Effect, Event, Refusal, Reply};
use crate::rules::Entry;
use crate::state::State;
use crate::state::node::NONE;
use crate::state::run::{Queue, RunRow, SharedGraph};
use crate::state::timer::Due;
use crate::stored;

impl State {
    pub(super) fn submit(&mut self, entry: Entry, submit: Submit, out: &mut Applied) -> Reply {
        let content = content_of(&submit);
        self.once(entry, submit.request, content, |state| {
            if state.staging.is_at_work(&submit.graph) {
                return Reply::Later;
            }
            match state.accept(entry, submit, out) {
                Ok((run, number)) => Reply::Submitted { run, number },
                Err(refusal) => Reply::Refused(refusal),
            }
        })
    }

    /// A request that is known gets its first answer; another is remembered with its own.
    pub(super) fn once(
        &mut self,
        entry: Entry,
        request: RequestId,
        content: Digest,
        act: impl FnOnce(&mut Self) -> Reply,
    ) -> Reply {
        if let Some(known) = self.requests.known.get(&request) {
            return match known.content == content {
                true => known.reply.clone(),
                false => Reply::Refused(Refusal::RequestReused),
            };
        }
        let reply = act(self);
        // What was not staged or checked may be asked again under the same id once it is.
        if !matches!(reply, Reply::Later | Reply::Refused(Refusal::NotStaged)) {
            self.requests.remember(entry.now, request, content, reply.clone());
        }
        reply
    }

    fn accept(
        &mut self,
        entry: Entry,
        submit: Submit,
        out: &mut Applied,
    ) -> Result<(RunId, RunNo), Refusal> {
        let id = self.free_name(&submit)?;
        self.is_there(&submit.graph, Part::Graph)?;
        self.is_there(&submit.parameters, Part::Parameters)?;
        let graph = self.shared_graph(submit.graph)?;
        let bytes = self.payload(submit.parameters)?;
        let parameters = stored::decode_parameters(&bytes)
            .map_err(|error| Refusal::BadParameters { why: error.to_string() })?;
        self.last_run = RunNo(self.last_run.0 + 1);
        let number = self.last_run;
        let queues = self.queues(&graph, entry);
        let mut run = new_run(number, id.clone(), graph, queues, &parameters);
        run.tag = submit.tag.into();
        run.context = submit.context;
        run.submitted = entry.wall;
        run.first_index = entry.index;
        if let Some(limit) = run.graph.graph.time_limit {
            run.limit_timer = self.timers.set(entry.now + limit, Due::RunLimit { run: number });
        }
        let slot = self.runs.add(run);
        let started = Event::RunStarted { run: number, index: entry.index };
        out.effects.push(Effect::Event(started));
        let mut turn = self.turn(slot, entry, out);
        turn.open_frame(SectionNo(0), NONE, (0, 0, 0), Arc::default());
        self.enter_round(slot);
        Ok((id, number))
    }

    /// The name that was asked for, or a generated one with a suffix where it is taken.
    fn free_name(&self, submit: &Submit) -> Result<RunId, Refusal> {
        let wanted = &submit.run;
        if wanted.as_str().len() > RUN_ID_BYTES_MAX {
            let why = format!("a run id has at most {RUN_ID_BYTES_MAX} bytes");
            return Err(Refusal::BadParameters { why });
        }
        if !self.runs.by_id.contains_key(wanted) {
            return Ok(wanted.clone());
        }
        if !submit.generated {
            return Err(Refusal::RunIdTaken { run: wanted.clone() });
        }
        // The run's own number is free unless somebody asked for that very name.
        let suffixes = (2..2 + RUN_ID_SUFFIXES_MAX).chain([self.last_run.0 + 1]);
        let suffixed = suffixes.map(|number| RunId::new(&format!("{wanted}-{number}")));
        let mut free = suffixed.filter(|name| {
            name.as_str().len() <= RUN_ID_BYTES_MAX && !self.runs.by_id.contains_key(name)
        });
        free.next().ok_or_else(|| Refusal::RunIdTaken { run: wanted.clone() })
    }

    /// The graph, shared with the live runs of the same one.
    fn shared_graph(&mut self, payload: Payload) -> Result<Arc<SharedGraph>, Refusal> {
        let digest = match &payload {
            Payload::Inline(bytes) => Digest::of(bytes),
            Payload::Staged(digest) => *digest,
        };
        if let Some(shared) = self.runs.graphs.get(&digest).and_then(std::sync::Weak::upgrade) {
            self.staging.blobs.remove(&digest);
            return Ok(shared);
        }
        let graph: Result<Graph, String> = match payload {
            Payload::Inline(bytes) => graph::decode(&bytes).map_err(|error| error.to_string()),
            Payload::Staged(digest) => self.staging.take_graph(digest).ok_or(Refusal::NotStaged)?,
        };
        let graph = graph.map_err(|why| Refusal::BadGraph { why })?;
        Ok(Arc::new(SharedGraph::new(graph, digest)))
    }

    /// Nothing is taken from the staging before all of it is there.
    fn is_there(&self, payload: &Payload, part: Part) -> Result<(), Refusal> {
        match payload {
            Payload::Staged(digest) if !self.staging.is_ready(*digest, part) => {
                Err(Refusal::NotStaged)
            }
            Payload::Staged(_) | Payload::Inline(_) => Ok(()),
        }
    }

    fn payload(&mut self, payload: Payload) -> Result<Vec<u8>, Refusal> {
        match payload {
            Payload::Inline(bytes) => Ok(bytes),
            Payload::Staged(digest) => self.staging.take(digest).ok_or(Refusal::NotStaged),
        }
    }

    /// One queue for each class that the graph's tasks need, and which task waits in which.
    fn queues(&mut self, graph: &SharedGraph, entry: Entry) -> (Vec<Queue>, Arc<[u32]>) {
        let mut queues: Vec<Queue> = Vec::new();
        let queue_of = graph.graph.tasks.iter().map(|task| {
            let class = self.schedule.intern(task.resources, task.care, entry.now);
            let known = queues.iter().position(|queue| queue.class == class);
            known.unwrap_or_else(|| {
                queues.push(Queue::new(class));
                queues.len() - 1
            }) as u32
        });
        let queue_of = queue_of.collect();
        (queues, queue_of)
    }
}

fn new_run(
    number: RunNo,
    id: RunId,
    graph: Arc<SharedGraph>,
    (queues, queue_of): (Vec<Queue>, Arc<[u32]>),
    parameters: &[(Arc<str>, Value)],
) -> RunRow {
    let initial = parameters
        .iter()
        .fold(View::default(), |view, (name, value)| view.with(name, 0, value.clone()));
    let counts = Counts { waiting: graph.steps[0], ..Counts::default() };
    RunRow {
        number,
        id,
        tag: "".into(),
        graph,
        queues,
        queue_of,
        initial: Arc::new(Scope { overlay: initial, base: None }),
        context: Value::from_spelled("null"),
        status: RunStatus::Running,
        stop: None,
        submitted: Default::default(),
        ended: None,
        first_index: LogIndex::default(),
        last_index: LogIndex::default(),
        counts,
        leases: 0,
        limit_timer: NONE,
        nodes: Default::default(),
        frames: Default::default(),
        trials: Default::default(),
        maps: Default::default(),
        past: Default::default(),
        free: Default::default(),
        agenda: Vec::new(),
        is_in_round: false,
        is_touched: false,
    }
}

/// What the request asks for, so that its id cannot come with something else.
fn content_of(submit: &Submit) -> Digest {
    let payload = |payload: &Payload| match payload {
        Payload::Inline(bytes) => Digest::of(bytes),
        Payload::Staged(digest) => *digest,
    };
    let mut bytes = b"submit\0".to_vec();
    bytes.extend_from_slice(&payload(&submit.graph).0);
    bytes.extend_from_slice(&payload(&submit.parameters).0);
    bytes.extend_from_slice(submit.run.as_str().as_bytes());
    Digest::of(&bytes)
}
