//! An owner and its visitors over a real socket.

use dagmar_common::ids::{RequestId, RunId};
use dagmar_common::record::RunStatus;
use dagmar_common::record::follow::{Change, Detail, LogQuestion};

use super::*;
use crate::local::Project;
use crate::local::client::Client;
use crate::local::live::{Standing, look};
use crate::testing::{self, FixedRuns, Scratch};

struct Scene {
    _scratch: Scratch,
    runs: Arc<FixedRuns>,
    socket: Option<OwnerSocket>,
    project: Project,
    live: Live,
}

fn scene() -> (Scene, Client) {
    let scratch = Scratch::new();
    let project = Project::at(scratch.path());
    let live = Live::claim(&project, &RunId::new("greedy-yonath-1608")).unwrap().unwrap();
    let runs = Arc::new(FixedRuns::default());
    let socket = Some(OwnerSocket::open(&live, runs.clone()).unwrap());
    let Some(Standing::Owned(owner)) = look(&project, live.run()).unwrap() else { panic!() };
    let client = Client::connect(live.run(), &owner).unwrap();
    (Scene { _scratch: scratch, runs, socket, project, live }, client)
}

#[test]
fn a_visitor_reads_what_the_owner_knows() {
    let (scene, client) = scene();
    let run = scene.live.run();
    let story = client.story(run).unwrap();
    assert_eq!((story.record, story.graph), (testing::record(), testing::graph_bytes()));
    let entries: Vec<_> = story.entries.map(Result::unwrap).collect();
    assert_eq!(entries, testing::entries());
    assert_eq!(client.list().unwrap(), scene.runs.list().unwrap());
    assert_eq!(client.progress(run, 2).unwrap(), scene.runs.progress(run, 2).unwrap());
    assert_eq!(
        client.why(run, Some("total")).unwrap(),
        scene.runs.why(run, Some("total")).unwrap()
    );
    let question = LogQuestion { path: Some("extract".into()), ..LogQuestion::default() };
    let pieces: Vec<_> = client.logs(run, question.clone()).unwrap().iter().collect();
    let expected: Vec<_> = scene.runs.logs(run, question).unwrap().iter().collect();
    assert_eq!(pieces, expected);
}

#[test]
fn problems_arrive_whole() {
    let (_scene, client) = scene();
    let problem = client.story(&RunId::new("other")).map(|_| ()).unwrap_err();
    assert_eq!(problem, testing::no_such_run("other"));
}

#[test]
fn a_watcher_hears_the_end_before_the_socket_closes() {
    let (mut scene, client) = scene();
    let changes = client.watch(scene.live.run(), Detail::Steps).unwrap();
    scene.runs.end(RunStatus::Failed);
    scene.socket = None;
    let heard: Vec<Change> = changes.iter().collect();
    assert!(matches!(heard.last(), Some(Change::Ended { status: RunStatus::Failed, .. })));
    assert!(!scene.live.socket().unwrap().exists());
    assert!(matches!(look(&scene.project, scene.live.run()), Ok(Some(Standing::Owned(_)))));
}

#[test]
fn a_cancel_reaches_the_owner_with_its_reason() {
    let (scene, client) = scene();
    client.cancel(scene.live.run(), RequestId(7), "cancelled by anna").unwrap();
    assert_eq!(scene.runs.cancelled(), ["cancelled by anna"]);
}

#[test]
fn what_killed_owners_left_is_tidied_and_living_ones_are_not() {
    use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};
    let scratch = Scratch::new();
    let [dead, living, young] =
        ["dead.sock", "living.sock", "young.sock"].map(|name| scratch.path().join(name));
    drop(UnixListener::bind(&dead).unwrap());
    let _listener = UnixListener::bind(&living).unwrap();
    drop(UnixListener::bind(&young).unwrap());
    let long_ago = Timespec { tv_sec: 1, tv_nsec: 0 };
    let times = Timestamps { last_access: long_ago, last_modification: long_ago };
    for old in [&dead, &living] {
        utimensat(CWD, old, &times, AtFlags::empty()).unwrap();
    }
    tidy(scratch.path());
    assert_eq!([&dead, &living, &young].map(|one| one.exists()), [false, true, true]);
}
