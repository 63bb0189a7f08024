//! The arrows of the house: which crate may depend on which, and who alone knows a library.
//!
//! What a crate needs for its tests only is free.

use toml::{Table, Value};

use super::Fault;
use super::tree::Tree;

/// One crate and those of ours that it may know.
struct Arrow {
    folder: &'static str,
    may_know: &'static [&'static str],
}

/// The table of design §3; a crate that is not here, and a row without its crate, are faults.
const ARROWS: [Arrow; 12] = [
    Arrow { folder: "common", may_know: &[] },
    Arrow { folder: "common/pipeline", may_know: &["common"] },
    Arrow { folder: "proto", may_know: &["common"] },
    Arrow { folder: "coordinator/core", may_know: &["common"] },
    Arrow { folder: "coordinator/replica", may_know: &["common"] },
    Arrow {
        folder: "coordinator/member",
        may_know: &["common", "coordinator/core", "coordinator/replica"],
    },
    Arrow { folder: "worker/core", may_know: &["common"] },
    Arrow { folder: "worker/supervisor", may_know: &["common"] },
    Arrow {
        folder: "coordinator",
        may_know: &[
            "common",
            "common/pipeline",
            "proto",
            "coordinator/core",
            "coordinator/replica",
            "coordinator/member",
        ],
    },
    Arrow { folder: "worker", may_know: &["common", "proto", "worker/core", "worker/supervisor"] },
    Arrow {
        folder: "cli",
        may_know: &[
            "common",
            "common/pipeline",
            "proto",
            "coordinator",
            "coordinator/core",
            "coordinator/replica",
            "coordinator/member",
            "worker",
            "worker/core",
            "worker/supervisor",
        ],
    },
    Arrow {
        folder: "tests",
        may_know: &[
            "common",
            "common/pipeline",
            "proto",
            "coordinator",
            "coordinator/core",
            "coordinator/replica",
            "coordinator/member",
            "worker",
            "worker/core",
            "worker/supervisor",
            "cli",
        ],
    },
];

/// Libraries that one room alone may know, so that one room changes when they do.
const OWNERS: [(&str, &[&str], &str); 7] = [
    ("raft", &["coordinator/replica"], "consensus is its secret"),
    ("protobuf", &["coordinator/replica"], "it is the codec of raft's messages, nothing else"),
    ("serde-saphyr", &["common/pipeline"], "it alone knows YAML"),
    ("redb", &["coordinator"], "the log store is its secret"),
    ("git2", &["cli"], "git identity is read once, where a run begins"),
    ("tonic", &["proto", "coordinator", "worker", "cli"], "cores and words know no wire"),
    ("tokio", &["coordinator", "worker", "cli"], "cores think, and the supervisor stays small"),
];

/// Crates that think: they may use what computes, and nothing that acts.
const CORES: [&str; 4] =
    ["coordinator/core", "coordinator/replica", "coordinator/member", "worker/core"];
const PURE: [&str; 9] =
    ["bincode", "bytes", "crc32c", "protobuf", "raft", "serde_json", "sha2", "slog", "thiserror"];

/// One crate's manifest, as far as arrows go.
pub struct Manifest {
    pub folder: String,
    pub name: String,
    needs: Vec<Need>,
    has_lints: bool,
}

struct Need {
    library: String,
    line: usize,
}

pub fn faults(manifests: &[Manifest]) -> Vec<Fault> {
    let mut faults = Vec::new();
    for arrow in &ARROWS {
        if !manifests.iter().any(|manifest| manifest.folder == arrow.folder) {
            let says = format!("`{}` is no crate of the workspace; take its row out", arrow.folder);
            faults.push(Fault::new("tests/it/tidy/arrows.rs", 0, says));
        }
    }
    for manifest in manifests {
        let file = format!("{}/Cargo.toml", manifest.folder);
        let Some(arrow) = ARROWS.iter().find(|arrow| arrow.folder == manifest.folder) else {
            let says = "a crate without arrows; give it a row in tests/it/tidy/arrows.rs";
            faults.push(Fault::new(&file, 0, says));
            continue;
        };
        if !manifest.has_lints {
            faults.push(Fault::new(&file, 0, "add `[lints]` with `workspace = true`"));
        }
        for need in &manifest.needs {
            if let Some(says) = what_is_wrong(arrow, need, manifests) {
                faults.push(Fault::new(&file, need.line, says));
            }
        }
    }
    faults
}

