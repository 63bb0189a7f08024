//! The simulator: the very cores of coordinator and worker, driven from a seed.

mod brain;
mod cluster;
mod executor;
mod faults;
mod judge;
mod leading;
mod lease;
mod model;
mod random;
mod streams;
mod whole;
mod working;
