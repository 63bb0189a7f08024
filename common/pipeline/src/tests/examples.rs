//! The shipped examples compile without a word.
