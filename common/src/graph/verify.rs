//! What must hold of every graph before anything runs it: the ground the state machine stands on.

use std::collections::HashSet;

use thiserror::Error;

use super::{Command, CompositeMode, EdgeKind, Function, Graph, NodeKind, Section, Task};
use crate::ids::{CompositeNo, NodeNo, SectionNo, TaskNo};
use crate::limits::{
    ATTEMPTS_MAX, COMMAND_BYTES_MAX, COMMAND_WORD_BYTES_MAX, PIPELINE_DEPTH_MAX, SCRIPT_BYTES_MAX,
    SECTION_EDGES_MAX, SECTION_NODES_MAX, STEP_NAME_BYTES_MAX,
};
use crate::parameter;
use crate::time::Span;

/// The first rule that a graph breaks, and where.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum VerifyError {
    #[error("it has no section")]
    NoRoot,
    #[error("the columns of section {0} differ in length")]
    Columns(SectionNo),
    #[error("section {0} is empty")]
    Empty(SectionNo),
    #[error("section {section} has {found} {what}; at most {most} are allowed")]
    TooMany { section: SectionNo, what: &'static str, found: usize, most: usize },
    #[error("section {section}: {node} {broken}")]
    Node { section: SectionNo, node: NodeNo, broken: NodeFault },
    #[error("section {0} is used by no node, or by several, or by one that stands after it")]
    NotOneParent(SectionNo),
    #[error("composite {0} is used by no node, or by several")]
    NotOneUse(CompositeNo),
    #[error("section {0} lies deeper than {PIPELINE_DEPTH_MAX}")]
    TooDeep(SectionNo),
    #[error("section {0} has more than one success or more than one fail")]
    Terminals(SectionNo),
    #[error("task {task}: {rule}")]
    Task { task: TaskNo, rule: &'static str },
    #[error("composite {composite}: {rule}")]
    Composite { composite: CompositeNo, rule: &'static str },
    #[error("parameter {place}: {rule}")]
    Parameter { place: usize, rule: &'static str },
    #[error("the time limit is zero")]
    TimeLimit,
}

/// What is wrong with one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NodeFault {
    #[error("has a name that is not allowed")]
    Name,
    #[error("has the name of another")]
    DuplicateName,
    #[error("refers to a place outside its table")]
    Reference,
    #[error("has an edge to a node that is not there")]
    Target,
    #[error("has edges out of order, or one of them twice")]
    EdgeOrder,
    #[error("has more than one `next` or more than one `on_failure`")]
    TwoWays,
    #[error("is a terminal that begins something, leads on or has needs")]
    Terminal,
    #[error("heads a chain and is reached by one")]
    ReachedHead,
    #[error("has needs and heads no chain")]
    NeedsWithoutHead,
    #[error("is reached from two chains that can both run")]
    TwoChains,
    #[error("lies on a cycle or behind one")]
    Cycle,
}

/// Why a text may not name a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameFault {
    Empty,
    TooLong,
    /// `.` and `%` stand between the names of a path.
    Separator(char),
    Control(char),
    Bidirectional(char),
}

impl Graph {
    /// Everything that [`super::decode`] promises beyond canonical bytes.
    pub fn verify(&self) -> Result<(), VerifyError> {
        self.verify_references()?;
        self.verify_tree()?;
        for (section, rows) in self.numbered() {
            rows.verify(section)?;
        }
        for (place, task) in self.tasks.iter().enumerate() {
            let task_no = TaskNo(place as u32);
            verify_task(task).map_err(|rule| VerifyError::Task { task: task_no, rule })?;
        }
        for (place, composite) in self.composites.iter().enumerate() {
            let CompositeMode::Map { iterate_on, iterate_as, index_as, max_parallel, .. } =
                &composite.mode;
            let names = [Some(iterate_on), Some(iterate_as), index_as.as_ref()];
            let names_hold = names.into_iter().flatten().all(|name| parameter::is_name(name));
            let rule = match (names_hold, max_parallel) {
                (false, _) => "a parameter's name is not allowed",
                (_, Some(0)) => "max_parallel is zero",
                _ => continue,
            };
            let composite = CompositeNo(place as u32);
            return Err(VerifyError::Composite { composite, rule });
        }
        let mut names = HashSet::new();
        for (place, parameter) in self.parameters.iter().enumerate() {
            if !parameter::is_name(&parameter.name) {
                return Err(VerifyError::Parameter { place, rule: "its name is not allowed" });
            }
            if !names.insert(parameter.name.as_str()) {
                return Err(VerifyError::Parameter { place, rule: "it has the name of another" });
            }
        }
        if self.time_limit == Some(Span(0)) { Err(VerifyError::TimeLimit) } else { Ok(()) }
    }

    /// Numbers that lead nowhere would be a panic later; these must hold before ranks are derived.
    pub(super) fn verify_references(&self) -> Result<(), VerifyError> {
        if self.sections.is_empty() {
            return Err(VerifyError::NoRoot);
        }
        for (section, rows) in self.numbered() {
            rows.verify_columns(section)?;
            for node in rows.nodes() {
                let holds = match rows.kind(node) {
                    NodeKind::Task(task) => (task.0 as usize) < self.tasks.len(),
                    NodeKind::Composite(number) => (number.0 as usize) < self.composites.len(),
                    NodeKind::Stub | NodeKind::Success | NodeKind::Fail => true,
                };
                if !holds {
                    return Err(VerifyError::Node { section, node, broken: NodeFault::Reference });
                }
            }
        }
        for (place, composite) in self.composites.iter().enumerate() {
            if composite.sections().iter().any(|body| body.0 as usize >= self.sections.len()) {
                let composite = CompositeNo(place as u32);
                return Err(VerifyError::Composite { composite, rule: "its body is not there" });
            }
        }
        Ok(())
    }

    /// Every section but the root hangs under exactly one node, and every composite is used.
    fn verify_tree(&self) -> Result<(), VerifyError> {
        let mut uses = vec![0_u32; self.composites.len()];
        // A section's depth once its one parent was seen.
        let mut depths = vec![None; self.sections.len()];
        depths[0] = Some(0);
        for (section, rows) in self.numbered() {
            let Some(depth) = depths[section.0 as usize] else {
                return Err(VerifyError::NotOneParent(section));
            };
            if depth > PIPELINE_DEPTH_MAX {
                return Err(VerifyError::TooDeep(section));
            }
            for node in rows.nodes() {
                let NodeKind::Composite(composite) = rows.kind(node) else { continue };
                uses[composite.0 as usize] += 1;
                for body in self.composite(composite).sections() {
                    if depths[body.0 as usize].replace(depth + 1).is_some() || body <= section {
                        return Err(VerifyError::NotOneParent(body));
                    }
                }
            }
        }
        match uses.iter().position(|uses| *uses != 1) {
            Some(place) => Err(VerifyError::NotOneUse(CompositeNo(place as u32))),
            None => Ok(()),
        }
    }

    fn numbered(&self) -> impl Iterator<Item = (SectionNo, &Section)> {
        (0..).map(SectionNo).zip(&self.sections)
    }
}

impl Section {
    fn verify_columns(&self, section: SectionNo) -> Result<(), VerifyError> {
        let (nodes, edges) = (self.kinds.len(), self.targets.len());
        let too_many = |what, found, most| VerifyError::TooMany { section, what, found, most };
        if nodes > SECTION_NODES_MAX {
            return Err(too_many("nodes", nodes, SECTION_NODES_MAX));
        }
        if edges > SECTION_EDGES_MAX {
            return Err(too_many("edges", edges, SECTION_EDGES_MAX));
        }
        let equal = self.name_ends.len() == nodes
            && self.heads.len() == nodes
            && self.edge_ends.len() == nodes
            && self.edge_kinds.len() == edges
            && self.name_ends.last().is_none_or(|end| *end as usize == self.names.len())
            && self.edge_ends.last().is_none_or(|end| *end as usize == edges)
            && self.name_ends.iter().all(|end| self.names.is_char_boundary(*end as usize));
        if !equal {
            return Err(VerifyError::Columns(section));
        }
        if nodes == 0 {
            return Err(VerifyError::Empty(section));
        }
        for node in self.nodes() {
            if self.edges(node).targets.iter().any(|target| target.0 as usize >= nodes) {
                return Err(VerifyError::Node { section, node, broken: NodeFault::Target });
            }
        }
        Ok(())
    }

    fn verify(&self, section: SectionNo) -> Result<(), VerifyError> {
        let mut names = HashSet::with_capacity(self.kinds.len());
        let (mut successes, mut fails) = (0, 0);
        for node in self.nodes() {
            let broken = |broken| VerifyError::Node { section, node, broken };
            let name = self.name(node);
            check_step_name(name).map_err(|_| broken(NodeFault::Name))?;
            if !names.insert(name) {
                return Err(broken(NodeFault::DuplicateName));
            }
            // Ranks count from 1; whoever was never free of predecessors kept 0.
            if self.rank(node) == 0 {
                return Err(broken(NodeFault::Cycle));
            }
            self.verify_edges(node).map_err(broken)?;
            successes += u32::from(self.kind(node) == NodeKind::Success);
            fails += u32::from(self.kind(node) == NodeKind::Fail);
        }
        if successes > 1 || fails > 1 {
            return Err(VerifyError::Terminals(section));
        }
        match self.chains() {
            Ok(_) => Ok(()),
            Err((node, broken)) => Err(VerifyError::Node { section, node, broken }),
        }
    }

    fn verify_edges(&self, node: NodeNo) -> Result<(), NodeFault> {
        let edges = self.edges(node);
        if self.kind(node).is_terminal() && (self.is_head(node) || !edges.targets.is_empty()) {
            return Err(NodeFault::Terminal);
        }
        let (mut last, mut nexts, mut handlers) = (None, 0, 0);
        for edge in edges.iter() {
            if last.replace(edge) >= Some(edge) {
                return Err(NodeFault::EdgeOrder);
            }
            nexts += u32::from(edge.0 == EdgeKind::Next);
            handlers += u32::from(edge.0 == EdgeKind::OnFailure);
        }
        if nexts > 1 || handlers > 1 { Err(NodeFault::TwoWays) } else { Ok(()) }
    }

    /// The head of each node's chain; None for terminals and for what no head reaches.
    ///
    /// Needs ranks, hence an acyclic section.
    fn chains(&self) -> Result<Vec<Option<NodeNo>>, (NodeNo, NodeFault)> {
        let mut order = vec![NodeNo(0); self.kinds.len()];
        for node in self.nodes() {
            order[self.rank(node) as usize - 1] = node;
        }
        let mut chains: Vec<Option<NodeNo>> = vec![None; self.kinds.len()];
        for node in order {
            if self.is_head(node) {
                chains[node.0 as usize] = Some(node);
            }
            let chain = chains[node.0 as usize];
            for (kind, target) in self.edges(node).iter() {
                let (is_head, is_terminal) =
                    (self.is_head(target), self.kind(target).is_terminal());
                match kind {
                    EdgeKind::Needs if is_terminal => return Err((target, NodeFault::Terminal)),
                    EdgeKind::Needs if !is_head => {
                        return Err((target, NodeFault::NeedsWithoutHead));
                    }
                    EdgeKind::Needs => {}
                    _ if is_head => return Err((target, NodeFault::ReachedHead)),
                    _ if is_terminal || chain.is_none() => {}
                    _ => {
                        let known = chains[target.0 as usize].get_or_insert(chain.unwrap_or(node));
                        if chain != Some(*known) {
                            return Err((target, NodeFault::TwoChains));
                        }
                    }
                }
            }
        }
        Ok(chains)
    }
}

fn verify_task(task: &Task) -> Result<(), &'static str> {
    match &task.function {
        Function::Process(Command::Words(words)) => {
            if words.first().is_none_or(String::is_empty) {
                return Err("it names no program");
            }
            if words.iter().any(|word| word.contains('\0')) {
                return Err("a word of its command holds NUL");
            }
            let bytes: usize = words.iter().map(String::len).sum();
            let longest = words.iter().map(String::len).max().unwrap_or_default();
            if bytes > COMMAND_BYTES_MAX || longest > COMMAND_WORD_BYTES_MAX {
                return Err("its command is too long");
            }
        }
        Function::Process(Command::Script { text, .. }) => {
            if text.trim().is_empty() {
                return Err("its script is empty");
            }
            if text.contains('\0') {
                return Err("its script holds NUL");
            }
            if text.len() > SCRIPT_BYTES_MAX {
                return Err("its script is too long");
            }
        }
        Function::Noop => {}
    }
    if !(1..=ATTEMPTS_MAX).contains(&task.max_attempts) {
        return Err("its number of attempts is out of range");
    }
    if task.backoff.is_some_and(|backoff| backoff.first > backoff.most || backoff.most == Span(0)) {
        return Err("its backoff is zero or begins above its most");
    }
    if task.time_limit == Some(Span(0)) {
        return Err("its time limit is zero");
    }
    if task.resources.cpu_millis == 0 { Err("it asks for no cpu") } else { Ok(()) }
}

/// Any text without what separates names in paths and without what cannot be seen.
pub fn check_step_name(name: &str) -> Result<(), NameFault> {
    if name.is_empty() {
        return Err(NameFault::Empty);
    }
    if name.len() > STEP_NAME_BYTES_MAX {
        return Err(NameFault::TooLong);
    }
    for symbol in name.chars() {
        match symbol {
            '.' | '%' => return Err(NameFault::Separator(symbol)),
            '\u{061c}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}' => return Err(NameFault::Bidirectional(symbol)),
            // The line and paragraph separators break lines without being control characters.
            '\u{2028}' | '\u{2029}' => return Err(NameFault::Control(symbol)),
            _ if symbol.is_control() => return Err(NameFault::Control(symbol)),
            _ => {}
        }
    }
    Ok(())
}
