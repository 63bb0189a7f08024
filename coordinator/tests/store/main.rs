//! The store on a real disk: what it keeps, what it refuses, what kills and damage do to it.

#![allow(clippy::unwrap_used)]

mod builders;
mod damage;
mod keeps;
mod kills;
