//! Everything that reads bytes from outside, each with a property that any bytes must keep.
//!
//! What has a checksum gets one that holds, so that the forms behind it are tried. `cargo test`
//! runs every target on mutated seeds; `bin/` runs the same ones under libFuzzer.

pub mod entry;
pub mod frame;
pub mod graph;
pub mod message;
pub mod pipeline;
pub mod record;
pub mod segment;
pub mod snapshot;

pub struct Target {
    pub name: &'static str,
    /// Panics where the property does not hold.
    pub check: fn(&[u8]),
    /// Valid inputs, and some that are nearly so.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

pub const ALL: [Target; 8] = [
    Target { name: "entry", check: entry::check, seeds: entry::seeds },
    Target { name: "frame", check: frame::check, seeds: frame::seeds },
    Target { name: "graph", check: graph::check, seeds: graph::seeds },
    Target { name: "message", check: message::check, seeds: message::seeds },
    Target { name: "pipeline", check: pipeline::check, seeds: pipeline::seeds },
    Target { name: "record", check: record::check, seeds: record::seeds },
    Target { name: "segment", check: segment::check, seeds: segment::seeds },
    Target { name: "snapshot", check: snapshot::check, seeds: snapshot::seeds },
];
