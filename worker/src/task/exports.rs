//! What a script exports at its end: how its shell is asked, and which of it is an output.
//!
//! The shell that runs the script writes its exported variables to a file when it exits, with its
//! builtins alone. For that the script gets [`PREAMBLE`] in front of its first line, so that the
//! number of no line changes, and none of its messages does.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use dagmar_common::lease::{Output, OutputWay};
use dagmar_common::parameter::{self, PREFIXES};
use dagmar_common::value::Value;
use dagmar_common::view::Scope;

use super::bad_output::{BadOutput, Place};
use super::quoted::Commands;

/// An EXIT trap, which no subshell inherits, and an alias for `trap`, so that a script that sets
/// an EXIT trap of its own has both: ours runs before it, lest it does not come back, and after
/// it. Neither changes the status of the exit, and under `set -x` neither shows.
///
/// For dash and bash alike, whatever `set`, IFS or umask the script leaves behind. A trap that is
/// set in a subshell stays its own. In what `exec` starts nobody asks.
const PREAMBLE: &str = concat!(
    "DAGMAR_EXPORTS=$DAGMAR_OUTPUT.exports;DAGMAR_LINE=${IFS#??};",
    "DAGMAR_END='{ dagmar_end&&:;} 2>/dev/null';",
    r#"dagmar_end(){ set -- "$?";{ \export -p;}>|"$DAGMAR_EXPORTS"||:;return "$1";};"#,
    r#"dagmar_trap(){ trap "$@"||return;for DAGMAR_WORD do case $DAGMAR_WORD in "#,
    r#"0|EXIT|exit|SIGEXIT)dagmar_both "$@";return;;esac;done;};"#,
    r#"dagmar_both(){ IFS=' ' read -r DAGMAR_PID DAGMAR_WORD 2>/dev/null </proc/self/stat"#,
    r#"&&[ "$DAGMAR_PID" = "$$" ]||return 0;[ "$1" != -- ]||shift;"#,
    "case $1 in -?*)return;;-|EXIT|exit|SIGEXIT|[0-9]|[0-9][0-9])set -- :;;esac;",
    r#"trap "$DAGMAR_END;$1$DAGMAR_LINE$DAGMAR_END" EXIT;};"#,
    r#"alias trap=dagmar_trap;trap "$DAGMAR_END" EXIT; "#,
);

/// Without any of these in its text a script changes no variable of a parameter.
const SIGNS: [&str; 7] = ["_PRM_", "eval", "export", "read", "source", "declare", "typeset"];

/// The script as its shell is given it, and whether it tells what it exports.
pub fn prepared(script: &str) -> (Cow<'_, str>, bool) {
    if !may_export(script) {
        return (Cow::Borrowed(script), false);
    }
    let begins = script.len() - script.trim_start_matches([' ', '\t', '\n']).len();
    let (blank, text) = script.split_at(begins);
    // An alias is not known in the very line that makes it.
    let whole = match text.strip_prefix("trap") {
        Some(rest) if rest.starts_with([' ', '\t']) => {
            format!("{PREAMBLE}{blank}dagmar_trap{rest}")
        }
        // Deep in its first line: rather a value kept than the number of a line.
        _ if script.lines().next().is_some_and(|line| line.contains("trap")) => {
            format!("{PREAMBLE}\n{script}")
        }
        _ => format!("{PREAMBLE}{script}"),
    };
    (Cow::Owned(whole), true)
}

fn may_export(script: &str) -> bool {
    let ends_word = |symbol: char| symbol.is_whitespace() || ";&|(){}`".contains(symbol);
    SIGNS.iter().any(|sign| script.contains(sign))
        || script.split(ends_word).any(|word| word == ".")
}

/// Where the shell writes, beside the file for outputs.
pub fn file(output: &Path) -> PathBuf {
    let mut name = output.as_os_str().to_owned();
    name.push(".exports");
    name.into()
}

/// The parameters whose text is another than in `given`, by name.
pub fn outputs(exports: &[u8], given: &Scope) -> Result<BTreeMap<String, Output>, BadOutput> {
    let mut changed = BTreeMap::new();
    let all = variables(exports)?;
    for prefix in PREFIXES {
        for (variable, text) in &all {
            let is_known = |name: &str| given.get(name).is_some();
            let name = parameter::name_behind(prefix, variable, is_known);
            let Some(name) = name.filter(|name| !name.is_empty()) else { continue };
            if given.get(&name).is_some_and(|value| value.spelled().as_bytes() == text) {
                continue;
            }
            let bad = |reason: &str| BadOutput {
                place: Place::Variable(variable.clone()),
                reason: reason.to_owned(),
            };
            if !parameter::is_name(&name) {
                return Err(bad(&format!("is no name for a parameter: {}", parameter::NAME_RULE)));
            }
            let Ok(text) = std::str::from_utf8(text) else {
                return Err(bad("is not UTF-8; a parameter is text or JSON"));
            };
            let value = Value::from_loose(text);
            let output = Output { name: name.as_str().into(), value, way: OutputWay::Variable };
            changed.insert(name, output);
        }
    }
    Ok(changed)
}

