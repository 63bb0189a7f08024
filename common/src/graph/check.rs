//! The checks of a graph, a piece at a time, and what follows from its rows on the way.

use std::collections::HashSet;
use std::ops::Range;

use super::names::{BUCKET_NAMES, Names};
use super::rank::{Ranking, piece};
use super::verify::{NodeFault, VerifyError, check_step_name, verify_task};
use super::{CompositeMode, EdgeKind, Graph, NodeKind, Section};
use crate::ids::{CompositeNo, NodeNo, SectionNo, TaskNo};
use crate::limits::PIPELINE_DEPTH_MAX;
use crate::parameter;
use crate::time::Span;
use crate::view::Rank;

/// How far the checks of one graph have come. One unit is a node, an edge or a row of a table,
/// once in each pass over them.
#[derive(Debug, Default)]
pub(super) struct Checks {
    pass: Pass,
    section: usize,
    walk: Walk,
    here: Here,
    tree: Tree,
    table: usize,
    /// What follows from the rows of the sections that are checked.
    pub derived: Vec<Derived>,
}

/// Each needs that the ones before it found nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Pass {
    #[default]
    Bodies,
    Section,
    Targets,
    Ranks,
    Rows,
    Names,
    Chains,
    Tasks,
    Tables,
    Done,
}

#[derive(Debug, Default)]
pub(super) struct Derived {
    pub incoming: Vec<u32>,
    pub ranks: Vec<Rank>,
    pub parent: Option<(SectionNo, NodeNo)>,
}

/// What is known of the section at hand.
#[derive(Debug, Default)]
struct Here {
    incoming: Vec<u32>,
    ranking: Ranking,
    names: Names,
    /// The numbers of its nodes by rank.
    order: Vec<u32>,
    /// One more than the number of the head of each node's chain; terminals and what no head
    /// reaches have none: 0. Zeros cost nothing before they are looked at, whatever their number.
    chains: Vec<u32>,
    successes: u32,
    fails: u32,
}

/// How sections hang under one another.
#[derive(Debug, Default)]
struct Tree {
    uses: Vec<u32>,
    /// A section's depth and parent once the node that holds it was seen.
    places: Vec<Option<(usize, SectionNo, NodeNo)>>,
}

impl Graph {
    /// Everything that [`super::decode`] promises beyond canonical bytes.
    pub fn verify(&self) -> Result<(), VerifyError> {
        Checks::default().work(self, &mut { u64::MAX }).map(|_| ())
    }
}

impl Checks {
    /// Goes on for `left` units; true once all is checked.
    pub fn work(&mut self, graph: &Graph, left: &mut u64) -> Result<bool, VerifyError> {
        while *left > 0 {
            let is_through = match self.pass {
                Pass::Bodies => self.bodies(graph, left)?,
                Pass::Section => {
                    *left -= 1;
                    self.begin_section(graph)?
                }
                Pass::Targets => self.targets(graph, left)?,
                Pass::Ranks => {
                    let here = &mut self.here;
                    here.ranking.work(&graph.sections[self.section], &here.incoming, left)
                }
                Pass::Rows => self.rows(graph, left)?,
                Pass::Names => self.names(graph, left)?,
                Pass::Chains => self.chains(graph, left)?,
                Pass::Tasks => self.tasks(graph, left)?,
                Pass::Tables => {
                    *left -= 1;
                    verify_tables(graph)?;
                    true
                }
                Pass::Done => return Ok(true),
            };
            if is_through {
                self.walk = Walk::default();
                self.table = 0;
                self.pass = self.next_pass(graph);
            }
        }
        Ok(self.pass == Pass::Done)
    }

