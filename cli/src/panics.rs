//! Panics in words of our own: a damaged log as damage, everything else as a fault to report.

use std::io::Write;
use std::panic::PanicHookInfo;

use dagmar_common::problem::{Code, Problem};
use dagmar_coordinator::store;

use crate::exit::Exit;
use crate::render::{Screen, problem};

/// From now on a panic is told like any problem. While a log is opened it is the storage
/// engine's word for damage: where panics unwind the store says so itself, where they abort this
/// is the last chance.
pub fn tell_in_our_words() {
    std::panic::set_hook(Box::new(|info| {
        let problem = match store::being_opened() {
            Some(_) if cfg!(panic = "unwind") => return,
            Some(directory) => damaged(&directory),
            None => fault(info),
        };
        let text = problem::lines(&problem, &Screen::plain()).join("\n") + "\n";
        // Where stderr is closed there is nobody left to tell.
        let _ = std::io::stderr().write_all(text.as_bytes());
        if store::being_opened().is_some() {
            std::process::exit(Exit::of_problem(&problem) as i32);
        }
    }));
}

fn damaged(directory: &std::path::Path) -> Problem {
    let directory = directory.display();
    Problem::new(Code::Damaged, format!("the log in {directory} is damaged"))
        .because("the storage engine cannot make sense of it")
        .try_this(format!("keep a copy of {directory}, then run the pipeline again"))
}

fn fault(info: &PanicHookInfo<'_>) -> Problem {
    let payload = info.payload();
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let said = text.unwrap_or("it gave no reason");
    let place = info.location().map_or_else(String::new, ToString::to_string);
    Problem::new(Code::Internal, format!("a fault of this program: {said}"))
        .at(place)
        .because("what was acknowledged is on the disk")
        .try_this("report it with this text and `dagmar version`; dagmar resume RUN goes on")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_says_what_where_and_what_next() {
        let problem = damaged(std::path::Path::new("/there/log"));
        let text = problem::lines(&problem, &Screen::plain()).join("\n");
        for part in ["E0901", "the log in /there/log is damaged", "keep a copy"] {
            assert!(text.contains(part), "no {part:?} in {text}");
        }
    }
}
