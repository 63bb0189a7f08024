//! The bans of the cores: what their clippy.toml must refuse and why, and words they do not use.

use toml::{Table, Value};

use super::Fault;
use super::rust::Source;
use super::tree::Tree;

const CORES: [&str; 4] =
    ["coordinator/core", "coordinator/replica", "coordinator/member", "worker/core"];

/// At least these; a core may ban more.
const TYPES: [&str; 9] = [
    "std::collections::HashMap",
    "std::collections::HashSet",
    "std::time::Instant",
    "std::time::SystemTime",
    "std::fs::File",
    "std::net::TcpStream",
    "std::os::unix::net::UnixStream",
    "std::process::Command",
    "std::sync::Mutex",
];
const METHODS: [&str; 6] = [
    "std::thread::spawn",
    "std::thread::sleep",
    "std::time::Instant::now",
    "std::time::SystemTime::now",
    "std::env::var",
    "std::fs::read",
];

/// Words that no core needs; of the last two, those of the replicated state.
const WORDS: [(&str, &[&str], &str); 4] = [
    ("async", &CORES, "a core never waits; return what is to be done"),
    ("await", &CORES, "a core never waits; return what is to be done"),
    ("f32", &["coordinator/core"], "fractions may differ between machines; count in integers"),
    ("f64", &["coordinator/core"], "fractions may differ between machines; count in integers"),
];

pub fn faults(tree: &Tree) -> Vec<Fault> {
    let files = CORES.map(|core| format!("{core}/clippy.toml"));
    let first = tree.text(&files[0]);
    let mut faults = Vec::new();
    for file in &files {
        let text = tree.text(file);
        faults.extend(file_faults(file, text));
        if text != first {
            let says = format!("differs from {}; there is one list, copied", files[0]);
            faults.push(Fault::new(file, 0, says));
        }
    }
    faults
}

pub fn word_faults(path: &str, source: &Source) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (word, cores, says) in WORDS {
        if cores.iter().any(|core| path.starts_with(&format!("{core}/src/"))) {
            let words = [word];
            let lines = source.find(&words).map(|(line, _)| line);
            let outside = lines.filter(|line| !source.is_test_line(*line));
            faults.extend(outside.map(|line| Fault::new(path, line, format!("`{word}`: {says}"))));
        }
    }
    faults
}

fn file_faults(file: &str, text: &str) -> Vec<Fault> {
    let table: Table = text.parse().unwrap_or_else(|error| panic!("{file} is no TOML: {error}"));
    let mut faults = Vec::new();
    for (list, wanted) in [("disallowed-types", &TYPES[..]), ("disallowed-methods", &METHODS[..])] {
        let bans = table.get(list).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let path_of = |ban: &Value| ban.get("path").and_then(Value::as_str).map(str::to_owned);
        for want in wanted {
            if !bans.iter().any(|ban| path_of(ban).as_deref() == Some(want)) {
                faults.push(Fault::new(file, 0, format!("{list} lacks `{want}`; add it")));
            }
        }
        for ban in bans {
            let reason = ban.get("reason").and_then(Value::as_str).unwrap_or_default();
            if reason.is_empty() {
                let what = path_of(ban).or_else(|| ban.as_str().map(str::to_owned));
                let what = what.unwrap_or_default();
                let says = format!("{list}: `{what}` has no reason; say what to use instead");
                faults.push(Fault::new(file, 0, says));
            }
        }
    }
    faults
}

#[test]
fn a_missing_ban_and_a_missing_reason_are_found() {
    let all = TYPES.len() + METHODS.len();
    assert_eq!(file_faults("clippy.toml", "").len(), all);
    let one = r#"disallowed-types = [{ path = "std::fs::File", reason = "act outside" }]"#;
    assert_eq!(file_faults("clippy.toml", one).len(), all - 1);
    let mute = r#"disallowed-types = [{ path = "std::fs::File" }, "std::sync::Mutex"]"#;
    assert_eq!(file_faults("clippy.toml", mute).len(), all - 1 + 2);
}

#[test]
fn words_that_no_core_needs_are_found() {
    let text = "async fn a(b: f64) {\n  c.await\n}\n// async, f64\n\
                #[cfg(test)]\nmod tests { fn d() -> f64 { 1.0 } }\n";
    let source = Source::parse("sample.rs", text);
    let lines = |path: &str| -> Vec<usize> {
        word_faults(path, &source).iter().map(|fault| fault.line).collect()
    };
    assert_eq!(lines("coordinator/core/src/a.rs"), [1, 2, 1]);
    assert_eq!(lines("worker/core/src/a.rs"), [1, 2]);
    assert_eq!(lines("worker/src/a.rs"), [0; 0]);
}
