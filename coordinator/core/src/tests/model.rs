//! The rules once more, tiny: a fixpoint over a whole frame, without anything incremental.

use std::collections::BTreeMap;

use dagmar_common::graph::{CompositeMode, EdgeKind, Graph, NodeKind};
use dagmar_common::ids::{NodeNo, SectionNo};
use dagmar_common::record::NodeStatus::{self, Failed, Skipped, Succeeded};
use dagmar_common::value::Value;

/// Value, and whether items make a list of it.
pub type Values = BTreeMap<String, (String, bool)>;
/// What writes at which rank.
type Ranked = BTreeMap<String, (u32, String, bool)>;

/// What each task does: whether it succeeds in the end, and what it writes then.
pub type Fate<'a> = &'a dyn Fn(&str) -> (bool, Values);

pub struct Model<'a> {
    pub graph: &'a Graph,
    pub fate: Fate<'a>,
    /// How every step of every frame ends, and what it writes.
    pub ends: BTreeMap<String, (NodeStatus, Values)>,
    /// What every task sees when it begins.
    pub seen: BTreeMap<String, BTreeMap<String, String>>,
}

impl Model<'_> {
    /// Whether the frame succeeds, and what it writes.
    pub fn frame(
        &mut self,
        number: SectionNo,
        sees: &BTreeMap<String, String>,
        indices: &[u32],
    ) -> (bool, Values) {
        let graph = self.graph;
        let section = graph.section(number);
        let mut ends: BTreeMap<NodeNo, NodeStatus> = BTreeMap::new();
        let mut views: BTreeMap<NodeNo, Ranked> = BTreeMap::new();
        let (mut is_failed, mut result) = (false, Ranked::new());
        while ends.len() < section.len() as usize {
            for node in section.nodes() {
                if ends.contains_key(&node) {
                    continue;
                }
                let into: Vec<(NodeNo, EdgeKind)> = section
                    .nodes()
                    .flat_map(|from| section.edges(from).iter().map(move |edge| (from, edge)))
                    .filter(|(_, (_, to))| *to == node)
                    .map(|(from, (kind, _))| (from, kind))
                    .collect();
                if into.iter().any(|(from, _)| !ends.contains_key(from)) {
                    continue;
                }
                let mut view = Ranked::new();
                into.iter().for_each(|(from, _)| overlay(&mut view, &views[from]));
                let runs = joins(section.is_head(node), &into, &ends);
                let (end, wrote) = if runs {
                    self.run(number, node, sees, &view, indices)
                } else {
                    (Skipped, Values::new())
                };
                let is_fail = section.kind(node) == NodeKind::Fail && end == Succeeded;
                is_failed |= is_fail || (end == Failed && !section.has_on_failure(node));
                let rank = section.rank(node);
                let own = wrote.iter().map(|(n, (v, l))| (n.clone(), (rank, v.clone(), *l)));
                let own: Ranked = own.collect();
                overlay(&mut view, &own);
                overlay(&mut result, &own);
                views.insert(node, view);
                ends.insert(node, end);
                if !section.kind(node).is_terminal() {
                    self.ends.insert(graph.path(number, node, indices), (end, wrote));
                }
            }
        }
        let result = result.into_iter().map(|(name, (_, value, list))| (name, (value, list)));
        (!is_failed, result.collect())
    }

    fn run(
        &mut self,
        number: SectionNo,
        node: NodeNo,
        sees: &BTreeMap<String, String>,
        view: &Ranked,
        indices: &[u32],
    ) -> (NodeStatus, Values) {
        let mut seen = sees.clone();
        seen.extend(view.iter().map(|(name, (_, value, _))| (name.clone(), value.clone())));
        let composite = match self.graph.section(number).kind(node) {
            NodeKind::Stub | NodeKind::Success | NodeKind::Fail => {
                return (Succeeded, Values::new());
            }
            NodeKind::Task(_) => {
                let path = self.graph.path(number, node, indices);
                let (succeeds, wrote) = (self.fate)(&path);
                self.seen.insert(path, seen);
                return if succeeds { (Succeeded, wrote) } else { (Failed, Values::new()) };
            }
            NodeKind::Composite(composite) => self.graph.composite(composite),
        };
        let CompositeMode::Map { body, iterate_on, iterate_as, index_as, .. } = &composite.mode;
        let list = seen.get(iterate_on).map(|text| Value::from_spelled(text.as_str()).to_json());
        let Some(serde_json::Value::Array(items)) = list else { return (Failed, Values::new()) };
        let (mut all_succeed, mut merged) = (true, BTreeMap::<String, (Vec<String>, bool)>::new());
        for (index, item) in items.iter().enumerate() {
            let mut own = seen.clone();
            own.insert(iterate_as.clone(), Value::from_json(item).spelled().into());
            own.extend(index_as.clone().map(|name| (name, index.to_string())));
            let around: Vec<u32> = indices.iter().copied().chain([index as u32]).collect();
            let (succeeds, wrote) = self.frame(*body, &own, &around);
            all_succeed &= succeeds;
            for (name, (value, is_list)) in wrote {
                let slot = merged.entry(name).or_default();
                slot.0.push(value);
                slot.1 |= is_list;
            }
        }
        if !all_succeed {
            return (Failed, Values::new());
        }
        let written = merged.into_iter().map(|(name, (values, is_list))| {
            let value = match is_list {
                true => format!("[{}]", values.join(", ")),
                false => values.last().cloned().unwrap_or_default(),
            };
            (name, (value, is_list))
        });
        (Succeeded, written.collect())
    }
}

fn overlay(view: &mut Ranked, over: &Ranked) {
    for (name, (rank, value, is_list)) in over {
        let slot = view.entry(name.clone()).or_insert((0, String::new(), false));
        if *rank > slot.0 {
            *slot = (*rank, value.clone(), *is_list);
        }
    }
}

/// The join: does the node run?
fn joins(is_head: bool, into: &[(NodeNo, EdgeKind)], ends: &BTreeMap<NodeNo, NodeStatus>) -> bool {
    let takes = |(from, kind): &(NodeNo, EdgeKind)| match kind {
        EdgeKind::Next | EdgeKind::Needs => ends[from] == Succeeded,
        EdgeKind::OnFailure => ends[from] == Failed,
    };
    match into {
        [] => is_head,
        [(_, EdgeKind::Needs), ..] => into.iter().all(takes),
        _ => into.iter().any(takes),
    }
}
