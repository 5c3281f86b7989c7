//! An API as a list of facts, one per type, field, argument and value: once out of its text, once out of the data.

use apollo_parser::Parser;
use apollo_parser::cst::{self, CstNode};
use quipu_schema::api::{Api, FieldDef, InputField, ObjectDef, TypeDef};
use quipu_schema::ontology::EnumValue;
use serde_json::Value;

/// The facts in a text, which must have no mistakes.
pub fn written(sdl: &str) -> Vec<String> {
    let tree = Parser::new(sdl).parse();
    let errors: Vec<_> = tree.errors().map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?}");
    let mut facts = Vec::new();
    for definition in tree.document().definitions() {
        match definition {
            cst::Definition::ObjectTypeDefinition(def) => {
                let interfaces = def.implements_interfaces().map(|list| source(&list)).unwrap_or_default();
                let head = format!("type {} {interfaces}", word(def.name()));
                facts.push(fact(head.trim_end(), def.description(), None));
                fields(&word(def.name()), def.fields_definition(), &mut facts);
            }
            cst::Definition::InterfaceTypeDefinition(def) => {
                facts.push(fact(&format!("interface {}", word(def.name())), def.description(), None));
                fields(&word(def.name()), def.fields_definition(), &mut facts);
            }
            cst::Definition::UnionTypeDefinition(def) => {
                let members = def.union_member_types().map(|list| source(&list)).unwrap_or_default();
                facts.push(fact(&format!("union {} {members}", word(def.name())), def.description(), None));
            }
            cst::Definition::ScalarTypeDefinition(def) => {
                facts.push(fact(&format!("scalar {}", word(def.name())), def.description(), None));
            }
            cst::Definition::EnumTypeDefinition(def) => {
                facts.push(fact(&format!("enum {}", word(def.name())), def.description(), None));
                for value in def.enum_values_definition().into_iter().flat_map(|list| list.enum_value_definitions()) {
                    let head = value.enum_value().map(|value| source(&value)).unwrap_or_default();
                    facts.push(fact(&head, value.description(), value.directives()));
                }
            }
            cst::Definition::InputObjectTypeDefinition(def) => {
                facts.push(fact(&format!("input {}", word(def.name())), def.description(), None));
                let list = def.input_fields_definition();
                list.into_iter()
                    .flat_map(|list| list.input_value_definitions())
                    .for_each(|one| facts.push(input(&one)));
            }
            other => panic!("unexpected {other:?}"),
        }
    }
    facts
}

fn fields(of: &str, list: Option<cst::FieldsDefinition>, facts: &mut Vec<String>) {
    for field in list.into_iter().flat_map(|list| list.field_definitions()) {
        let ty = field.ty().map(|ty| source(&ty)).unwrap_or_default();
        facts.push(fact(&format!("{of}.{}: {ty}", word(field.name())), field.description(), field.directives()));
        let args = field.arguments_definition();
        args.into_iter().flat_map(|list| list.input_value_definitions()).for_each(|one| facts.push(input(&one)));
    }
}

fn input(of: &cst::InputValueDefinition) -> String {
    let ty = of.ty().map(|ty| source(&ty)).unwrap_or_default();
    let default = of.default_value().map(|value| format!(" {}", source(&value))).unwrap_or_default();
    fact(&format!("{}: {ty}{default}", word(of.name())), of.description(), of.directives())
}

fn fact(head: &str, description: Option<cst::Description>, directives: Option<cst::Directives>) -> String {
    let description = description.and_then(|d| d.string_value()).map(String::from);
    let arguments = directives.into_iter().flat_map(|list| list.directives()).filter_map(|d| d.arguments());
    let reason = arguments.flat_map(|list| list.arguments()).find_map(|argument| match argument.value() {
        Some(cst::Value::StringValue(text)) => Some(String::from(text)),
        _ => None,
    });
    format!("{head} | {description:?} | {reason:?}")
}

fn word(name: Option<cst::Name>) -> String {
    name.map(|name| name.text().to_string()).unwrap_or_default()
}

fn source(node: &impl CstNode) -> String {
    node.syntax().text().to_string().trim().to_owned()
}

/// The facts in an API.
pub fn meant(api: &Api) -> Vec<String> {
    let mut facts = Vec::new();
    for def in api.types.values() {
        match def {
            TypeDef::Scalar { name, description, .. } => {
                facts.push(line(&format!("scalar {name}"), description, &None))
            }
            TypeDef::Union { name, description, members } => {
                facts.push(line(&format!("union {name} = {}", members.join(" | ")), description, &None));
            }
            TypeDef::Enum(def) => {
                facts.push(line(&format!("enum {}", def.name), &def.description, &None));
                let value = |value: &EnumValue| line(&value.name, &value.description, &value.deprecated);
                facts.extend(def.values.iter().map(value));
            }
            TypeDef::Input(def) => {
                facts.push(line(&format!("input {}", def.name), &def.description, &None));
                facts.extend(def.fields.values().map(|field| meant_input(api, field)));
            }
            TypeDef::Object(def) => object(api, "type", def, &mut facts),
            TypeDef::Interface(def) => object(api, "interface", def, &mut facts),
        }
    }
    facts
}

fn object(api: &Api, keyword: &str, def: &ObjectDef, facts: &mut Vec<String>) {
    let interfaces = def.implements.join(" & ");
    let head = if interfaces.is_empty() { String::new() } else { format!(" implements {interfaces}") };
    facts.push(line(&format!("{keyword} {}{head}", def.name), &def.description, &None));
    for FieldDef { name, description, deprecated, args, ty, .. } in def.fields.values() {
        facts.push(line(&format!("{}.{name}: {ty}", def.name), description, deprecated));
        facts.extend(args.values().map(|arg| meant_input(api, arg)));
    }
}

fn meant_input(api: &Api, field: &InputField) -> String {
    let default = field.default.as_ref().map(|value| {
        let is_enum = matches!(api.types.get(field.ty.name()), Some(TypeDef::Enum(_)));
        format!(" = {}", literal(value, is_enum))
    });
    let head = format!("{}: {}{}", field.name, field.ty, default.unwrap_or_default());
    line(&head, &field.description, &field.deprecated)
}

/// A value as GraphQL writes it: enum values and names of fields without quotes.
fn literal(value: &Value, is_enum: bool) -> String {
    let inside = |value| literal(value, is_enum);
    match value {
        Value::String(name) if is_enum => name.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(inside).collect::<Vec<_>>().join(", ")),
        Value::Object(fields) => {
            let fields: Vec<_> =
                fields.iter().map(|(name, value)| format!("{name}: {}", literal(value, false))).collect();
            format!("{{{}}}", fields.join(", "))
        }
        other => other.to_string(),
    }
}

fn line(head: &str, description: &Option<String>, reason: &Option<String>) -> String {
    format!("{head} | {description:?} | {reason:?}")
}
