//! What names stand for in a document: the types of the API, those of introspection, and the directives.

use std::cell::{OnceCell, RefCell};
use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use async_graphql::Positioned;
use async_graphql::parser::types::{
    DirectiveLocation, FieldDefinition, InputValueDefinition, TypeKind, TypeSystemDefinition,
};
use indexmap::IndexMap;
use quipu_schema::api::{Api, EnumDef, FieldDef, InputField, ObjectDef, Source, TypeDef};
use quipu_schema::ontology::{EnumValue, Scalar};

use crate::value::coerce::declared;

/// The types and directives that every API has and no [`Api`] lists (specification, sections 3.5, 3.13 and 4). async-graphql answers
/// introspection, so these are the fields that it knows.
static BUILT_IN: LazyLock<BuiltIn> = LazyLock::new(BuiltIn::read);

/// A directive: its arguments, and the places where it may stand.
pub(super) struct DirectiveDef {
    pub(super) args: IndexMap<String, InputField>,
    pub(super) places: Vec<DirectiveLocation>,
}

struct BuiltIn {
    api: Api,
    directives: IndexMap<String, DirectiveDef>,
}

impl BuiltIn {
    fn read() -> Self {
        let mut built_in = Self { api: Api { types: IndexMap::new() }, directives: IndexMap::new() };
        // The text is part of the program, and a test reads it.
        let parsed = async_graphql::parser::parse_schema(include_str!("introspection.graphql"));
        for definition in parsed.map(|document| document.definitions).unwrap_or_default() {
            match definition {
                TypeSystemDefinition::Type(ty) => {
                    let name = ty.node.name.node.to_string();
                    if let Some(def) = type_def(&name, &ty.node.kind) {
                        built_in.api.types.insert(name, def);
                    }
                }
                TypeSystemDefinition::Directive(directive) => {
                    let places = directive.node.locations.iter().map(|place| place.node).collect();
                    let def = DirectiveDef { args: args(&directive.node.arguments), places };
                    built_in.directives.insert(directive.node.name.node.to_string(), def);
                }
                TypeSystemDefinition::Schema(_) => {}
            }
        }
        built_in
    }
}

fn type_def(name: &str, kind: &TypeKind) -> Option<TypeDef> {
    let (name, description) = (name.to_owned(), None);
    Some(match kind {
        TypeKind::Scalar => {
            let scalar = match name.as_str() {
                "ID" => Scalar::Id,
                "Int" => Scalar::Int,
                "Float" => Scalar::Float,
                "Boolean" => Scalar::Boolean,
                _ => Scalar::String,
            };
            TypeDef::Scalar { name, description, scalar }
        }
        TypeKind::Enum(of) => {
            let value = |name: &str| EnumValue { name: name.to_owned(), description: None, deprecated: None };
            let values = of.values.iter().map(|v| value(v.node.value.node.as_str())).collect();
            TypeDef::Enum(EnumDef { name, description, values })
        }
        TypeKind::Object(of) => {
            let fields = of.fields.iter().map(|f| (f.node.name.node.to_string(), field(&f.node))).collect();
            TypeDef::Object(ObjectDef { name, description, implements: Vec::new(), fields })
        }
        _ => return None,
    })
}

/// Introspection is answered apart from data: the source is never asked.
fn field(of: &FieldDefinition) -> FieldDef {
    let name = of.name.node.to_string();
    let source = Source::Property(name.clone());
    let args = args(&of.arguments);
    FieldDef { name, description: None, deprecated: None, args, ty: declared(&of.ty.node), source }
}

fn args(of: &[Positioned<InputValueDefinition>]) -> IndexMap<String, InputField> {
    let arg = |of: &InputValueDefinition| {
        let name = of.name.node.to_string();
        let default = of.default_value.as_ref().and_then(|value| value.node.clone().into_json().ok());
        (name.clone(), InputField { name, description: None, ty: declared(&of.ty.node), default, deprecated: None })
    };
    of.iter().map(|of| arg(&of.node)).collect()
}

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
        self.api.types.get(name).or_else(|| BUILT_IN.api.types.get(name))
    }

    /// Names of types, to suggest one.
    pub(super) fn names(&self) -> impl Iterator<Item = &'a str> {
        let scalars = BUILT_IN.api.types.iter().filter(|(_, def)| matches!(def, TypeDef::Scalar { .. }));
        self.api.types.keys().chain(scalars.map(|(name, _)| name)).map(String::as_str)
    }

    /// A field of a type, also those that every type or the root has and none lists.
    pub(super) fn field(&self, of: &'a TypeDef, name: &str) -> Option<&'a FieldDef> {
        if name.starts_with("__") {
            let root = matches!(of, TypeDef::Object(object) if object.name == "Query");
            let Some(TypeDef::Object(built_in)) = BUILT_IN.api.types.get("Query") else { return None };
            return built_in.fields.get(name).filter(|_| root || name == "__typename");
        }
        match of {
            TypeDef::Object(of) | TypeDef::Interface(of) => of.fields.get(name),
            _ => None,
        }
    }

    /// The directive of that name.
    pub(super) fn directive(name: &str) -> Option<&'static DirectiveDef> {
        BUILT_IN.directives.get(name)
    }

    /// Names of directives that documents may use, to suggest one.
    pub(super) fn directives() -> impl Iterator<Item = &'static str> {
        let usable = |def: &DirectiveDef| def.places.contains(&DirectiveLocation::Field);
        BUILT_IN.directives.iter().filter(move |(_, def)| usable(def)).map(|(name, _)| name.as_str())
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
