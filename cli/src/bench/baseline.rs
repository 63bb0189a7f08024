//! What the bench compares with, taken in the same minutes: bare spawn loops, xargs, bare commits.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use super::cpu::Cpu;
use super::report::Timed;

/// A bare loop is asked for at most this many processes each time; rates do not change with more.
const SPAWNS_MAX: u32 = 5_000;
/// Appends to the bare log.
const APPENDS: usize = 200;
/// Bytes of each, about one entry of a chain.
pub const APPEND_BYTES: usize = 512;

/// The same command from a bare loop of posix_spawn and wait, on as many threads as cpus.
pub fn spawn_loop(words: &[&str], tasks: u32, threads: usize) -> anyhow::Result<Timed> {
    let tasks = tasks.min(SPAWNS_MAX);
    let (left, failed) = (AtomicU32::new(tasks), AtomicU32::new(0));
    let (cpu, begun) = (Cpu::now(), Instant::now());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while take_one(&left) {
                    let status = Command::new(words[0]).args(&words[1..]).status();
                    if !status.is_ok_and(|status| status.success()) {
                        failed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    match failed.into_inner() {
        0 => Ok(Timed { count: tasks, wall: begun.elapsed(), cpu: cpu.until_now() }),
        failed => bail!("{failed} of {tasks} bare runs of {} failed", words[0]),
    }
}

fn take_one(left: &AtomicU32) -> bool {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
}

/// `seq TASKS | xargs -P THREADS -n1 /bin/true`; None where there is no xargs.
pub fn xargs(tasks: u32, threads: usize) -> anyhow::Result<Option<Timed>> {
    let tasks = tasks.min(SPAWNS_MAX);
    let (cpu, begun) = (Cpu::now(), Instant::now());
    let child = Command::new("xargs")
        .args(["-P", &threads.to_string(), "-n1", "/bin/true"])
        .stdin(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else { return Ok(None) };
    let numbers: String = (1..=tasks).map(|number| format!("{number}\n")).collect();
    let mut input = child.stdin.take().context("xargs has no stdin")?;
    input.write_all(numbers.as_bytes()).context("xargs stopped reading")?;
    drop(input);
    let status = child.wait().context("waiting for xargs")?;
    if !status.success() {
        bail!("xargs ended with {status}");
    }
    Ok(Some(Timed { count: tasks, wall: begun.elapsed(), cpu: cpu.until_now() }))
}

/// Each a durable append to a plain file in `directory`, fastest log there is.
pub fn appends(directory: &Path) -> anyhow::Result<Vec<Duration>> {
    let path = directory.join("bare-log");
    let mut file = File::create(&path).with_context(|| format!("{}", path.display()))?;
    let bytes = [7_u8; APPEND_BYTES];
    let mut took = Vec::with_capacity(APPENDS);
    for _ in 0..APPENDS {
        let begun = Instant::now();
        file.write_all(&bytes)?;
        file.sync_data()?;
        took.push(begun.elapsed());
    }
    std::fs::remove_file(&path)?;
    Ok(took)
}
