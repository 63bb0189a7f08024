//! What one durable commit of the log store costs, beside a bare append with fdatasync.
//!
//! `cargo run --release -p dagmar-coordinator --example store_bench -- DIRECTORY [COMMITS]`

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use dagmar_common::ids::{ClusterId, ReplicaId, StorageId};
use dagmar_coordinator::store::{LocalStore, Owner, Store};
use dagmar_replica::{Persist, Recovered, Replica, ReplicaConfig};

const OWNER: Owner = Owner { cluster: ClusterId(1), replica: ReplicaId(1), storage: StorageId(1) };

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let parent = arguments.next().context("name a directory on the disk to measure")?;
    let commits = arguments.next().map_or(Ok(1_000), |text| text.parse())?;
    let directory = Path::new(&parent).join(format!("dagmar-store-bench-{}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    let measured = measure(&directory, commits);
    std::fs::remove_dir_all(&directory)?;
    measured
}

fn measure(directory: &Path, commits: usize) -> anyhow::Result<()> {
    println!(
        "{:>8}  {:>30}  {:>30}",
        "entry", "log store p50 / p99", "append + fdatasync p50 / p99"
    );
    let mut bare = File::create(directory.join("bare"))?;
    let (mut replica, mut store, created) = born(&directory.join("log"))?;
    for bytes in [512, 64 << 10] {
        let data = vec![7; bytes];
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        // In turn, so that whatever else the machine does falls on both.
        for _ in 0..commits {
            let persist = propose(&mut replica, &data)?;
            ours.push(timed(|| store.persist(&persist))?);
            settle(&mut replica, persist);
            theirs.push(timed(|| bare.write_all(&data).and_then(|()| bare.sync_data()))?);
        }
        println!("{bytes:>8}  {:>30}  {:>30}", percentiles(ours), percentiles(theirs));
    }
    drop(store);
    let started = Instant::now();
    let opened = LocalStore::open(&directory.join("log"))?;
    let (opening, entries) = (started.elapsed(), opened.recovered.entries.len());
    println!("created with its first transaction in {created:.2?}");
    println!("opened, {entries} entries verified, in {opening:.2?}");
    Ok(())
}

fn born(directory: &Path) -> anyhow::Result<(Replica, LocalStore, Duration)> {
    let recovered = Recovered::bootstrap(&[OWNER.replica]);
    let base = recovered.base.clone();
    let config = ReplicaConfig { id: OWNER.replica, seed: 1, boot_nonce: 1 };
    let mut replica = Replica::new(config, recovered)?;
    replica.campaign();
    let first = propose(&mut replica, b"first")?;
    let started = Instant::now();
    let (store, _) = LocalStore::create(directory, OWNER, &base, &first)?;
    let created = started.elapsed();
    settle(&mut replica, first);
    Ok((replica, store, created))
}

fn propose(replica: &mut Replica, data: &[u8]) -> anyhow::Result<Persist> {
    replica.propose(data.to_vec())?;
    let work = replica.ready().context("a proposal makes work")?;
    work.persist.context("a proposal is written")
}

fn settle(replica: &mut Replica, persist: Persist) {
    replica.persisted(persist.token);
    while let Some(work) = replica.ready() {
        if let Some(last) = work.committed.last() {
            replica.applied(last.index);
        }
    }
}

fn timed<E>(act: impl FnOnce() -> Result<(), E>) -> Result<Duration, E> {
    let started = Instant::now();
    act().map(|()| started.elapsed())
}

fn percentiles(mut samples: Vec<Duration>) -> String {
    samples.sort_unstable();
    let at = |percent: usize| samples[(samples.len() - 1) * percent / 100];
    format!("{:.3} / {:.3} ms", at(50).as_secs_f64() * 1e3, at(99).as_secs_f64() * 1e3)
}
