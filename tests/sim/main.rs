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
mod manners;
mod model;
#[cfg(dagmar_mutants)]
mod mutants;
mod pipelines;
mod random;
#[cfg(dagmar_mutants)]
mod replicas;
mod scenario;
mod single;
mod streams;
mod whole;
mod working;
