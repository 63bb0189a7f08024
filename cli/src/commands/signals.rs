//! Ctrl-C and its like as messages, so that a run can be cancelled instead of torn.

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, unbounded};
use tokio::signal::unix::{SignalKind, signal};

/// Whoever stops a process and its group, as `timeout` does, sends it two SIGTERM so close
/// together, and means one thing. Two presses of Ctrl-C are two.
const TOGETHER: Duration = Duration::from_millis(500);

/// One message for each SIGINT or SIGTERM from now on. Without a thread to listen the system's
/// own way stays: the process ends, and the run is interrupted.
pub fn listen() -> Receiver<()> {
    let (sender, receiver) = unbounded();
    let (ready, is_ready) = crossbeam_channel::bounded::<()>(1);
    let listen = move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_io().build() else {
            return;
        };
        runtime.block_on(async move {
            let both = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
            let (Ok(mut interrupt), Ok(mut terminate)) = both else { return };
            drop(ready);
            let mut last_term: Option<Instant> = None;
            loop {
                let heard = tokio::select! {
                    heard = interrupt.recv() => heard.map(|()| false),
                    heard = terminate.recv() => heard.map(|()| true),
                };
                let Some(is_term) = heard else { return };
                let is_echo = is_term && last_term.is_some_and(|last| last.elapsed() < TOGETHER);
                if is_echo {
                    continue;
                }
                if sender.send(()).is_err() {
                    return;
                }
                if is_term {
                    last_term = Some(Instant::now());
                }
            }
        });
    };
    if std::thread::Builder::new().name("signals".to_owned()).spawn(listen).is_ok() {
        // Dropped by the thread when it listens, or when it cannot: both end the wait.
        let _ = is_ready.recv();
    }
    receiver
}
