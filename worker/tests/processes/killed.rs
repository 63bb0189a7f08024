//! Death of the worker, of the supervisor, of both: no process of a task outlives any of them.

use std::io::Write;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use dagmar_common::ids::Fence;
use dagmar_common::lease::Ending;
use dagmar_supervisor::family;
use dagmar_worker::executor::Report;
use dagmar_worker::executor::process::{Processes, sweep};

use crate::world::{World, alive, config, eventually, nobody_is_left, script};

/// The role of a worker that will be killed: `__victim ROOT SIGN`.
pub const VICTIM: &str = "__victim";

/// Three for the trees, two for what is short.
const CPU_MILLIS: u32 = 5_000;

/// Trees that hide in every way, and short tasks beside them, so that something always begins.
const HIDING: &str = "(setsid sh -c '(setsid sleep 1000 &); trap \"\" TERM; sleep 1000' &); \
                      sleep 1000 & exec sleep 1000";

pub fn victim(arguments: &[String]) -> ExitCode {
    let [root, sign] = arguments else { return ExitCode::FAILURE };
    let config = config(Path::new(root), sign);
    let (tell, reports) = std::sync::mpsc::channel();
    let Ok(processes) = Processes::start(&config, CPU_MILLIS, move |reports| {
        let _ = tell.send(reports);
    }) else {
        return ExitCode::FAILURE;
    };
    let mut fence = 0;
    let mut run = |text: &str| {
        fence += 1;
        processes.run(&[script(fence, text)]);
    };
    (0..3).for_each(|_| run(HIDING));
    // Some of them run, the rest waits at the supervisor.
    (0..12).for_each(|_| run("true"));
    println!("up");
    let _ = std::io::stdout().flush();
    for reports in reports {
        for report in reports {
            if matches!(report, Report::Finished(_)) {
                run("sh -c 'sleep 0.01' & sleep 0.005");
            }
        }
    }
    ExitCode::SUCCESS
}

struct Victim {
    child: std::process::Child,
    root: std::path::PathBuf,
    sign: String,
}

impl Victim {
    fn start(name: &str) -> Self {
        let sign = format!("{name}-{}", std::process::id());
        let root = std::env::temp_dir().join(format!("dagmar-processes-{sign}"));
        std::fs::create_dir_all(root.join("here")).unwrap();
        let child = Command::new("/proc/self/exe")
            .args([VICTIM, root.to_str().unwrap(), &sign])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Victim { child, root, sign }
    }

    fn supervisor(&self) -> Option<u32> {
        family::tree(self.child.id()).into_iter().find(|pid| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.starts_with(b"dagmar-supervisor\0")
        })
    }

    fn wait_until_hidden(&self) {
        // Three of HIDING are five processes each.
        eventually("the trees have grown", || alive(&self.sign).len() >= 15);
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.root);
    }
}

/// SIGKILL at any moment: before the supervisor is up, between fork and exec, under load.
pub fn a_killed_worker_leaves_no_process() {
    let until = Instant::now() + Duration::from_secs(8);
    let mut round = 0_u64;
    while round < 10 || Instant::now() < until {
        let mut victim = Victim::start(&format!("worker-{round}"));
        let moment = round.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        std::thread::sleep(Duration::from_micros(
            moment % [2_000, 20_000, 150_000][round as usize % 3],
        ));
        if round % 10 == 9 {
            victim.wait_until_hidden();
        }
        victim.child.kill().unwrap();
        victim.child.wait().unwrap();
        nobody_is_left(&victim.sign);
        round += 1;
    }
    println!("{round} workers killed");
}

pub fn a_killed_supervisor_leaves_no_process() {
    let mut world = World::new();
    world.run(&[script(1, HIDING), script(2, HIDING), script(3, "exec env -i sleep 987653")]);
    (1..=3).for_each(|fence| world.begun(fence));
    let nameless = || crate::world::runs("sleep\0987653\0");
    eventually("the nameless one runs", nameless);
    eventually("the trees have grown", || world.alive().len() >= 10);
    let supervisor = family::tree(std::process::id())
        .into_iter()
        .find(|pid| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.starts_with(b"dagmar-supervisor\0")
        })
        .unwrap();
    family::kill(supervisor);
    assert!((1..=3).all(|fence| world.returned(fence)));
    assert!(!nameless(), "known by its pid and start");
    world.wait(|report| matches!(report, Report::SupervisorLost).then_some(()));
    assert_eq!(world.alive(), [0_u32; 0], "gone before it was told");
    world.run(&[script(4, "true")]);
    assert!(!world.returned(4));
}

pub fn a_sweep_ends_what_both_left() {
    let mut victim = Victim::start("both");
    victim.wait_until_hidden();
    let supervisor = victim.supervisor().unwrap();
    // Stopped first, so that it cannot do what it would.
    let pid = family::to_pid(supervisor).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    victim.child.kill().unwrap();
    victim.child.wait().unwrap();
    family::kill(supervisor);
    assert!(!alive(&victim.sign).is_empty());
    assert!(sweep(&victim.root).unwrap() >= 15);
    assert!(alive(&victim.sign).is_empty());
    assert_eq!(sweep(&victim.root).unwrap(), 0);
}

pub fn a_shutdown_returns_what_ran() {
    let mut world = World::new();
    world.run(&[script(1, "trap 'echo bye > bye; exit' TERM; touch up; sleep 1000 & wait")]);
    world.run(&[script(2, "exit 5")]);
    assert!(matches!(world.outcome(2).ending, Ending::Failed(_)));
    let up = world.file("up");
    eventually("it is up", || up.exists());
    world.executor().shut_down();
    assert!(world.returned(1));
    assert_eq!(std::fs::read_to_string(world.file("bye")).unwrap(), "bye\n");
    assert_eq!(world.alive(), [0_u32; 0]);
    world.executor().cancel(&[Fence(1)]);
    world.run(&[script(3, "true")]);
    assert!(!world.returned(3));
}
