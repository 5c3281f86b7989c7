//! All definitions by name: the user's and the built-in ones, with extensions merged in, and the part each plays.

use std::collections::HashSet;

use indexmap::IndexMap;

use crate::names;
use crate::ontology::{ENTITY, Scalar};
use crate::parse;
use crate::problem::{Code, Problems};
use crate::syntax::{self, Definition, Document, Sort, Word, find, repeated};

/// The built-in types, in the same language as everybody's.
const PRELUDE: &str = include_str!("prelude.graphql");

/// The part a definition plays in the ontology.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Node,
    Row,
    Edge,
    Interface,
    Union,
    Enum,
}

impl Role {
    /// The noun for messages.
    pub fn noun(self) -> &'static str {
        match self {
            Self::Node => "a node type",
            Self::Row => "a row type",
            Self::Edge => "a type of relationship properties",
            Self::Interface => "an interface",
            Self::Union => "a union",
            Self::Enum => "an enum",
        }
    }
}

/// A definition and its part.
#[derive(Debug)]
pub(crate) struct Entry {
    pub role: Role,
    pub definition: Definition,
}

/// What a name stands for.
#[derive(Debug, Clone)]
pub(crate) enum Named<'c> {
    Scalar(Scalar),
    Entry(&'c Entry),
}

/// The definitions of an ontology, the user's first.
#[derive(Debug)]
pub(crate) struct Catalog {
    entries: IndexMap<String, Entry>,
    /// Names may be missing because the text is broken: do not complain about unknown ones.
    damaged: bool,
    /// Names whose definitions were reported and dropped.
    refused: Vec<String>,
}

impl Catalog {
    /// Definitions of the given parts that can be judged, in order.
    pub fn of<'c>(&'c self, roles: &'c [Role]) -> impl Iterator<Item = (Role, &'c Definition)> {
        self.entries
            .values()
            .filter(|entry| roles.contains(&entry.role) && !entry.definition.damaged)
            .map(|entry| (entry.role, &entry.definition))
    }

    /// Every definition that can be judged.
    pub fn all(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values().filter(|entry| !entry.definition.damaged)
    }

    /// The definition of that name.
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.get(name)
    }

    /// True when a missing definition of that name is no news.
    pub fn forgives(&self, name: &str) -> bool {
        self.damaged || self.refused.iter().any(|refused| refused == name)
    }

    /// What a name stands for; an unknown one becomes a problem, with the nearest known one as help.
    pub fn resolve(&self, word: &Word, problems: &mut Problems) -> Option<Named<'_>> {
        if let Some(scalar) = names::scalar(&word.text) {
            return Some(Named::Scalar(scalar));
        }
        let entry = self.get(&word.text);
        if entry.is_none() && !self.forgives(&word.text) {
            let known = self.entries.keys().map(String::as_str).chain(names::SCALARS);
            problems
                .add(Code::UnknownType, word.span, format!("unknown type `{}`", word.text))
                .nearest(&word.text, known);
        }
        entry.map(Named::Entry)
    }
}

/// Merges the user's definitions, the prelude and all extensions.
pub(crate) fn merge(document: Document, problems: &mut Problems) -> Catalog {
    let damaged = document.damaged;
    let (extensions, definitions): (Vec<_>, Vec<_>) = document.definitions.into_iter().partition(|d| d.extends);
    let built_in = prelude();
    let mut merged: IndexMap<String, Definition> = IndexMap::new();
    for definition in definitions {
        if let Some(help) = names::reserved_type(&definition.name.text, &built_in) {
            let message = format!("the name `{}` is reserved", definition.name.text);
            problems.add(Code::ReservedName, definition.name.span, message).help(help);
            // It stays, so that fields of this type do not become problems as well; a built-in type takes its place.
            merged.insert(definition.name.text.clone(), definition);
        } else if merged.contains_key(&definition.name.text) {
            let message = format!("`{}` is declared twice", definition.name.text);
            let help = match merged[&definition.name.text].sort == definition.sort {
                true => format!("use `extend {} {}` to add to it", definition.sort.keyword(), definition.name.text),
                false => "give one of them another name".to_owned(),
            };
            problems.add(Code::DuplicateName, definition.name.span, message).help(help);
        } else {
            merged.insert(definition.name.text.clone(), definition);
        }
    }
    merged.extend(built_in.into_iter().map(|definition| (definition.name.text.clone(), definition)));
    for extension in extensions {
        extend(&mut merged, extension, damaged, problems);
    }
    for definition in merged.values_mut() {
        duplicates(definition, problems);
    }
    let entries = merged.into_iter().map(|(name, definition)| (name, entry(definition))).collect();
    Catalog { entries, damaged, refused: document.refused }
}

