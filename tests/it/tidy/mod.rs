//! The house rules as tests: each reads the tree and names file, line, rule and remedy.
//!
//! Every rule is a pure function from text to faults, so that a bad sample beside it can show
//! that it is able to fail.

use std::fmt;

use tree::Tree;

mod arrows;
mod bans;
mod documents;
mod head;
mod leftovers;
mod machine;
mod mutants;
mod rust;
mod size;
mod threads;
mod tree;

/// One place that breaks a rule.
#[derive(Debug)]
struct Fault {
    file: String,
    /// From 1; 0 for the file as a whole.
    line: usize,
    /// What is wrong there, and what to do instead.
    says: String,
}

impl Fault {
    fn new(file: &str, line: usize, says: impl Into<String>) -> Self {
        Fault { file: file.to_owned(), line, says: says.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(out, "{}: {}", self.file, self.says),
            line => write!(out, "{}:{line}: {}", self.file, self.says),
        }
    }
}

/// Fails with every fault at once: whoever mends one wants to know of the others.
#[track_caller]
fn hold(rule: &str, faults: Vec<Fault>) {
    if faults.is_empty() {
        return;
    }
    let lines: Vec<String> = faults.iter().map(Fault::to_string).collect();
    panic!("{rule}\n{} fault(s):\n  {}\n", faults.len(), lines.join("\n  "));
}

#[test]
fn every_file_says_in_its_first_sentence_what_it_knows() {
    let tree = Tree::get();
    hold(
        "The first line of a Rust file is a `//!` sentence that says what the room knows.",
        tree.rust().flat_map(|file| head::faults(&file.path, &file.text)).collect(),
    );
}

#[test]
fn files_are_short_and_lines_are_narrow() {
    let tree = Tree::get();
    hold(
        "A file has at most 500 lines, a line at most 100 characters.",
        tree.code().flat_map(|file| size::file_faults(&file.path, &file.text)).collect(),
    );
}

#[test]
fn functions_are_short() {
    let tree = Tree::get();
    hold(
        "A function has at most 70 lines.",
        tree.parsed()
            .flat_map(|(file, source)| size::function_faults(&file.path, source))
            .collect(),
    );
}

#[test]
fn nothing_is_left_over() {
    let tree = Tree::get();
    hold(
        "No `todo!`, `unimplemented!` or `dbg!` anywhere, no `unwrap()` outside tests.",
        tree.parsed()
            .flat_map(|(file, source)| leftovers::faults(&file.path, source, file.is_test))
            .collect(),
    );
}

#[test]
fn every_thread_stands_in_the_list_of_its_crate() {
    hold(
        "Each thread and task is listed under `# Threads` at the head of its crate's lib.rs.",
        threads::faults(Tree::get()),
    );
}

#[test]
fn crates_depend_along_the_arrows_only() {
    hold("Crates depend on each other and on libraries as `arrows.rs` lists.", {
        arrows::faults(&arrows::manifests(Tree::get()))
    });
}

#[test]
fn the_cores_ban_clocks_hash_maps_files_sockets_and_threads() {
    hold("Each core has a clippy.toml of its own, with a reason for every ban.", {
        bans::faults(Tree::get())
    });
}

#[test]
fn the_cores_neither_wait_nor_compute_with_fractions() {
    let tree = Tree::get();
    hold(
        "Nothing in a core is async, and the replicated state knows integers only.",
        tree.parsed()
            .filter(|(file, _)| !file.is_test)
            .flat_map(|(file, source)| bans::word_faults(&file.path, source))
            .collect(),
    );
}

#[test]
fn every_mutant_lives_somewhere() {
    hold("A rule that can be taken away has a site where that is asked.", {
        mutants::faults(Tree::get())
    });
}

#[test]
fn nothing_names_the_machine_it_was_written_on() {
    let tree = Tree::get();
    hold(
        "The tree is the same wherever it lies: no paths of one machine.",
        tree.files.iter().flat_map(|file| machine::faults(&file.path, &file.text)).collect(),
    );
}

#[test]
fn the_readme_begins_with_two_commands() {
    let tree = Tree::get();
    hold("The README gives the two commands as they are tested.", {
        documents::readme_faults(tree.text("README.md"))
    });
}

#[test]
fn the_map_names_every_crate_and_every_room() {
    let tree = Tree::get();
    hold("ARCHITECTURE.md is the map of the house and stays true.", {
        let (members, rooms) = (arrows::members(tree), documents::rooms(tree));
        documents::map_faults(tree.text("ARCHITECTURE.md"), &members, &rooms)
    });
}

#[test]
fn paths_on_pages_lead_somewhere() {
    const OURS: [&str; 9] = [
        "common/",
        "coordinator/",
        "worker/",
        "cli/",
        "proto/",
        "tests/",
        "docs/",
        "examples/",
        ".ci/",
    ];
    let tree = Tree::get();
    let files: Vec<&str> = tree.files.iter().map(|file| file.path.as_str()).collect();
    let pages = tree.files.iter().filter(|file| file.path.ends_with(".md"));
    hold(
        "A path that a page names is there.",
        pages
            .flat_map(|page| documents::path_faults(&page.path, &page.text, &OURS, &files))
            .collect(),
    );
}

#[test]
fn decisions_are_numbered_and_dated() {
    let tree = Tree::get();
    hold("A decision is docs/decisions/NNNN-title.md with a date.", {
        documents::decision_faults(&tree.under("docs/decisions/"))
    });
}

#[test]
fn every_clause_of_the_contract_names_the_test_that_holds_it() {
    let tree = Tree::get();
    hold("The contract promises only what a test holds.", documents::contract_faults(tree));
}
