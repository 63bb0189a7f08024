//! `dagmar.v1.RunService`: each request checked, handed to [`Runs`], its answer told as a message.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError};
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use dagmar_common::ids::RunId;
use dagmar_common::problem::{Code, Problem};
use dagmar_common::record::follow::{Detail, LogQuestion};
use dagmar_proto::convert::{Malformed, request_id, submission, to_status};
use dagmar_proto::v1;
use dagmar_proto::v1::run_service_server::{RunService, RunServiceServer};

use super::{Runs, Story};

/// A submission with its graph; larger ones are refused by the transport.
const REQUEST_BYTES_MAX: usize = 512 << 20;
/// Messages of one stream that wait for a slow reader; the producer waits then.
const STREAM_MESSAGES_MAX: usize = 64;
/// Entries of a story in one message.
const ENTRIES_PER_MESSAGE: usize = 256;
/// A piece of a graph in one message.
const GRAPH_PIECE_BYTES: usize = 1 << 20;
/// Steps in one answer about progress, whatever was asked for.
const PROGRESS_STEPS_MAX: usize = 1_000;
/// How soon a stream notices that its reader has gone.
const READER_GONE_AFTER: Duration = Duration::from_millis(200);

/// The service over whoever knows of runs.
pub struct RunDoor {
    runs: Arc<dyn Runs>,
}

impl RunDoor {
    pub fn server(runs: Arc<dyn Runs>) -> RunServiceServer<RunDoor> {
        RunServiceServer::new(RunDoor { runs }).max_decoding_message_size(REQUEST_BYTES_MAX)
    }

    /// Asks where blocking is allowed.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&dyn Runs) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Status> {
        let runs = self.runs.clone();
        let answer = tokio::task::spawn_blocking(move || question(&*runs)).await;
        match answer {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(problem)) => Err(to_status(&problem)),
            Err(_) => {
                Err(to_status(&Problem::new(Code::Internal, "the question ended in a panic")))
            }
        }
    }
}

type Messages<M> = Pin<Box<dyn Stream<Item = Result<M, Status>> + Send>>;

#[tonic::async_trait]
impl RunService for RunDoor {
    type GetRunStream = Messages<v1::GetRunResponse>;
    type WatchRunStream = Messages<v1::WatchRunResponse>;
    type ReadLogsStream = Messages<v1::ReadLogsResponse>;

    async fn submit(
        &self,
        request: Request<v1::SubmitRequest>,
    ) -> Result<Response<v1::SubmitResponse>, Status> {
        let submission = submission(request.into_inner()).map_err(malformed)?;
        let run = self.ask(move |runs| runs.submit(submission)).await?;
        Ok(Response::new(v1::SubmitResponse { run_id: run.as_str().to_owned() }))
    }

    async fn list_runs(
        &self,
        _request: Request<v1::ListRunsRequest>,
    ) -> Result<Response<v1::ListRunsResponse>, Status> {
        let runs = self.ask(|runs| runs.list()).await?;
        Ok(Response::new(v1::ListRunsResponse { runs: runs.iter().map(Into::into).collect() }))
    }

