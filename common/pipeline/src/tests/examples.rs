//! The shipped examples: each compiles without a word, and each of its scripts is a shell's.

use std::path::Path;
use std::process::Command as Process;

use dagmar_common::graph::{Command, Function};

use super::graph;
use crate::read_file;

#[test]
fn every_example_compiles_without_a_word() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&folder).expect("there are examples") {
        let path = entry.expect("is readable").path();
        let text = read_file(&path).unwrap_or_else(|found| panic!("{}", found.render(false)));
        for task in &graph(&text).tasks {
            let Function::Process(Command::Script { text, .. }) = &task.function else { continue };
            let status = Process::new("/bin/sh").args(["-n", "-c", text]).status();
            assert!(status.expect("there is a shell").success(), "{}: {text}", path.display());
        }
        names.push(path.file_name().expect("has a name").to_string_lossy().into_owned());
    }
    names.sort();
    let expected =
        ["diamond.yaml", "hello.yaml", "magnus.yaml", "map.yaml", "on-failure.yaml", "retry.yaml"];
    assert_eq!(names, expected);
}
