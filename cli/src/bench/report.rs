//! The figures of a bench, for people and as JSON under stable keys.

use std::time::Duration;

use serde::Serialize;

/// How often something was done, and what it cost.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Rate {
    pub per_s: f64,
    /// User and system time of every process involved.
    pub cpu_us_each: f64,
}

impl Rate {
    pub fn of(timed: Timed) -> Rate {
        let count = f64::from(timed.count);
        Rate {
            per_s: count / timed.wall.as_secs_f64().max(1e-9),
            cpu_us_each: timed.cpu.as_secs_f64() * 1e6 / count,
        }
    }
}

/// What some of it took.
#[derive(Clone, Copy, Debug)]
pub struct Timed {
    pub count: u32,
    pub wall: Duration,
    pub cpu: Duration,
}

impl std::ops::Add for Timed {
    type Output = Timed;

    fn add(self, other: Timed) -> Timed {
        Timed {
            count: self.count + other.count,
            wall: self.wall + other.wall,
            cpu: self.cpu + other.cpu,
        }
    }
}

/// One bench, measured. Keys are public: they may be added to, never renamed.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub shape: &'static str,
    pub function: &'static str,
    pub tasks: u32,
    pub cpus: usize,
    pub wall_s: f64,
    pub trials_per_s: f64,
    pub cpu_us_per_trial: f64,
    /// From the submission to its first ready trial, both durable.
    pub submitted_s: f64,
    /// How far resident memory grew until then, over the nodes of the graph.
    pub bytes_per_node: f64,
    /// Between the beginnings of two neighbours in a chain; absent where there are none.
    pub hop_p50_ms: Option<f64>,
    pub hop_p99_ms: Option<f64>,
    /// Hops from the submission of the run beside it to that run's end, and how long that took.
    pub beside: Option<Beside>,
    /// One durable commit of our log store, bare, in this run.
    pub commit_p50_ms: f64,
    pub commit_p99_ms: f64,
    /// How far resident memory grew between before the submission and the most it was.
    pub memory_growth_mib: f64,
    pub compared: Compared,
}

/// A chain while a large run is submitted and runs.
#[derive(Clone, Debug, Serialize)]
pub struct Beside {
    pub took_s: f64,
    pub hops: usize,
    pub hop_p50_ms: f64,
    pub hop_p99_ms: f64,
    pub hop_most_ms: f64,
}

/// What else was measured in the same run.
#[derive(Clone, Debug, Serialize)]
pub struct Compared {
    /// One append and fdatasync to a plain file beside our log.
    pub append_p50_ms: f64,
    pub spawn_loop: Option<Rate>,
    pub xargs: Option<Rate>,
    /// Our trials a second over theirs.
    pub to_spawn_loop: Option<f64>,
    pub to_xargs: Option<f64>,
}

/// The value below which `share` of `times` lie, in milliseconds; None of nothing.
pub fn quantile_ms(times: &mut [Duration], share: f64) -> Option<f64> {
    times.sort_unstable();
    let place = (times.len().checked_sub(1)? as f64 * share).round() as usize;
    Some(times[place].as_secs_f64() * 1e3)
}

impl Report {
    /// At most 80 columns.
    pub fn for_people(&self) -> String {
        let mut text = format!(
            "{} of {} × {}, durable, on {} cpus\n",
            self.shape, self.tasks, self.function, self.cpus
        );
        let mut line = |name: &str, value: String| text.push_str(&format!("  {name:<18}{value}\n"));
        line("trials", format!("{:.0}/s in {:.3} s", self.trials_per_s, self.wall_s));
        line("cpu a trial", format!("{:.1} µs, all processes", self.cpu_us_per_trial));
        line(
            "first trial ready",
            format!("after {:.3} s, {:.0} bytes a node", self.submitted_s, self.bytes_per_node),
        );
        if let (Some(p50), Some(p99)) = (self.hop_p50_ms, self.hop_p99_ms) {
            line("hop", format!("{p50:.2} ms p50, {p99:.2} ms p99"));
        }
        if let Some(beside) = &self.beside {
            let Beside { took_s, hops, hop_p50_ms, hop_p99_ms, hop_most_ms } = beside;
            line("stubs beside it", format!("submitted and ended in {took_s:.3} s"));
            line(
                "hop beside them",
                format!(
                    "{hop_p50_ms:.2} ms p50, {hop_p99_ms:.2} p99, {hop_most_ms:.2} most of {hops}"
                ),
            );
        }
        line(
            "one commit",
            format!("{:.2} ms p50, {:.2} ms p99", self.commit_p50_ms, self.commit_p99_ms),
        );
        line("bare append", format!("{:.2} ms p50", self.compared.append_p50_ms));
        line("memory grew by", format!("{:.1} MiB", self.memory_growth_mib));
        let others = [
            ("bare spawn loop", self.compared.spawn_loop, self.compared.to_spawn_loop),
            ("xargs", self.compared.xargs, self.compared.to_xargs),
        ];
        for (name, rate, ratio) in others {
            if let (Some(rate), Some(ratio)) = (rate, ratio) {
                line(
                    name,
                    format!(
                        "{:.0}/s, {:.0} µs each; Dagmar {ratio:.2} ×",
                        rate.per_s, rate.cpu_us_each
                    ),
                );
            }
        }
        text
    }
}
