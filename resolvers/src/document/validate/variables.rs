//! Variables (5.8): declared once and with input types, used, and used only where they are declared and where their type fits.

use std::collections::{HashMap, HashSet};

use async_graphql::parser::types::OperationDefinition;
use async_graphql::{Name, Pos, Positioned};
use async_graphql_value::{ConstValue, Value as Literal};
use quipu_schema::api::TypeRef;

use super::fragments::{Part, Parts, reached};
use super::known::{Known, is_input};
use super::report::Report;
use crate::value::coerce::declared;

/// A variable where it is used.
#[derive(Clone, Copy)]
pub(super) struct Use<'a> {
    /// Its name.
    pub(super) name: &'a str,
    /// Where it stands, or the argument around it.
    pub(super) at: Pos,
    /// The type of the place and whether the place has a default; `None` where any type will do.
    pub(super) place: Option<(&'a TypeRef, bool)>,
}

/// An operation with its variables made ready.
pub(super) struct Defined<'a> {
    /// Its name.
    name: Option<&'a Name>,
    /// As it is written.
    pub(super) definition: &'a Positioned<OperationDefinition>,
    /// Types of its variables, and whether each has a default other than null.
    pub(super) variables: HashMap<&'a str, (TypeRef, bool)>,
    /// Their defaults as literals, in order.
    pub(super) defaults: Vec<Option<Literal>>,
}

impl<'a> Defined<'a> {
    pub(super) fn new(name: Option<&'a Name>, definition: &'a Positioned<OperationDefinition>) -> Self {
        let (mut variables, mut defaults) = (HashMap::new(), Vec::new());
        for variable in &definition.node.variable_definitions {
            let variable = &variable.node;
            let default = variable.default_value.as_ref().map(|value| &value.node);
            let has_default = default.is_some_and(|value| *value != ConstValue::Null);
            variables.entry(variable.name.node.as_str()).or_insert((declared(&variable.var_type.node), has_default));
            defaults.push(default.map(|value| value.clone().into_value()));
        }
        Self { name, definition, variables, defaults }
    }
}

/// Checks the variables of an operation, with those that its fragments use.
pub(super) fn check<'a>(
    known: &Known<'a>,
    operation: &Defined<'a>,
    part: &Part<'a>,
    parts: &Parts<'a>,
    report: &mut Report,
) {
    definitions(known, operation, report);
    let mut used = HashSet::new();
    let mut reached: Vec<&str> = reached(&[part], parts).into_iter().collect();
    reached.sort_unstable();
    let behind = reached.iter().filter_map(|name| parts.get(name)).flat_map(|part| &part.uses);
    for one in part.uses.iter().chain(behind) {
        used.insert(one.name);
        match operation.variables.get(one.name) {
            None => {
                let whose = operation.name.map_or("the operation".to_owned(), |name| format!("the operation `{name}`"));
                let message = format!("the variable ${} is not declared by {whose}", one.name);
                report.unknown(one.at, message, one.name, operation.variables.keys().copied());
            }
            Some((ty, has_default)) => {
                if let Some((place, default)) = one.place
                    && !fits(ty, place, *has_default || default)
                {
                    let message = format!("the variable ${} of type {ty} cannot stand for {place}", one.name);
                    report.add(one.at, message);
                }
            }
        }
    }
    for variable in &operation.definition.node.variable_definitions {
        let name = variable.node.name.node.as_str();
        if !used.contains(name) {
            report.add(variable.pos, format!("the variable ${name} is never used"));
        }
    }
}

fn definitions(known: &Known<'_>, operation: &Defined<'_>, report: &mut Report) {
    let mut seen = HashSet::new();
    for variable in &operation.definition.node.variable_definitions {
        let name = variable.node.name.node.as_str();
        if !seen.insert(name) {
            report.add(variable.pos, format!("the variable ${name} is declared twice"));
        }
        let ty = declared(&variable.node.var_type.node);
        match known.get(ty.name()) {
            Some(def) if is_input(def) => {}
            Some(_) => {
                let message = format!("the variable ${name} cannot have the type `{}`: it is no input", ty.name());
                report.add(variable.node.var_type.pos, message);
            }
            None => {
                let message = format!("the variable ${name} has the unknown type `{}`", ty.name());
                report.unknown(variable.node.var_type.pos, message, ty.name(), known.names());
            }
        }
    }
}

/// Whether a variable may stand in a place (5.8.5, `IsVariableUsageAllowed`); one with a default is never absent.
fn fits(variable: &TypeRef, place: &TypeRef, default: bool) -> bool {
    if place.is_required() && !variable.is_required() {
        return default && compatible(variable, place.nullable());
    }
    compatible(variable, place)
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
