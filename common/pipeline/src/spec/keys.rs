//! Which keys and words stand where, and which belong to later versions.

/// The keys of one kind of mapping.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keys {
    pub known: &'static [&'static str],
    /// Part of the language, refused with a sentence of their own.
    pub later: &'static [&'static str],
    /// Whether any other key may stand there too.
    pub is_free: bool,
}

pub(crate) const PIPELINE: Keys = Keys {
    known: &["name", "description", "start_at", "steps", "parameters", "max_time", "time_limit"],
    later: &[
        "sections",
        "secrets",
        "catalog",
        "mutex",
        "slots",
        "shell",
        "fail_fast",
        "priority",
        "requires",
        "resources",
        "retry",
        "overrides",
        "executor",
        "run_log_store",
        "experiment_tracker",
    ],
    is_free: false,
};

/// A graph under another: the body of a map.
pub(crate) const SECTION: Keys = Keys {
    known: &["name", "description", "start_at", "steps"],
    later: &["fail_fast", "max_time", "time_limit"],
    is_free: false,
};

const LATER_OF_STEPS: &[&str] = &[
    "when",
    "enabled",
    "fail_fast",
    "catalog",
    "secrets",
    "returns",
    "reducer",
    "overrides",
    "cache",
    "requires",
    "priority",
    "shell",
    "mutex",
    "slots",
    "executor_config",
    "branches",
    "parameter",
    "default",
    "break_on",
    "max_iterations",
    "dag_definition",
    "use",
    "with",
    "image",
    "context_path",
    "data_folder",
    "output_parameters_file",
    "optional_ploomber_args",
    "notebook_output_path",
    "output_cell_tag",
    "stream_end_type",
];

pub(crate) const TASK: Keys = Keys {
    known: &[
        "type",
        "next",
        "on_failure",
        "needs",
        "command",
        "command_type",
        "retry",
        "max_attempts",
        "timeout",
        "max_time",
        "resources",
        "exclusive",
        "idempotent",
    ],
    later: LATER_OF_STEPS,
    is_free: false,
};

pub(crate) const MAP: Keys = Keys {
    known: &[
        "type",
        "next",
        "on_failure",
        "needs",
        "iterate_on",
        "iterate_as",
        "index_as",
        "max_parallel",
        "branch",
    ],
    later: LATER_OF_STEPS,
    is_free: false,
};

/// What would change whether it runs is refused even here.
pub(crate) const STUB: Keys = Keys {
    known: &["type", "next", "on_failure", "needs"],
    later: &["when", "enabled"],
    is_free: true,
};

pub(crate) const TERMINAL: Keys = Keys { known: &["type"], later: &[], is_free: false };

/// Of a kind that is not built yet: only how it hangs together with others is read.
pub(crate) const UNBUILT: Keys = Keys { known: &[], later: &[], is_free: true };

pub(crate) const RETRY: Keys =
    Keys { known: &["max_attempts", "backoff"], later: &["on"], is_free: false };

pub(crate) const BACKOFF: Keys = Keys { known: &["first", "most"], later: &[], is_free: false };

pub(crate) const RESOURCES: Keys =
    Keys { known: &["cpus"], later: &["memory", "gpus", "disk"], is_free: false };

pub(crate) const PARAMETER: Keys =
    Keys { known: &["type", "default", "description"], later: &[], is_free: false };

pub(crate) const TYPES: &[&str] = &["task", "stub", "map", "success", "fail"];
pub(crate) const TYPES_LATER: &[&str] = &["parallel", "conditional", "loop", "dag", "section"];

pub(crate) const COMMAND_TYPES_LATER: &[&str] =
    &["python", "notebook", "container", "python-lambda", "async-python", "torch"];
