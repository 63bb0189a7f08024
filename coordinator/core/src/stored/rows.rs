//! How the rows of the state stand in a snapshot.

use std::sync::Arc;

use dagmar_common::graph::{Care, Resources};
use dagmar_common::lease::{ExitReason, LogPlace, Output, OutputWay};
use dagmar_common::record::{AttemptStatus, Counts, NodeStatus, RunStatus};
use dagmar_common::view::Scope;

use super::forms::{fields, numbered};
use super::pack::{Pack, Reader, RestoreError, Writer};
use crate::command::Part;
use crate::schedule::{Class, Schedule};
use crate::state::Summary;
use crate::state::frame::{FrameMarks, FrameRow};
use crate::state::lease::{LeaseRow, Leases, Recorded};
use crate::state::map::{MapPhase, MapRow, Merge, MergedName, PastItems};
use crate::state::node::{Marks, NodeRow, PastNode, Why};
use crate::state::run::{Queue, RunRow, Stop, Work};
use crate::state::staging::{Blob, Phase};
use crate::state::timer::{Due, TimerRow, Timers};
use crate::state::trial::{TrialRest, TrialRow};
use crate::state::worker::{Readiness, Reign, WorkerRow};

numbered!(NodeStatus {
    Waiting = 0,
    Ready = 1,
    Leased = 2,
    Succeeded = 3,
    Failed = 4,
    Skipped = 5,
    Cancelled = 6,
});
numbered!(RunStatus { Running = 0, Succeeded = 1, Failed = 2, Cancelled = 3 });
numbered!(AttemptStatus {
    Running = 0,
    Succeeded = 1,
    Failed = 2,
    Cancelled = 3,
    Lost = 4,
    Unknown = 5,
});
numbered!(MapPhase { Running = 0, Merging = 1, Ended = 2 });
numbered!(Part { Graph = 0, Parameters = 1 });
numbered!(OutputWay { File = 0, Variable = 1 });
numbered!(Why {
    Plain = 0,
    UpstreamFailed = 1,
    UpstreamSkipped = 2,
    NotReached = 3,
    CrashLimit = 4,
    NoParameter = 5,
    NotAList = 6,
    RunStopped = 7,
    CancelUnconfirmed = 8,
    ItemsFailed = 9,
    Unknown = 10,
});

fields!(Reign { number, since });
fields!(Counts { waiting, active, succeeded, failed, skipped, cancelled });
fields!(Summary { number, run_id, status, submitted, ended, last_index });
fields!(NodeRow {
    status,
    failed,
    crashes,
    marks,
    why,
    arrived,
    frame,
    link,
    other,
    trials,
    fence,
    at,
    view,
});
fields!(PastNode { status, why, cause, trials, map, ended });
fields!(FrameRow { section, map, item, item_start, item_end, first, left, marks, result, indices });
fields!(TrialRow {
    previous,
    worker,
    number,
    status,
    reason,
    began,
    took,
    granted,
    recorded,
    seen,
    rest,
});
fields!(Output { name, value, way });
fields!(LogPlace { fence, segment, offset, length, dropped });
fields!(MapRow {
    node,
    composite,
    body,
    items,
    cursor,
    count,
    next,
    open,
    ended,
    failed,
    cancelled,
    phase,
    is_opening,
    has_results,
    counts,
    indices,
    seen,
    past,
    order,
    merge,
    written,
});
fields!(PastItems { first, count, block, is_special, ended, result });
fields!(Merge { next, names });
fields!(MergedName { values, last, is_list });
fields!(RunRow {
    number,
    id,
    tag,
    graph,
    queues,
    queue_of,
    initial,
    context,
    status,
    stop,
    submitted,
    ended,
    first_index,
    last_index,
    counts,
    leases,
    limit_timer,
    nodes,
    frames,
    trials,
    maps,
    past,
    free,
    agenda,
    is_in_round,
    is_touched,
});
fields!(Queue { class, head, tail, length, key });
fields!(WorkerRow {
    id,
    incarnation,
    name,
    cpu_millis,
    labels,
    lost_after,
    session,
    readiness,
    reign,
    used,
    leases,
    charged,
    recalled,
    first,
    last,
    ahead,
    reserved_for,
    drains,
});
fields!(LeaseRow {
    slot,
    node,
    class,
    worker,
    is_live,
    is_charged,
    is_recalled,
    granted,
    previous,
    next,
});
fields!(Recorded { fence, digest });
fields!(TimerRow { deadline, sequence, due });
fields!(Resources { cpu_millis });
fields!(Care { exclusive, once });
fields!(Schedule { classes, fresh, is_unfinished });

