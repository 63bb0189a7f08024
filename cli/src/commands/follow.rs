//! A run that lives in this process, from its submission to its end, as its terminal sees it.

use std::io::Write;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, after, never, select};

use dagmar_common::ids::RunId;
use dagmar_common::problem::{Code, Problem};
use dagmar_common::record::RunStatus;
use dagmar_common::record::follow::{Change, Detail};
use dagmar_coordinator::services::Runs;

use crate::render::{events, progress};
use crate::wiring::Engine;

use super::cancel::{by_whom, request};
use super::{Session, ls};

/// At most ten drawings a second.
const REDRAW: Duration = Duration::from_millis(100);

/// After a longer pause we were stopped (Ctrl-Z), and what stands above the cursor is another's.
const STOPPED_FOR: Duration = Duration::from_secs(1);

/// How much a person wants to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loudness {
    /// Nothing while it runs.
    Quiet,
    /// A screen that is drawn again on a terminal; elsewhere a line for each step.
    Normal,
    /// A line for every change.
    Verbose,
}

impl Loudness {
    pub fn of(is_quiet: bool, is_verbose: bool) -> Self {
        match (is_quiet, is_verbose) {
            (true, _) => Loudness::Quiet,
            (false, true) => Loudness::Verbose,
            (false, false) => Loudness::Normal,
        }
    }

    pub fn detail(self) -> Detail {
        if self == Loudness::Verbose { Detail::Everything } else { Detail::Steps }
    }
}

/// Returns when the run has ended. Ctrl-C cancels it, a second one kills what runs.
pub fn until_end(
    session: &Session,
    engine: &dyn Engine,
    run: &RunId,
    changes: &Receiver<Change>,
    interrupts: &Receiver<()>,
    loudness: Loudness,
) -> Result<RunStatus, Problem> {
    let runs = engine.runs();
    let is_drawn = loudness == Loudness::Normal && session.err.is_live;
    let has_lines = loudness != Loudness::Quiet && !is_drawn;
    let mut drawing = Drawing { session, runs: &*runs, run, lines: 0, last: Instant::now() };
    let (mut interrupted, mut notices) = (0, engine.notices());
    loop {
        let tick = if is_drawn { after(drawing.until_next()) } else { never() };
        select! {
            recv(changes) -> change => match change {
                Ok(change) => {
                    if has_lines && let Some(line) = events::line(run, &change) {
                        session.hint(&line);
                    }
                    if let Change::Ended { status, .. } = change {
                        if is_drawn {
                            drawing.draw()?;
                        }
                        return Ok(status);
                    }
                }
                Err(_) if interrupted > 1 => return Err(killed(run)),
                Err(_) => return Err(lost(run, &*runs)),
            },
            recv(interrupts) -> _ => {
                interrupted += 1;
                stop(session, engine, run, interrupted)?;
                drawing.lines = 0;
            }
            recv(notices) -> notice => match notice {
                Ok(_) if loudness == Loudness::Quiet => {}
                Ok(notice) => {
                    session.hint(notice);
                    drawing.lines = 0;
                }
                // It stops, as `changes` tell.
                Err(_) => notices = never(),
            },
            recv(tick) -> _ => drawing.draw()?,
        }
        if is_drawn && drawing.until_next().is_zero() {
            drawing.draw()?;
        }
    }
}

/// The same without a terminal: the owner of a detached run. None: nothing came in time.
pub fn until_begin(changes: &Receiver<Change>, patience: Duration) -> Option<Change> {
    changes.recv_timeout(patience).ok()
}

fn stop(session: &Session, engine: &dyn Engine, run: &RunId, times: u32) -> Result<(), Problem> {
    if times > 1 {
        session.hint("killing what still runs");
        engine.kill();
        return Ok(());
    }
    session.hint(&format!("cancelling {run}; Ctrl-C again kills what runs"));
    match engine.runs().cancel(run, request()?, &by_whom()) {
        // It ended while the key was pressed: its end is on the way to us.
        Err(problem) if problem.code == Code::RunEnded => Ok(()),
        other => other,
    }
}

/// The cancel is durable, the ends of what was killed are not: another owner writes them down.
fn killed(run: &RunId) -> Problem {
    Problem::new(Code::Interrupted, format!("{run} was killed before its end was recorded"))
        .try_this(format!("dagmar resume {run}    to record it; nothing of it runs again"))
}

/// Whoever asks an engine that has stopped is told why.
fn lost(run: &RunId, runs: &dyn Runs) -> Problem {
    let why = runs.list().err().map(|problem| problem.details).unwrap_or_default();
    // Mostly the disk refused a write; a fault of ours would have been told by its panic.
    let problem = Problem::new(
        Code::Interrupted,
        format!("{run} is interrupted: its engine stopped before the run ended"),
    );
    why.into_iter()
        .fold(problem, Problem::because)
        .because("what was acknowledged is on the disk, and nothing of it runs any more")
        .try_this(format!("dagmar resume {run}    when that is mended"))
}

/// A few lines at the bottom of a terminal, drawn over themselves.
struct Drawing<'a> {
    session: &'a Session,
    runs: &'a dyn Runs,
    run: &'a RunId,
    /// That stand on the screen now.
    lines: usize,
    last: Instant,
}

impl Drawing<'_> {
    fn until_next(&self) -> Duration {
        REDRAW.saturating_sub(self.last.elapsed())
    }

    fn draw(&mut self) -> Result<(), Problem> {
        let pause = self.last.elapsed();
        self.last = Instant::now();
        if pause > STOPPED_FOR {
            self.lines = 0;
        }
        if !is_in_front() {
            self.lines = 0;
            return Ok(());
        }
        let screen = &self.session.err;
        let most = progress::steps_that_fit(screen);
        let progress = self.runs.progress(self.run, most)?;
        let lines = progress::lines(&progress, ls::now(), screen);
        let mut text = String::new();
        if self.lines > 0 {
            // Up to where the last drawing began, and nothing left below.
            text += &format!("\u{1b}[{}A\u{1b}[J", self.lines);
        }
        for line in &lines {
            text += line;
            text.push('\n');
        }
        // A terminal that went away is no reason to stop the run.
        let _ = std::io::stderr().write_all(text.as_bytes());
        self.lines = lines.len();
        Ok(())
    }
}

/// The terminal is ours to draw on: a run that was sent to the background is silent until its end.
fn is_in_front() -> bool {
    let ours = rustix::process::getpgrp();
    rustix::termios::tcgetpgrp(std::io::stderr()).is_ok_and(|front| front == ours)
}
