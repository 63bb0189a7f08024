//! The visitor's end of an owner's socket: the same questions, answered from another process.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use crossbeam_channel::{Receiver, bounded};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::runtime::Runtime;
use tonic::transport::{Channel, Endpoint};

use dagmar_common::ids::{RequestId, RunId};
use dagmar_common::problem::{Code, Problem};
use dagmar_common::record::follow::{Change, Detail, LogPiece, LogQuestion, Progress, Reason};
use dagmar_common::record::{Entry, RunRecord, RunSummary, Submission, words};
use dagmar_coordinator::services::{Runs, Story};
use dagmar_proto::convert::{Malformed, from_status, id_bytes, submit_request};
use dagmar_proto::v1;
use dagmar_proto::v1::run_service_client::RunServiceClient;

use super::live::Owner;

/// One answer of an owner; larger ones are refused.
const ANSWER_BYTES_MAX: usize = 256 << 20;
/// What waits for a slow reader of a stream.
const WAITING_MAX: usize = 1_024;
/// An owner that has just claimed its run gets so long to begin to listen.
const PATIENCE: Duration = Duration::from_secs(2);
const BETWEEN_TRIES: Duration = Duration::from_millis(20);

/// An owner is asked for what it has in its memory: one that takes longer hangs.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);
/// A graph of a million steps is checked meanwhile.
const SUBMITTED_WITHIN: Duration = Duration::from_secs(300);

/// A connection to the owner of a live run.
pub struct Client {
    runtime: Arc<Runtime>,
    service: RunServiceClient<Channel>,
    asked: Asked,
}

/// Who is asked about what, for whoever has to be told that there was no answer.
#[derive(Clone)]
struct Asked {
    run: RunId,
    pid: u32,
    within: Duration,
}

impl Client {
    pub fn connect(run: &RunId, owner: &Owner) -> Result<Self, Problem> {
        if is_stopped(owner.pid) {
            let pid = owner.pid;
            let message = format!("process {pid} works on {run}, and is stopped (Ctrl-Z)");
            return Err(Problem::new(Code::Unreachable, message)
                .try_this(format!("fg in its terminal, or kill -CONT {pid}")));
        }
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.map_err(|error| {
            Problem::new(Code::Internal, format!("no thread to connect from: {error}"))
        })?;
        tracing::debug!(%run, pid = owner.pid, "its owner is asked");
        let start = Instant::now();
        loop {
            match runtime.block_on(connect(owner.socket.clone())) {
                Ok(channel) => {
                    let service = RunServiceClient::new(channel)
                        .max_decoding_message_size(ANSWER_BYTES_MAX)
                        .max_encoding_message_size(ANSWER_BYTES_MAX * 2);
                    let asked = Asked { run: run.clone(), pid: owner.pid, within: ANSWER_WITHIN };
                    return Ok(Client { runtime: Arc::new(runtime), service, asked });
                }
                Err(_) if is_anothers(owner) => {
                    let pid = owner.pid;
                    let message = format!("{run} is somebody else's: process {pid} works on it");
                    return Err(Problem::new(Code::Forbidden, message)
                        .try_this("the same as the user whose it is"));
                }
                Err(error) if start.elapsed() > PATIENCE => {
                    let (pid, socket) = (owner.pid, owner.socket.display());
                    let message = format!("process {pid} owns {run} and does not answer: {error}");
                    return Err(Problem::new(Code::Unreachable, message)
                        .at(socket.to_string())
                        .try_this(format!("kill {pid} if it hangs; then dagmar resume {run}")));
                }
                Err(_) => std::thread::sleep(BETWEEN_TRIES),
            }
        }
    }

    fn ask<M, A: Future<Output = Result<tonic::Response<M>, tonic::Status>>>(
        &self,
        question: impl FnOnce(RunServiceClient<Channel>) -> A,
    ) -> Result<M, Problem> {
        self.ask_within(self.asked.within, question)
    }

    fn ask_within<M, A: Future<Output = Result<tonic::Response<M>, tonic::Status>>>(
        &self,
        most: Duration,
        question: impl FnOnce(RunServiceClient<Channel>) -> A,
    ) -> Result<M, Problem> {
        let question = question(self.service.clone());
        let answer = self.runtime.block_on(async { tokio::time::timeout(most, question).await });
        let answer = answer.map_err(|_| self.asked.no_answer(most))?;
        answer.map(tonic::Response::into_inner).map_err(|status| told(&status))
    }

