//! Panics in words of our own: a damaged log as damage, everything else as a fault to report.

use std::panic::PanicHookInfo;

use dagmar_common::problem::{Code, Problem};
use dagmar_coordinator::underway::{self, Underway};

use crate::failure::Failure;
use crate::local::damage;
use crate::render::Screen;

/// From now on a panic anywhere is told like any problem and ends the process at once, however
/// this program was built: whoever waits for the thread that is gone would wait for ever. What was
/// acknowledged is durable, and the supervisor kills what runs.
///
/// While a log is opened a panic is the storage engine's word for damage.
pub fn tell_in_our_words(as_json: bool) {
    std::panic::set_hook(Box::new(move |info| {
        let problem = match underway::here() {
            Some(Underway::Opening(directory)) => {
                let why = "the storage engine cannot make sense of it";
                damage::of_store_directory(&directory, format!("{why}: {}", said(info)))
            }
            Some(Underway::Applying(index)) => {
                fault(info).because(format!("while it applied entry {index} of the log"))
            }
            None => fault(info),
        };
        let exit = Failure::from(problem).tell(&Screen::plain(), as_json);
        std::process::exit(exit as i32);
    }));
}

fn said(info: &PanicHookInfo<'_>) -> String {
    let payload = info.payload();
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("it gave no reason").to_owned()
}

fn fault(info: &PanicHookInfo<'_>) -> Problem {
    let place = info.location().map_or_else(String::new, ToString::to_string);
    Problem::new(Code::Internal, format!("a fault of this program: {}", said(info)))
        .at(place)
        .because("what was acknowledged is on the disk")
        .try_this("report it with this text and `dagmar version`; dagmar resume RUN goes on")
}
