//! The package of those tests that need several crates at once; they lie in `it` and in `sim`.
