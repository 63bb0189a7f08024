//! Every bound of the house under its name, with what happens when it is hit.

use crate::time::Span;

/// A file with more is refused before it is parsed.
pub const PIPELINE_FILE_BYTES_MAX: usize = 64 << 20;
/// Larger pipelines come through the API as a graph.
pub const PIPELINE_YAML_NODES_MAX: usize = 4_000_000;
/// Deeper YAML is refused.
pub const PIPELINE_DEPTH_MAX: usize = 64;
/// A graph with more nodes in one section is refused at compile and at verify.
pub const SECTION_NODES_MAX: usize = 4_000_000;
/// A graph with more edges in one section is refused at compile and at verify.
pub const SECTION_EDGES_MAX: usize = 16_000_000;
/// More attempts at one task are refused at compile.
pub const ATTEMPTS_MAX: u32 = 100;
/// The wait between attempts stops doubling here where the pipeline does not say.
pub const BACKOFF_MOST_DEFAULT: Span = Span::from_secs(300);
/// Longer waits and time limits are refused at compile.
pub const TIME_LIMIT_MAX: Span = Span::from_secs(366 * 24 * 3_600);
/// A task that asks for more cpus is refused at compile.
pub const TASK_CPUS_MAX: u32 = 10_000;
/// One word of a command: what Linux takes as one argument of a program.
pub const COMMAND_WORD_BYTES_MAX: usize = (128 << 10) - 1;
/// One script; what is left of a word is for what its worker puts in front of it.
pub const SCRIPT_BYTES_MAX: usize = 127 << 10;
/// All words of a command together; more is refused at compile.
pub const COMMAND_BYTES_MAX: usize = 1 << 20;
/// Longer names of steps are refused at compile.
pub const STEP_NAME_BYTES_MAX: usize = 255;
/// Longer names of parameters are refused wherever they come from.
pub const PARAMETER_NAME_BYTES_MAX: usize = 255;
/// Longer run ids are refused at submission.
pub const RUN_ID_BYTES_MAX: usize = 128;

/// Suffixes that are tried for a generated run id that is taken, before the run's own number.
pub const RUN_ID_SUFFIXES_MAX: u64 = 64;

/// One entry of the log; what does not fit waits for the next.
pub const ENTRY_BYTES_MAX: usize = 128 << 10;
/// Changes one entry makes at most; what is left stands on the agenda.
pub const ENTRY_UNITS_MAX: u32 = 4_096;
/// Edges that count as one unit of change.
pub const EDGES_PER_UNIT: u32 = 64;
/// What travels inside `Submit`; more is staged.
pub const SUBMIT_INLINE_BYTES_MAX: usize = 64 << 10;
/// One chunk of what is staged; below an entry's bound so that its envelope fits too.
pub const STAGE_CHUNK_BYTES: usize = 96 << 10;
/// All that may be staged at once; more is refused.
pub const STAGED_BYTES_MAX: usize = 512 << 20;
/// How long a changing request is remembered, in log time.
pub const REQUEST_MEMORY: Span = Span::from_secs(24 * 3_600);

/// (class, worker) pairs looked at in one entry; the rest from a cursor.
pub const SCHEDULE_PAIRS_MAX: u32 = 256;
/// Leases of one worker, whatever its capacity: so many are given up within one entry when it is
/// lost.
pub const WORKER_LEASES_MAX: u32 = ENTRY_UNITS_MAX;
/// Leases granted in one entry; what waits beyond them goes on with the next.
pub const GRANTS_MAX: u32 = ENTRY_UNITS_MAX;
/// Leases granted to one worker beyond its capacity.
pub const AHEAD_MAX: u32 = 2_048;
/// Work granted ahead of a worker's capacity covers this much time.
pub const AHEAD_SPAN: Span = Span::from_millis(100);
/// A class whose trials take longer on average is not granted ahead.
pub const AHEAD_TRIAL_MAX: Span = Span::from_secs(1);
/// A class head not placed for so long (log time) reserves the worker that fits it best.
pub const RESERVE_AFTER: Span = Span::from_secs(60);
/// Frames of one map that are open at once, at least; more when the workers can take more.
pub const MAP_FRAMES_OPEN_MIN: u32 = 1_024;

