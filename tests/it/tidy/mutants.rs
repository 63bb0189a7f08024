//! The rule of mutants: each stands in the list, and at the place whose rule it takes away.

use super::Fault;
use super::tree::Tree;

const LIST: &str = "common/src/mutant.rs";
/// Where they are hunted, not where they live.
const HUNT: &str = "tests/sim/mutants.rs";

pub fn faults(tree: &Tree) -> Vec<Fault> {
    let sites = tree.rust().filter(|file| file.path != LIST && file.path != HUNT);
    let sites: Vec<&str> = sites.map(|file| file.text.as_str()).collect();
    list_faults(tree.text(LIST), &sites)
}

fn list_faults(list: &str, sites: &[&str]) -> Vec<Fault> {
    let missing = |(_, name): &(usize, &str)| {
        let asked = format!("lives(Mutant::{name})");
        !sites.iter().any(|site| site.contains(&asked))
    };
    let nowhere = |(line, name)| {
        let says = format!("`{name}` lives nowhere; write `lives(Mutant::{name})` at its rule");
        Fault::new(LIST, line, says)
    };
    variants(list).filter(missing).map(nowhere).collect()
}

/// The names in `mutants! { … }`, with their lines.
fn variants(list: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = (1..).zip(list.lines()).skip_while(|(_, line)| *line != "mutants! {").skip(1);
    let inside = lines.take_while(|(_, line)| *line != "}");
    let names = inside.filter(|(_, line)| !line.trim_start().starts_with("///"));
    names.map(|(number, line)| (number, line.trim().trim_end_matches(',')))
}

#[test]
fn a_mutant_without_a_site_is_found() {
    let list = "mutants! {\n    /// A rule\n    Here,\n    /// Another\n    Nowhere,\n}\n";
    let faults = list_faults(list, &["if lives(Mutant::Here) {}"]);
    assert_eq!(faults.len(), 1);
    assert_eq!(faults[0].line, 5);
    assert!(faults[0].says.contains("`Nowhere` lives nowhere"));
}
