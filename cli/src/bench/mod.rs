//! `dagmar bench`: one graph through the whole embedded stack, and what it compares with.

mod baseline;
mod cpu;
mod report;
mod shapes;

use std::io::Write as _;
use std::path::Path;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use dagmar_common::graph::encode;
use dagmar_common::ids::{RequestId, RunId, RunNo};
use dagmar_common::problem::{Code, Problem};
use dagmar_common::record::{Entry, RunRecord, RunStatus, Submission};
use dagmar_common::time::WallTime;
use dagmar_common::value::Value;
use dagmar_coordinator::clock;
use dagmar_coordinator::handle::{Handle, Interest, Watched};
use dagmar_coordinator::services::Story;
use dagmar_coordinator_core::effect::Event;

use self::cpu::{Cpu, resident};
use self::report::{Beside, Compared, Rate, Report, Timed, quantile_ms};
use self::shapes::Work;
use crate::arguments::{BenchArguments, BenchFunction, Output, Shape};
use crate::local::embedded::{Embedded, Place};
use crate::wiring::{Engine as _, Opening};

/// Durable commits of the log store, bare, for the figure that hops are compared with.
const COMMITS: usize = 100;

/// Measures, and prints what was asked for.
pub fn print(arguments: &BenchArguments) -> anyhow::Result<()> {
    let report = run(arguments)?;
    let text = match arguments.output {
        Output::Json => format!("{}\n", serde_json::to_string_pretty(&report)?),
        Output::Table => report.for_people(),
    };
    std::io::stdout().write_all(text.as_bytes()).context("writing the figures")
}

/// Runs the bench in a directory of its own beside the runs, which it removes.
fn run(arguments: &BenchArguments) -> anyhow::Result<Report> {
    let directory = std::env::current_dir()?.join(".dagmar").join("bench");
    let directory = directory.join(std::process::id().to_string());
    std::fs::create_dir_all(&directory).with_context(|| format!("{}", directory.display()))?;
    let report = measure(arguments, &directory);
    // What is left behind costs disk and nothing else; the figures matter more.
    let _ = std::fs::remove_dir_all(&directory);
    report
}

fn measure(arguments: &BenchArguments, directory: &Path) -> anyhow::Result<Report> {
    let work = shapes::work(arguments.shape, arguments.function, arguments.tasks);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut appends = baseline::appends(directory)?;
    let mut commits = dagmar_coordinator::store::time_commits(
        &directory.join("bare-store"),
        COMMITS,
        baseline::APPEND_BYTES,
    )?;
    let (nodes, is_chain) = (work.nodes, arguments.shape == Shape::Chain);
    if arguments.beside.is_some() && !is_chain {
        let problem = Problem::new(Code::Usage, "a run beside it is timed by the hops of a chain");
        return Err(problem.try_this("dagmar bench --shape chain --beside STUBS").into());
    }
    // Half of what it is compared with before it and half behind: a machine drifts.
    let before = Others::time(arguments, threads)?;
    let measured = through_the_stack(directory, work, is_chain, arguments.beside)?;
    let others = before.and(Others::time(arguments, threads)?);
    let mut hops = measured.hops;
    let rate = nodes as f64 / measured.wall.as_secs_f64();
    let (spawn_loop, xargs) = (others.spawn_loop.map(Rate::of), others.xargs.map(Rate::of));
    let compared = Compared {
        append_p50_ms: quantile_ms(&mut appends, 0.5).context("no append was timed")?,
        spawn_loop,
        xargs,
        to_spawn_loop: spawn_loop.map(|bare| rate / bare.per_s),
        to_xargs: xargs.map(|xargs| rate / xargs.per_s),
    };
    Ok(Report {
        shape: arguments.shape.name(),
        function: arguments.function.name(),
        tasks: arguments.tasks,
        cpus: threads,
        wall_s: measured.wall.as_secs_f64(),
        trials_per_s: rate,
        cpu_us_per_trial: measured.cpu.as_secs_f64() * 1e6 / nodes as f64,
        submitted_s: measured.submitted.as_secs_f64(),
        bytes_per_node: measured.memory_ready as f64 / nodes as f64,
        beside: measured.beside,
        hop_p50_ms: quantile_ms(&mut hops, 0.5),
        hop_p99_ms: quantile_ms(&mut hops, 0.99),
        commit_p50_ms: quantile_ms(&mut commits, 0.5).context("no commit was timed")?,
        commit_p99_ms: quantile_ms(&mut commits, 0.99).context("no commit was timed")?,
        memory_growth_mib: measured.memory_growth as f64 / f64::from(1 << 20),
        compared,
    })
}

