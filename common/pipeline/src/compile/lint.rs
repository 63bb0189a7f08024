//! What is allowed and yet hardly meant, beyond what the rules of chains see on their way.

use std::collections::HashMap;

use dagmar_common::graph::ParameterKind;

use crate::diagnostic::{Code, Finding, Report, shown};
use crate::spec::{ParameterSpec, SectionSpec, StepKind, kind_word};

/// Maps over a parameter that is declared as something else than a list.
pub(super) fn lists<'s>(
    section: &'s SectionSpec<'_>,
    parameters: &HashMap<&str, &ParameterSpec<'_>>,
    bound: &mut Vec<&'s str>,
    report: &mut Report<'_>,
) {
    for step in &section.steps {
        let StepKind::Map(map) = &step.kind else { continue };
        let name = map.iterate_on;
        let declared = parameters.get(name.value);
        // An item of a map around it goes by the same name.
        let declared = declared.filter(|_| !bound.contains(&name.value));
        if let Some(declared) = declared
            && !matches!(declared.kind, ParameterKind::List | ParameterKind::Any)
        {
            let (shown, kind) = (shown(name.value), kind_word(declared.kind));
            let message = format!("`iterate_on` wants a list, and `{shown}` is {kind}");
            let finding = Finding::warning(Code::NoList, name.span, message);
            let help = "unless a step before writes a list under this name, the map fails";
            report.add(finding.note(declared.name.span, "declared here").help(help));
        }
        let depth = bound.len();
        bound.push(&map.iterate_as);
        bound.extend(map.index_as.as_deref());
        lists(&map.body, parameters, bound, report);
        bound.truncate(depth);
    }
}
