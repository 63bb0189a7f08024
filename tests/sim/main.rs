//! The simulator: the very cores of coordinator and worker, driven from a seed.

mod brain;
mod cluster;
mod disk;
mod executor;
mod faults;
mod history;
mod hosts;
mod judge;
mod kept;
mod leading;
mod lease;
mod linear;
mod model;
mod pipelines;
mod random;
mod single;
mod streams;
mod whole;
mod working;
