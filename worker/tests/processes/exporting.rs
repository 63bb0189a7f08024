//! What a script exports becomes an output, and nothing else of it changes, whatever it does.
//!
//! Every script is run twice by each shell that is here: as it is, and with what asks it for its
//! exports. Status and streams must be the same.

use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use dagmar_common::lease::{Ending, ExitReason, OutputWay};
use dagmar_worker::task::{exports, outputs};

use crate::world::{World, scope, script};

/// What it is given, in the environment and as values.
const GIVEN: [(&str, &str); 3] = [("x", "1"), ("list", "[1, 2]"), ("text", "\"a b\"")];

fn run(shell: &str, text: &str, place: &Path) -> Output {
    let mut command = Command::new(shell);
    command.arg0("sh").args(["-e", "-c", text, "sh"]).current_dir(place);
    command.env("DAGMAR_OUTPUT", place.join("it's output")).stdin(Stdio::null());
    command.env("JUNK", std::ffi::OsString::from_vec(b"\xff\x81\n'\"".to_vec()));
    for (name, value) in GIVEN {
        command.env(format!("MAGNUS_PRM_{name}"), value).env(format!("DAGMAR_PRM_{name}"), value);
    }
    command.output().unwrap()
}

/// `expected`: what it leaves, or the beginning of why it cannot be taken.
#[track_caller]
fn check(text: &str, expected: Result<&[(&str, &str)], &str>) {
    let world = World::new();
    let place = world.root.join("here");
    let given = scope(&GIVEN);
    let (prepared, is_asked) = exports::prepared(text);
    assert!(is_asked, "{text}");
    for shell in ["/bin/dash", "/bin/bash"].into_iter().filter(|shell| Path::new(shell).exists()) {
        let plain = run(shell, text, &place);
        let asked = run(shell, &prepared, &place);
        let said = |output: &Output| {
            let streams = [&output.stdout, &output.stderr];
            (output.status, streams.map(|bytes| String::from_utf8_lossy(bytes).into_owned()))
        };
        assert_eq!(said(&asked), said(&plain), "{shell}: {text}");
        let all = outputs::collect(&place.join("it's output"), Some(&given));
        let all = all.map_err(|bad| bad.to_string());
        match (&all, expected) {
            (Ok(all), Ok(expected)) => {
                let all: Vec<_> = all.iter().map(|one| (&*one.name, one.value.spelled())).collect();
                assert_eq!(all, expected, "{shell}: {text}");
            }
            (Err(bad), Err(begins)) => assert!(bad.starts_with(begins), "{shell}: {text}: {bad}"),
            _ => panic!("{shell}: {text}: {all:?}"),
        }
    }
}

