//! What tasks write to stdout and stderr: kept in shared segments, read whole, live, or its end.

pub mod chunk;
pub mod read;
pub mod segments;
pub mod tail;

pub use dagmar_supervisor::protocol::Stream;
