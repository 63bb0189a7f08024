//! The words of the lease protocol, spoken between a leader's session and a worker's agent.

mod message;
mod outcome;

pub use message::{
    Begun, FromWorker, Heartbeat, Held, HeldAs, Hello, HelloAnswer, Numbered, Returned, Start,
    ToWorker, TrialName, Verdict,
};
pub use outcome::{Ending, ExitReason, LogPlace, Outcome, Output, OutputWay};
