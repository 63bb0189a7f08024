//! `dagmar help`, `dagmar version`, and `dagmar` alone.

use std::io::Write;

use clap::CommandFactory;

use dagmar_common::problem::{Code, Problem};

use crate::arguments::Arguments;
use crate::exit::{self, Exit};
use crate::failure::Done;

use super::stdout;

/// What `dagmar` alone says.
pub fn first_steps() -> Done {
    let version = env!("CARGO_PKG_VERSION");
    let mut out = stdout();
    writeln!(out, "dagmar {version}: runs graphs of work, and remembers exactly what it ran")?;
    writeln!(out, "  run a pipeline here, without a server    dagmar run pipeline.yaml")?;
    writeln!(out, "  see what ran here                        dagmar ls")?;
    writeln!(out, "everything else: dagmar --help")?;
    out.flush()?;
    Ok(Exit::Success)
}

pub fn version() -> Done {
    let mut out = stdout();
    writeln!(out, "dagmar {}", env!("CARGO_PKG_VERSION"))?;
    out.flush()?;
    Ok(Exit::Success)
}

pub fn perform(topic: Option<&str>) -> Done {
    let mut command = Arguments::command();
    let text = match topic {
        None => command.render_long_help().to_string(),
        Some("exit-codes") => exit::TEXT.to_owned(),
        Some(topic) => {
            command.build();
            let found = command.find_subcommand_mut(topic);
            let Some(found) = found.filter(|command| !command.is_hide_set()) else {
                let problem = Problem::new(Code::Usage, format!("no help about {topic:?}"));
                return Err(problem.try_this("dagmar --help").into());
            };
            found.render_long_help().to_string()
        }
    };
    let mut out = stdout();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(Exit::Success)
}
