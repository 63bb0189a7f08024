//! The disk thread: one durable write at a time, so that the driver collects while it waits.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use dagmar_common::ids::LogIndex;
use dagmar_replica::Persist;

use crate::handle::{Handle, Input};
use crate::store::{Store, StoreError};

/// Orders under way: the driver hands over one write and waits for its end before the next.
const ORDERS_MAX: usize = 4;
/// How long after a write the watermark is made durable too, whatever else is written.
const WATERMARK_AFTER: Duration = Duration::from_secs(1);

/// Where the log is, or how its first write makes it.
pub enum Log {
    Open(Box<dyn Store>),
    New(MakeLog),
}

pub type MakeLog = Box<dyn FnOnce(&Persist) -> Result<Box<dyn Store>, StoreError> + Send>;

enum Order {
    Persist(Persist),
    TruncateBefore(LogIndex),
}

pub struct Disk {
    orders: Option<Sender<Order>>,
    thread: Option<JoinHandle<()>>,
}

impl Disk {
    pub fn start(log: Log, driver: Handle) -> std::io::Result<Disk> {
        let (orders, wanted) = bounded::<Order>(ORDERS_MAX);
        let work = move || {
            // The first error is the last word: what a disk holds after one is not known.
            if let Err(error) = serve(log, &wanted, &driver) {
                // A driver that stopped before does not mind.
                let _ = driver.send(Input::Broken(error.to_string()));
            }
        };
        let thread = std::thread::Builder::new().name("disk".to_owned()).spawn(work)?;
        Ok(Disk { orders: Some(orders), thread: Some(thread) })
    }

    pub fn persist(&self, persist: Persist) {
        self.order(Order::Persist(persist));
    }

    pub fn truncate_before(&self, index: LogIndex) {
        self.order(Order::TruncateBefore(index));
    }

    fn order(&self, order: Order) {
        if let Some(orders) = &self.orders {
            // A disk that broke has told the driver so, which then stops.
            let _ = orders.send(order);
        }
    }
}

impl Drop for Disk {
    /// Waits for the last write, so that the store's lock is free when this returns.
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            // It panics no more than the store does, and then there is nothing left to save.
            let _ = thread.join();
        }
    }
}

fn serve(log: Log, wanted: &Receiver<Order>, driver: &Handle) -> Result<(), StoreError> {
    let (mut store, mut make) = match log {
        Log::Open(store) => (Some(store), None),
        Log::New(make) => (None, Some(make)),
    };
    // Since when the watermark on the disk is behind the log.
    let mut behind_since: Option<Instant> = None;
    loop {
        match wanted.recv_timeout(WATERMARK_AFTER) {
            Ok(Order::Persist(persist)) => {
                if let Some(store) = &mut store {
                    store.persist(&persist)?;
                } else if let Some(make) = make.take() {
                    store = Some(make(&persist)?);
                }
                tracing::debug!(token = ?persist.token, "a write is durable");
                behind_since.get_or_insert_with(Instant::now);
                answer(driver, persist.token);
            }
            Ok(Order::TruncateBefore(index)) => {
                if let Some(store) = &mut store {
                    store.truncate_before(index)?;
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
        let is_due = behind_since.is_some_and(|since| since.elapsed() >= WATERMARK_AFTER);
        if let Some(store) = store.as_mut().filter(|_| is_due) {
            store.sync_watermark()?;
            behind_since = None;
        }
    }
}

fn answer(driver: &Handle, token: dagmar_replica::Token) {
    // A driver that stopped meanwhile finds the write in its log at the next start.
    let _ = driver.send(Input::Persisted(token));
}
