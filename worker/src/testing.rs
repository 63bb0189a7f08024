//! What tests of this crate share: a directory of their own, and trials.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use dagmar_common::graph::{Command, Function, Resources, Shell, Task};
use dagmar_common::ids::{Fence, LogIndex, NodeNo, RunId, RunNo};
use dagmar_common::lease::{Start, TrialName};
use dagmar_common::view::Scope;

/// Removed when it is dropped.
#[derive(Debug)]
pub struct Directory(PathBuf);

impl Directory {
    #[allow(clippy::unwrap_used)]
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("dagmar-worker-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Directory(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A trial of a shell script.
pub fn start(fence: u64, script: &str) -> Start {
    let text = script.to_owned();
    let function = Function::Process(Command::Script { text, shell: Shell::Sh });
    Start {
        fence: Fence(fence),
        name: TrialName {
            run: RunNo(7),
            run_id: RunId::new("calm-run"),
            tag: "nightly".into(),
            path: "map.3.step".into(),
            node: NodeNo(0),
            attempt: 2,
            indices: [].into(),
            items: Arc::default(),
            granted: LogIndex(1),
        },
        task: Arc::new(Task {
            function,
            max_attempts: 3,
            backoff: None,
            time_limit: None,
            resources: Resources::default(),
            care: Default::default(),
        }),
        scope: Scope::default(),
    }
}
