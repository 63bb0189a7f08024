//! `dagmar cancel`: ends a live run; acknowledged as soon as that is durable.

use std::io::Write;

use dagmar_common::ids::RequestId;
use dagmar_common::problem::{Code, Problem};

use crate::arguments::CancelArguments;
use crate::exit::Exit;
use crate::failure::Done;
use crate::reference::Reference;

use super::find::find;
use super::{Session, stdout};

pub fn perform(session: &Session, arguments: &CancelArguments) -> Done {
    Reference::parse_run("cancel", &arguments.run)?;
    let found = find(session, &arguments.run)?;
    if found.is_interrupted {
        let run = &found.run;
        return Err(Problem::new(
            Code::Interrupted,
            format!("{run} is interrupted: nothing of it runs"),
        )
        .try_this(format!("dagmar resume {run}    to go on, then Ctrl-C to end it"))
        .into());
    }
    let reason = arguments.reason.clone().unwrap_or_else(by_whom);
    found.runs.cancel(&found.run, request()?, &reason)?;
    let mut out = stdout();
    writeln!(out, "{} is being cancelled", found.run)?;
    out.flush()?;
    Ok(Exit::Success)
}

/// `cancelled by anna`, as far as that is known.
pub fn by_whom() -> String {
    match std::env::var("USER") {
        Ok(user) if !user.is_empty() => format!("cancelled by {user}"),
        _ => "cancelled".to_owned(),
    }
}

/// A name for one changing request that nobody else gives.
pub fn request() -> Result<RequestId, Problem> {
    let mut bytes = [0; 16];
    match getrandom::fill(&mut bytes) {
        Ok(()) => Ok(RequestId(u128::from_be_bytes(bytes))),
        Err(error) => {
            Err(Problem::new(Code::Internal, format!("the system gives no random bytes: {error}")))
        }
    }
}
