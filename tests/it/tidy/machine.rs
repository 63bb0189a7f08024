//! The rule that nothing in the tree names the machine it was written on.

use super::Fault;

/// In two parts each, so that this file does not break its own rule.
const FOREIGN: [(&str, &str); 4] =
    [("/wo", "rk/"), ("/ro", "ot/"), ("/tmp/", "wt"), ("/ho", "me/")];

pub fn faults(path: &str, text: &str) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (at, line) in text.lines().enumerate() {
        for (head, tail) in FOREIGN {
            let foreign = format!("{head}{tail}");
            if begins_a_path(line, &foreign) {
                let says = format!("`{foreign}` is a path of one machine; name no machine");
                faults.push(Fault::new(path, at + 1, says));
            }
        }
    }
    faults
}

/// Inside a longer path the same letters are a folder of somebody's tree, not a place.
fn begins_a_path(line: &str, foreign: &str) -> bool {
    line.match_indices(foreign).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || "._-}".contains(c))
    })
}

#[test]
fn paths_of_a_machine_are_found() {
    let bad = format!("fine\nsee {}{}shared\n", "/wo", "rk/");
    assert_eq!(faults("a.md", &bad)[0].line, 2);
    let bad = format!("cd {}{}/house", "/tmp/", "wt");
    assert_eq!(faults("a.md", &bad)[0].line, 1);
    assert!(faults("a.md", &format!("docs{}{}x", "/wo", "rk/")).is_empty());
}