/// How others start the same processes, half as many each time.
struct Others {
    spawn_loop: Option<Timed>,
    xargs: Option<Timed>,
}

impl Others {
    fn time(arguments: &BenchArguments, threads: usize) -> anyhow::Result<Others> {
        let words: &[&str] = match arguments.function {
            BenchFunction::True => &["/bin/true"],
            BenchFunction::ShTrue => &["/bin/sh", "-e", "-c", "/bin/true"],
            BenchFunction::Noop | BenchFunction::Stub => {
                return Ok(Others { spawn_loop: None, xargs: None });
            }
        };
        let half = arguments.tasks.div_ceil(2);
        let spawn_loop = Some(baseline::spawn_loop(words, half, threads)?);
        let xargs = match arguments.function {
            BenchFunction::True => baseline::xargs(half, threads)?,
            _ => None,
        };
        Ok(Others { spawn_loop, xargs })
    }

    fn and(self, other: Others) -> Others {
        let both = |one: Option<Timed>, other: Option<Timed>| Some(one? + other?);
        Others {
            spawn_loop: both(self.spawn_loop, other.spawn_loop),
            xargs: both(self.xargs, other.xargs),
        }
    }
}

struct Measured {
    wall: Duration,
    cpu: Duration,
    submitted: Duration,
    memory_ready: u64,
    memory_growth: u64,
    beside: Option<Beside>,
    /// Between the ends of neighbours, where the shape is a chain.
    hops: Vec<Duration>,
}

fn through_the_stack(
    directory: &Path,
    work: Work,
    is_chain: bool,
    beside: Option<u32>,
) -> anyhow::Result<Measured> {
    let nodes = work.nodes;
    let live = directory.join("live");
    std::fs::create_dir_all(&live).with_context(|| format!("{}", live.display()))?;
    let place = Place { directory: live, project: directory.to_owned() };
    let mut embedded = Embedded::open(&place, Opening::New)?;
    let handle = embedded.handle().clone();
    let watched = handle.watch(Interest::Runs)?;
    let submission = submission(1, "bench", work);
    let large = beside.map(submission_of_stubs);
    let memory_before = cpu::resident_trimmed().saturating_sub(submission.graph.len() as u64);
    let (cpu, begun) = (Cpu::now(), Instant::now());
    let run = embedded.runs().submit(submission)?;
    let id = run.clone();
    let number = handle.read(move |state| state.find_run(&id).map(|view| view.number()))?;
    let number = number.context("the bench's run is not there")?;
    until_ready(&handle, number)?;
    let (submitted, (memory_ready, _)) = (begun.elapsed(), resident());
    let runs = embedded.runs();
    let large = large.map(|large| std::thread::spawn(move || (clock::wall(), runs.submit(large))));
    let status = until_end(&handle, &watched, number)?;
    let wall = begun.elapsed();
    if status != RunStatus::Succeeded {
        bail!("the bench's run ended {status:?}");
    }
    count_is(&handle, number, nodes)?;
    let (_, memory_most) = resident();
    let runs = embedded.runs();
    let hops = match is_chain {
        true => hops_of(runs.story(&run)?)?,
        false => Vec::new(),
    };
    let beside = match large.map(JoinHandle::join) {
        None => None,
        Some(Err(_)) => bail!("the submission beside the chain broke"),
        Some(Ok((begun, run))) => {
            let other = runs.story(&run?)?.record;
            Some(beside_it(&hops, begun, &other)?)
        }
    };
    embedded.stop();
    if let Some(why) = embedded.failure() {
        bail!("the engine broke: {why}");
    }
    drop(embedded);
    Ok(Measured {
        wall,
        cpu: cpu.until_now(),
        submitted,
        memory_ready: memory_ready.saturating_sub(memory_before),
        memory_growth: memory_most.saturating_sub(memory_before),
        beside,
        hops: hops.iter().map(|(_, took)| *took).collect(),
    })
}

