//! Commands from what is typed to what is left on the disk, over an engine with one fixed run.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use crossbeam_channel::{Receiver, unbounded};

use dagmar_common::ids::{Fence, RunId};
use dagmar_common::lease::LogPlace;
use dagmar_common::problem::{Code, Problem};
use dagmar_common::record::RunStatus;
use dagmar_common::record::follow::{Change, Detail, Stream};
use dagmar_coordinator::services::{self, Logs, Runs};

use super::*;
use crate::arguments::BenchArguments;
use crate::failure::Failure;
use crate::house::House;
use crate::local::archive::Archive;
use crate::local::live::{self, Live, Standing};
use crate::local::{index, owner::OwnerSocket};
use crate::testing::{self, FixedRuns, NOON, Scratch};
use crate::wiring::{Compiled, Engine, Findings, Opening, PipelineSource, Wiring};

const RUN: &str = "greedy-yonath-1608";

/// The program's own compiler over an engine whose every run goes as the fixed one went.
struct Scripted;

struct ScriptedEngine(Arc<FixedRuns>);

/// Nothing was ever written.
struct Silent;

impl Logs for Silent {
    fn read(
        &self,
        _place: &LogPlace,
        _take: &mut dyn FnMut(Stream, &[u8]) -> bool,
    ) -> Result<(), Problem> {
        Ok(())
    }

    fn live(&self, _fence: Fence, _from: u64) -> Result<Option<services::Live>, Problem> {
        Ok(None)
    }
}

impl Wiring for Scripted {
    fn compile(&self, source: &PipelineSource) -> Result<Compiled, Findings> {
        House.compile(source)
    }

    fn open(&self, _live: &Live, _opening: Opening) -> Result<Box<dyn Engine>, Problem> {
        Ok(Box::new(ScriptedEngine(Arc::default())))
    }

    fn look(&self, _live_dir: &Path) -> Result<Arc<dyn Runs>, Problem> {
        Ok(Arc::<FixedRuns>::default())
    }

    fn logs(&self, _directory: PathBuf) -> Arc<dyn Logs> {
        Arc::new(Silent)
    }

    fn supervisor(&self) -> ExitCode {
        ExitCode::FAILURE
    }

    fn bench(&self, _arguments: &BenchArguments) -> Result<(), Problem> {
        Ok(())
    }
}

impl Engine for ScriptedEngine {
    fn runs(&self) -> Arc<dyn Runs> {
        self.0.clone()
    }

    fn follow(&self, _detail: Detail) -> Result<Receiver<Change>, Problem> {
        let (sender, receiver) = unbounded();
        let ended = Change::Ended { at: NOON, status: RunStatus::Failed, reason: "".into() };
        for change in [Change::Started { at: NOON }, ended] {
            sender.send(change).unwrap();
        }
        Ok(receiver)
    }

    fn notices(&self) -> Receiver<&'static str> {
        unbounded().1
    }

    fn kill(&self) {}

    fn close(self: Box<Self>) {}
}

fn session(scratch: &Scratch) -> Session {
    Session {
        wires: &Scripted,
        project: Project::at(scratch.path()),
        color: ColorChoice::Never,
        out: Screen::plain(),
        err: Screen::plain(),
    }
}

fn typed(session: &Session, line: &str) -> Result<Exit, Code> {
    let words = std::iter::once("dagmar").chain(line.split_whitespace());
    let done = perform(session, Arguments::try_parse_from(words).unwrap());
    done.map_err(|failure| match failure {
        Failure::Problem(problem) => problem.code,
        Failure::Rejected(_) => Code::BadPipeline,
        other => panic!("{other:?}"),
    })
}