impl Pack for Blob {
    fn pack(&self, out: &mut Writer<'_>) {
        self.part.pack(out);
        self.total.pack(out);
        self.touched.pack(out);
        self.have.pack(out);
        self.chunks.pack(out);
        self.phase.pack(out);
    }

    fn unpack(from: &mut Reader<'_>) -> Result<Self, RestoreError> {
        let (part, total) = (Pack::unpack(from)?, Pack::unpack(from)?);
        let mut blob = Blob::new(part, total, Pack::unpack(from)?);
        blob.have = Pack::unpack(from)?;
        blob.chunks = Pack::unpack(from)?;
        blob.phase = Pack::unpack(from)?;
        Ok(blob)
    }
}

impl Pack for Phase {
    fn pack(&self, out: &mut Writer<'_>) {
        match self {
            Phase::Coming => out.number(0),
            Phase::Checking { done } => (1_u8, *done).pack(out),
            Phase::Whole => out.number(2),
            Phase::Bad { why } => (3_u8, why.clone()).pack(out),
        }
    }

    fn unpack(from: &mut Reader<'_>) -> Result<Self, RestoreError> {
        match from.number()? {
            0 => Ok(Phase::Coming),
            1 => Ok(Phase::Checking { done: Pack::unpack(from)? }),
            2 => Ok(Phase::Whole),
            3 => Ok(Phase::Bad { why: Pack::unpack(from)? }),
            _ => Err(RestoreError::Malformed("an unknown phase of what is staged")),
        }
    }
}

impl Pack for Marks {
    fn pack(&self, out: &mut Writer<'_>) {
        self.0.pack(out);
    }

    fn unpack(from: &mut Reader<'_>) -> Result<Self, RestoreError> {
        u8::unpack(from).map(Marks)
    }
}

impl Pack for FrameMarks {
    fn pack(&self, out: &mut Writer<'_>) {
        self.0.pack(out);
    }

    fn unpack(from: &mut Reader<'_>) -> Result<Self, RestoreError> {
        u8::unpack(from).map(FrameMarks)
    }
}

impl Pack for Arc<TrialRest> {
    fn pack(&self, out: &mut Writer<'_>) {
        self.outputs.pack(out);
        self.log.pack(out);
        self.last_lines.pack(out);
    }

    fn unpack(from: &mut Reader<'_>) -> Result<Self, RestoreError> {
        let (outputs, log) = (Pack::unpack(from)?, Pack::unpack(from)?);
        Ok(Arc::new(TrialRest { outputs, log, last_lines: Pack::unpack(from)? }))
    }
}

impl Pack for Arc<Scope> {
    fn pack(&self, out: &mut Writer<'_>) {
        self.overlay.pack(out);
        self.base.pack(out);
    }

    fn unpack(from: &mut Reader<'_>) -> Result<Self, RestoreError> {
        Ok(Arc::new(Scope { overlay: Pack::unpack(from)?, base: Pack::unpack(from)? }))
    }
}

impl Pack for ExitReason {
    fn pack(&self, out: &mut Writer<'_>) {
        let (kind, number) = match *self {
            ExitReason::Code(code) => (0_u8, i32::from(code)),
            ExitReason::Signal(signal) => (1, i32::from(signal)),
            ExitReason::TimeLimit => (2, 0),
            ExitReason::NotStarted(errno) => (3, errno),
            ExitReason::BadOutput => (4, 0),
        };
        (kind, number).pack(out);
    }

    fn unpack(from: &mut Reader<'_>) -> Result<Self, RestoreError> {
        let (kind, number) = <(u8, i32)>::unpack(from)?;
        Ok(match kind {
            0 => ExitReason::Code(number as u8),
            1 => ExitReason::Signal(number as u8),
            2 => ExitReason::TimeLimit,
            3 => ExitReason::NotStarted(number),
            4 => ExitReason::BadOutput,
            _ => return Err(RestoreError::Malformed("an unknown exit reason")),
        })
    }
}

impl Pack for Stop {
    fn pack(&self, out: &mut Writer<'_>) {
        match self {
            Stop::TimeLimit => out.number(0),
            Stop::Cancelled { reason } => {
                out.number(1);
                reason.pack(out);
            }
        }
    }

    fn unpack(from: &mut Reader<'_>) -> Result<Self, RestoreError> {
        match from.number()? {
            0 => Ok(Stop::TimeLimit),
            1 => Ok(Stop::Cancelled { reason: Pack::unpack(from)? }),
            _ => Err(RestoreError::Malformed("an unknown stop")),
        }
    }
}

