//! What must hold of every graph before anything runs it: the ground the state machine stands on.

use thiserror::Error;

use super::{Command, Function, Section, Task};
use crate::ids::{CompositeNo, NodeNo, SectionNo, TaskNo};
use crate::limits::{
    ATTEMPTS_MAX, COMMAND_BYTES_MAX, COMMAND_WORD_BYTES_MAX, PIPELINE_DEPTH_MAX, SCRIPT_BYTES_MAX,
    SECTION_EDGES_MAX, SECTION_NODES_MAX, STEP_NAME_BYTES_MAX,
};
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

impl Section {
    /// What can be said of its columns without a look at their rows.
    pub(super) fn verify_columns(&self, section: SectionNo) -> Result<(), VerifyError> {
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
            && self.edge_ends.last().is_none_or(|end| *end as usize == edges);
        match (equal, nodes) {
            (false, _) => Err(VerifyError::Columns(section)),
            (true, 0) => Err(VerifyError::Empty(section)),
            (true, _) => Ok(()),
        }
    }
}

pub(super) fn verify_task(task: &Task) -> Result<(), &'static str> {
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

/// Any text without what separates names in paths and references (`RUN/MAP[ITEM].STEP:ATTEMPT`)
/// and without what cannot be seen.
pub fn check_step_name(name: &str) -> Result<(), NameFault> {
    if name.is_empty() {
        return Err(NameFault::Empty);
    }
    if name.len() > STEP_NAME_BYTES_MAX {
        return Err(NameFault::TooLong);
    }
    for symbol in name.chars() {
        match symbol {
            '.' | '%' | ':' | '[' | ']' => return Err(NameFault::Separator(symbol)),
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
