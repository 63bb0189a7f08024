//! What is wrong with the outputs of a task, as its owner is told.

use std::fmt;

use dagmar_common::problem::shown;

/// Why there are no outputs: what is wrong, where, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadOutput {
    pub place: Place,
    pub reason: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Of the file, from 1.
    Line(usize),
    File,
    Variable(String),
    Exports,
    All,
}

impl fmt::Display for BadOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Line(line) => write!(f, "$DAGMAR_OUTPUT line {line}: "),
            Place::File => write!(f, "$DAGMAR_OUTPUT: "),
            Place::Variable(name) => write!(f, "variable {}: ", shown(name)),
            Place::Exports => write!(f, "what this script exports: "),
            Place::All => write!(f, "the outputs of this step: "),
        }?;
        f.write_str(&self.reason)
    }
}