    async fn get_run(
        &self,
        request: Request<v1::GetRunRequest>,
    ) -> Result<Response<Self::GetRunStream>, Status> {
        let run = RunId::new(&request.into_inner().run_id);
        let story = self.ask(move |runs| runs.story(&run)).await?;
        let (sender, receiver) = mpsc::channel(STREAM_MESSAGES_MAX);
        tokio::task::spawn_blocking(move || tell(story, &sender));
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn get_progress(
        &self,
        request: Request<v1::GetProgressRequest>,
    ) -> Result<Response<v1::GetProgressResponse>, Status> {
        let request = request.into_inner();
        let most = (request.most as usize).min(PROGRESS_STEPS_MAX);
        let run = RunId::new(&request.run_id);
        let progress = self.ask(move |runs| runs.progress(&run, most)).await?;
        Ok(Response::new((&progress).into()))
    }

    async fn watch_run(
        &self,
        request: Request<v1::WatchRunRequest>,
    ) -> Result<Response<Self::WatchRunStream>, Status> {
        let request = request.into_inner();
        let detail = if request.everything { Detail::Everything } else { Detail::Steps };
        let run = RunId::new(&request.run_id);
        let changes = self.ask(move |runs| runs.watch(&run, detail)).await?;
        Ok(Response::new(pump(changes, |change| Ok((&change).into()))))
    }

    async fn read_logs(
        &self,
        request: Request<v1::ReadLogsRequest>,
    ) -> Result<Response<Self::ReadLogsStream>, Status> {
        let request = request.into_inner();
        let question = LogQuestion {
            path: (!request.path.is_empty()).then(|| request.path.into()),
            attempt: (request.attempt > 0).then_some(request.attempt),
            follow: request.follow,
        };
        let run = RunId::new(&request.run_id);
        let pieces = self.ask(move |runs| runs.logs(&run, question)).await?;
        let message = |piece: Result<_, Problem>| match piece {
            Ok(piece) => Ok(v1::ReadLogsResponse::from(piece)),
            Err(problem) => Err(to_status(&problem)),
        };
        Ok(Response::new(pump(pieces, message)))
    }

    async fn cancel_run(
        &self,
        request: Request<v1::CancelRunRequest>,
    ) -> Result<Response<v1::CancelRunResponse>, Status> {
        let request = request.into_inner();
        let id = request_id(&request.request_id).map_err(malformed)?;
        let run = RunId::new(&request.run_id);
        self.ask(move |runs| runs.cancel(&run, id, &request.reason)).await?;
        Ok(Response::new(v1::CancelRunResponse {}))
    }

    async fn why(
        &self,
        request: Request<v1::WhyRequest>,
    ) -> Result<Response<v1::WhyResponse>, Status> {
        let request = request.into_inner();
        let run = RunId::new(&request.run_id);
        let path = (!request.path.is_empty()).then_some(request.path);
        let reasons = self.ask(move |runs| runs.why(&run, path.as_deref())).await?;
        Ok(Response::new(v1::WhyResponse {
            reasons: reasons.into_iter().map(Into::into).collect(),
        }))
    }
}

/// Record, graph, entries, in this order, as fast as the reader takes them.
fn tell(story: Story, sender: &mpsc::Sender<Result<v1::GetRunResponse, Status>>) {
    use v1::get_run_response::Part;
    let send = |part| sender.blocking_send(Ok(v1::GetRunResponse { part: Some(part) })).is_ok();
    // A reader that has gone wants nothing more, whatever is left.
    if !send(Part::Record((&story.record).into())) {
        return;
    }
    for piece in story.graph.chunks(GRAPH_PIECE_BYTES) {
        if !send(Part::Graph(piece.to_vec())) {
            return;
        }
    }
    let mut entries = Vec::with_capacity(ENTRIES_PER_MESSAGE);
    for entry in story.entries {
        match entry {
            Ok(entry) => entries.push((&entry).into()),
            Err(problem) => {
                let _ = sender.blocking_send(Err(to_status(&problem)));
                return;
            }
        }
        if entries.len() == ENTRIES_PER_MESSAGE {
            let entries = std::mem::take(&mut entries);
            if !send(Part::Entries(v1::StoryEntries { entries })) {
                return;
            }
        }
    }
    if !entries.is_empty() {
        send(Part::Entries(v1::StoryEntries { entries }));
    }
}

/// Hands on what arrives, until there is no more or the reader has gone.
fn pump<T: Send + 'static, M: Send + 'static>(
    source: Receiver<T>,
    message: impl Fn(T) -> Result<M, Status> + Send + 'static,
) -> Messages<M> {
    let (sender, receiver) = mpsc::channel(STREAM_MESSAGES_MAX);
    tokio::task::spawn_blocking(move || {
        loop {
            match source.recv_timeout(READER_GONE_AFTER) {
                Ok(one) => {
                    if sender.blocking_send(message(one)).is_err() {
                        return;
                    }
                }
                Err(RecvTimeoutError::Timeout) if !sender.is_closed() => {}
                Err(_) => return,
            }
        }
    });
    Box::pin(ReceiverStream::new(receiver))
}

fn malformed(malformed: Malformed) -> Status {
    to_status(&Problem::new(Code::Usage, malformed.to_string()))
}
