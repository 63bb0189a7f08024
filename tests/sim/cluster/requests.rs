//! What clients ask for: submissions, whole or in pieces, and cancels, under one request id each.

use std::sync::Arc;

use dagmar_common::ids::{Digest, RequestId, RunId};
use dagmar_common::value::Value;
use dagmar_coordinator_core::command::{self, Command, Payload, Submit};
use dagmar_coordinator_core::stored;

use crate::pipelines::{GIVEN, Gallery};
use crate::random::Random;

pub struct Request {
    pub id: RequestId,
    pub command: Command,
    /// What is too large for it, in pieces.
    pub chunks: Vec<Command>,
}

impl Request {
    pub fn cancel(id: RequestId, run: RunId) -> Self {
        let command = Command::Cancel { request: id, run, reason: "enough".to_owned() };
        Request { id, command, chunks: Vec::new() }
    }

    /// Which run it is about, or would like to make.
    pub fn run(&self) -> &RunId {
        match &self.command {
            Command::Submit(submit) => &submit.run,
            Command::Cancel { run, .. } => run,
            other => panic!("no client asks for {other:?}"),
        }
    }
}

/// Names are few, so that they are taken.
pub fn draw_submit(id: RequestId, gallery: &mut Gallery, random: &mut Random) -> Request {
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
        request: id,
        run,
        generated,
        tag: String::new(),
        graph,
        parameters: Payload::Inline(stored::encode_parameters(&given)),
        context: Value::from_loose("{}"),
    });
    Request { id, command, chunks }
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
