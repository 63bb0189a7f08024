//! The price of a process: through supervisor and client, against bare loops, in turn.
//!
//! `spawn_bench [TASKS] [ROUNDS] [WINDOW]`; WINDOW is how many trials are under way at once. With
//! no rounds it runs ours once and measures nothing, for a profiler.

use std::collections::BTreeMap;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use dagmar_common::graph::{self, Function, Resources, Shell, Task};
use dagmar_common::ids::{Fence, LogIndex, NodeNo, RunId, RunNo};
use dagmar_common::lease::{Ending, Start, TrialName};
use dagmar_common::view::Scope;
use dagmar_worker::executor::Report;
use dagmar_worker::executor::process::{Config, Processes};

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some(dagmar_supervisor::ARGUMENT) {
        return dagmar_supervisor::main();
    }
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("spawn_bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

struct Sizes {
    tasks: usize,
    threads: usize,
    window: usize,
}

/// What one turn took, for one task.
#[derive(Clone, Copy)]
struct Taken {
    wall_us: f64,
    cpu_us: f64,
}

fn measure() -> Result<()> {
    let mut numbers = std::env::args().skip(1).map(|text| text.parse::<usize>());
    let mut number = |default| numbers.next().unwrap_or(Ok(default)).context("a number");
    let threads = std::thread::available_parallelism()?.get();
    let (tasks, rounds) = (number(10_000)?, number(3)?);
    let profiled = rounds == 0;
    let sizes = Sizes { tasks, threads, window: number(threads)? };
    let truth: &[&str] = &["/bin/true"];
    let shell: &[&str] = &["/bin/sh", "-e", "-c", "/bin/true", "sh"];
    type Turn<'a> = (&'a str, Box<dyn Fn() -> Result<()> + 'a>);
    if profiled {
        // Ours alone, for a profiler.
        return supervised(&sizes, &words(truth));
    }
    let turns: Vec<Turn<'_>> = vec![
        ("bare [/bin/true]", Box::new(|| bare(&sizes, truth))),
        ("xargs [/bin/true]", Box::new(|| xargs(&sizes))),
        ("dagmar [/bin/true]", Box::new(|| supervised(&sizes, &words(truth)))),
        ("bare sh -e", Box::new(|| bare(&sizes, shell))),
        ("dagmar \"/bin/true\"", Box::new(|| supervised(&sizes, &script("/bin/true")))),
    ];
    let mut taken: BTreeMap<usize, Vec<Taken>> = BTreeMap::new();
    for _ in 0..rounds {
        for (place, (_, turn)) in turns.iter().enumerate() {
            taken.entry(place).or_default().push(time(tasks, turn)?);
        }
    }
    println!("{tasks} tasks, {rounds} rounds, {threads} threads, {} under way", sizes.window);
    println!("{:20} {:>10} {:>12} {:>12}", "medians", "tasks/s", "wall us", "cpu us");
    let medians: Vec<Taken> = taken.values().map(|turns| median(turns)).collect();
    for ((name, _), taken) in turns.iter().zip(&medians) {
        let rate = 1e6 / taken.wall_us;
        println!("{name:20} {rate:10.0} {:12.1} {:12.1}", taken.wall_us, taken.cpu_us);
    }
    for (name, ours, other) in [("xargs", 2, 1), ("bare", 2, 0), ("bare, both with sh", 4, 3)] {
        let (ours, other) = (medians[ours], medians[other]);
        let (rate, cpu) = (other.wall_us / ours.wall_us, other.cpu_us / ours.cpu_us);
        println!("dagmar / {name}: {rate:.2} in rate, {cpu:.2} by cpu");
    }
    Ok(())
}

fn time(tasks: usize, turn: &dyn Fn() -> Result<()>) -> Result<Taken> {
    let (began, cpu) = (Instant::now(), cpu_us()?);
    turn()?;
    let each = |us: f64| us / tasks as f64;
    Ok(Taken { wall_us: each(began.elapsed().as_secs_f64() * 1e6), cpu_us: each(cpu_us()? - cpu) })
}