fn pipeline(scratch: &Scratch, text: &str) -> String {
    let path = scratch.path().join("hello.yaml");
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

const HELLO: &str = "steps:\n  a:\n    command: echo hello\n";

#[test]
fn a_run_leaves_an_archive_a_line_in_the_index_and_nothing_live() {
    let scratch = Scratch::new();
    let session = session(&scratch);
    let file = pipeline(&scratch, HELLO);
    assert_eq!(typed(&session, &format!("run {file} --run-id {RUN} -q")), Ok(Exit::Failed));
    let run = RunId::new(RUN);
    assert_eq!(live::look(&session.project, &run), Ok(Some(Standing::Ended)));
    assert_eq!(live::list(&session.project), Ok(Vec::new()));
    let archive = Archive::newest(&session.project, &run).unwrap().unwrap();
    assert_eq!(archive.manifest.record, testing::record());
    assert_eq!(archive.manifest.code.len(), 1);
    let index = index::read(&session.project).unwrap();
    assert_eq!(index.runs.len(), 1);

    for line in ["ls", "ls -o json", "show @latest", "show greedy -o json", "why @failed"] {
        assert_eq!(typed(&session, line), Ok(Exit::Success), "{line}");
    }
    assert_eq!(typed(&session, "show @latest/square[1]"), Ok(Exit::Success));
    assert_eq!(typed(&session, "show @latest/nothing"), Err(Code::NotFound));
    assert_eq!(typed(&session, "why @latest/nothing"), Err(Code::NotFound));
    assert_eq!(typed(&session, "logs @latest"), Ok(Exit::Success));
    assert_eq!(typed(&session, "cancel @latest"), Err(Code::RunEnded));
    assert_eq!(typed(&session, "resume @latest"), Err(Code::RunEnded));
    let again = format!("run {file} --run-id {RUN}");
    assert_eq!(typed(&session, &again), Err(Code::RunIdTaken));
}

#[test]
fn what_cannot_run_is_refused_and_claims_nothing() {
    let scratch = Scratch::new();
    let session = session(&scratch);
    let file = pipeline(&scratch, "steps:\n  a:\n    comand: echo\n");
    assert_eq!(typed(&session, &format!("run {file}")), Err(Code::BadPipeline));
    assert_eq!(typed(&session, &format!("lint {file}")), Err(Code::BadPipeline));
    assert_eq!(typed(&session, &format!("lint {file} -o json")), Ok(Exit::Usage));
    assert_eq!(typed(&session, "run"), Err(Code::NoPipelineFile));
    assert_eq!(typed(&session, "run helo.yaml"), Err(Code::NoPipelineFile));
    let file = pipeline(&scratch, HELLO);
    assert_eq!(typed(&session, &format!("run {file} -p x")), Err(Code::BadPipeline));
    assert_eq!(typed(&session, &format!("run {file} --run-id a/b")), Err(Code::BadRunId));
    assert_eq!(typed(&session, &format!("lint {file}")), Ok(Exit::Success));
    assert!(!session.project.dagmar().exists());
    assert_eq!(typed(&session, "ls"), Ok(Exit::Success));
    assert_eq!(typed(&session, "show @latest"), Err(Code::NotFound));
}

#[test]
fn a_live_run_is_asked_through_its_owner() {
    let scratch = Scratch::new();
    let session = session(&scratch);
    let live = Live::claim(&session.project, &RunId::new(RUN)).unwrap().unwrap();
    let runs = Arc::new(FixedRuns::default());
    let _socket = OwnerSocket::open(&live, runs.clone()).unwrap();
    for line in ["ls", "show greedy", "show greedy -o json", "why greedy/total", "logs greedy"] {
        assert_eq!(typed(&session, line), Ok(Exit::Success), "{line}");
    }
    assert_eq!(typed(&session, "cancel greedy --reason enough"), Ok(Exit::Success));
    assert_eq!(runs.cancelled(), ["enough"]);
    assert_eq!(typed(&session, "resume greedy"), Err(Code::StillRunning));
}

/// As an owner does whose run has begun.
fn leave_a_log(session: &Session) {
    session.project.prepare().unwrap();
    let log = session.project.live().join(RUN).join(live::LOG);
    std::fs::create_dir_all(&log).unwrap();
    std::fs::write(log.join("log.redb"), "something").unwrap();
}

#[test]
fn an_interrupted_run_is_shown_and_goes_on() {
    let scratch = Scratch::new();
    let session = session(&scratch);
    leave_a_log(&session);
    drop(Live::adopt(&session.project, &RunId::new(RUN)).unwrap());
    for line in ["ls", "show greedy", "show greedy -o json", "why greedy"] {
        assert_eq!(typed(&session, line), Ok(Exit::Success), "{line}");
    }
    assert_eq!(typed(&session, "cancel greedy"), Err(Code::Interrupted));
    assert_eq!(typed(&session, "resume greedy -q"), Ok(Exit::Failed));
    let standing = live::look(&session.project, &RunId::new(RUN));
    assert_eq!(standing, Ok(Some(Standing::Ended)));
}

#[test]
fn an_owner_that_died_after_the_archive_left_an_ended_run() {
    let scratch = Scratch::new();
    let session = session(&scratch);
    let file = pipeline(&scratch, HELLO);
    assert_eq!(typed(&session, &format!("run {file} --run-id {RUN} -q")), Ok(Exit::Failed));
    // As if it had died before its line was written and its directory removed.
    std::fs::remove_file(session.project.index()).unwrap();
    leave_a_log(&session);
    drop(Live::adopt(&session.project, &RunId::new(RUN)).unwrap());
    assert_eq!(typed(&session, "show @latest"), Ok(Exit::Success));
    finish::settle(&session.project).unwrap();
    assert_eq!(live::list(&session.project), Ok(Vec::new()));
    assert_eq!(index::read(&session.project).unwrap().runs.len(), 1);
}
