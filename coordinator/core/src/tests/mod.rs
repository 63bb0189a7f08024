//! The tests of the state machine as a whole: a small domain language, worked examples, models.

mod bounds;
mod drawing;
mod model;
mod random;
mod rows;
mod world;
