//! A graph that comes in pieces: its bytes become rows as they come, its checks take turns.

use super::check::Checks;
use super::read::Reader;
use super::{DecodeError, Graph};
use crate::ids::Digest;

/// Bytes in, a verified graph out. What it is after some bytes and some units of checking follows
/// from these two numbers alone, however they were divided.
#[derive(Debug, Default)]
pub struct Assembly {
    reader: Reader,
    checked: Option<Checking>,
}

#[derive(Debug)]
struct Checking {
    graph: Graph,
    digest: Digest,
    checks: Checks,
}

impl Assembly {
    /// The next bytes, of any length.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        self.reader.push(bytes)
    }

    /// All bytes have come: checks go on for `units` nodes and edges. How many are left, once
    /// nothing is left to do.
    pub fn work(&mut self, mut units: u64) -> Result<u64, DecodeError> {
        let checking = match &mut self.checked {
            Some(checking) => checking,
            None => {
                let (graph, digest) = std::mem::take(&mut self.reader).finish()?;
                self.checked.insert(Checking { graph, digest, checks: Checks::default() })
            }
        };
        checking.checks.work(&checking.graph, &mut units)?;
        Ok(units)
    }

    /// The graph and its name; does what checks are left.
    pub fn finish(mut self) -> Result<(Graph, Digest), DecodeError> {
        self.work(u64::MAX)?;
        let Some(Checking { mut graph, digest, checks }) = self.checked else {
            return Err(DecodeError::Malformed("nothing came".to_owned()));
        };
        for (section, derived) in graph.sections.iter_mut().zip(checks.derived) {
            section.incoming = derived.incoming;
            section.ranks = derived.ranks;
            section.parent = derived.parent;
        }
        Ok((graph, digest))
    }
}