    fn next_pass(&mut self, graph: &Graph) -> Pass {
        match self.pass {
            Pass::Bodies => Pass::Section,
            Pass::Section => Pass::Targets,
            Pass::Targets => Pass::Ranks,
            Pass::Ranks => Pass::Rows,
            Pass::Rows => Pass::Names,
            Pass::Names => Pass::Chains,
            Pass::Chains => {
                let here = std::mem::take(&mut self.here);
                let parent = self.tree.places[self.section];
                self.derived.push(Derived {
                    incoming: here.incoming,
                    ranks: here.ranking.ranks,
                    parent: parent.filter(|_| self.section > 0).map(|(_, above, at)| (above, at)),
                });
                self.section += 1;
                if self.section < graph.sections.len() { Pass::Section } else { Pass::Tasks }
            }
            Pass::Tasks => Pass::Tables,
            Pass::Tables | Pass::Done => Pass::Done,
        }
    }

    /// Every composite's sections are there.
    fn bodies(&mut self, graph: &Graph, left: &mut u64) -> Result<bool, VerifyError> {
        let sections = graph.sections.len();
        if sections == 0 {
            return Err(VerifyError::NoRoot);
        }
        if self.table == 0 {
            self.tree.uses = vec![0; graph.composites.len()];
            self.tree.places = vec![None; sections];
            self.tree.places[0] = Some((0, SectionNo(0), NodeNo(0)));
        }
        let here = piece(&(self.table..graph.composites.len()), *left);
        *left -= (here.len() as u64).max(1);
        for place in here.clone() {
            let bodies = graph.composites[place].sections();
            if bodies.iter().any(|body| body.0 as usize >= sections) {
                let composite = CompositeNo(place as u32);
                return Err(VerifyError::Composite { composite, rule: "its body is not there" });
            }
        }
        self.table = here.end;
        Ok(here.end == graph.composites.len())
    }

    fn begin_section(&mut self, graph: &Graph) -> Result<bool, VerifyError> {
        let (rows, number) = (&graph.sections[self.section], SectionNo(self.section as u32));
        rows.verify_columns(number)?;
        match self.tree.places[self.section] {
            None => return Err(VerifyError::NotOneParent(number)),
            Some((depth, ..)) if depth > PIPELINE_DEPTH_MAX => {
                return Err(VerifyError::TooDeep(number));
            }
            Some(_) => {}
        }
        let nodes = rows.kinds.len();
        self.here = Here {
            incoming: vec![0; nodes],
            ranking: Ranking::new(nodes),
            names: Names::new(nodes),
            order: vec![0; nodes],
            chains: vec![0; nodes],
            ..Here::default()
        };
        Ok(true)
    }

    /// Numbers that lead nowhere would be a panic later.
    fn targets(&mut self, graph: &Graph, left: &mut u64) -> Result<bool, VerifyError> {
        let section = SectionNo(self.section as u32);
        let rows = &graph.sections[self.section];
        loop {
            let broken = |node, broken| Err(VerifyError::Node { section, node, broken });
            match self.walk.next(rows, None, left) {
                Step::Node(node) => {
                    if !rows.names.is_char_boundary(rows.name_ends[node.0 as usize] as usize) {
                        return Err(VerifyError::Columns(section));
                    }
                    let holds = match rows.kind(node) {
                        NodeKind::Task(task) => (task.0 as usize) < graph.tasks.len(),
                        NodeKind::Composite(at) => (at.0 as usize) < graph.composites.len(),
                        NodeKind::Stub | NodeKind::Success | NodeKind::Fail => true,
                    };
                    if !holds {
                        return broken(node, NodeFault::Reference);
                    }
                }
                Step::Edges(node, edges) => {
                    for target in &rows.targets[edges] {
                        match self.here.incoming.get_mut(target.0 as usize) {
                            Some(count) => *count += 1,
                            None => return broken(node, NodeFault::Target),
                        }
                    }
                }
                Step::Pause => return Ok(false),
                Step::End => return Ok(true),
            }
        }
    }

    fn rows(&mut self, graph: &Graph, left: &mut u64) -> Result<bool, VerifyError> {
        let section = SectionNo(self.section as u32);
        let rows = &graph.sections[self.section];
        loop {
            let fault = |node| move |broken| VerifyError::Node { section, node, broken };
            match self.walk.next(rows, None, left) {
                Step::Node(node) => {
                    self.here.row(rows, node).map_err(fault(node))?;
                    self.here.names.add(rows, node);
                    self.tree.hang(graph, section, node)?;
                }
                Step::Edges(node, edges) => verify_edges(rows, node, edges).map_err(fault(node))?,
                Step::Pause => return Ok(false),
                Step::End if self.here.successes > 1 || self.here.fails > 1 => {
                    return Err(VerifyError::Terminals(section));
                }
                Step::End => return Ok(true),
            }
        }
    }

