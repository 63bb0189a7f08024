//! What trials ask for and get: commands, environments, outputs, logs, limits, cancels.

use dagmar_common::ids::Fence;
use dagmar_common::lease::{Ending, ExitReason};
use dagmar_common::time::Span;
use dagmar_worker::executor::Report;

use crate::world::{World, eventually, limited, scope, script, words};

pub fn commands_are_run() {
    let mut world = World::new();
    world.run(&[words(1, &["printf", "%s|", "a b", "", "$HOME"]), words(2, &["/bin/false"])]);
    let outcome = world.outcome(1);
    assert_eq!(outcome.ending, Ending::Succeeded);
    assert_eq!(world.log(&outcome), ["a b||$HOME|", ""]);
    assert!(outcome.began.0 > 0 && outcome.last_lines.is_empty());
    assert_eq!(world.outcome(2).ending, Ending::Failed(ExitReason::Code(1)));
    let outcome = world.script(3, "echo out; echo err >&2; read x || echo no stdin; pwd; exit 7");
    assert_eq!(outcome.ending, Ending::Failed(ExitReason::Code(7)));
    let here = world.root.join("here").canonicalize().unwrap();
    let here = here.display();
    assert_eq!(world.log(&outcome), [format!("out\nno stdin\n{here}\n"), "err\n".to_owned()]);
    assert_eq!(&*outcome.last_lines, format!("out\nno stdin\n{here}\nerr"));
    let outcome = world.script(4, "kill -SEGV $$");
    assert_eq!(outcome.ending, Ending::Failed(ExitReason::Signal(11)));
    assert_eq!(outcome.log, None);
}

pub fn a_script_stops_at_its_first_failing_line() {
    let mut world = World::new();
    let outcome = world.script(1, "echo one\nfalse\necho two\n# comment");
    assert_eq!(outcome.ending, Ending::Failed(ExitReason::Code(1)));
    assert_eq!(world.log(&outcome)[0], "one\n");
    assert_eq!(world.script(2, "echo one # comment").ending, Ending::Succeeded);
}

pub fn the_environment_is_what_was_promised() {
    let mut world = World::with(|config| {
        config.environment.extend([
            ("MAGNUS_PRM_old".into(), "1".into()),
            ("DAGMAR_RUN".into(), "another".into()),
            ("KEPT".into(), "kept".into()),
        ]);
    });
    let text = r#"
        echo "$DAGMAR_RUN $MAGNUS_RUN_ID $RUNNABLE_RUN_ID"
        echo "$DAGMAR_TAG $MAGNUS_RUN_TAG $RUNNABLE_RUN_TAG $RUNNABLE_STEP_ATTEMPT"
        echo "$DAGMAR_STEP $DAGMAR_ITEM $DAGMAR_ATTEMPT $DAGMAR_FENCE"
        echo "$DAGMAR_TRIAL $DAGMAR_IDEMPOTENCY_KEY"
        echo "$KEPT ${MAGNUS_PRM_old-unset}"
        echo "$name $DAGMAR_PRM_name $MAGNUS_PRM_flag $RUNNABLE_PRM_list $flag"
        [ -n "$PATH" ] && [ "$PATH" != broken ] && echo "$DAGMAR_PRM_PATH"
        cat "$DAGMAR_PARAMETERS"
        [ ! -e "$DAGMAR_OUTPUT" ] && [ -d "${DAGMAR_OUTPUT%/*}" ]
    "#;
    let mut start = script(5, text);
    start.scope =
        scope(&[("name", "\"Ada L\""), ("flag", "true"), ("list", "[1,2.5]"), ("PATH", "broken")]);
    world.run(&[start]);
    let outcome = world.outcome(5);
    let expected = [
        "calm-run calm-run calm-run",
        "nightly nightly nightly 1",
        "square.2.step 2 1 5",
        "calm-run/square.2.step:1 calm-run/square.2.step",
        "kept unset",
        "Ada L \"Ada L\" true [1, 2.5] true",
        "\"broken\"",
        r#"{"PATH": "broken", "flag": true, "list": [1, 2.5], "name": "Ada L"}"#,
        "",
    ];
    assert_eq!(world.log(&outcome), [expected.join("\n"), String::new()]);
    assert_eq!(outcome.ending, Ending::Succeeded);
}