/// Lines of a failed attempt that stand in the run log itself.
pub const LAST_LINES_MAX: usize = 20;
/// Bytes of them.
pub const LAST_LINES_BYTES_MAX: usize = 4 << 10;
/// One outcome in the log; larger outputs fail the attempt until they spill to the catalog.
pub const OUTCOME_BYTES_MAX: usize = 64 << 10;
/// One value in an environment variable; larger ones stand in the parameters file only.
pub const ENVIRONMENT_VALUE_BYTES_MAX: usize = 96 << 10;
/// What a script exports at its end, all together; more fails the attempt.
pub const EXPORTS_BYTES_MAX: usize = 16 << 20;
/// All parameters in the environment together.
pub const ENVIRONMENT_BYTES_MAX: usize = 1 << 20;
/// Output kept of one attempt and stream; beyond it the bytes are read and counted.
pub const LOG_BYTES_MAX: u64 = 64 << 20;

/// A worker away for so long (log time) may lose its leases.
pub const LOST_AFTER: Span = Span::from_secs(300);
/// A shorter time than this is never enough to call a worker lost.
pub const LOST_AFTER_MIN: Span = Span::from_secs(60);
/// A worker or its supervisor lost under one trial so often fails it: `crash limit`.
pub const CRASH_LIMIT: u8 = 5;
/// Lost attempts of one try that a run log tells; of more, the first ones and the last.
pub const LOST_ATTEMPTS_MAX: u32 = 32;
/// A lease whose process its worker could not start is granted again after so long (log time).
pub const NOT_STARTED_WAITS: Span = Span::from_secs(1);
/// Heartbeats between worker and leader.
pub const HEARTBEAT_EVERY: Span = Span::from_secs(5);
/// A worker that hears nothing for so long looks for the leader elsewhere.
pub const LEADER_SILENT_AFTER: Span = Span::from_secs(15);
/// A ready worker not heard for so long (two heartbeats) is suspended.
pub const HEARTBEATS_LATE: Span = Span::from_secs(10);
/// A worker whose stream broke is suspended unless it is back with a hello within this time.
pub const HELLO_BACK_WITHIN: Span = Span::from_secs(2);
/// How long an acknowledged heartbeat lets exclusive trials run, from when it was sent: 30 s less
/// what clocks may differ (1 %) and the time to stop them, pauses included (7 s).
pub const EXCLUSIVE_FOR: Span = Span::from_millis(30_000 * 99 / 100 - 7_000);
/// With less left an exclusive trial is not begun.
pub const EXCLUSIVE_LEFT_MIN: Span = Span::from_secs(1);
/// A supervisor whose daemon is gone, and that is to wait for another, waits so long.
pub const DISCONNECTED_MAX: Span = Span::from_secs(24 * 3_600);
/// Heartbeats wait so long for one quorum round that confirms them all.
pub const QUORUM_ROUND_EVERY: Span = Span::from_millis(250);
/// A quorum round without an answer is begun anew after this time.
pub const QUORUM_ROUND_AGAIN: Span = Span::from_secs(1);
/// Messages kept behind a hello that is not answered yet; with more the stream is closed.
pub const BEHIND_HELLO_MAX: usize = 1_024;
/// While work waits on a worker, its outcomes wait so long for others to share a message with.
pub const OUTCOMES_HELD_FOR: Span = Span::from_millis(30);
/// With so many they wait no longer.
pub const OUTCOMES_HELD_MAX: usize = 64;
/// How many times its capacity a worker hands to its supervisor beyond it, where a trial begins
/// the moment its cpus are free; what is handed over is recalled no more.
pub const HANDED_AHEAD: u32 = 24;
/// Outcomes in one message of a stream; more go into the next message.
pub const OUTCOMES_MESSAGE_BYTES_MAX: usize = 1 << 20;
/// Between TERM and KILL.
pub const GRACE: Span = Span::from_secs(10);

/// One segment of an archive; a story that is longer goes on in the next one.
pub const SEGMENT_BYTES_MAX: usize = 4 << 20;
/// Equal frames that one entry of a story stands for; more begin another.
pub const ALIKE_ITEMS_MAX: u32 = 4_096;
/// Segments of one archive; a run with more is refused an archive rather than a wrong one.
pub const ARCHIVE_SEGMENTS_MAX: usize = 1 << 20;
/// A value of the initial parameters that is longer is not repeated at each attempt.
pub const REPEATED_VALUE_BYTES_MAX: usize = 4 << 10;

/// What an attempt saw beyond the run's initial values is told whole up to here; of more, only
/// what no earlier record of its frame has told.
pub const ATTEMPT_SEEN_BYTES_MAX: usize = 16 << 10;