    /// A bucket of them at a time; what was found is said when all are compared, so that it does
    /// not depend on the order of buckets.
    fn names(&mut self, graph: &Graph, left: &mut u64) -> Result<bool, VerifyError> {
        let rows = &graph.sections[self.section];
        let here = piece(&(self.table..rows.kinds.len()), *left);
        *left -= here.len() as u64;
        self.table = here.end;
        self.here.names.compare(rows, here.end.div_ceil(BUCKET_NAMES));
        if here.end < rows.kinds.len() {
            return Ok(false);
        }
        let (section, broken) = (SectionNo(self.section as u32), NodeFault::DuplicateName);
        let fault = |node| Err(VerifyError::Node { section, node, broken });
        self.here.names.twice().map_or(Ok(true), fault)
    }

    /// Along the ranks, which an acyclic section has.
    fn chains(&mut self, graph: &Graph, left: &mut u64) -> Result<bool, VerifyError> {
        let section = SectionNo(self.section as u32);
        let rows = &graph.sections[self.section];
        let here = &mut self.here;
        loop {
            match self.walk.next(rows, Some(&here.order), left) {
                Step::Node(node) => {
                    if rows.is_head(node) {
                        here.chains[node.0 as usize] = node.0 + 1;
                    }
                }
                Step::Edges(node, edges) => follow(rows, &mut here.chains, node, edges)
                    .map_err(|(node, broken)| VerifyError::Node { section, node, broken })?,
                Step::Pause => return Ok(false),
                Step::End => return Ok(true),
            }
        }
    }

    fn tasks(&mut self, graph: &Graph, left: &mut u64) -> Result<bool, VerifyError> {
        let here = piece(&(self.table..graph.tasks.len()), *left);
        *left -= (here.len() as u64).max(1);
        for place in here.clone() {
            let task = TaskNo(place as u32);
            verify_task(&graph.tasks[place]).map_err(|rule| VerifyError::Task { task, rule })?;
        }
        self.table = here.end;
        if here.end < graph.tasks.len() {
            return Ok(false);
        }
        match self.tree.uses.iter().position(|uses| *uses != 1) {
            Some(place) => Err(VerifyError::NotOneUse(CompositeNo(place as u32))),
            None => Ok(true),
        }
    }
}

impl Here {
    fn row(&mut self, rows: &Section, node: NodeNo) -> Result<(), NodeFault> {
        check_step_name(rows.name(node)).map_err(|_| NodeFault::Name)?;
        // Ranks count from 1; whoever was never free of predecessors kept 0.
        let Some(place) = self.ranking.ranks[node.0 as usize].checked_sub(1) else {
            return Err(NodeFault::Cycle);
        };
        self.order[place as usize] = node.0;
        let kind = rows.kind(node);
        if kind.is_terminal() && (rows.is_head(node) || !rows.edge_places(node).is_empty()) {
            return Err(NodeFault::Terminal);
        }
        self.successes += u32::from(kind == NodeKind::Success);
        self.fails += u32::from(kind == NodeKind::Fail);
        Ok(())
    }
}

impl Tree {
    /// Every section but the root hangs under exactly one node, and every composite is used once.
    fn hang(&mut self, graph: &Graph, above: SectionNo, at: NodeNo) -> Result<(), VerifyError> {
        let NodeKind::Composite(composite) = graph.section(above).kind(at) else { return Ok(()) };
        self.uses[composite.0 as usize] += 1;
        let depth = self.places[above.0 as usize].map_or(0, |(depth, ..)| depth + 1);
        for body in graph.composite(composite).sections() {
            let place = self.places[body.0 as usize].replace((depth, above, at));
            if place.is_some() || body <= above {
                return Err(VerifyError::NotOneParent(body));
            }
        }
        Ok(())
    }
}

