//! The tests of the state machine as a whole: a small domain language, worked examples, models.

mod bounds;
mod care;
pub mod drawing;
mod leases;
mod model;
mod random;
mod regain;
mod requests;
mod rows;
mod scale;
mod values;
pub mod world;
