//! The rule of the thread list: every file that starts a thread or a task stands in the list
//! under `# Threads` at the head of its crate's `lib.rs`, and nothing else stands there.

use super::Fault;
use super::rust::{Source, Token};
use super::tree::Tree;

const HEADING: &str = "# Threads";

/// What starts a thread or a task wherever it stands.
const STARTS: [&[&str]; 7] = [
    &["thread", ":", ":", "spawn"],
    &["tokio", ":", ":", "spawn"],
    &["task", ":", ":", "spawn"],
    &["spawn_blocking", "("],
    &["spawn_local", "("],
    &["spawn_scoped", "("],
    &["new_multi_thread", "("],
];

pub fn faults(tree: &Tree) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut starters = Vec::new();
    for (file, source) in tree.parsed().filter(|(file, _)| !file.is_test) {
        let Some((folder, name)) = file.path.split_once("/src/") else { continue };
        for line in starts(source) {
            starters.push((folder, name));
            let lib = format!("{folder}/src/lib.rs");
            if !listed(tree.text(&lib)).iter().any(|(_, row)| row == name) {
                let says = format!("starts a thread; list `{name}` under `{HEADING}` in {lib}");
                faults.push(Fault::new(&file.path, line, says));
            }
        }
    }
    for file in tree.files.iter().filter(|file| file.path.ends_with("/src/lib.rs")) {
        let folder = file.path.trim_end_matches("/src/lib.rs");
        for (line, row) in listed(&file.text) {
            if !starters.contains(&(folder, row.as_str())) {
                let says = format!("`{row}` starts no thread; take it out of the list");
                faults.push(Fault::new(&file.path, line, says));
            }
        }
    }
    faults
}

/// Lines that start threads or tasks, tests aside.
fn starts(source: &Source) -> Vec<usize> {
    let known = STARTS.iter().flat_map(|words| source.find(words).map(|(line, _)| line));
    let method = source.tokens.windows(5).filter(|window| is_method(window));
    let mut lines: Vec<usize> = known.chain(method.map(|window| window[2].line)).collect();
    lines.retain(|line| !source.is_test_line(*line));
    lines.sort_unstable();
    lines.dedup();
    lines
}

/// `builder.spawn(work)`; not `command.spawn()`, which starts a process, nor a method of one's own.
fn is_method(window: &[Token]) -> bool {
    let words: Vec<&str> = window.iter().map(|token| token.text.as_str()).collect();
    matches!(words[..], [receiver, ".", "spawn", "(", next] if receiver != "self" && next != ")")
}

/// The files that the list of a `lib.rs` names, each with its line: `` * `driver.rs`: … ``.
fn listed(text: &str) -> Vec<(usize, String)> {
    let head = text.lines().enumerate().take_while(|(_, line)| line.starts_with("//!"));
    let under = head.skip_while(|(_, line)| !line.contains(HEADING)).skip(1);
    let section = under.take_while(|(_, line)| !line.starts_with("//! #"));
    section
        .flat_map(|(at, line)| {
            let quoted = line.split('`').skip(1).step_by(2).filter(|word| word.ends_with(".rs"));
            quoted.map(move |word| (at + 1, word.to_owned()))
        })
        .collect()
}

#[test]
fn starts_of_threads_and_tasks_are_found() {
    let text = "fn a() {\n  std::thread::spawn(|| ());\n  Builder::new().spawn(work);\n\
                tokio::spawn(async {});\n  Command::new(\"x\").spawn();\n\
                select! { _ = spawn_blocking(f) => () }\n  self.spawn(job);\n\
                self.set.spawn(job);\n}\n\
                #[cfg(test)]\nmod tests { fn b() { std::thread::spawn(|| ()); } }\n";
    assert_eq!(starts(&Source::parse("sample.rs", text)), [2, 3, 4, 6, 8]);
}

#[test]
fn the_list_is_read_from_its_section_only() {
    let text = "//! The daemon, see `a.rs`.\n//!\n//! # Threads\n//! * `driver.rs`: the loop\n\
                //! * `store/redb.rs`: writes\n//! # More\n//! `b.rs`\n\n//! `c.rs`\n";
    let rows = listed(text);
    assert_eq!(rows, [(4, "driver.rs".to_owned()), (5, "store/redb.rs".to_owned())]);
    assert!(listed("//! The room.\n").is_empty());
}