/// Edges of one node are sorted, and at most one is a `next` and one an `on_failure`.
fn verify_edges(rows: &Section, node: NodeNo, edges: Range<usize>) -> Result<(), NodeFault> {
    let first = rows.edge_places(node).start;
    let edge = |place: usize| (rows.edge_kinds[place], rows.targets[place]);
    for place in edges.start.max(first + 1)..edges.end {
        let (before, here) = (edge(place - 1), edge(place));
        if before >= here {
            return Err(NodeFault::EdgeOrder);
        }
        if before.0 == here.0 && here.0 != EdgeKind::Needs {
            return Err(NodeFault::TwoWays);
        }
    }
    Ok(())
}

/// What the chain of `node` reaches over these edges is of that chain.
fn follow(
    rows: &Section,
    chains: &mut [u32],
    node: NodeNo,
    edges: Range<usize>,
) -> Result<(), (NodeNo, NodeFault)> {
    let chain = chains[node.0 as usize];
    for place in edges {
        let (kind, target) = (rows.edge_kinds[place], rows.targets[place]);
        let (is_head, is_terminal) = (rows.is_head(target), rows.kind(target).is_terminal());
        match kind {
            EdgeKind::Needs if is_terminal => return Err((target, NodeFault::Terminal)),
            EdgeKind::Needs if !is_head => return Err((target, NodeFault::NeedsWithoutHead)),
            EdgeKind::Needs => {}
            _ if is_head => return Err((target, NodeFault::ReachedHead)),
            _ if is_terminal || chain == 0 => {}
            _ => {
                let known = &mut chains[target.0 as usize];
                if *known != 0 && *known != chain {
                    return Err((target, NodeFault::TwoChains));
                }
                *known = chain;
            }
        }
    }
    Ok(())
}

fn verify_tables(graph: &Graph) -> Result<(), VerifyError> {
    for (place, composite) in graph.composites.iter().enumerate() {
        let CompositeMode::Map { iterate_on, iterate_as, index_as, max_parallel, .. } =
            &composite.mode;
        let names = [Some(iterate_on), Some(iterate_as), index_as.as_ref()];
        let names_hold = names.into_iter().flatten().all(|name| parameter::is_name(name));
        let rule = match (names_hold, max_parallel) {
            (false, _) => "a parameter's name is not allowed",
            (_, Some(0)) => "max_parallel is zero",
            _ => continue,
        };
        return Err(VerifyError::Composite { composite: CompositeNo(place as u32), rule });
    }
    let mut names = HashSet::new();
    for (place, parameter) in graph.parameters.iter().enumerate() {
        if !parameter::is_name(&parameter.name) {
            return Err(VerifyError::Parameter { place, rule: "its name is not allowed" });
        }
        if !names.insert(parameter.name.as_str()) {
            return Err(VerifyError::Parameter { place, rule: "it has the name of another" });
        }
    }
    if graph.time_limit == Some(Span(0)) { Err(VerifyError::TimeLimit) } else { Ok(()) }
}

/// A way over all nodes of a section and, behind each, its edges.
#[derive(Debug, Default)]
struct Walk {
    next: u32,
    node: NodeNo,
    edges: Range<usize>,
}

enum Step {
    Node(NodeNo),
    Edges(NodeNo, Range<usize>),
    Pause,
    End,
}

impl Walk {
    /// Takes what it gives from `left`; in the `order` given, else in that of declaration.
    fn next(&mut self, rows: &Section, order: Option<&[u32]>, left: &mut u64) -> Step {
        if *left == 0 {
            return Step::Pause;
        }
        if !self.edges.is_empty() {
            let here = piece(&self.edges, *left);
            self.edges.start = here.end;
            *left -= here.len() as u64;
            return Step::Edges(self.node, here);
        }
        if self.next == rows.len() {
            return Step::End;
        }
        *left -= 1;
        self.node = NodeNo(order.map_or(self.next, |order| order[self.next as usize]));
        self.edges = rows.edge_places(self.node);
        self.next += 1;
        Step::Node(self.node)
    }
}
