//! The owner's socket: a live run answers `dagmar.v1` to its user's other terminals.

use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use tokio::net::UnixStream;
use tokio::sync::oneshot;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::UnixListenerStream;

use dagmar_common::problem::Problem;
use dagmar_coordinator::services::{RunDoor, Runs};

use super::live::Live;

/// Readers get so long to take the last of what they follow when the run has ended.
const FAREWELL: Duration = Duration::from_secs(1);

/// From its name to its first visitor.
const LISTENS_WITHIN: Duration = Duration::from_secs(60);

/// A socket that is served until this is dropped.
pub struct OwnerSocket {
    path: PathBuf,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl OwnerSocket {
    /// Returns when others can connect; they are served by a thread of its own.
    pub fn open(live: &Live, runs: Arc<dyn Runs>) -> Result<Self, Problem> {
        let path = live.socket()?;
        let fault = |error| Problem::storage("listen on", &path, &error);
        path.parent().into_iter().for_each(tidy);
        // A socket of this name is a dead owner's: the lock of the run is ours.
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(fault(error)),
            _ => {}
        }
        let listener = UnixListener::bind(&path).map_err(fault)?;
        listener.set_nonblocking(true).map_err(fault)?;
        tracing::debug!(path = %path.display(), "other terminals can ask");
        let (stop, stopped) = oneshot::channel();
        let serve = move || serve(listener, runs, stopped);
        let builder = std::thread::Builder::new().name("owner-socket".to_owned());
        let thread = builder.spawn(serve).map_err(fault)?;
        Ok(OwnerSocket { path, stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for OwnerSocket {
    fn drop(&mut self) {
        // Whoever is gone already needs no farewell, and a socket that is gone no removal.
        let _ = std::fs::remove_file(&self.path);
        let _ = self.stop.take().map(|stop| stop.send(()));
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Removes what owners left who were killed. Whoever has just bound its socket may not listen yet.
fn tidy(directory: &Path) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let age = entry.metadata().and_then(|found| found.modified()).map(|then| then.elapsed());
        let is_old = matches!(age, Ok(Ok(age)) if age > LISTENS_WITHIN);
        let path = entry.path();
        if is_old && path.extension().is_some_and(|it| it == "sock") && is_dead(&path) {
            // It costs nothing but a name; the next run tries again.
            let _ = std::fs::remove_file(&path);
        }
    }
}

/// Nobody listens there. Asked without waiting: an owner that is stopped may have a long queue.
fn is_dead(path: &Path) -> bool {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None);
    let (Ok(socket), Ok(address)) = (socket, SocketAddrUnix::new(path)) else { return false };
    connect(&socket, &address) == Err(Errno::CONNREFUSED)
}

fn serve(listener: UnixListener, runs: Arc<dyn Runs>, stopped: oneshot::Receiver<()>) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::warn!(%error, "other terminals cannot reach this run");
            return;
        }
    };
    runtime.block_on(async move {
        let listener = match tokio::net::UnixListener::from_std(listener) {
            Ok(listener) => listener,
            Err(error) => {
                tracing::warn!(%error, "other terminals cannot reach this run");
                return;
            }
        };
        let (farewell, said) = oneshot::channel::<()>();
        let server = tonic::transport::Server::builder()
            .add_service(RunDoor::server(runs))
            .serve_with_incoming_shutdown(
                UnixListenerStream::new(listener).filter_map(of_this_user),
                async move {
                    // Sent or dropped: either way the run is over.
                    let _ = stopped.await;
                    drop(farewell);
                },
            );
        let patience = async move {
            let _ = said.await;
            tokio::time::sleep(FAREWELL).await;
        };
        tokio::select! {
            ended = server => if let Err(error) = ended {
                tracing::warn!(%error, "the owner's socket ended");
            },
            () = patience => {}
        }
    });
    runtime.shutdown_background();
}

/// The directory is closed to others; this holds even where somebody opened it.
fn of_this_user(stream: std::io::Result<UnixStream>) -> Option<std::io::Result<UnixStream>> {
    let Ok(stream) = stream else { return Some(stream) };
    let us = rustix::process::geteuid().as_raw();
    match stream.peer_cred() {
        Ok(peer) if peer.uid() == us || peer.uid() == 0 => Some(Ok(stream)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