fn prelude() -> Vec<Definition> {
    let mut problems = Problems::new(PRELUDE);
    let mut document = parse::parse(PRELUDE, &mut problems);
    for definition in &mut document.definitions {
        definition.built_in = true;
        syntax::forget_places(definition);
    }
    document.definitions
}

fn extend(merged: &mut IndexMap<String, Definition>, extension: Definition, damaged: bool, problems: &mut Problems) {
    let Word { text, span } = &extension.name;
    let Some(definition) = merged.get_mut(text) else {
        if !damaged {
            let message = format!("`{text}` is extended but never declared");
            problems.add(Code::UnknownType, *span, message).nearest(text, merged.keys().map(String::as_str));
        }
        return;
    };
    let adds = !(extension.fields.is_empty() && extension.interfaces.is_empty());
    if text == ENTITY && adds {
        let help = "declare an interface of your own, and let your types implement it";
        let message = "`Entity` cannot be extended by more than directives";
        problems.add(Code::ReservedName, *span, message).help(help);
    } else if definition.sort != extension.sort {
        let help = format!("write `extend {} {text}`", definition.sort.keyword());
        let message = format!("`{text}` is extended as {}, but is {}", extension.sort.noun(), definition.sort.noun());
        problems.add(Code::WrongType, *span, message).help(help);
    } else {
        definition.damaged |= extension.damaged;
        definition.interfaces.extend(extension.interfaces);
        definition.directives.extend(extension.directives);
        definition.fields.extend(extension.fields);
        definition.members.extend(extension.members);
        definition.values.extend(extension.values);
    }
}

/// Reports names that occur twice in one list, and keeps the first.
fn duplicates(definition: &mut Definition, problems: &mut Problems) {
    let owner = definition.name.text.clone();
    once(&mut definition.fields, |f| &f.name, |n| format!("field `{n}` of `{owner}` is declared twice"), problems);
    once(&mut definition.values, |v| &v.name, |n| format!("value `{n}` of `{owner}` is declared twice"), problems);
    once(&mut definition.members, |m| m, |n| format!("`{n}` is twice a member of `{owner}`"), problems);
    once(&mut definition.interfaces, |i| i, |n| format!("`{owner}` implements `{n}` twice"), problems);
}

fn once<T>(list: &mut Vec<T>, name: impl Fn(&T) -> &Word, message: impl Fn(&str) -> String, problems: &mut Problems) {
    for word in repeated(list.iter().map(&name)) {
        problems.add(Code::DuplicateName, word.span, message(&word.text));
    }
    let mut seen = HashSet::new();
    list.retain(|item| seen.insert(name(item).text.clone()));
}

/// Settles the part a definition plays. An object type without a directive is a node type, as in the Neo4j GraphQL Library.
fn entry(definition: Definition) -> Entry {
    let has = |name: &str| find(&definition.directives, name).is_some();
    let role = match definition.sort {
        Sort::Interface => Role::Interface,
        Sort::Union => Role::Union,
        Sort::Enum => Role::Enum,
        Sort::Object if has("relationshipProperties") => Role::Edge,
        Sort::Object if has("table") => Role::Row,
        Sort::Object => Role::Node,
    };
    Entry { role, definition }
}
