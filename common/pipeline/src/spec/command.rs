//! What a task computes: a script for a shell, or the words of a program.

use dagmar_common::graph::{Command, Function, Shell};
use dagmar_common::limits::{COMMAND_BYTES_MAX, COMMAND_WORD_BYTES_MAX, SCRIPT_BYTES_MAX};

use super::fields::{Field, Fields};
use super::keys;
use crate::diagnostic::{Code, Finding, Report, shown};
use crate::source::{Span, Spanned};
use crate::suggest::did_you_mean;
use crate::yaml::View;

/// `is_magnus`: under `dag:` a command without a type was a Python function.
pub(crate) fn read(
    name: Spanned<&str>,
    step: &Fields<'_>,
    is_magnus: bool,
    report: &mut Report<'_>,
) -> Option<Function> {
    let kind = step.get("command_type");
    let is_shell = kind.is_none_or(|kind| check_type(kind, report));
    let Some(field) = step.get("command") else {
        let message = format!("step `{}` has no `command`", shown(name.value));
        let finding = Finding::error(Code::MissingKey, name.span, message);
        step.lack("command", finding.help("a step that does nothing is `type: stub`"), report);
        return None;
    };
    let command = read_command(field, report)?;
    if let Command::Script { text, .. } = &command
        && is_magnus
        && kind.is_none()
        && is_python_path(text)
    {
        let message = "Python functions are not built yet in this version";
        let help = format!("write `command_type: shell` if `{}` is a program", shown(text));
        report.add(Finding::error(Code::NotBuilt, field.place(), message).help(help));
        return None;
    }
    is_shell.then_some(Function::Process(command))
}

fn check_type(field: Field<'_>, report: &mut Report<'_>) -> bool {
    let Some(kind) = field.text(report) else { return false };
    let name = kind.value;
    if name == "shell" {
        return true;
    }
    if keys::COMMAND_TYPES_LATER.contains(&name) {
        let message = format!("`command_type: {name}` is not built yet in this version");
        let finding = Finding::error(Code::NotBuilt, kind.span, message);
        report.add(finding.help("only `command_type: shell`, the default, can run"));
        return false;
    }
    let message = format!("unknown command type `{}`", shown(name));
    let known = keys::COMMAND_TYPES_LATER.iter().copied().chain(["shell"]);
    let help = did_you_mean(name, known).unwrap_or("write `command_type: shell`".to_owned());
    report.add(Finding::error(Code::UnknownType, kind.span, message).help(help));
    false
}

fn read_command(field: Field<'_>, report: &mut Report<'_>) -> Option<Command> {
    let refuse = |span: Span, message: String, report: &mut Report<'_>| {
        report.add(Finding::error(Code::Command, span, message));
    };
    match field.value.view() {
        View::Broken => None,
        View::Map(_) => field.refuse("text for a shell or a list of words", report),
        View::Scalar(scalar) if scalar.is_null() || scalar.text.trim().is_empty() => {
            refuse(field.place(), "`command` must not be empty".to_owned(), report);
            None
        }
        View::Scalar(scalar) => {
            if let Some(fault) = fault_of("`command`", scalar.text, SCRIPT_BYTES_MAX) {
                refuse(scalar.span, fault, report);
                return None;
            }
            Some(Command::Script { text: scalar.text.to_owned(), shell: Shell::Sh })
        }
        View::List(list) => {
            let mut words = Vec::new();
            let mut is_whole = true;
            for (place, word) in list.iter().enumerate() {
                let fault = match word.view() {
                    View::Scalar(scalar) if !scalar.is_null() => {
                        words.push(scalar.text.to_owned());
                        let what = format!("word {} of `command`", place + 1);
                        fault_of(&what, scalar.text, COMMAND_WORD_BYTES_MAX)
                    }
                    View::Broken => Some(String::new()),
                    _ => Some(format!("words of `command` are text, found {}", word.kind())),
                };
                if let Some(fault) = fault {
                    is_whole = false;
                    if !fault.is_empty() {
                        refuse(word.span(), fault, report);
                    }
                }
            }
            if list.is_empty() || is_whole && words[0].is_empty() {
                refuse(field.place(), "`command` must name a program".to_owned(), report);
                return None;
            }
            let bytes: usize = words.iter().map(String::len).sum();
            if bytes > COMMAND_BYTES_MAX {
                let message = format!("`command` is {bytes} bytes long; limit {COMMAND_BYTES_MAX}");
                refuse(field.key.span, message, report);
                return None;
            }
            is_whole.then_some(Command::Words(words))
        }
    }
}

fn fault_of(what: &str, text: &str, most: usize) -> Option<String> {
    if text.contains('\0') {
        return Some(format!("{what} holds a NUL character"));
    }
    let bytes = text.len();
    (bytes > most).then(|| format!("{what} is {bytes} bytes long; limit {most}"))
}

/// `package.module.function`, which no shell would find.
fn is_python_path(text: &str) -> bool {
    let is_identifier = |part: &str| {
        part.starts_with(|first: char| first.is_alphabetic() || first == '_')
            && part.chars().all(|symbol| symbol.is_alphanumeric() || symbol == '_')
    };
    text.contains('.') && text.trim().split('.').all(is_identifier)
}
