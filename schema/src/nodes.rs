//! Node types: their labels, and the interfaces they implement.

use crate::catalog::Role;
use crate::names;
use crate::ontology::{ENTITY, Kind};
use crate::problem::{Code, Problems};
use crate::syntax::{Definition, find};

/// The labels of a node type: those of `@node`, or the type's own name.
pub(crate) fn kind(definition: &Definition, problems: &mut Problems) -> Kind {
    let mut labels: Vec<String> = Vec::new();
    if let Some(directive) = find(&definition.directives, "node") {
        for (label, place) in directive.items("labels").iter().filter_map(|item| item.text()) {
            if let Some(help) = names::refused_by_stores(label) {
                problems.add(Code::InvalidName, place, format!("`{label}` cannot be a label")).help(help);
            }
            if labels.iter().any(|other| other == label) {
                problems.add(Code::DuplicateName, place, format!("label `{label}` is given twice"));
            } else {
                labels.push(label.to_owned());
            }
        }
        if directive.argument("labels").is_some() && directive.items("labels").is_empty() {
            let help = format!("leave `labels` out: `{}` is the label then", definition.name.text);
            problems.add(Code::InvalidArgument, directive.span, "a node has at least one label").help(help);
        }
    }
    if labels.is_empty() {
        labels.push(definition.name.text.clone());
    }
    Kind::Node { labels }
}

/// Names of the interfaces a type implements; every node is an `Entity`.
pub(crate) fn interfaces(definition: &Definition, role: Role) -> Vec<String> {
    let everybody = (role == Role::Node).then(|| ENTITY.to_owned());
    let own = definition.interfaces.iter().map(|word| word.text.clone()).filter(|name| name != ENTITY);
    everybody.into_iter().chain(own).collect()
}
