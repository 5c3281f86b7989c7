//! Whether variables are used where their types are allowed (specification, section 5.8.5). async-graphql's own rule lets wrong
//! scalars through, and what passes here is taken as coerced later on.

use std::collections::{HashMap, HashSet};

use async_graphql::parser::types::{Directive, ExecutableDocument, OperationDefinition, Selection, SelectionSet};
use async_graphql::{Name, Pos, Positioned, ServerError};
use async_graphql_value::{ConstValue, Value as Literal};
use quipu_schema::api::{Api, TypeDef, TypeRef};

use crate::value::coerce::declared;

/// The first use of a variable in a place that its type does not fit.
pub(super) fn misplaced(api: &Api, document: &ExecutableDocument) -> Option<ServerError> {
    document.operations.iter().find_map(|(_, operation)| {
        let operation = &operation.node;
        let mut pass = Pass { api, document, variables: variables(operation), seen: HashSet::new() };
        let root = crate::plan::Sort::of(operation).root();
        pass.directives(&operation.directives).or_else(|| pass.set(root, &operation.selection_set.node))
    })
}

/// A declared variable: its type, and whether it has a default other than null.
type Variable = (TypeRef, bool);

fn variables(operation: &OperationDefinition) -> HashMap<&str, Variable> {
    let variable = |definition: &'_ Positioned<async_graphql::parser::types::VariableDefinition>| {
        let default = definition.node.default_value.as_ref();
        (declared(&definition.node.var_type.node), default.is_some_and(|value| value.node != ConstValue::Null))
    };
    operation.variable_definitions.iter().map(|d| (d.node.name.node.as_str(), variable(d))).collect()
}

struct Pass<'a> {
    api: &'a Api,
    document: &'a ExecutableDocument,
    variables: HashMap<&'a str, Variable>,
    seen: HashSet<&'a str>,
}

impl<'a> Pass<'a> {
    fn set(&mut self, of: &str, set: &'a SelectionSet) -> Option<ServerError> {
        set.items.iter().find_map(|item| self.directives(item.node.directives()).or_else(|| self.item(of, &item.node)))
    }

    fn item(&mut self, of: &str, item: &'a Selection) -> Option<ServerError> {
        match item {
            Selection::Field(field) => {
                let field = &field.node;
                let def = self.api.object(of)?.fields.get(field.name.node.as_str())?;
                let wrong = field.arguments.iter().find_map(|(name, value)| {
                    let arg = def.args.get(name.node.as_str())?;
                    self.value(&value.node, &arg.ty, arg.default.is_some(), value.pos)
                });
                wrong.or_else(|| self.set(def.ty.name(), &field.selection_set.node))
            }
            Selection::InlineFragment(inline) => {
                let on = inline.node.type_condition.as_ref().map_or(of, |condition| condition.node.on.node.as_str());
                self.set(on, &inline.node.selection_set.node)
            }
            Selection::FragmentSpread(spread) => {
                let name = spread.node.fragment_name.node.as_str();
                let (name, fragment) = self.document.fragments.get_key_value(name)?;
                if !self.seen.insert(name.as_str()) {
                    return None;
                }
                let on = fragment.node.type_condition.node.on.node.as_str();
                self.set(on, &fragment.node.selection_set.node)
            }
        }
    }

    fn directives(&self, directives: &[Positioned<Directive>]) -> Option<ServerError> {
        let conditions = directives.iter().filter(|d| matches!(d.node.name.node.as_str(), "skip" | "include"));
        let mut arguments = conditions.flat_map(|directive| &directive.node.arguments);
        arguments.find_map(|(_, value)| self.value(&value.node, &TypeRef::required("Boolean"), false, value.pos))
    }

    fn value(&self, value: &Literal, place: &TypeRef, default: bool, at: Pos) -> Option<ServerError> {
        match (value, place.nullable()) {
            (Literal::Variable(name), _) => self.variable(name, place, default, at),
            (Literal::List(items), TypeRef::List(item)) => {
                items.iter().find_map(|value| self.value(value, item, false, at))
            }
            (single, TypeRef::List(item)) => self.value(single, item, false, at),
            (Literal::Object(fields), TypeRef::Named(name)) => {
                let Some(TypeDef::Input(def)) = self.api.types.get(name) else { return None };
                fields.iter().find_map(|(name, value)| {
                    let field = def.fields.get(name.as_str())?;
                    self.value(value, &field.ty, field.default.is_some(), at)
                })
            }
            _ => None,
        }
    }

    fn variable(&self, name: &Name, place: &TypeRef, default: bool, at: Pos) -> Option<ServerError> {
        let (ty, has_default) = self.variables.get(name.as_str())?;
        let allowed = if place.is_required() && !ty.is_required() {
            (*has_default || default) && compatible(ty, place.nullable())
        } else {
            compatible(ty, place)
        };
        let message = || format!("Variable \"${name}\" of type \"{ty}\" used in position expecting type \"{place}\".");
        (!allowed).then(|| ServerError::new(message(), Some(at)))
    }
}

/// `AreTypesCompatible` of the specification.
fn compatible(variable: &TypeRef, place: &TypeRef) -> bool {
    match (variable, place) {
        (TypeRef::NonNull(variable), TypeRef::NonNull(place)) => compatible(variable, place),
        (_, TypeRef::NonNull(_)) => false,
        (TypeRef::NonNull(variable), place) => compatible(variable, place),
        (TypeRef::List(variable), TypeRef::List(place)) => compatible(variable, place),
        (TypeRef::Named(variable), TypeRef::Named(place)) => variable == place,
        _ => false,
    }
}
