//! Seeds that once found something: each is lived again by every test run.

/// Of a whole life of a cluster, and what it found. That has a small test of its own beside what
/// was mended, or an assertion of the simulator: a seed tells another story whenever the simulator
/// draws otherwise.
pub const CLUSTER: [(u64, &str); 5] = [
    (0, "what a leader proposed while it handed over in vain was lost: a run never left the state"),
    (1, "a graph that somebody began to stage in pieces of another size could never be staged"),
    (20, "a worker within says what an earlier life had begun, or it is begun again"),
    (214, "a log that a crash left behind the snapshot it was sent took no entry ever again"),
    (101_000, "two streams within one process drove each other out, for ever"),
];
