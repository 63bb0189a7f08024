//! Seeds that once found something: each is lived again by every test run.

/// Of a whole life of one coordinator on its disk (`single`), and what it found.
pub const SINGLE: [(u64, &str); 0] = [];
