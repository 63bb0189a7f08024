//! The rules of size: lines of a file, characters of a line, lines of a function.

use super::Fault;
use super::rust::Source;

const FILE_LINES_MAX: usize = 500;
const LINE_CHARACTERS_MAX: usize = 100;
const FUNCTION_LINES_MAX: usize = 70;

pub fn file_faults(path: &str, text: &str) -> Vec<Fault> {
    let mut faults = Vec::new();
    let lines = text.lines().count();
    if lines > FILE_LINES_MAX {
        let says = format!("{lines} lines, {FILE_LINES_MAX} are allowed; split it along a noun");
        faults.push(Fault::new(path, FILE_LINES_MAX + 1, says));
    }
    for (at, line) in text.lines().enumerate() {
        let width = line.chars().count();
        if width > LINE_CHARACTERS_MAX {
            let says = format!("{width} characters, {LINE_CHARACTERS_MAX} are allowed; break it");
            faults.push(Fault::new(path, at + 1, says));
        }
    }
    faults
}

pub fn function_faults(path: &str, source: &Source) -> Vec<Fault> {
    let long = source.functions.iter().filter(|function| function.lines > FUNCTION_LINES_MAX);
    long.map(|function| {
        let says = format!(
            "`{}` has {} lines, {FUNCTION_LINES_MAX} are allowed; give a step of it a name",
            function.name, function.lines
        );
        Fault::new(path, function.line, says)
    })
    .collect()
}

#[test]
fn long_files_and_wide_lines_are_found() {
    assert!(file_faults("a.rs", &"x\n".repeat(500)).is_empty());
    assert_eq!(file_faults("a.rs", &"x\n".repeat(501))[0].line, 501);
    assert!(file_faults("a.rs", &"ä".repeat(100)).is_empty());
    assert_eq!(file_faults("a.rs", &format!("x\n{}", "ä".repeat(101)))[0].line, 2);
}

#[test]
fn long_functions_are_found() {
    let faults = |lines: usize| {
        let text = format!("\nfn f() {{\n{}}}\n", "\n".repeat(lines - 2));
        function_faults("a.rs", &Source::parse("a.rs", &text))
    };
    assert!(faults(70).is_empty());
    assert_eq!(faults(71)[0].line, 2);
}
