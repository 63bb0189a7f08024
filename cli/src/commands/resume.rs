//! `dagmar resume`: an interrupted run goes on where it was, with what was submitted.

use dagmar_common::ids::RunId;
use dagmar_common::problem::{Code, Problem};

use crate::arguments::ResumeArguments;
use crate::failure::Done;
use crate::local::live::{self, Live, Standing};
use crate::reference::Reference;
use crate::wiring::Opening;

use super::find::{choose, taken_over};
use super::follow::Loudness;
use super::{Session, finish, own};

pub fn perform(session: &Session, arguments: &ResumeArguments) -> Done {
    let reference = Reference::parse_run("resume", &arguments.run)?;
    finish::settle(&session.project)?;
    let run = choose(session, &reference)?;
    match live::look(&session.project, &run)? {
        Some(Standing::Interrupted) => {}
        Some(Standing::Owned(owner)) => {
            let pid = owner.pid;
            let problem = Problem::new(
                Code::StillRunning,
                format!("{run} is not interrupted: process {pid} works on it"),
            );
            return Err(problem.try_this(format!("dagmar logs -f {run}")).into());
        }
        Some(Standing::Ended) | None => return Err(ended(&run).into()),
    }
    let Some(live) = Live::adopt(&session.project, &run)? else {
        return Err(taken_over(&run).into());
    };
    let loudness = Loudness::of(arguments.quiet, arguments.verbose);
    own::live_through(session, live, Opening::Resume, None, loudness)
}

fn ended(run: &RunId) -> Problem {
    Problem::new(Code::RunEnded, format!("{run} has ended; only what was interrupted goes on"))
        .try_this(format!("dagmar show {run}"))
}