fn what_is_wrong(arrow: &Arrow, need: &Need, manifests: &[Manifest]) -> Option<String> {
    let library = need.library.as_str();
    if let Some(ours) = manifests.iter().find(|manifest| manifest.name == library) {
        let allowed = arrow.may_know.contains(&ours.folder.as_str());
        return (!allowed).then(|| {
            let all = arrow.may_know.join(", ");
            format!("`{}` may not know `{}`, only: {all}", arrow.folder, ours.folder)
        });
    }
    if let Some((_, owners, why)) = OWNERS.iter().find(|(name, ..)| *name == library)
        && !owners.contains(&arrow.folder)
    {
        return Some(format!("`{library}` belongs to {}: {why}; ask there", owners.join(", ")));
    }
    if CORES.contains(&arrow.folder) && !PURE.contains(&library) {
        return Some(format!("a core thinks and `{library}` is not known to be pure; act outside"));
    }
    None
}

/// The folders of all crates of the workspace.
pub fn members(tree: &Tree) -> Vec<String> {
    let root: Table = tree.text("Cargo.toml").parse().expect("the root manifest is TOML");
    let members = root["workspace"]["members"].as_array().expect("a workspace has members");
    members.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

pub fn manifests(tree: &Tree) -> Vec<Manifest> {
    let read = |folder: String| manifest(&folder, tree.text(&format!("{folder}/Cargo.toml")));
    members(tree).into_iter().map(read).collect()
}

fn manifest(folder: &str, text: &str) -> Manifest {
    let table: Table =
        text.parse().unwrap_or_else(|error| panic!("{folder}/Cargo.toml is no TOML: {error}"));
    let mut needs = Vec::new();
    collect(&table, text, &mut needs);
    for target in table.get("target").and_then(Value::as_table).into_iter().flatten() {
        if let Some(table) = target.1.as_table() {
            collect(table, text, &mut needs);
        }
    }
    let package = table.get("package").and_then(|package| package.get("name"));
    let lints = table.get("lints").and_then(|lints| lints.get("workspace"));
    Manifest {
        folder: folder.to_owned(),
        name: package.and_then(Value::as_str).unwrap_or_default().to_owned(),
        needs,
        has_lints: lints.and_then(Value::as_bool) == Some(true),
    }
}

fn collect(table: &Table, text: &str, needs: &mut Vec<Need>) {
    for kind in ["dependencies", "build-dependencies"] {
        for (name, value) in table.get(kind).and_then(Value::as_table).into_iter().flatten() {
            let renamed = value.get("package").and_then(Value::as_str);
            needs.push(Need {
                library: renamed.unwrap_or(name).to_owned(),
                line: line_of(text, name),
            });
        }
    }
}

fn line_of(text: &str, name: &str) -> usize {
    let is_it = |line: &str| {
        let rest = line.trim_start().strip_prefix(name);
        rest.is_some_and(|rest| rest.starts_with(['.', ' ', '=']))
    };
    text.lines().position(is_it).map_or(0, |at| at + 1)
}

#[test]
fn arrows_that_are_not_drawn_are_found() {
    let sample = |folder: &str, needs: &str| {
        let name = folder.replace('/', "-");
        let head = format!("package.name = \"dagmar-{name}\"\nlints.workspace = true\n");
        manifest(folder, &(head + needs))
    };
    let says = |folder: &str, needs: &str| -> Vec<String> {
        let mut house: Vec<Manifest> =
            ARROWS.iter().map(|arrow| sample(arrow.folder, "")).collect();
        house.retain(|manifest| manifest.folder != folder);
        house.push(sample(folder, needs));
        faults(&house).iter().map(Fault::to_string).collect()
    };
    assert_eq!(says("coordinator/core", "[dependencies]\ndagmar-common.workspace = true"), [""; 0]);
    assert_eq!(says("worker/core", "[dev-dependencies]\ntokio = \"1\""), [""; 0]);
    for (folder, needs, wanted) in [
        ("common", "[dependencies]\ndagmar-cli = \"0\"", "common/Cargo.toml:4: `common` may not"),
        (
            "worker",
            "[dependencies]\nraft.workspace = true",
            "`raft` belongs to coordinator/replica",
        ),
        ("cli", "[dependencies]\nyaml = { package = \"serde-saphyr\" }", "knows YAML"),
        ("worker/supervisor", "[build-dependencies]\ntokio = \"1\"", "`tokio` belongs to"),
        ("coordinator/core", "[target.'cfg(unix)'.dependencies]\nrustix = \"1\"", "a core thinks"),
        ("attic", "", "a crate without arrows"),
    ] {
        let found = says(folder, needs);
        assert!(found.len() == 1 && found[0].contains(wanted), "{folder}: {found:?}");
    }
    assert_eq!(faults(&[]).len(), ARROWS.len(), "rows without their crate");
}
