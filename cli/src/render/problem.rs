//! Problems on stderr: for people as sentence, reason and what to type; for programs as JSON.

use dagmar_common::problem::{Code, Problem};

use super::Screen;
use super::text::escaped;
use crate::wiring::{Finding, Findings};

/// `error[E0702]: no run "etl-20" here`, why below it, what to type last.
pub fn lines(problem: &Problem, screen: &Screen) -> Vec<String> {
    let head = screen.red(&format!("error[{}]", problem.code));
    let mut lines = vec![format!("{head}: {}", escaped(&problem.message))];
    if !problem.place.is_empty() {
        lines.push(format!("  --> {}", escaped(&problem.place)));
    }
    lines.extend(problem.details.iter().map(|detail| format!("  {}", escaped(detail))));
    lines.extend(problem.help.iter().map(|help| format!("  try: {}", escaped(help))));
    lines
}

pub fn json(problem: &Problem) -> serde_json::Value {
    serde_json::json!({
        "code": problem.code.to_string(),
        "reason": problem.code.reason(),
        "message": problem.message,
        "place": problem.place,
        "details": problem.details,
        "help": problem.help,
    })
}

/// One problem with every finding of a pipeline inside.
pub fn json_of_rejected(findings: &Findings) -> serde_json::Value {
    let code = Code::BadPipeline;
    serde_json::json!({
        "code": code.to_string(),
        "reason": code.reason(),
        "message": "the pipeline cannot run; nothing was submitted",
        "place": "",
        "details": json_of_findings(&findings.all),
        "help": [],
    })
}

pub fn json_of_findings(findings: &[Finding]) -> Vec<serde_json::Value> {
    let one = |finding: &Finding| {
        serde_json::json!({
            "code": finding.code,
            "severity": if finding.is_error { "error" } else { "warning" },
            "message": finding.message,
            "place": finding.place,
            "help": finding.help,
        })
    };
    findings.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem() -> Problem {
        Problem::new(Code::NotFound, "no run \"etl\u{1b}[2J\" here")
            .at("here")
            .because("did you mean etl-2042?")
            .try_this("dagmar ls --all")
    }

    #[test]
    fn first_what_then_why_then_what_to_type() {
        assert_eq!(
            lines(&problem(), &Screen::plain()).join("\n"),
            "error[E0702]: no run \"etl\\u{1b}[2J\" here\n  --> here\n  did you mean etl-2042?\n  \
             try: dagmar ls --all"
        );
    }

    #[test]
    fn a_program_gets_the_same_as_fields() {
        let json = json(&problem());
        assert_eq!((&json["code"], &json["reason"]), (&"E0702".into(), &"NOT_FOUND".into()));
        assert_eq!(json["help"][0], "dagmar ls --all");
    }
}
