//! What people see: progress, lines of events, failures, tables, problems. Values in, text out.

pub mod events;
pub mod failure;
pub mod problem;
pub mod progress;
pub mod screen;
pub mod table;
pub mod text;

pub use screen::Screen;
