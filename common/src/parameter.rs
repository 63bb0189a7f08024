//! Names of parameters: which there can be, and the variables under which a task finds them.

use crate::limits::PARAMETER_NAME_BYTES_MAX;

/// What [`is_name`] asks for, for people.
pub const NAME_RULE: &str =
    "a name has no spaces, no `=`, no control characters, and at most 255 bytes";

/// Before the name of a parameter in the environment. Where several say different things the
/// last one counts; those before it are the ancestors', who knew only names in small letters.
pub const PREFIXES: [&str; 3] = ["MAGNUS_PRM_", "RUNNABLE_PRM_", "DAGMAR_PRM_"];

/// The last of [`PREFIXES`].
const OURS: &str = "DAGMAR_PRM_";

/// Variables that decide over programs: a parameter called PATH is no reason to find none.
const HIDDEN: [&str; 2] = ["PATH", "HOME"];

/// Variables that begin with one of these do so too.
const HIDDEN_BEGINNINGS: [&str; 3] = ["LD_", "PYTHON", "DAGMAR_"];

/// It stands in environment variables: no `=`, nothing that cannot be seen.
pub fn is_name(name: &str) -> bool {
    let hidden = |symbol: char| symbol.is_control() || symbol.is_whitespace() || symbol == '=';
    !name.is_empty() && name.len() <= PARAMETER_NAME_BYTES_MAX && !name.chars().any(hidden)
}

/// A name that a task never finds as it is, only behind a prefix and in the file.
pub fn is_hidden(name: &str) -> bool {
    HIDDEN.contains(&name) || HIDDEN_BEGINNINGS.iter().any(|first| name.starts_with(first))
}

/// True for a variable that would be taken for a parameter of the task.
pub fn is_variable(variable: &str) -> bool {
    PREFIXES.iter().any(|prefix| variable.starts_with(prefix))
}

/// What stands behind `prefix`, one of [`PREFIXES`], in `variable`: a name as it `is_known`, or,
/// behind an ancestor's, in small letters.
pub fn name_behind(
    prefix: &str,
    variable: &str,
    is_known: impl Fn(&str) -> bool,
) -> Option<String> {
    let written = variable.strip_prefix(prefix)?;
    let is_as_written = prefix == OURS || is_known(written);
    Some(if is_as_written { written.to_owned() } else { written.to_lowercase() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_a_variable_can_be_called() {
        for name in ["x", "a-b", "naïve", "1", "PATH", &"x".repeat(PARAMETER_NAME_BYTES_MAX)] {
            assert!(is_name(name), "{name}");
        }
        let long = "x".repeat(PARAMETER_NAME_BYTES_MAX + 1);
        for name in ["", " ", "a b", "a=b", "a\0", "a\u{a0}b", &long] {
            assert!(!is_name(name), "{name}");
        }
    }

    #[test]
    fn what_programs_need_is_hidden() {
        for name in ["PATH", "HOME", "LD_PRELOAD", "PYTHONPATH", "DAGMAR_RUN"] {
            assert!(is_hidden(name), "{name}");
        }
        for name in ["path", "HOMES", "LD", "python", "MY_PATH", "x"] {
            assert!(!is_hidden(name), "{name}");
        }
    }

    #[test]
    fn the_ancestors_names_are_small_unless_known_otherwise() {
        #[track_caller]
        fn check(variable: &str, expected: Option<&str>) {
            let names = PREFIXES
                .iter()
                .filter_map(|prefix| name_behind(prefix, variable, |name| name == "Known"));
            assert_eq!(names.collect::<Vec<_>>(), Vec::from_iter(expected), "{variable}");
            assert_eq!(is_variable(variable), expected.is_some(), "{variable}");
        }
        check("DAGMAR_PRM_Rows", Some("Rows"));
        check("MAGNUS_PRM_Rows", Some("rows"));
        check("RUNNABLE_PRM_Known", Some("Known"));
        check("MAGNUS_PRM_", Some(""));
        check("MAGNUS_TRACK_x", None);
        check("x_MAGNUS_PRM_x", None);
    }
}
