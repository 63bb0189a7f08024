//! `dagmar run`: compile, claim a name, and live through it; or hand over to a host.

use serde_json::{Value as Json, json};

use dagmar_common::ids::RunId;
use dagmar_common::problem::Problem;
use dagmar_common::record::{Submission, words};
use dagmar_common::value::Value;

use crate::arguments::RunArguments;
use crate::failure::{Done, Failure};
use crate::local::{check_run_id, embedded};
use crate::render::text::escaped;
use crate::wiring::{Compiled, Opening, PipelineSource};

use super::follow::Loudness;
use super::{Session, cancel, finish, host, own, source};

pub fn perform(session: &Session, arguments: &RunArguments) -> Done {
    let mut source = source::of(session, "run", arguments.file.as_deref(), &arguments.parameters)?;
    source.cpu_millis = Some(embedded::cpu_millis());
    let compiled = session.wires.compile(&source).map_err(Failure::Rejected)?;
    if !arguments.quiet && !compiled.warnings.rendered.is_empty() {
        session.hint(compiled.warnings.rendered.trim_end());
    }
    let asked = arguments.run_id.as_deref().map(check_run_id).transpose()?;
    finish::settle(&session.project)?;
    if arguments.detach {
        let submission = submission(&source, compiled, &arguments.tag)?;
        return host::begin(session, asked, submission, arguments.quiet);
    }
    let loudness = Loudness::of(arguments.quiet, arguments.verbose);
    let live = own::claim(&session.project, asked)?;
    let head = head(live.run(), &source, &compiled);
    let submission = submission(&source, compiled, &arguments.tag)?;
    let submission = Submission { run: live.run().clone(), ..submission };
    if loudness == Loudness::Normal && session.err.is_live {
        session.hint(&head);
    }
    own::live_through(session, live, Opening::New, Some(submission), loudness)
}

/// `hello-1  pipeline.yaml@3f9c1e  5 steps`
fn head(run: &RunId, source: &PipelineSource, compiled: &Compiled) -> String {
    let file = escaped(&source.file.display().to_string());
    let graph = dagmar_common::graph::Graph::hash(&compiled.graph);
    let steps = words::of_count(compiled.step_count as u64, "step");
    format!("{run}  {file}@{graph:.6}  {steps}")
}

/// Everything but the run id, which is known when a directory is claimed.
pub fn submission(
    source: &PipelineSource,
    compiled: Compiled,
    tag: &str,
) -> Result<Submission, Problem> {
    Ok(Submission {
        request: cancel::request()?,
        run: RunId::new(""),
        generated: false,
        tag: tag.to_owned(),
        context: Value::from_json(&context(source, &compiled)),
        graph: compiled.graph,
        parameters: compiled.parameters,
    })
}

/// What the run log tells of the configuration, under the ancestors' names.
fn context(source: &PipelineSource, compiled: &Compiled) -> Json {
    let service = |kind: &str, name: &str| json!({ "service_name": name, "service_type": kind });
    let mut executor = service("executor", "local");
    executor["enable_parallel"] = true.into();
    executor["placeholders"] = json!({});
    let mut store = service("run_log_store", "file-system");
    store["log_folder"] = ".dagmar/runs".into();
    let file = |path: Option<&std::path::Path>| {
        path.map(|path| path.display().to_string()).unwrap_or_default()
    };
    json!({
        "executor": executor,
        "run_log_store": store,
        "secrets_handler": service("secrets", "do-nothing"),
        "catalog_handler": service("catalog", "do-nothing"),
        "experiment_tracker": service("experiment_tracker", "do-nothing"),
        "pipeline_file": file(Some(&source.file)),
        "parameters_file": file(source.parameters_file.as_deref()),
        "configuration_file": "",
        "variables": {},
        "use_cached": false,
        "original_run_id": "",
        "pipeline_name": compiled.name,
        "pipeline_digest": compiled.source_digest.to_string(),
        "program": format!("dagmar {}", env!("CARGO_PKG_VERSION")),
        "host": rustix::system::uname().nodename().to_string_lossy(),
    })
}
