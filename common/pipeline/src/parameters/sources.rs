//! The three places that values come from: a file, the environment, arguments.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use dagmar_common::parameter::{self, PREFIXES};
use dagmar_common::value::Value;

use super::{Declared, read_text};
use crate::diagnostic::{Code, Finding, Report, shown};
use crate::source::{Source, Span};
use crate::spec::value_fits;
use crate::suggest::did_you_mean;
use crate::yaml::{self, View, to_json};

type Values = BTreeMap<Arc<str>, Value>;

/// A mapping from names to values, in YAML or JSON.
pub(super) fn from_file(
    source: &Source<'_>,
    declared: &Declared<'_>,
    values: &mut Values,
    report: &mut Report<'_>,
) {
    let Some(tree) = yaml::load(source.text, report) else { return };
    let root = tree.root();
    let map = match root.view() {
        View::Map(map) => map,
        View::Broken => return,
        View::Scalar(scalar) if scalar.is_null() => return,
        View::List(_) | View::Scalar(_) => {
            let found = root.kind();
            let message = format!("a parameters file is a mapping from names, found {found}");
            report.add(Finding::error(Code::WrongType, root.span(), message));
            return;
        }
    };
    for (name, value) in map.iter() {
        if !parameter::is_name(name.value) {
            let message = format!("`{}` is no name for a parameter", shown(name.value));
            report.add(Finding::error(Code::Declaration, name.span, message));
            continue;
        }
        let Some(json) = to_json(value, report) else { continue };
        if value_fits(declared.kind_of(name.value), &json) {
            values.insert(name.value.into(), Value::from_json(&json));
        } else {
            let found = shown(Value::from_json(&json).spelled());
            let message = declared.mismatch(name.value, &found);
            report.add(Finding::error(Code::ParameterType, value.span(), message));
        }
    }
}

/// `DAGMAR_PRM_name` and the ancestors' prefixes, which knew only names in small letters.
pub(super) fn from_environment(
    environment: &[(String, String)],
    declared: &Declared<'_>,
    values: &mut Values,
    report: &mut Report<'_>,
) {
    for prefix in PREFIXES {
        for (variable, text) in environment {
            let is_known = |name: &str| declared.find(name).is_some();
            let name = parameter::name_behind(prefix, variable, is_known);
            let Some(name) = name.filter(|name| parameter::is_name(name)) else { continue };
            match read_text(declared.kind_of(&name), text) {
                Some(value) => {
                    values.insert(name.into(), value);
                }
                None => {
                    let message = declared.mismatch(&name, &format!("\"{}\"", shown(text)));
                    let help = format!("it comes from the environment variable {variable}");
                    report_argument(Code::ParameterType, message, Some(help), report);
                }
            }
        }
    }
}

/// `name=value`, each name once.
pub(super) fn from_arguments(
    arguments: &[String],
    declared: &Declared<'_>,
    values: &mut Values,
    report: &mut Report<'_>,
) {
    let mut seen: HashMap<&str, &str> = HashMap::new();
    for argument in arguments {
        let pair = argument.split_once('=');
        let Some((name, text)) = pair.filter(|(name, _)| parameter::is_name(name)) else {
            let message = format!("-p {}: expected name=value", shown(argument));
            let help = (pair.is_none() && parameter::is_name(argument))
                .then(|| format!("such as `-p {argument}=1`"));
            report_argument(Code::ParameterArgument, message, help, report);
            continue;
        };
        if let Some(first) = seen.insert(name, text) {
            let (first, text) = (shown(first), shown(text));
            let message = format!("-p {name} is given twice: {name}={first} and {name}={text}");
            report_argument(Code::ParameterArgument, message, None, report);
            continue;
        }
        let has_declared = declared.are_all && !declared.parameters.is_empty();
        if has_declared && declared.find(name).is_none() {
            let names = declared.parameters.iter().map(|parameter| parameter.name.as_str());
            let message = format!("the pipeline declares no parameter {name}");
            let finding = Finding::warning(Code::UndeclaredParameter, Span::default(), message);
            report.add(finding.without_place().help_if(did_you_mean(name, names)));
        }
        match read_text(declared.kind_of(name), text) {
            Some(value) => {
                values.insert(name.into(), value);
            }
            None => {
                let message = declared.mismatch(name, &format!("\"{}\"", shown(text)));
                report_argument(Code::ParameterType, message, None, report);
            }
        }
    }
}

fn report_argument(code: Code, message: String, help: Option<String>, report: &mut Report<'_>) {
    let finding = Finding::error(code, Span::default(), message);
    report.add(finding.without_place().help_if(help));
}
