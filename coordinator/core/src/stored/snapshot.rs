//! Snapshots: the state frozen within a moment, written elsewhere, and put together again.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use dagmar_common::graph::{self, Assembly, DecodeError};
use dagmar_common::ids::Digest;
use dagmar_common::mutant::{Mutant, lives};

use super::pack::{Pack, Reader, RestoreError, Writer};
use crate::schedule::Head;
use crate::state::request::Requests;
use crate::state::run::SharedGraph;
use crate::state::timer::Timers;
use crate::state::{Runs, State};

/// The state as it was; it shares with the living one all that was not written since.
pub struct Frozen(Box<State>);

impl State {
    /// Costs a pointer a page; the state goes on at once.
    pub fn freeze(&mut self) -> Frozen {
        let runs = Runs {
            slots: self.runs.slots.freeze(),
            free: self.runs.free.clone(),
            summaries: self.runs.summaries.freeze(),
            ..Runs::default()
        };
        Frozen(Box::new(State {
            cluster: self.cluster,
            time: self.time,
            last_applied: self.last_applied,
            reign: self.reign,
            last_run: self.last_run,
            ready_sequence: self.ready_sequence,
            runs,
            workers: self.workers.clone(),
            leases: self.leases.freeze(),
            timers: self.timers.freeze(),
            requests: self.requests.freeze(),
            staging: self.staging.freeze(),
            schedule: self.schedule.freeze(),
            round: self.round.clone(),
            touched: Vec::new(),
        }))
    }

    /// The state that wrote these chunks: from here on it does what that one does.
    pub fn restore<'a, C: Into<Cow<'a, [u8]>>>(
        chunks: impl IntoIterator<Item = C>,
    ) -> Result<State, RestoreError> {
        let mut chunks = chunks.into_iter();
        let mut next = || chunks.next().map(|chunk| chunk.into().into_owned());
        let mut reader = Reader::new(&mut next);
        let mut state = State::unpack(&mut reader)?;
        reader.finish()?;
        if !state.has_its_classes() {
            return Err(RestoreError::Malformed("a queue of a class that was not written"));
        }
        state.derive();
        Ok(state)
    }

    fn has_its_classes(&self) -> bool {
        let classes = self.schedule.classes.len();
        let mut queues = self.runs.slots.iter().flatten().flat_map(|run| &run.queues);
        queues.all(|queue| (queue.class as usize) < classes)
    }

    /// Puts together again what follows from the rows.
    fn derive(&mut self) {
        self.runs.derive();
        self.workers.derive();
        self.timers.derive();
        self.requests.derive();
        for (slot, run) in self.runs.live() {
            for queue in &run.queues {
                if let Some(leases) = queue.key {
                    let class = &mut self.schedule.classes[queue.class as usize];
                    class.waiting.insert(Head { leases, run: run.number, slot });
                }
            }
        }
    }
}

impl Frozen {
    /// Gives the state in chunks of at most 1 MiB, each in its envelope; the hash of all of them.
    pub fn write(&self, chunk: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<Digest> {
        let mut writer = Writer::new(chunk);
        self.0.pack(&mut writer);
        writer.finish()
    }

    /// A state to ask, elsewhere and at leisure.
    pub fn into_state(self) -> State {
        let mut state = *self.0;
        state.derive();
        state
    }

    /// Of the last entry that it holds.
    pub fn last_applied(&self) -> dagmar_common::ids::LogIndex {
        self.0.last_applied
    }
}

impl Pack for State {
    fn pack(&self, out: &mut Writer<'_>) {
        self.cluster.pack(out);
        self.time.pack(out);
        self.last_applied.pack(out);
        self.reign.pack(out);
        self.last_run.pack(out);
        match lives(Mutant::SnapshotLacksReadySequence) {
            true => 0_u64.pack(out),
            false => self.ready_sequence.pack(out),
        }
        pack_graphs(self, out);
        self.runs.slots.pack(out);
        self.runs.free.pack(out);
        self.runs.summaries.pack(out);
        self.workers.rows.pack(out);
        self.leases.pack(out);
        match lives(Mutant::SnapshotLacksTimers) {
            true => Timers::new().pack(out),
            false => self.timers.pack(out),
        }
        match lives(Mutant::SnapshotLacksRequests) {
            true => Requests::default().pack(out),
            false => self.requests.pack(out),
        }
        self.staging.blobs.pack(out);
        self.schedule.pack(out);
        self.round.pack(out);
    }

    fn unpack(from: &mut Reader<'_>) -> Result<Self, RestoreError> {
        let mut state = State::new();
        state.cluster = Pack::unpack(from)?;
        state.time = Pack::unpack(from)?;
        state.last_applied = Pack::unpack(from)?;
        state.reign = Pack::unpack(from)?;
        state.last_run = Pack::unpack(from)?;
        state.ready_sequence = Pack::unpack(from)?;
        unpack_graphs(from)?;
        state.runs.slots = Pack::unpack(from)?;
        state.runs.free = Pack::unpack(from)?;
        state.runs.summaries = Pack::unpack(from)?;
        state.workers.rows = Pack::unpack(from)?;
        state.leases = Pack::unpack(from)?;
        state.timers = Pack::unpack(from)?;
        state.requests = Pack::unpack(from)?;
        state.staging.blobs = Pack::unpack(from)?;
        state.schedule = Pack::unpack(from)?;
        state.round = Pack::unpack(from)?;
        Ok(state)
    }
}

/// A run names its graph.
impl Pack for Arc<SharedGraph> {
    fn pack(&self, out: &mut Writer<'_>) {
        self.digest.pack(out);
    }

    fn unpack(from: &mut Reader<'_>) -> Result<Self, RestoreError> {
        let digest = Digest::unpack(from)?;
        let graph = from.graphs.get(&digest).cloned();
        graph.ok_or(RestoreError::Malformed("a run of a graph that was not written"))
    }
}

fn pack_graphs(state: &State, out: &mut Writer<'_>) {
    let runs = state.runs.slots.iter().flatten();
    let graphs: BTreeMap<Digest, &Arc<SharedGraph>> =
        runs.map(|run| (run.graph.digest, &run.graph)).collect();
    out.number(graphs.len() as u64);
    for (digest, graph) in graphs {
        digest.pack(out);
        out.bytes(&graph::encode(&graph.graph));
    }
}

fn unpack_graphs(from: &mut Reader<'_>) -> Result<(), RestoreError> {
    for _ in 0..from.number()? {
        let digest = Digest::unpack(from)?;
        let graph_error = |error: DecodeError| RestoreError::Graph(error.to_string());
        let mut assembly = Assembly::default();
        assembly.push(&from.bytes()?).map_err(graph_error)?;
        let (graph, found) = assembly.finish().map_err(graph_error)?;
        if found != digest {
            return Err(RestoreError::Malformed("a graph under another's name"));
        }
        from.graphs.insert(digest, Arc::new(SharedGraph::new(graph, digest)));
    }
    Ok(())
}
