//! The state's answers to the questions of a leader.

use dagmar_common::ids::{Fence, WorkerId, WorkerNo};
use dagmar_common::lease::{Hello, Start};

use super::WorkerView;
use crate::leader::{Facts, LeaseFacts, WorkerFacts};
use crate::state::State;

impl Facts for State {
    fn worker(&self, id: WorkerId) -> Option<WorkerFacts> {
        let number = self.worker_no(id)?;
        State::worker(self, number).map(|view| facts(&view))
    }

    fn worker_id(&self, number: WorkerNo) -> Option<WorkerId> {
        State::worker(self, number).map(|view| view.id)
    }

    fn workers(&self) -> impl Iterator<Item = WorkerFacts> {
        State::workers(self).map(|view| facts(&view))
    }

    fn offers_the_same(&self, hello: &Hello) -> bool {
        let number = self.worker_no(hello.worker);
        number.and_then(|number| State::worker(self, number)).is_some_and(|view| {
            **view.name == *hello.name
                && view.cpu_millis == hello.cpu_millis
                && view.labels == hello.labels.as_slice()
        })
    }

    fn lease(&self, fence: Fence) -> Option<LeaseFacts> {
        let lease = State::lease(self, fence)?;
        Some(LeaseFacts { worker: lease.worker, is_cancelled: lease.is_cancelled })
    }

    fn leases_of(&self, worker: WorkerNo) -> Vec<Fence> {
        let mut fences: Vec<Fence> = State::leases_of(self, worker).collect();
        fences.sort_unstable();
        fences
    }

    fn start(&self, fence: Fence) -> Option<Start> {
        let lease = State::lease(self, fence)?;
        self.start_message(lease.worker, fence)
    }
}

fn facts(view: &WorkerView<'_>) -> WorkerFacts {
    let away = view.suspended_since.filter(|_| view.leases > 0);
    WorkerFacts {
        id: view.id,
        number: view.number,
        incarnation: view.incarnation,
        ready: view.ready,
        lost_at: away.map(|since| since + view.lost_after),
    }
}
