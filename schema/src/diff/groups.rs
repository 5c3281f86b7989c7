//! Relationship properties, interfaces, unions and enums compared.

use indexmap::IndexMap;

use super::fields::{Owner, properties};
use super::{Diff, Effect, Migration};
use crate::ontology::{AbstractType, EnumType, Ontology};

/// Notes what came and went, and hands over what stayed.
fn each<'o, T>(
    old: &'o IndexMap<String, T>,
    new: &'o IndexMap<String, T>,
    diff: &mut Diff,
    mut compare: impl FnMut(&'o T, &'o T, &mut Diff),
) {
    for (name, was) in old {
        match new.get(name) {
            Some(is) => compare(was, is, diff),
            None => diff.note(Effect::Breaking, name, "removed"),
        }
    }
    for name in new.keys().filter(|name| !old.contains_key(*name)) {
        diff.note(Effect::Safe, name, "added");
    }
}

/// Compares the types of relationship properties.
pub(super) fn edge_types(old: &Ontology, new: &Ontology, diff: &mut Diff) {
    each(&old.edge_types, &new.edge_types, diff, |was, is, diff| {
        diff.words(&is.name, [&was.description, &is.description], [&None, &None]);
        diff.rules(&is.name, &was.rules, &is.rules);
        properties(&Owner::edge(is), &was.properties, &is.properties, diff);
    });
}

/// Compares interfaces and unions.
pub(super) fn abstracts(old: &Ontology, new: &Ontology, diff: &mut Diff) {
    each(&old.abstracts, &new.abstracts, diff, group);
}

fn group(was: &AbstractType, is: &AbstractType, diff: &mut Diff) {
    let name = &is.name;
    if was.union != is.union {
        let sort = |group: &AbstractType| if group.union { "a union" } else { "an interface" };
        diff.note(Effect::Breaking, name, format!("is {}, so far {}", sort(is), sort(was)));
    }
    if was.plural != is.plural {
        diff.note(Effect::Breaking, name, format!("its roots are called {}, so far {}", is.plural, was.plural));
    }
    diff.words(name, [&was.description, &is.description], [&None, &None]);
    // Which types implement an interface is said by the types themselves.
    if was.union && is.union {
        for gone in was.members.iter().filter(|member| !is.members.contains(member)) {
            diff.note(Effect::Breaking, name, format!("is never {gone} any more"));
        }
        for come in is.members.iter().filter(|member| !was.members.contains(member)) {
            diff.note(Effect::Risky, name, format!("may be {come}"));
        }
    }
    properties(&Owner::interface(is), &was.properties, &is.properties, diff);
}

/// Compares enums.
pub(super) fn enums(old: &Ontology, new: &Ontology, diff: &mut Diff) {
    each(&old.enums, &new.enums, diff, choices);
}

fn choices(was: &EnumType, is: &EnumType, diff: &mut Diff) {
    diff.words(&is.name, [&was.description, &is.description], [&None, &None]);
    for value in &was.values {
        let element = format!("{}.{}", is.name, value.name);
        match is.values.iter().find(|other| other.name == value.name) {
            Some(now) => {
                let words = ([&value.description, &now.description], [&value.deprecated, &now.deprecated]);
                diff.words(&element, words.0, words.1);
            }
            None => {
                diff.note(Effect::Breaking, element, "removed");
                diff.migrate(Migration::Replace { of: is.name.clone(), value: value.name.clone() });
            }
        }
    }
    let known = |name: &str| was.values.iter().any(|other| other.name == name);
    for value in is.values.iter().filter(|value| !known(&value.name)) {
        diff.note(Effect::Risky, format!("{}.{}", is.name, value.name), "added: answers may hold it");
    }
}
