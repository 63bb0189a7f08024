//! Seeds that once found something: each is lived again by every test run.

/// Of a whole life of one coordinator on its disk (`single`), and what it found.
pub const SINGLE: [(u64, &str); 2] = [
    (1, "a worker greets a leader whose first entry is not committed: its round was asked forever"),
    (11, "the same after a crash with a log to apply again"),
];

/// The same of a whole cluster.
pub const CLUSTER: [(u64, &str); 0] = [];
