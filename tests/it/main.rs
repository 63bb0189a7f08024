//! The integration tests of the house, as one binary: its own rules first.

mod tidy;
