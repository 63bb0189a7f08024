//! The rules of the written pages: README, map, decisions and contract say what is so.

use std::collections::BTreeSet;

use super::Fault;
use super::tree::{File, Tree};

const COMMANDS: [&str; 2] =
    ["cargo run --release -- run examples/hello.yaml", "cargo test --workspace"];
const CLAUSES: usize = 22;
/// For what this version of the house cannot promise yet.
const LATER: &str = "Comes with ";

pub fn readme_faults(text: &str) -> Vec<Fault> {
    let missing = COMMANDS.iter().filter(|command| !text.lines().any(|line| line == **command));
    missing
        .map(|command| Fault::new("README.md", 0, format!("lacks the line `{command}`; add it")))
        .collect()
}

pub fn map_faults(text: &str, members: &[String], rooms: &[String]) -> Vec<Fault> {
    // A room may be named by its folder, or by the file beside it that opens it.
    let has = |place: &str| text.contains(&format!("`{place}`"));
    let lacks = |place: &&String| !has(place) && !has(&format!("{place}.rs"));
    let fault = |says| Fault::new("ARCHITECTURE.md", 0, says);
    let crates = members.iter().filter(lacks);
    let crates = crates.map(|it| format!("does not name the crate `{it}`; draw it"));
    let rooms = rooms.iter().filter(lacks);
    let rooms = rooms.map(|it| format!("does not name the room `{it}`; say what it knows"));
    crates.chain(rooms).map(fault).collect()
}

/// The folders of code right under the `src` of each crate, tests aside.
pub fn rooms(tree: &Tree) -> Vec<String> {
    let code = tree.rust().filter(|file| !file.is_test);
    let rooms: BTreeSet<String> = code.filter_map(|file| room_of(&file.path)).collect();
    rooms.into_iter().collect()
}

fn room_of(path: &str) -> Option<String> {
    let (folder, inside) = path.split_once("/src/")?;
    let (room, _) = inside.split_once('/')?;
    Some(format!("{folder}/src/{room}"))
}

/// Paths in backticks that begin in one of our folders lead to a file or a folder.
pub fn path_faults(page: &str, text: &str, folders: &[&str], files: &[&str]) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let words = line.split('`').skip(1).step_by(2).filter(|word| !word.contains([' ', ':']));
        for word in words.filter(|word| folders.iter().any(|folder| word.starts_with(folder))) {
            let leads = files.iter().any(|file| {
                let rest = file.strip_prefix(word.trim_end_matches('/'));
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            });
            if !leads {
                faults.push(Fault::new(page, at + 1, format!("`{word}` is not there; follow it")));
            }
        }
    }
    faults
}

pub fn decision_faults(files: &[&File]) -> Vec<Fault> {
    if files.is_empty() {
        return vec![Fault::new("docs/decisions", 0, "is empty; write down what was decided")];
    }
    let mut faults = Vec::new();
    for (at, file) in files.iter().enumerate() {
        let name = file.path.rsplit('/').next().unwrap_or_default();
        let number = format!("{:04}-", at + 1);
        if !name.starts_with(&number) || !name.ends_with(".md") || name.len() < 9 {
            let says = format!("is out of the row; the next is {number}title.md, without gaps");
            faults.push(Fault::new(&file.path, 0, says));
        }
        if !file.text.lines().any(is_dated) {
            faults.push(Fault::new(&file.path, 0, "has no line `Date: YYYY-MM-DD`; add it"));
        }
    }
    faults
}

fn is_dated(line: &str) -> bool {
    let Some(date) = line.strip_prefix("Date: ") else { return false };
    let parts: Vec<&str> = date.split('-').collect();
    let digits =
        |part: &str, count| part.len() == count && part.bytes().all(|b| b.is_ascii_digit());
    matches!(parts[..], [year, month, day] if digits(year, 4) && digits(month, 2) && digits(day, 2))
}

const CONTRACT: &str = "docs/contract.md";

pub fn contract_faults(tree: &Tree) -> Vec<Fault> {
    let has_test = |file: &str, name: &str| {
        let found = tree.parsed().find(|(candidate, _)| candidate.path == file);
        found.is_some_and(|(_, source)| source.functions.iter().any(|f| f.name == name))
    };
    clause_faults(tree.text(CONTRACT), &has_test)
}

