//! Streams to workers, as the driver sees them: a channel in this process, or gRPC.

use dagmar_common::ids::StreamNo;
use dagmar_common::lease::{FromWorker, Numbered, ToWorker};
use dagmar_common::time::BootTime;

/// What can happen on a stream.
#[derive(Debug)]
pub enum FromStream {
    Opened,
    Message(Numbered<FromWorker>),
    Closed,
}

/// The driver sends, and asks what has arrived; whoever brings something wakes the driver.
pub trait Links {
    fn send(&mut self, stream: StreamNo, message: Numbered<ToWorker>);

    fn close(&mut self, stream: StreamNo);

    /// Performs what was sent, and appends what came back, in order. An error ends the driver.
    fn exchange(&mut self, arrived: &mut Vec<(StreamNo, FromStream)>) -> std::io::Result<()>;

    /// When the links want to be asked again without having been woken.
    fn wakes_at(&self) -> Option<BootTime>;
}
