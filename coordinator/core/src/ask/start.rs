//! The message that starts a leased trial, made from the state when it is sent.

use std::sync::Arc;

use dagmar_common::ids::{Fence, LogIndex, WorkerNo};
use dagmar_common::lease::{Start, TrialName};

use super::scope;
use crate::state::State;

impl State {
    /// All that `worker` needs to run what it holds under `fence`; None if that is no lease of it
    /// any more. Everything large is shared with the state.
    pub fn start_message(&self, worker: WorkerNo, fence: Fence) -> Option<Start> {
        let lease = self.leases.live(fence).filter(|lease| lease.worker == worker)?;
        let run = self.runs.get(lease.slot);
        let row = lease.node;
        let node = run.nodes.get(row);
        let frame = run.frames.get(node.frame);
        let no = frame.node(row);
        let task = run.task_of(row)?;
        let path = match frame.is_root() {
            true => run.section(node.frame).name(no).into(),
            false => run.graph.graph.path(frame.section, no, &frame.indices).into(),
        };
        Some(Start {
            fence,
            name: TrialName {
                run: run.number,
                run_id: run.id.clone(),
                tag: run.tag.clone(),
                path,
                node: no,
                attempt: u32::from(node.failed) + 1,
                indices: frame.indices.clone(),
                items: scope::item_names(run, node.frame),
                granted: LogIndex(lease.granted),
            },
            task: Arc::clone(&run.graph.tasks[task.0 as usize]),
            scope: scope::of(run, row),
        })
    }
}
