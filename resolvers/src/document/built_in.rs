//! The types and directives that every API has and no [`Api`] lists (specification, sections 3.5, 3.13 and 4).

use std::sync::LazyLock;

use async_graphql::Positioned;
use async_graphql::parser::types::{
    DirectiveLocation, FieldDefinition, InputValueDefinition, TypeDefinition, TypeKind, TypeSystemDefinition,
};
use indexmap::IndexMap;
use quipu_schema::api::{Api, EnumDef, FieldDef, InputField, ObjectDef, Source, TypeDef};
use quipu_schema::ontology::{EnumValue, Scalar};

use crate::value::coerce::declared;

static BUILT_IN: LazyLock<BuiltIn> = LazyLock::new(BuiltIn::read);

/// A directive.
pub(crate) struct DirectiveDef {
    /// What it is for.
    pub(crate) description: Option<String>,
    /// Its arguments.
    pub(crate) args: IndexMap<String, InputField>,
    /// Where it may stand.
    pub(crate) places: Vec<DirectiveLocation>,
}

/// The types; `Query` has the fields that the root of every API has.
pub(crate) fn types() -> &'static IndexMap<String, TypeDef> {
    &BUILT_IN.api.types
}

/// A field that the root of every API has: `__typename`, `__schema` or `__type`.
pub(crate) fn root_field(name: &str) -> Option<&'static FieldDef> {
    match types().get("Query") {
        Some(TypeDef::Object(query)) => query.fields.get(name),
        _ => None,
    }
}

/// The directives.
pub(crate) fn directives() -> &'static IndexMap<String, DirectiveDef> {
    &BUILT_IN.directives
}

/// How a place is called in introspection.
pub(crate) fn place(place: &DirectiveLocation) -> &'static str {
    match place {
        DirectiveLocation::Query => "QUERY",
        DirectiveLocation::Mutation => "MUTATION",
        DirectiveLocation::Subscription => "SUBSCRIPTION",
        DirectiveLocation::Field => "FIELD",
        DirectiveLocation::FragmentDefinition => "FRAGMENT_DEFINITION",
        DirectiveLocation::FragmentSpread => "FRAGMENT_SPREAD",
        DirectiveLocation::InlineFragment => "INLINE_FRAGMENT",
        DirectiveLocation::Schema => "SCHEMA",
        DirectiveLocation::Scalar => "SCALAR",
        DirectiveLocation::Object => "OBJECT",
        DirectiveLocation::FieldDefinition => "FIELD_DEFINITION",
        DirectiveLocation::ArgumentDefinition => "ARGUMENT_DEFINITION",
        DirectiveLocation::Interface => "INTERFACE",
        DirectiveLocation::Union => "UNION",
        DirectiveLocation::Enum => "ENUM",
        DirectiveLocation::EnumValue => "ENUM_VALUE",
        DirectiveLocation::InputObject => "INPUT_OBJECT",
        DirectiveLocation::InputFieldDefinition => "INPUT_FIELD_DEFINITION",
        DirectiveLocation::VariableDefinition => "VARIABLE_DEFINITION",
    }
}

struct BuiltIn {
    api: Api,
    directives: IndexMap<String, DirectiveDef>,
}

impl BuiltIn {
    fn read() -> Self {
        let mut built_in = Self { api: Api { types: IndexMap::new() }, directives: IndexMap::new() };
        // The text is part of the program, and a test reads it.
        let parsed = async_graphql::parser::parse_schema(include_str!("built_in.graphql"));
        for definition in parsed.map(|document| document.definitions).unwrap_or_default() {
            match definition {
                TypeSystemDefinition::Type(ty) => {
                    let name = ty.node.name.node.to_string();
                    if let Some(def) = type_def(&name, &ty.node) {
                        built_in.api.types.insert(name, def);
                    }
                }
                TypeSystemDefinition::Directive(directive) => {
                    let places = directive.node.locations.iter().map(|place| place.node).collect();
                    let (description, args) = (text(&directive.node.description), args(&directive.node.arguments));
                    let def = DirectiveDef { description, args, places };
                    built_in.directives.insert(directive.node.name.node.to_string(), def);
                }
                TypeSystemDefinition::Schema(_) => {}
            }
        }
        built_in
    }
}

fn text(of: &Option<Positioned<String>>) -> Option<String> {
    of.as_ref().map(|text| text.node.clone())
}

fn type_def(name: &str, of: &TypeDefinition) -> Option<TypeDef> {
    let (name, description) = (name.to_owned(), text(&of.description));
    Some(match &of.kind {
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

/// Introspection is answered by name: the source is never asked.
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