/// A clause is a heading `## C1. …`; under it stands `Held by` with tests as `file.rs::name`.
fn clause_faults(text: &str, has_test: &dyn Fn(&str, &str) -> bool) -> Vec<Fault> {
    let mut faults = Vec::new();
    let sections: Vec<&str> = text.split("\n## ").skip(1).collect();
    for number in 1..=CLAUSES {
        let head = format!("C{number}. ");
        let Some(section) = sections.iter().find(|section| section.starts_with(&head)) else {
            let says = format!("lacks the clause C{number}; write `## {head}…`");
            faults.push(Fault::new(CONTRACT, 0, says));
            continue;
        };
        let tests: Vec<(&str, &str)> = section
            .lines()
            .skip_while(|line| !line.starts_with("Held by"))
            .take_while(|line| !line.is_empty())
            .flat_map(|line| line.split('`').skip(1).step_by(2))
            .filter_map(|word| word.split_once("::"))
            .collect();
        if tests.is_empty() && !section.lines().any(|line| line.starts_with(LATER)) {
            let says = format!("C{number} says neither `Held by` a test nor `{LATER}…`");
            faults.push(Fault::new(CONTRACT, line_of(text, &head), says));
        }
        for (file, name) in tests.into_iter().filter(|(file, name)| !has_test(file, name)) {
            let says = format!("C{number} names the test `{name}`, which is not in {file}");
            faults.push(Fault::new(CONTRACT, line_of(text, &head), says));
        }
    }
    faults
}

fn line_of(text: &str, word: &str) -> usize {
    text.lines().position(|line| line.contains(word)).map_or(0, |at| at + 1)
}

#[test]
fn pages_that_lack_something_are_found() {
    let readme = "# Dagmar\n```\ncargo run --release -- run examples/hello.yaml\n```\n";
    assert_eq!(readme_faults(readme).len(), 1);
    assert_eq!(readme_faults("cargo test --workspace --all\n").len(), 2);
    let members = ["common".to_owned(), "common/pipeline".to_owned()];
    assert_eq!(map_faults("`common` and common/pipeline", &members, &[]).len(), 1);
    let rooms = ["cli/src/local".to_owned(), "cli/src/render".to_owned()];
    assert_eq!(map_faults("see `cli/src/local`", &[], &rooms).len(), 1);
    assert_eq!(map_faults("`cli/src/local`, `cli/src/render.rs`", &[], &rooms).len(), 0);
    assert_eq!(room_of("cli/src/local/live/tests.rs").as_deref(), Some("cli/src/local"));
    assert_eq!(room_of("cli/src/exit.rs"), None);
}

#[test]
fn paths_that_lead_nowhere_are_found() {
    let text = "See `a/b.rs`, `a/c` and `a/`.\nNot `a/d.rs`, nor `a/b`.\n`target/x`, `a/d e`\n";
    let faults = path_faults("P.md", text, &["a/"], &["a/b.rs", "a/c/d.rs"]);
    let found: Vec<String> = faults.iter().map(Fault::to_string).collect();
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].contains("P.md:2: `a/d.rs`") && found[1].contains("`a/b`"), "{found:?}");
}

#[test]
fn decisions_out_of_the_row_or_undated_are_found() {
    let lines = |pages: &[(&str, &str)]| {
        let files: Vec<File> = pages.iter().map(|(path, text)| File::page(path, text)).collect();
        decision_faults(&files.iter().collect::<Vec<_>>()).len()
    };
    let dated = "# A\n\nDate: 2026-11-21\n";
    assert_eq!(lines(&[("d/0001-a.md", dated), ("d/0002-b.md", dated)]), 0);
    assert_eq!(lines(&[("d/0001-a.md", dated), ("d/0003-b.md", dated)]), 1);
    assert_eq!(lines(&[("d/0001-a.md", "# A\n\nDate: today\n")]), 1);
    assert_eq!(lines(&[("d/notes.md", "")]), 2);
    assert_eq!(lines(&[]), 1);
}

#[test]
fn clauses_without_a_real_test_are_found() {
    let page = |of: &dyn Fn(usize) -> &'static str| -> String {
        (1..=CLAUSES)
            .map(|number| format!("\n## C{number}. A promise\n\n{}\n", of(number)))
            .collect()
    };
    let has_test = |file: &str, name: &str| file == "a.rs" && name == "real";
    let says = |text: &str| -> Vec<String> {
        clause_faults(text, &has_test).iter().map(Fault::to_string).collect()
    };
    assert_eq!(says(&page(&|_| "Held by\n`a.rs::real`.")), [""; 0]);
    assert_eq!(says(&page(&|_| "Comes with the cluster.")), [""; 0]);
    let found = says(&page(&|number| if number == 7 { "Surely." } else { "Held by `a.rs::real`" }));
    assert!(found.len() == 1 && found[0].contains("C7 says neither"), "{found:?}");
    let found = says(&page(&|number| {
        if number == 9 { "Held by `a.rs::real` and `a.rs::wished`." } else { LATER }
    }));
    assert!(found.len() == 1 && found[0].contains("`wished`"), "{found:?}");
    assert_eq!(says("").len(), CLAUSES);
}