pub fn a_script_leaves_what_it_exports() {
    check("export MAGNUS_PRM_x=2", Ok(&[("x", "2")]));
    check("MAGNUS_PRM_x=2", Ok(&[("x", "2")]));
    check("echo $MAGNUS_PRM_x $$ >/dev/null", Ok(&[]));
    check("MAGNUS_PRM_y=2", Ok(&[]));
    check("export MAGNUS_PRM_x=1 RUNNABLE_PRM_x=1", Ok(&[]));
    check(
        "export RUNNABLE_PRM_y='{\"a\":1}' DAGMAR_PRM_z='a b'",
        Ok(&[("y", "{\"a\": 1}"), ("z", "\"a b\"")]),
    );
    check("unset MAGNUS_PRM_x DAGMAR_PRM_x\nexport MAGNUS_PRM_unset", Ok(&[]));
    check("unset MAGNUS_PRM_x; MAGNUS_PRM_list='[3]'", Ok(&[("list", "[3]")]));
    check("f() { MAGNUS_PRM_x=5; export DAGMAR_PRM_y=6; }\nf", Ok(&[("x", "5"), ("y", "6")]));
    check(
        "MAGNUS_PRM_x='it'\"'\"'s \"q\" $HOME `id` \\ '",
        Ok(&[("x", r#""it's \"q\" $HOME `id` \\ ""#)]),
    );
    check("MAGNUS_PRM_x='one\n\ntwo\n'", Ok(&[("x", r#""one\n\ntwo\n""#)]));
    check(
        "MAGNUS_PRM_x=$(printf '\\033[1m\\t\\001é')",
        Ok(&[("x", r#""\u001b[1m\t\u0001\u00e9""#)]),
    );
    check("export MAGNUS_PRM_x=$(printf '\\377')", Err("variable MAGNUS_PRM_x: is not UTF-8"));
    check("export MAGNUS_PRM_x=$(printf %070000d 1)", Err("the outputs of this step: hold more"));
    check(
        "export MAGNUS_PRM_x=2 MAGNUS_PRM_y=3; echo x=4 > \"$DAGMAR_OUTPUT\"",
        Ok(&[("x", "4"), ("y", "3")]),
    );
}

pub fn a_script_is_asked_however_it_ends() {
    let x = Ok(&[("x", "2")][..]);
    check("export MAGNUS_PRM_x=2; exit 0; export MAGNUS_PRM_x=3", x);
    check("export MAGNUS_PRM_x=2 # the end", x);
    check("export MAGNUS_PRM_x=2\n# the end", x);
    check("export MAGNUS_PRM_x=2; cat <<END\n$MAGNUS_PRM_x 'text\nEND", x);
    check("export MAGNUS_PRM_x=2\ncat <<END\nno end of it", x);
    check("export MAGNUS_PRM_x=2 \\\n", x);
    check("export MAGNUS_PRM_x=2\nfalse\necho no", x);
    check("export MAGNUS_PRM_x=2\nf() { return 4; }\nf || exit 7", x);
    check("export MAGNUS_PRM_x=2\nkill -KILL $$", Ok(&[]));
    check("export MAGNUS_PRM_x=2\n(export MAGNUS_PRM_x=3; exit 4) || :", x);
    check("export MAGNUS_PRM_x=2\necho $(MAGNUS_PRM_x=3; echo $MAGNUS_PRM_x; exit 0)", x);
    check("export MAGNUS_PRM_x=2; MAGNUS_PRM_x=3 /bin/true; MAGNUS_PRM_x=4 | cat", x);
    check("export MAGNUS_PRM_x=2\nexec 3>&1 >&- 2>&-", x);
    check("export MAGNUS_PRM_x=2\numask 077; IFS=0,EX; cd /; set -Cfu", x);
    check("set -x; export MAGNUS_PRM_x=2\necho traced", x);
    check("alias export=false; MAGNUS_PRM_x=2", x);
    // The shell is no more.
    check("export MAGNUS_PRM_x=2\nexec echo $# \"$0\" \"$@\" $MAGNUS_PRM_x", Ok(&[]));
}

pub fn a_script_has_its_own_trap_too() {
    let x = Ok(&[("x", "2")][..]);
    for begins in ["", "\n", "# A comment.\n", "  ", "cd /tmp\n"] {
        for ends in ["", "\nexit 0", "\nexit 3", "\nfalse", "\n(exit 5)"] {
            let traps = "trap 'echo \"bye $?\"; rm -f it' EXIT";
            check(&format!("{begins}{traps}\nexport MAGNUS_PRM_x=2{ends}"), x);
        }
    }
    check("cd /; trap 'echo bye' EXIT; export MAGNUS_PRM_x=2; exit 0", x);
    check("trap 'export MAGNUS_PRM_x=2' EXIT", x);
    check("export MAGNUS_PRM_x=2\ntrap 'exit 6' 0", x);
    check("export MAGNUS_PRM_x=2\ntrap 'exit 0' EXIT\nfalse", x);
    check("export MAGNUS_PRM_x=2\ntrap 'echo a\nfalse\necho b' EXIT", x);
    check("export MAGNUS_PRM_x=2\ntrap 'echo a # comment' EXIT INT", x);
    check("export MAGNUS_PRM_x=2\ntrap -- 'nosuch || :\nnosuch || :' EXIT", x);
    check("export MAGNUS_PRM_x=2\ntrap 'echo a' EXIT\ntrap - EXIT", x);
    check("export MAGNUS_PRM_x=2\ntrap 'echo a' EXIT\ntrap 0", x);
    check("export MAGNUS_PRM_x=2\ntrap '' EXIT\ntrap 2 EXIT\n", x);
    check("export MAGNUS_PRM_x=2\nIFS=0\ntrap 'echo a' INT 0 TERM\nkill -INT \"$$\"; echo b", x);
    check("export MAGNUS_PRM_x=2\nf() {\ntrap 'echo f' EXIT\n}\nf", x);
    check("export MAGNUS_PRM_x=2\n(trap 'echo sub; export MAGNUS_PRM_x=9' EXIT)", x);
    check("export MAGNUS_PRM_x=2\ny=$(trap 'echo sub' EXIT; MAGNUS_PRM_x=9)\necho $y", x);
    check("export MAGNUS_PRM_x=2\necho trap 'trap' trap; case trap in trap) ;; esac", x);
    check("set -u\nexport MAGNUS_PRM_x=2\ntrap 'echo a' TERM\nkill -TERM $$", x);
}

pub fn a_script_says_what_it_always_said() {
    let none = Ok(&[][..]);
    check("echo $MAGNUS_PRM_x\nnosuch || echo $LINENO\ncd /nosuch || :\n${gone?is gone}", none);
    check("nosuch || : _PRM_; ls /nosuch 2>&1 || :; f() {\nnosuch\n}\nf", none);
    check("echo _PRM_\necho )", none);
    check("echo _PRM_\necho 'open", none);
    check("echo _PRM_\nif true; then\n", none);
    check("trap 'echo bye' EXIT # _PRM_\nnosuch || :\necho )", none);
    check("echo _PRM_; return 3; echo more", none);
    check("kill -TERM $$ # _PRM_", none);
    check("set -u; echo _PRM_; echo $nothing", none);
    check("exit 256 # _PRM_", none);
    check("readonly MAGNUS_PRM_x; MAGNUS_PRM_x=2", none);
}

/// Files are removed whatever happened; a limit on files or a full disk is no failure of a script.
pub fn a_script_that_cannot_tell_runs_all_the_same() {
    check(
        "export MAGNUS_PRM_x=2; mkdir -p \"$DAGMAR_OUTPUT.exports\"; : > \"$DAGMAR_OUTPUT\"",
        Err("what this script exports: is no plain file"),
    );
    check("export MAGNUS_PRM_x=2; DAGMAR_EXPORTS=/no/such/place", Ok(&[]));
    check("export MAGNUS_PRM_x=2; DAGMAR_EXPORTS=/dev/full", Ok(&[]));
    let mut world = World::new();
    let mut start = script(1, "export MAGNUS_PRM_x=2; MAGNUS_PRM_y=3; echo z=1 >$DAGMAR_OUTPUT");
    start.scope = scope(&GIVEN);
    world.run(&[start]);
    let outcome = world.outcome(1);
    let all = outcome.outputs.iter().map(|one| (&*one.name, one.value.spelled(), one.way));
    let all: Vec<_> = all.collect();
    assert_eq!(all, [("x", "2", OutputWay::Variable), ("z", "1", OutputWay::File)]);
    let outcome = world.script(2, "export MAGNUS_PRM_x=2; exit 3");
    assert_eq!((outcome.ending, outcome.outputs), (Ending::Failed(ExitReason::Code(3)), vec![]));
    let outcome = world.script(3, "export MAGNUS_PRM_x=$(printf '\\377')");
    assert_eq!(outcome.ending, Ending::Failed(ExitReason::BadOutput));
    assert!(outcome.last_lines.starts_with("variable MAGNUS_PRM_x: "), "{}", outcome.last_lines);
    let left = std::fs::read_dir(world.root.join("tasks/1/outputs")).unwrap().count();
    assert_eq!(left, 0, "nothing is left");
}