fn median(turns: &[Taken]) -> Taken {
    let middle = |of: fn(&Taken) -> f64| {
        let mut all: Vec<f64> = turns.iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    Taken { wall_us: middle(|taken| taken.wall_us), cpu_us: middle(|taken| taken.cpu_us) }
}

/// Of this process and all that it has waited for, theirs included.
fn cpu_us() -> Result<f64> {
    let text = std::fs::read_to_string("/proc/self/stat")?;
    let fields = text.rsplit(')').next().context("a name in brackets")?;
    let times: Result<Vec<f64>, _> =
        fields.split_ascii_whitespace().skip(11).take(4).map(str::parse).collect();
    Ok(times?.iter().sum::<f64>() * 10_000.0)
}

fn bare(sizes: &Sizes, words: &[&str]) -> Result<()> {
    let left = AtomicUsize::new(sizes.tasks);
    let one_less = |left: usize| left.checked_sub(1);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..sizes.threads)
            .map(|_| {
                scope.spawn(|| -> Result<()> {
                    while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok()
                    {
                        let status = Command::new(words[0]).args(&words[1..]).status()?;
                        ensure!(status.success(), "{words:?} failed");
                    }
                    Ok(())
                })
            })
            .collect();
        threads.into_iter().try_for_each(|thread| match thread.join() {
            Ok(result) => result,
            Err(_) => Err(anyhow::anyhow!("a thread panicked")),
        })
    })
}

fn xargs(sizes: &Sizes) -> Result<()> {
    let mut numbers =
        Command::new("seq").arg(sizes.tasks.to_string()).stdout(Stdio::piped()).spawn()?;
    let input = numbers.stdout.take().context("a pipe")?;
    let status = Command::new("xargs")
        .args([format!("-P{}", sizes.threads).as_str(), "-n1", "/bin/true"])
        .stdin(input)
        .status()?;
    numbers.wait()?;
    ensure!(status.success(), "xargs failed");
    Ok(())
}

fn supervised(sizes: &Sizes, function: &Function) -> Result<()> {
    let root = std::env::temp_dir().join(format!("dagmar-spawn-bench-{}", std::process::id()));
    let config = Config::in_place(root.clone(), std::env::current_dir()?);
    let (tell, reports) = channel();
    let cpu_millis = 1_000 * sizes.threads as u32;
    let processes = Processes::start(&config, cpu_millis, move |reports| {
        // The end of the channel is the end of this turn.
        let _ = tell.send(reports);
    })?;
    let task = Arc::new(Task {
        function: function.clone(),
        max_attempts: 1,
        backoff: None,
        time_limit: None,
        resources: Resources::default(),
        care: Default::default(),
    });
    let (mut begun, mut ended) = (0, 0);
    let mut start = |count: usize| -> Result<()> {
        let last = sizes.tasks.min(begun + count);
        let starts: Vec<Start> = (begun..last).map(|number| trial(number, &task)).collect();
        begun = last;
        ensure!(processes.run(&starts).is_empty(), "a trial did not begin");
        Ok(())
    };
    start(sizes.window)?;
    while ended < sizes.tasks {
        let mut finished = 0;
        for report in reports.recv()? {
            match report {
                Report::Begun(_) => {}
                Report::Finished(outcome) => {
                    ensure!(outcome.ending == Ending::Succeeded, "{outcome:?}");
                    finished += 1;
                }
                other => anyhow::bail!("{other:?}"),
            }
        }
        ended += finished;
        if finished > 0 {
            start(finished)?;
        }
    }
    processes.shut_down();
    std::fs::remove_dir_all(root)?;
    Ok(())
}

fn trial(number: usize, task: &Arc<Task>) -> Start {
    Start {
        fence: Fence(number as u64 + 1),
        name: TrialName {
            run: RunNo(1),
            run_id: RunId::new("bench"),
            tag: "".into(),
            path: "step".into(),
            node: NodeNo(number as u32),
            attempt: 1,
            indices: [].into(),
            items: Arc::default(),
            granted: LogIndex(1),
        },
        task: task.clone(),
        scope: Scope::default(),
    }
}

fn words(words: &[&str]) -> Function {
    Function::Process(graph::Command::Words(words.iter().map(|word| word.to_string()).collect()))
}

fn script(text: &str) -> Function {
    Function::Process(graph::Command::Script { text: text.to_owned(), shell: Shell::Sh })
}
