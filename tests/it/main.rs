//! The integration tests of the house, as one binary: its own rules among them.

mod pages;
mod tidy;