pub fn outputs_come_from_their_file() {
    let mut world = World::new();
    let outcome = world.script(
        1,
        r#"echo x=1 >> "$DAGMAR_OUTPUT"
           echo 'text=hello world' >> "$DAGMAR_OUTPUT"
           printf 'lines<<END\na\nb\nEND\nx=2' >> "$DAGMAR_OUTPUT""#,
    );
    assert_eq!(outcome.ending, Ending::Succeeded);
    let outputs: Vec<_> =
        outcome.outputs.iter().map(|output| (&*output.name, output.value.spelled())).collect();
    assert_eq!(outputs, [("lines", r#""a\nb""#), ("text", "\"hello world\""), ("x", "2")]);
    let failed = world.script(2, r#"echo x=1 > "$DAGMAR_OUTPUT"; exit 1"#);
    assert_eq!((failed.ending, failed.outputs), (Ending::Failed(ExitReason::Code(1)), vec![]));
    let left = std::fs::read_dir(world.root.join("tasks/1/outputs")).unwrap().count();
    assert_eq!(left, 0, "outputs are removed once they are read");
}

pub fn bad_outputs_fail_the_trial() {
    let mut world = World::new();
    for (fence, text, complaint) in [
        (1, "printf 'a=1\\nnonsense\\n'", "$DAGMAR_OUTPUT line 2: has no `=`"),
        (2, "printf '=1\\n'", "$DAGMAR_OUTPUT line 1: has no name"),
        (3, "printf 'a=\\377\\n'", "$DAGMAR_OUTPUT line 1: is not UTF-8"),
        (4, "head -c 70000 /dev/zero", "$DAGMAR_OUTPUT: holds more than 64 KiB"),
    ] {
        let outcome = world.script(fence, &format!("echo working\n{text} > \"$DAGMAR_OUTPUT\""));
        assert_eq!(outcome.ending, Ending::Failed(ExitReason::BadOutput), "{text}");
        let (first, last) = outcome.last_lines.split_once('\n').unwrap();
        assert_eq!(first, "working");
        assert!(last.starts_with(complaint), "{last}");
        assert!(outcome.outputs.is_empty());
    }
}

pub fn what_cannot_start_says_why() {
    let mut world = World::new();
    std::fs::write(world.file("plain"), "echo hello\n").unwrap();
    let huge = "x".repeat(200 << 10);
    for (fence, command, errno, reason) in [
        (1, vec!["no-such-program"], 2, "no such program"),
        (2, vec!["./plain"], 13, "chmod +x"),
        (3, vec!["echo", &huge], 7, "larger than the system allows"),
        (4, vec![], 22, "empty or holds a NUL"),
        (5, vec!["echo", "a\0b"], 22, "empty or holds a NUL"),
    ] {
        world.run(&[words(fence, &command)]);
        let outcome = world.outcome(fence);
        assert_eq!(outcome.ending, Ending::Failed(ExitReason::NotStarted(errno)), "{reason}");
        assert!(outcome.last_lines.contains(reason), "{}", outcome.last_lines);
    }
    use std::os::unix::fs::PermissionsExt;
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(world.file("plain"), executable).unwrap();
    world.run(&[words(6, &["./plain"])]);
    let outcome = world.outcome(6);
    assert_eq!(world.log(&outcome)[0], "hello\n", "a script without its first line, by sh");
    let mut world = World::with(|config| config.directory = "/no/such/place".into());
    let outcome = world.script(1, "true");
    assert_eq!(outcome.ending, Ending::Failed(ExitReason::NotStarted(2)));
    assert!(outcome.last_lines.contains("directory"), "{}", outcome.last_lines);
}

pub fn logs_are_read_live_and_after() {
    let mut world = World::new();
    let gate = world.file("gate");
    world.run(&[script(1, "echo first; until [ -e gate ]; do sleep 0.01; done; echo second >&2")]);
    let logs = world.executor().logs().clone();
    let mut live = Vec::new();
    eventually("the first line is seen while the task runs", || {
        let more = logs.read_live(Fence(1), live.len() as u64, 4096);
        let Some(more) = more.unwrap() else { return false };
        live.extend(more.pieces.into_iter().flat_map(|(_, bytes)| bytes));
        live == b"first\n"
    });
    std::fs::write(gate, "").unwrap();
    let outcome = world.outcome(1);
    assert_eq!(world.log(&outcome), ["first\n", "second\n"]);
    assert!(logs.read_live(Fence(1), 0, 1).unwrap().is_none());
}

pub fn a_fence_is_started_once() {
    let mut world = World::new();
    world.run(&[script(1, "echo once >> count; sleep 0.1")]);
    world.run(&[script(1, "echo twice >> count")]);
    assert!(!world.returned(1));
    assert_eq!(world.outcome(1).ending, Ending::Succeeded);
    world.run(&[script(1, "echo thrice >> count")]);
    assert!(world.returned(1), "it may have run: it did");
    assert_eq!(std::fs::read_to_string(world.file("count")).unwrap(), "once\n");
}

pub fn many_at_once_are_all_told() {
    let mut world = World::new();
    let starts: Vec<_> = (1..=200)
        .map(|fence| {
            let mut start = script(fence, "echo $item; echo got=$item > $DAGMAR_OUTPUT");
            start.scope = scope(&[("item", &fence.to_string())]);
            start
        })
        .collect();
    world.run(&starts);
    for fence in 1..=200 {
        world.begun(fence);
        let outcome = world.outcome(fence);
        assert_eq!(outcome.ending, Ending::Succeeded, "{}", outcome.last_lines);
        assert_eq!(outcome.outputs[0].value.spelled(), fence.to_string());
        assert_eq!(world.log(&outcome)[0], format!("{fence}\n"));
    }
}

pub fn a_time_limit_ends_a_trial() {
    let mut world = World::new();
    let text = "trap 'echo tidied; exit 0' TERM; echo begun; sleep 1000 & wait";
    world.run(&[limited(script(1, text), Span::from_millis(300))]);
    let outcome = world.outcome(1);
    assert_eq!(outcome.ending, Ending::Failed(ExitReason::TimeLimit));
    assert_eq!(world.log(&outcome)[0], "begun\ntidied\n");
    assert!(outcome.took >= Span::from_millis(300));
    world.run(&[limited(script(2, "true"), Span::from_secs(3_600))]);
    assert_eq!(world.outcome(2).ending, Ending::Succeeded);
    world.nobody_is_left();
}

/// Not only the shell that leads the group, which dies of TERM at once: its child is given the
/// grace too, and what it writes is kept.
pub fn a_cancelled_trial_may_tidy_up() {
    let mut world = World::new();
    let inner =
        "trap \"sleep 0.4; echo tidied; exit\" TERM; touch up; while :; do sleep 0.01; done";
    world.run(&[script(1, &format!("sh -c '{inner}'; true"))]);
    let up = world.file("up");
    eventually("the inner shell is up", || up.exists());
    world.executor().cancel(&[Fence(1), Fence(99)]);
    let outcome = world.outcome(1);
    assert_eq!(outcome.ending, Ending::Cancelled);
    assert_eq!(world.log(&outcome)[0], "tidied\n");
    world.nobody_is_left();
}

/// Either it never began, or it was stopped: never both, never neither.
pub fn a_cancel_takes_back_what_waits() {
    let mut world = World::new();
    let starts: Vec<_> = (1..=40).map(|fence| script(fence, "sleep 1000")).collect();
    world.run(&starts);
    let all: Vec<Fence> = (1..=40).map(Fence).collect();
    world.executor().cancel(&all);
    for fence in 1..=40 {
        world.wait(|report| match report {
            Report::Finished(outcome) if outcome.fence.0 == fence => {
                assert_eq!(outcome.ending, Ending::Cancelled);
                Some(())
            }
            Report::Returned { fence: found, started: false } if found.0 == fence => Some(()),
            _ => None,
        });
    }
    world.nobody_is_left();
}

/// More than fit under a low limit run at once, and each of them sees the limit as it was.
pub fn files_are_raised_for_us_alone() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let before = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(64), ..before }).unwrap();
    let mut world = World::new();
    let text = "until [ -e gate ]; do sleep 0.05; done; ulimit -Sn";
    let starts: Vec<_> = (1..=40).map(|fence| script(fence, text)).collect();
    world.run(&starts);
    (1..=40).for_each(|fence| world.begun(fence));
    setrlimit(Resource::Nofile, before).unwrap();
    std::fs::write(world.file("gate"), "").unwrap();
    for fence in 1..=40 {
        let outcome = world.outcome(fence);
        assert_eq!(outcome.ending, Ending::Succeeded, "{}", outcome.last_lines);
        assert_eq!(world.log(&outcome)[0], "64\n");
    }
}