fn submission(request: u128, run: &str, work: Work) -> Submission {
    Submission {
        request: RequestId(request),
        run: RunId::new(run),
        generated: false,
        tag: String::new(),
        graph: encode(&work.graph).into(),
        parameters: work.parameters,
        context: Value::from_spelled("{}"),
    }
}

fn submission_of_stubs(stubs: u32) -> Submission {
    submission(2, "beside", shapes::work(Shape::Layers, BenchFunction::Stub, stubs))
}

/// Something of the run is ready, or has ended already.
fn until_ready(handle: &Handle, number: RunNo) -> anyhow::Result<()> {
    loop {
        let counts = handle.read(move |state| state.run(number).map(|run| run.counts()))?;
        let counts = counts.context("the bench's run has left the state")?;
        if counts.active + counts.ended() > 0 {
            return Ok(());
        }
    }
}

/// The bench counts nothing that did not happen.
fn count_is(handle: &Handle, number: RunNo, nodes: u64) -> anyhow::Result<()> {
    let counts = handle.read(move |state| state.run(number).map(|run| run.counts()))?;
    let counts = counts.context("the bench's run has left the state")?;
    if counts.succeeded < nodes {
        bail!("{} of {nodes} nodes succeeded", counts.succeeded);
    }
    Ok(())
}

fn until_end(
    handle: &Handle,
    watched: &crossbeam_channel::Receiver<Watched>,
    number: RunNo,
) -> anyhow::Result<RunStatus> {
    loop {
        match watched.recv().context("the engine stopped during the bench")? {
            Watched::Event(Event::RunEnded { run, status, .. }) if run == number => {
                return Ok(status);
            }
            Watched::Event(_) => {}
            Watched::Reset { .. } => {
                // Events were dropped, the end perhaps among them.
                let status = handle.read(move |state| state.run(number).map(|run| run.status()));
                match status?.context("the bench's run has left the state")? {
                    RunStatus::Running => {}
                    status => return Ok(status),
                }
            }
        }
    }
}

/// The hops of a chain: when each trial began, and how long after the one before it.
fn hops_of(story: Story) -> anyhow::Result<Vec<(WallTime, Duration)>> {
    let mut begun = Vec::new();
    for entry in story.entries {
        if let Entry::Node(node) = entry? {
            begun.extend(node.attempts.first().map(|attempt| attempt.began));
        }
    }
    let pairs = begun.windows(2);
    let hop = |pair: &[WallTime]| Duration::from_micros(pair[1].0.abs_diff(pair[0].0));
    Ok(pairs.map(|pair| (pair[1], hop(pair))).collect())
}

/// Those between the submission of another run and its end.
fn beside_it(
    hops: &[(WallTime, Duration)],
    begun: WallTime,
    other: &RunRecord,
) -> anyhow::Result<Beside> {
    let no_measure = |why, then| Problem::new(Code::Usage, why).try_this(then);
    let ended = other.ended.ok_or_else(|| {
        no_measure("the chain ended before the run beside it", "the same with more --tasks")
    })?;
    let during = hops.iter().filter(|(at, _)| (begun..=ended).contains(at));
    let mut times: Vec<Duration> = during.map(|(_, took)| *took).collect();
    let mut hop = |share| {
        quantile_ms(&mut times, share).ok_or_else(|| {
            no_measure(
                "the run beside the chain ended before one hop did",
                "the same with a larger --beside",
            )
        })
    };
    let (p50, p99, most) = (hop(0.5)?, hop(0.99)?, hop(1.0)?);
    Ok(Beside {
        took_s: ended.0.abs_diff(begun.0) as f64 / 1e6,
        hops: times.len(),
        hop_p50_ms: p50,
        hop_p99_ms: p99,
        hop_most_ms: most,
    })
}
