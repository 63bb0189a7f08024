//! The simulator: the very cores of coordinator and worker, driven from a seed.

mod cluster;
mod disk;
mod executor;
mod history;
mod judge;
mod kept;
mod linear;
mod manners;
#[cfg(dagmar_mutants)]
mod mutants;
mod pipelines;
mod random;
#[cfg(dagmar_mutants)]
mod replicas;
mod scenario;
mod streams;
mod working;
