//! The rule of what may not be left in code: unfinished places, debugging, unchecked results.

use super::Fault;
use super::rust::Source;

/// Nowhere, tests included.
const NOWHERE: [(&[&str], &str); 3] = [
    (&["todo", "!"], "`todo!` is a stub; build it, or leave its room away"),
    (&["unimplemented", "!"], "`unimplemented!` is a stub; build it, or leave its room away"),
    (&["dbg", "!"], "`dbg!` was for one debugging session; take it out"),
];

const IN_TESTS_ONLY: [(&[&str], &str); 2] = [
    (
        &[".", "unwrap", "(", ")"],
        "`unwrap()` outside tests; use `?`, `let … else`, or `match` and say what went wrong",
    ),
    (
        &[".", "unwrap_err", "(", ")"],
        "`unwrap_err()` outside tests; use `?`, `let … else`, or `match`",
    ),
];

pub fn faults(path: &str, source: &Source, is_test: bool) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (words, says) in NOWHERE {
        faults.extend(source.find(words).map(|(line, _)| Fault::new(path, line, says)));
    }
    for (words, says) in IN_TESTS_ONLY.iter().filter(|_| !is_test) {
        let lines = source.find(words).map(|(line, _)| line);
        let outside = lines.filter(|line| !source.is_test_line(*line));
        faults.extend(outside.map(|line| Fault::new(path, line, *says)));
    }
    faults
}

#[test]
fn leftovers_are_found_also_in_macros_and_over_lines() {
    let text = "fn a() {\n  todo!();\n  dbg!(1);\n  unimplemented!();\n\
                  b\n    .unwrap();\n  format!(\"{}\", c.unwrap());\n}\n\
                // todo!() in a comment, \"x.unwrap()\"\nconst D: &str = \"d.unwrap()\";\n\
                #[cfg(test)]\nmod tests {\n  fn e() { f.unwrap(); }\n  fn g() { todo!() }\n}\n\
                fn h() { i.unwrap_or(1); }\n";
    let source = Source::parse("sample.rs", text);
    let lines = |is_test| -> Vec<usize> {
        let mut lines: Vec<usize> =
            faults("sample.rs", &source, is_test).iter().map(|fault| fault.line).collect();
        lines.sort_unstable();
        lines
    };
    assert_eq!(lines(false), [2, 3, 4, 6, 7, 14]);
    assert_eq!(lines(true), [2, 3, 4, 14]);
}
