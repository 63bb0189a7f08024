//! Streams to workers, as the driver sees them: a channel in this process, or gRPC.

use dagmar_common::ids::{Session, StreamNo};
use dagmar_common::lease::{Numbered, ToWorker};
use dagmar_common::time::BootTime;
use dagmar_member::FromStream;

/// The driver sends, and asks what has arrived; whoever brings something wakes the driver.
pub trait Links {
    /// The worker in this process has a session with a new leadership, over this stream.
    fn born_ready(&mut self, stream: StreamNo, session: Session);

    fn send(&mut self, stream: StreamNo, message: Numbered<ToWorker>);

    fn close(&mut self, stream: StreamNo);

    /// Performs what was sent, and appends what came back, in order. An error ends the driver.
    fn exchange(&mut self, arrived: &mut Vec<(StreamNo, FromStream)>) -> std::io::Result<()>;

    /// When the links want to be asked again without having been woken.
    fn wakes_at(&self) -> Option<BootTime>;
}
