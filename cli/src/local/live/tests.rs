//! Claims by two processes, what others see of them, and what a dead owner leaves.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use super::*;
use crate::testing::Scratch;

/// Run in a process of its own by the tests below: claims, says so, and waits to be killed.
#[test]
fn a_process_that_claims() {
    let Some(root) = std::env::var_os("DAGMAR_TEST_CLAIM_IN") else { return };
    let claimed = Live::claim(&Project::at(root), &RunId::new("r")).unwrap();
    if let Some(live) = &claimed {
        begin(live);
    }
    println!("\nclaimed {}", claimed.is_some());
    let _ = std::io::stdin().read(&mut [0]);
}

/// From now on there is something to lose.
fn begin(live: &Live) {
    fs::create_dir(live.dir().join(LOG)).unwrap();
    fs::write(live.dir().join(LOG).join("log.redb"), "something").unwrap();
}

fn process_that_claims(project: &Project) -> (std::process::Child, bool) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "local::live::tests::a_process_that_claims", "--nocapture"])
        .env("DAGMAR_TEST_CLAIM_IN", project.root())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let line = stdout.lines().map_while(Result::ok).find(|line| line.starts_with("claimed"));
    (child, line.as_deref() == Some("claimed true"))
}

#[test]
fn a_name_is_claimed_by_one_process_and_freed_by_its_death() {
    let scratch = Scratch::new();
    let (project, run) = (Project::at(scratch.path()), RunId::new("r"));
    let (mut owner, has_claimed) = process_that_claims(&project);
    assert!(has_claimed);
    let Some(Standing::Owned(sign)) = look(&project, &run).unwrap() else { panic!("not owned") };
    assert_eq!(sign.pid, owner.id());
    assert_eq!(sign.version, env!("CARGO_PKG_VERSION"));

    let (mut other, has_claimed) = process_that_claims(&project);
    assert!(!has_claimed);
    other.kill().unwrap();
    other.wait().unwrap();
    assert!(Live::adopt(&project, &run).unwrap().is_none());

    owner.kill().unwrap();
    owner.wait().unwrap();
    assert_eq!(look(&project, &run), Ok(Some(Standing::Interrupted)));
    assert_eq!(list(&project), Ok(vec![(run.clone(), Ok(Standing::Interrupted))]));
    assert!(Live::claim(&project, &run).unwrap().is_none(), "an interrupted run keeps its name");

    let live = Live::adopt(&project, &run).unwrap().unwrap();
    assert!(matches!(look(&project, &run), Ok(Some(Standing::Owned(_)))));
    live.remove().unwrap();
    assert_eq!(look(&project, &run), Ok(None));
    assert_eq!(list(&project), Ok(Vec::new()));
}

#[test]
fn a_claim_that_was_never_signed_is_nobodys() {
    let scratch = Scratch::new();
    let (project, run) = (Project::at(scratch.path()), RunId::new("r"));
    project.prepare().unwrap();
    fs::create_dir(project.live().join("r")).unwrap();
    assert_eq!(look(&project, &run), Ok(None));
    let live = Live::claim(&project, &run).unwrap();
    assert!(live.is_some());
}

#[test]
fn a_run_that_never_began_is_nobodys_and_goes_away() {
    let scratch = Scratch::new();
    let (project, run) = (Project::at(scratch.path()), RunId::new("r"));
    drop(Live::claim(&project, &run).unwrap());
    assert_eq!(look(&project, &run), Ok(None));
    assert_eq!(list(&project), Ok(Vec::new()));
    tidy(&project).unwrap();
    assert!(!project.live().join("r").exists());

    let live = Live::claim(&project, &run).unwrap().unwrap();
    tidy(&project).unwrap();
    begin(&live);
    drop(live);
    tidy(&project).unwrap();
    assert_eq!(look(&project, &run), Ok(Some(Standing::Interrupted)));
}

#[test]
fn an_archive_keeps_its_name_and_the_directory_stays_out_of_git() {
    let scratch = Scratch::new();
    let (project, run) = (Project::at(scratch.path()), RunId::new("r"));
    project.prepare().unwrap();
    assert_eq!(fs::read_to_string(project.dagmar().join(".gitignore")).unwrap(), "*\n");
    fs::create_dir(project.runs().join("r")).unwrap();
    assert_eq!(look(&project, &run), Ok(Some(Standing::Ended)));
    assert!(Live::claim(&project, &run).unwrap().is_none());
}

#[test]
fn what_is_left_of_a_removal_is_removed_unless_somebody_is_at_it() {
    let scratch = Scratch::new();
    let project = Project::at(scratch.path());
    project.prepare().unwrap();
    let [left, held] = [".ended-left", ".ended-held"].map(|name| project.live().join(name));
    for dir in [&left, &held] {
        fs::create_dir(dir).unwrap();
        fs::write(dir.join("lock"), "").unwrap();
    }
    let lock = File::open(held.join("lock")).unwrap();
    lock.lock().unwrap();
    tidy(&project).unwrap();
    assert_eq!([&left, &held].map(|dir| dir.exists()), [false, true]);
    drop(lock);
    tidy(&project).unwrap();
    assert!(!held.exists());
}
