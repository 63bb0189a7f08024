//! Dot paths: what people call a place in a graph, such as `map.3.step`.

use super::{Graph, NodeKind};
use crate::ids::{NodeNo, SectionNo};

impl Graph {
    /// Fills in what follows from the tables: where each section hangs. Last act of building.
    #[must_use]
    pub fn finish(mut self) -> Graph {
        let mut parents = vec![None; self.sections.len()];
        for (number, section) in (0..).map(SectionNo).zip(&self.sections) {
            for node in section.nodes() {
                let NodeKind::Composite(composite) = section.kind(node) else { continue };
                for body in self.composite(composite).sections() {
                    if let Some(parent) = parents.get_mut(body.0 as usize) {
                        *parent = Some((number, node));
                    }
                }
            }
        }
        for (section, parent) in self.sections.iter_mut().zip(parents) {
            section.parent = parent;
        }
        self
    }

    /// The path of a node in one frame: `indices` holds the item of each map around it, outermost
    /// first. An item that is not given is written `*`: the step in every frame.
    pub fn path(&self, section: SectionNo, node: NodeNo, indices: &[u32]) -> String {
        let mut around = Vec::new();
        let mut here = section;
        while let Some((above, composite)) = self.section(here).parent() {
            around.push(self.section(above).name(composite));
            here = above;
        }
        let mut path = String::new();
        for (depth, name) in around.iter().rev().enumerate() {
            path.push_str(name);
            path.push('.');
            match indices.get(depth) {
                Some(index) => path.push_str(&index.to_string()),
                None => path.push('*'),
            }
            path.push('.');
        }
        path.push_str(self.section(section).name(node));
        path
    }
}
