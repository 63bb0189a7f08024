//! Building a section: nodes in order of declaration, then edges in any order.

use super::rank::Ranking;
use super::{EdgeKind, NodeKind, Section};
use crate::ids::NodeNo;

/// Collects a section and turns it into rows. It checks nothing; [`super::Graph::verify`] does.
#[derive(Debug, Default)]
pub struct SectionBuilder {
    names: String,
    name_ends: Vec<u32>,
    kinds: Vec<NodeKind>,
    heads: Vec<bool>,
    edges: Vec<(NodeNo, EdgeKind, NodeNo)>,
}

impl SectionBuilder {
    pub fn node(&mut self, name: &str, kind: NodeKind, is_head: bool) -> NodeNo {
        self.names.push_str(name);
        self.name_ends.push(self.names.len() as u32);
        self.kinds.push(kind);
        self.heads.push(is_head);
        NodeNo(self.kinds.len() as u32 - 1)
    }

    pub fn edge(&mut self, from: NodeNo, kind: EdgeKind, to: NodeNo) {
        self.edges.push((from, kind, to));
    }

    /// The rows. Edges of one node are sorted by kind and target: the same graph, the same bytes.
    pub fn finish(mut self) -> Section {
        self.edges.sort_unstable();
        let mut section = Section {
            names: self.names,
            name_ends: self.name_ends,
            kinds: self.kinds,
            heads: self.heads,
            ..Section::default()
        };
        let mut edges = self.edges.into_iter().peekable();
        for node in section.nodes() {
            while let Some((_, kind, to)) = edges.next_if(|(from, ..)| *from == node) {
                section.edge_kinds.push(kind);
                section.targets.push(to);
            }
            section.edge_ends.push(section.targets.len() as u32);
        }
        section.derive();
        section
    }
}

impl Section {
    /// Fills in what follows from the rows: incoming edges and ranks.
    fn derive(&mut self) {
        self.incoming = vec![0; self.kinds.len()];
        for target in &self.targets {
            if let Some(count) = self.incoming.get_mut(target.0 as usize) {
                *count += 1;
            }
        }
        let mut ranking = Ranking::new(self.kinds.len());
        ranking.work(self, &self.incoming, &mut { u64::MAX });
        self.ranks = ranking.ranks;
    }
}
