//! What names stand for in a document: the types of the API, those of introspection, and the directives.

use std::cell::{OnceCell, RefCell};
use std::collections::{HashMap, HashSet};

use async_graphql::parser::types::DirectiveLocation;
use quipu_schema::api::{Api, FieldDef, ObjectDef, TypeDef};

use crate::document::built_in::{self, DirectiveDef};

/// The names of one API.
pub(super) struct Known<'a> {
    api: &'a Api,
    /// Objects of each interface, worked out when two abstract types meet.
    implementing: OnceCell<HashMap<&'a str, HashSet<&'a str>>>,
    /// Which pairs of abstract types have an object in common.
    meeting: RefCell<HashMap<(&'a str, &'a str), bool>>,
}

impl<'a> Known<'a> {
    pub(super) fn of(api: &'a Api) -> Self {
        Self { api, implementing: OnceCell::new(), meeting: RefCell::default() }
    }

    /// The type of that name.
    pub(super) fn get(&self, name: &str) -> Option<&'a TypeDef> {
        self.api.types.get(name).or_else(|| built_in::types().get(name))
    }

    /// Names of types, to suggest one.
    pub(super) fn names(&self) -> impl Iterator<Item = &'a str> {
        let scalars = built_in::types().iter().filter(|(_, def)| matches!(def, TypeDef::Scalar { .. }));
        self.api.types.keys().chain(scalars.map(|(name, _)| name)).map(String::as_str)
    }

    /// A field of a type, also those that every type or the root has and none lists.
    pub(super) fn field(&self, of: &'a TypeDef, name: &str) -> Option<&'a FieldDef> {
        if name.starts_with("__") {
            let root = matches!(of, TypeDef::Object(object) if object.name == "Query");
            return built_in::root_field(name).filter(|_| root || name == "__typename");
        }
        match of {
            TypeDef::Object(of) | TypeDef::Interface(of) => of.fields.get(name),
            _ => None,
        }
    }

    /// The directive of that name.
    pub(super) fn directive(name: &str) -> Option<&'static DirectiveDef> {
        built_in::directives().get(name)
    }

    /// Names of directives that documents may use, to suggest one.
    pub(super) fn directives() -> impl Iterator<Item = &'static str> {
        let usable = |def: &DirectiveDef| def.places.contains(&DirectiveLocation::Field);
        built_in::directives().iter().filter(move |(_, def)| usable(def)).map(|(name, _)| name.as_str())
    }

    /// Whether an object may be of both types.
    pub(super) fn meet(&self, one: &'a TypeDef, other: &'a TypeDef) -> bool {
        match (one, other) {
            (TypeDef::Object(object), other) => is_of(object, other),
            (one, TypeDef::Object(object)) => is_of(object, one),
            (one, other) if one.name() == other.name() => true,
            (one, other) => {
                let found = || {
                    let (few, many) = (self.members(one), self.members(other));
                    let (few, many) = if few.len() <= many.len() { (few, many) } else { (many, few) };
                    few.iter().any(|name| many.contains(name))
                };
                let key = (one.name(), other.name());
                *self.meeting.borrow_mut().entry(key).or_insert_with(found)
            }
        }
    }

    fn members(&self, of: &'a TypeDef) -> HashSet<&'a str> {
        match of {
            TypeDef::Union { members, .. } => members.iter().map(String::as_str).collect(),
            TypeDef::Interface(of) => {
                let all = self.implementing.get_or_init(|| implementing(self.api));
                all.get(of.name.as_str()).cloned().unwrap_or_default()
            }
            _ => HashSet::new(),
        }
    }
}

fn implementing(api: &Api) -> HashMap<&str, HashSet<&str>> {
    let mut all: HashMap<&str, HashSet<&str>> = HashMap::new();
    for def in api.types.values() {
        let TypeDef::Object(object) = def else { continue };
        for name in &object.implements {
            all.entry(name).or_default().insert(&object.name);
        }
    }
    all
}

fn is_of(object: &ObjectDef, of: &TypeDef) -> bool {
    match of {
        TypeDef::Object(of) => of.name == object.name,
        TypeDef::Interface(of) => object.implements.contains(&of.name),
        TypeDef::Union { members, .. } => members.contains(&object.name),
        _ => false,
    }
}

/// True for types that have fields below them.
pub(super) fn is_composite(def: &TypeDef) -> bool {
    matches!(def, TypeDef::Object(_) | TypeDef::Interface(_) | TypeDef::Union { .. })
}

/// True for types that arguments and variables may have.
pub(super) fn is_input(def: &TypeDef) -> bool {
    matches!(def, TypeDef::Scalar { .. } | TypeDef::Enum(_) | TypeDef::Input(_))
}