    /// Hands on what arrives, on a thread of its own. A stream that broke ends without a word;
    /// whoever waits for a last message knows by its absence.
    fn pump<M: Send + 'static, T: Send + 'static>(
        &self,
        mut stream: tonic::Streaming<M>,
        one: impl Fn(Result<M, Problem>) -> Option<T> + Send + 'static,
    ) -> Result<Receiver<T>, Problem> {
        let (sender, receiver) = bounded(WAITING_MAX);
        let runtime = self.runtime.clone();
        let pump = move || {
            loop {
                let message = match runtime.block_on(stream.message()) {
                    Ok(Some(message)) => Ok(message),
                    Ok(None) => return,
                    Err(status) => Err(told(&status)),
                };
                let is_last = message.is_err();
                let is_heard = one(message).is_some_and(|one| sender.send(one).is_ok());
                if is_last || !is_heard {
                    return;
                }
            }
        };
        let spawned = std::thread::Builder::new().name("visitor".to_owned()).spawn(pump);
        match spawned {
            Ok(_) => Ok(receiver),
            Err(error) => Err(Problem::new(Code::Internal, format!("no thread to read: {error}"))),
        }
    }
}

impl Asked {
    fn no_answer(&self, within: Duration) -> Problem {
        let Asked { run, pid, .. } = self;
        let seconds = words::of_count(within.as_secs(), "second");
        Problem::new(Code::Unreachable, format!("process {pid} owns {run} and does not answer"))
            .because(format!("it took the question and said nothing for {seconds}"))
            .try_this(format!("the same again, if the machine is only slow: dagmar show {run}"))
            .try_this(format!(
                "kill {pid} if it hangs, which interrupts the run: dagmar resume {run}"
            ))
    }
}

/// Its socket takes every question then, and answers none. Where there is no `/proc` nobody knows.
fn is_stopped(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    matches!(state, Some('T' | 't'))
}

/// Its socket may be used by the user alone who began the run, and by root.
fn is_anothers(owner: &Owner) -> bool {
    let reach = rustix::fs::access(&owner.socket, rustix::fs::Access::WRITE_OK);
    reach == Err(rustix::io::Errno::ACCESS)
}

async fn connect(socket: PathBuf) -> Result<Channel, String> {
    let connector = tower::service_fn(move |_| {
        let socket = socket.clone();
        async move { UnixStream::connect(socket).await.map(TokioIo::new) }
    });
    // The address is only what stands in a header; the connector knows the socket.
    let endpoint = Endpoint::from_static("http://run.dagmar");
    endpoint.connect_with_connector(connector).await.map_err(|error| {
        let cause = std::error::Error::source(&error);
        cause.map_or_else(|| error.to_string(), ToString::to_string)
    })
}

impl Runs for Client {
    fn submit(&self, submission: Submission) -> Result<RunId, Problem> {
        let request = submit_request(submission);
        let submit =
            |mut service: RunServiceClient<_>| async move { service.submit(request).await };
        let answer = self.ask_within(SUBMITTED_WITHIN, submit)?;
        Ok(RunId::new(&answer.run_id))
    }

    fn list(&self) -> Result<Vec<RunSummary>, Problem> {
        let request = v1::ListRunsRequest {};
        let answer = self.ask(|mut service| async move { service.list_runs(request).await })?;
        let runs = answer.runs.into_iter().map(TryInto::try_into);
        runs.collect::<Result<_, _>>().map_err(malformed)
    }

    fn story(&self, run: &RunId) -> Result<Story, Problem> {
        let request = v1::GetRunRequest { run_id: run.as_str().to_owned() };
        let stream = self.ask(|mut service| async move { service.get_run(request).await })?;
        let asked = self.asked.clone();
        let mut parts = Parts { runtime: self.runtime.clone(), asked, stream };
        let Some(v1::get_run_response::Part::Record(record)) = parts.next()? else {
            return Err(malformed(Malformed("record")));
        };
        let record = RunRecord::try_from(record).map_err(malformed)?;
        let (mut graph, mut first) = (Vec::new(), None);
        while let Some(part) = parts.next()? {
            match part {
                v1::get_run_response::Part::Graph(piece) => graph.extend_from_slice(&piece),
                other => {
                    first = Some(other);
                    break;
                }
            }
        }
        let rest = std::iter::from_fn(move || parts.next().transpose());
        let parts = first.map(Ok).into_iter().chain(rest);
        let entries = parts.flat_map(|part| match part {
            Ok(v1::get_run_response::Part::Entries(several)) => {
                let one = |entry: v1::StoryEntry| Entry::try_from(entry).map_err(malformed);
                several.entries.into_iter().map(one).collect()
            }
            Ok(_) => vec![Err(malformed(Malformed("entries")))],
            Err(problem) => vec![Err(problem)],
        });
        Ok(Story { record, graph: Bytes::from(graph), entries: Box::new(entries) })
    }

