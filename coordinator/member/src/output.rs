//! What a member wants done outside: one thing after another, in the order that must be kept.

use bytes::Bytes;
use dagmar_common::ids::{LogIndex, RunNo, Session, StreamNo};
use dagmar_common::lease::{Numbered, ToWorker};
use dagmar_coordinator_core::command::Position;
use dagmar_coordinator_core::effect::Reply;
use dagmar_coordinator_core::leader::Closing;
use dagmar_replica::{Outgoing, Persist, ReceiveError, SnapshotMeta, Standing};
use thiserror::Error;

/// `T` is who waits for a reply, `L` who waits to look at the state.
#[derive(Debug)]
pub enum Output<T, L> {
    /// Who this replica is from here on. The streams of a leader that was end with it: its shell
    /// closes them, and opens none while another leads.
    Standing(Standing),
    /// Bytes for another replica; they may be lost. Where they bring a snapshot its chunks go
    /// first, and [`report_snapshot`](crate::Member::report_snapshot) tells what became of it.
    ToPeer(Outgoing),
    /// To be made durable by one transaction, answered by
    /// [`persisted`](crate::Member::persisted). No other comes before that.
    Persist(Persist),
    /// An entry is applied, and nobody outside has heard of it. Until the next output is asked
    /// for, state and [`effects`](crate::Member::effects) are as it left them.
    Applied(Entry),
    Reply {
        ticket: T,
        reply: Reply,
    },
    /// The state is as its asker may see it, until the next output is asked for.
    Look(L),
    /// The worker in this very process has this session, over this stream.
    BornReady {
        stream: StreamNo,
        session: Session,
    },
    ToWorker {
        stream: StreamNo,
        message: Numbered<ToWorker>,
    },
    CloseWorker {
        stream: StreamNo,
        why: Closing,
    },
    /// What workers have said by now is to be told: the next entry is formed after it.
    Hear,
    /// The run has ended: once its record is durable, `Archived` is to be proposed.
    Archive {
        run: RunNo,
    },
    /// The state is to be frozen now, before the next output is asked for, and saved under this
    /// head; answered by [`snapshot_saved`](crate::Member::snapshot_saved).
    SnapshotDue(SnapshotMeta),
    /// A durable snapshot holds what stands there.
    TruncateBefore(LogIndex),
    /// The state is another's snapshot from here on; whoever watches has missed what lies between.
    Installed(SnapshotMeta),
    /// A peer's message that makes no sense: dropped, and worth a count.
    Refused(ReceiveError),
    /// The last output: this process must end.
    Halt(Halt),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub position: Position,
    /// The batch as the log holds it; None for a mark of consensus, which changes no state.
    pub bytes: Option<Bytes>,
}

/// Why a member cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Halt {
    /// What the write did is not known, and another one would not tell.
    #[error("a write to the log has not come back for 30 s; the disk hangs")]
    Hung,
    #[error("entry {index} of the log cannot be read: {why}")]
    Entry { index: LogIndex, why: String },
    #[error("{0}")]
    LostData(ReceiveError),
}