impl Pack for Work {
    fn pack(&self, out: &mut Writer<'_>) {
        let (kind, first, second) = match *self {
            Work::Begin { frame, from } => (0_u8, frame, from),
            Work::Ended { node, edge } => (1, node, edge),
            Work::FrameEnded { frame } => (2, frame, 0),
            Work::Open { map } => (3, map, 0),
            Work::MapEnded { map } => (4, map, 0),
            Work::Merge { map } => (5, map, 0),
            Work::Sweep { row } => (6, row, 0),
        };
        (kind, (first, second)).pack(out);
    }

    fn unpack(from: &mut Reader<'_>) -> Result<Self, RestoreError> {
        let (kind, (first, second)) = <(u8, (u32, u32))>::unpack(from)?;
        Ok(match kind {
            0 => Work::Begin { frame: first, from: second },
            1 => Work::Ended { node: first, edge: second },
            2 => Work::FrameEnded { frame: first },
            3 => Work::Open { map: first },
            4 => Work::MapEnded { map: first },
            5 => Work::Merge { map: first },
            6 => Work::Sweep { row: first },
            _ => return Err(RestoreError::Malformed("unknown work")),
        })
    }
}

impl Pack for Due {
    fn pack(&self, out: &mut Writer<'_>) {
        let (kind, run, node) = match *self {
            Due::Backoff { run, node } => (0_u8, run, node),
            Due::RunLimit { run } => (1, run, 0),
        };
        (kind, (run, node)).pack(out);
    }

    fn unpack(from: &mut Reader<'_>) -> Result<Self, RestoreError> {
        match <(u8, (_, u32))>::unpack(from)? {
            (0, (run, node)) => Ok(Due::Backoff { run, node }),
            (1, (run, _)) => Ok(Due::RunLimit { run }),
            _ => Err(RestoreError::Malformed("an unknown timer")),
        }
    }
}

impl Pack for Readiness {
    fn pack(&self, out: &mut Writer<'_>) {
        match self {
            Readiness::Ready => out.number(0),
            Readiness::Lost => out.number(1),
            Readiness::Removed => out.number(3),
            Readiness::Suspended { since } => {
                out.number(2);
                since.pack(out);
            }
        }
    }

    fn unpack(from: &mut Reader<'_>) -> Result<Self, RestoreError> {
        match from.number()? {
            0 => Ok(Readiness::Ready),
            1 => Ok(Readiness::Lost),
            2 => Ok(Readiness::Suspended { since: Pack::unpack(from)? }),
            3 => Ok(Readiness::Removed),
            _ => Err(RestoreError::Malformed("an unknown readiness")),
        }
    }
}

impl Pack for Leases {
    fn pack(&self, out: &mut Writer<'_>) {
        self.last_fence.pack(out);
        self.recorded.pack(out);
        out.number(self.iter().count() as u64);
        for (fence, row) in self.iter() {
            fence.pack(out);
            row.pack(out);
        }
    }

    fn unpack(from: &mut Reader<'_>) -> Result<Self, RestoreError> {
        let mut leases = Leases::default();
        leases.last_fence = Pack::unpack(from)?;
        leases.recorded = Pack::unpack(from)?;
        for _ in 0..from.number()? {
            leases.insert(Pack::unpack(from)?, Pack::unpack(from)?);
        }
        Ok(leases)
    }
}

impl Pack for Timers {
    fn pack(&self, out: &mut Writer<'_>) {
        self.rows.pack(out);
        self.free.pack(out);
        self.sequence.pack(out);
    }

    fn unpack(from: &mut Reader<'_>) -> Result<Self, RestoreError> {
        let mut timers = Timers::new();
        timers.rows = Pack::unpack(from)?;
        timers.free = Pack::unpack(from)?;
        timers.sequence = Pack::unpack(from)?;
        Ok(timers)
    }
}

impl Pack for Class {
    fn pack(&self, out: &mut Writer<'_>) {
        self.resources.pack(out);
        self.care.pack(out);
        self.mean.pack(out);
        self.stuck_since.pack(out);
        self.is_new.pack(out);
        self.cursor.pack(out);
        self.reserved.pack(out);
    }

    fn unpack(from: &mut Reader<'_>) -> Result<Self, RestoreError> {
        let (resources, care) = (Pack::unpack(from)?, Pack::unpack(from)?);
        let mean = Pack::unpack(from)?;
        let mut class = Class::new(resources, care, Pack::unpack(from)?);
        class.mean = mean;
        class.is_new = Pack::unpack(from)?;
        class.cursor = Pack::unpack(from)?;
        class.reserved = Pack::unpack(from)?;
        Ok(class)
    }
}