    fn progress(&self, run: &RunId, most: usize) -> Result<Progress, Problem> {
        let most = u32::try_from(most).unwrap_or(u32::MAX);
        let request = v1::GetProgressRequest { run_id: run.as_str().to_owned(), most };
        let answer = self.ask(|mut service| async move { service.get_progress(request).await })?;
        answer.try_into().map_err(malformed)
    }

    fn watch(&self, run: &RunId, detail: Detail) -> Result<Receiver<Change>, Problem> {
        let everything = detail == Detail::Everything;
        let request = v1::WatchRunRequest { run_id: run.as_str().to_owned(), everything };
        let stream = self.ask(|mut service| async move { service.watch_run(request).await })?;
        self.pump(stream, |message| Change::try_from(message.ok()?).ok())
    }

    fn logs(
        &self,
        run: &RunId,
        question: LogQuestion,
    ) -> Result<Receiver<Result<LogPiece, Problem>>, Problem> {
        let request = v1::ReadLogsRequest {
            run_id: run.as_str().to_owned(),
            path: question.path.as_deref().unwrap_or_default().to_owned(),
            attempt: question.attempt.unwrap_or(0),
            follow: question.follow,
        };
        let stream = self.ask(|mut service| async move { service.read_logs(request).await })?;
        self.pump(stream, |message| Some(message.map(LogPiece::from)))
    }

    fn cancel(&self, run: &RunId, request: RequestId, reason: &str) -> Result<(), Problem> {
        let request = v1::CancelRunRequest {
            request_id: id_bytes(request),
            run_id: run.as_str().to_owned(),
            reason: reason.to_owned(),
        };
        self.ask(|mut service| async move { service.cancel_run(request).await }).map(|_| ())
    }

    fn why(&self, run: &RunId, path: Option<&str>) -> Result<Vec<Reason>, Problem> {
        let path = path.unwrap_or_default().to_owned();
        let request = v1::WhyRequest { run_id: run.as_str().to_owned(), path };
        let answer = self.ask(|mut service| async move { service.why(request).await })?;
        Ok(answer.reasons.into_iter().map(Into::into).collect())
    }
}

/// The messages of one story, one after the other.
struct Parts {
    runtime: Arc<Runtime>,
    asked: Asked,
    stream: tonic::Streaming<v1::GetRunResponse>,
}

impl Parts {
    fn next(&mut self) -> Result<Option<v1::get_run_response::Part>, Problem> {
        let (within, message) = (self.asked.within, self.stream.message());
        let message = self.runtime.block_on(async { tokio::time::timeout(within, message).await });
        match message.map_err(|_| self.asked.no_answer(within))? {
            Ok(Some(message)) => match message.part {
                Some(part) => Ok(Some(part)),
                None => Err(malformed(Malformed("part"))),
            },
            Ok(None) => Ok(None),
            Err(status) => Err(told(&status)),
        }
    }
}

/// What an owner answered, or that it did not live to.
fn told(status: &tonic::Status) -> Problem {
    use tonic::Code::{Cancelled, Internal, Unavailable, Unknown};
    let is_broken = matches!(status.code(), Cancelled | Internal | Unavailable | Unknown);
    if !is_broken || !status.details().is_empty() {
        return from_status(status);
    }
    Problem::new(Code::Unreachable, "the process that worked on the run is gone")
        .try_this("the same again: the run has ended, or is interrupted")
}

fn malformed(fault: Malformed) -> Problem {
    Problem::new(Code::Newer, format!("the owner's answer cannot be read: {fault}"))
        .because("another version of dagmar may own the run; its owner.json names it")
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::testing::Scratch;

    #[test]
    fn an_owner_that_takes_a_question_and_says_nothing_is_named() {
        let scratch = Scratch::new();
        let socket = scratch.path().join("owner.sock");
        let _silent = UnixListener::bind(&socket).unwrap();
        let (pid, started, version) = (std::process::id(), String::new(), String::new());
        let owner = Owner { pid, socket, started, version };
        let run = RunId::new("etl-7");
        let mut client = Client::connect(&run, &owner).unwrap();
        client.asked.within = Duration::from_millis(1);
        for problem in [client.list().err(), client.story(&run).err()] {
            let problem = problem.unwrap();
            assert_eq!(problem.code, Code::Unreachable);
            assert_eq!(problem.message, format!("process {pid} owns etl-7 and does not answer"));
            assert!(problem.help[1].contains("dagmar resume etl-7"), "{:?}", problem.help);
        }
    }
}