/// Exported variables of parameters and their texts.
fn variables(exports: &[u8]) -> Result<BTreeMap<String, Vec<u8>>, BadOutput> {
    let mut all = BTreeMap::new();
    for command in Commands::new(exports) {
        let Ok(words) = command else {
            let reason = "cannot be read; write its outputs to $DAGMAR_OUTPUT".to_owned();
            return Err(BadOutput { place: Place::Exports, reason });
        };
        // `export name=text`, `declare -x name=text`; without `=` it has no value.
        let Some(word) = words.into_iter().skip(1).find(|word| !word.starts_with(b"-")) else {
            continue;
        };
        let Some(equals) = word.iter().position(|byte| *byte == b'=') else { continue };
        let Ok(name) = std::str::from_utf8(&word[..equals]) else { continue };
        if parameter::is_variable(name) {
            all.insert(name.to_owned(), word[equals + 1..].to_vec());
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use dagmar_common::limits::{COMMAND_WORD_BYTES_MAX, SCRIPT_BYTES_MAX};
    use dagmar_common::view::View;

    use super::*;

    fn given() -> Scope {
        let values = [("x", "1"), ("Big", "true"), ("text", "\"a b\"")];
        let overlay = values.iter().fold(View::default(), |view, (name, value)| {
            view.with(&Arc::from(*name), 0, Value::from_loose(value))
        });
        Scope { overlay, base: None }
    }

    #[track_caller]
    fn check(exports: &[u8], expected: &[(&str, &str)]) {
        let changed = outputs(exports, &given()).unwrap();
        let changed: Vec<_> =
            changed.values().map(|one| (&*one.name, one.value.spelled())).collect();
        assert_eq!(changed, expected);
    }

    #[track_caller]
    fn refused(exports: &[u8], message: &str) {
        let bad = outputs(exports, &given()).unwrap_err().to_string();
        assert!(bad.starts_with(message), "{bad}");
    }

    #[test]
    fn what_differs_is_an_output() {
        check(b"export HOME='/root'\nexport MAGNUS_PRM_x='1'\n", &[]);
        check(b"export MAGNUS_PRM_text='\"a b\"'\nexport DAGMAR_PRM_x='1'", &[]);
        check(b"export MAGNUS_PRM_x='2'\nexport DAGMAR_PRM_x='1'\n", &[("x", "2")]);
        check(b"export MAGNUS_PRM_text='a b'\n", &[("text", "\"a b\"")]);
        check(b"declare -x RUNNABLE_PRM_y=\"[1,\n2]\"\nexport MAGNUS_PRM_z\n", &[("y", "[1, 2]")]);
        check(b"export MAGNUS_PRM_=1\nexport MAGNUS_TRACK_m=1\nexport JUNK=\xff\n", &[]);
    }

    #[test]
    fn of_several_prefixes_ours_wins() {
        let all = b"export DAGMAR_PRM_x=4\nexport RUNNABLE_PRM_x=3\nexport MAGNUS_PRM_x=2\n";
        check(all, &[("x", "4")]);
        check(&all[22..], &[("x", "3")]);
    }

    #[test]
    fn the_ancestors_wrote_small_letters() {
        check(
            b"export MAGNUS_PRM_ROWS=1\nexport DAGMAR_PRM_Ours=2",
            &[("Ours", "2"), ("rows", "1")],
        );
        check(b"export MAGNUS_PRM_Big=false\n", &[("Big", "false")]);
    }

    #[test]
    fn what_is_no_parameter_is_named() {
        refused(b"export MAGNUS_PRM_x=\xff\n", "variable MAGNUS_PRM_x: is not UTF-8");
        let long = format!("export DAGMAR_PRM_{}=1\n", "y".repeat(300));
        refused(long.as_bytes(), "variable DAGMAR_PRM_yyyy");
        refused(b"export MAGNUS_PRM_x='1", "what this script exports: cannot be read");
    }

    #[test]
    fn only_who_may_export_is_asked() {
        let is_asked = |script| prepared(script).1;
        for script in ["/bin/true", "echo \"rows=$x\" >> \"$DAGMAR_OUTPUT\"", "python3 a.py ./b.c"]
        {
            assert!(!is_asked(script), "{script}");
        }
        for script in ["export MAGNUS_PRM_x=1", "cd a;. ./b", "eval \"$code\"", "set -a\n. x"] {
            assert!(is_asked(script), "{script}");
        }
    }

    #[test]
    fn the_preamble_is_one_line_and_fits_in_front_of_the_longest_script() {
        assert!(!PREAMBLE.contains('\n'));
        assert!(PREAMBLE.len() + "\ndagmar_".len() + SCRIPT_BYTES_MAX <= COMMAND_WORD_BYTES_MAX);
    }
}
