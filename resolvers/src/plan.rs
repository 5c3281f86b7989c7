//! From a validated document and coerced variables to what is asked, free of GraphQL's syntax: fragments followed, fields merged,
//! directives applied, arguments coerced (`CollectFields` and `CoerceArgumentValues` of the specification, sections 6.3.2, 6.4.1).

use std::sync::Arc;

use async_graphql::parser::types::{
    ExecutableDocument, Field as AstField, OperationDefinition, OperationType, Selection, SelectionSet,
};
use async_graphql::{Pos, Positioned};
use indexmap::IndexMap;
use quipu_schema::api::{Api, FieldDef, Part, Source, TypeDef};
use serde_json::{Map, Value as Json};

use crate::document::built_in;
use crate::fault::Fault;
use crate::value::coerce::{self, Variables};

/// One field of the response, with everything below it.
#[derive(Debug)]
pub struct Asked<'a> {
    /// Key in the response.
    pub key: Arc<str>,
    /// The field, or `None` for `__typename`.
    pub def: Option<&'a FieldDef>,
    /// Name of the field.
    pub name: &'a str,
    /// Coerced arguments; a refusal of one is the field's error and not the request's.
    pub args: Result<Map<String, Json>, Fault>,
    /// Line and column in the document.
    pub at: (usize, usize),
    /// Fields of the object below, for each object type it may be; empty for leaves.
    pub below: Vec<Below<'a>>,
}

impl<'a> Asked<'a> {
    /// Which fixed part of a generated object it is.
    pub(crate) fn part(&self) -> Option<&'a Part> {
        match self.def.map(|def| &def.source) {
            Some(Source::Part(part)) => Some(part),
            _ => None,
        }
    }

    /// The fields below, where there is one object type that they can be of.
    pub(crate) fn fields(&self) -> &[Asked<'a>] {
        self.below.first().map_or(&[], |below| below.fields.as_slice())
    }

    /// The name of that object type, for `__typename`.
    pub(crate) fn typename(&self) -> &'a str {
        self.below.first().map_or("", |below| below.of)
    }
}

/// The fields asked of one object type.
#[derive(Debug)]
pub struct Below<'a> {
    /// Name of the object type.
    pub of: &'a str,
    /// Its fields, in the order of the response.
    pub fields: Vec<Asked<'a>>,
}

/// What sort of operation it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// Reading.
    Query,
    /// Writing.
    Mutation,
    /// Watching.
    Subscription,
}

impl Sort {
    /// The sort of an operation.
    pub fn of(operation: &OperationDefinition) -> Self {
        match operation.ty {
            OperationType::Query => Self::Query,
            OperationType::Mutation => Self::Mutation,
            OperationType::Subscription => Self::Subscription,
        }
    }

    /// Name of its root type.
    pub fn root(self) -> &'static str {
        match self {
            Self::Query => "Query",
            Self::Mutation => "Mutation",
            Self::Subscription => "Subscription",
        }
    }

    /// Its name in metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Mutation => "mutation",
            Self::Subscription => "subscription",
        }
    }
}

/// The fields at the root of an operation.
///
/// # Errors
/// `BAD_USER_INPUT` when variables do not fit.
pub fn asked<'a>(
    api: &'a Api,
    document: &'a ExecutableDocument,
    operation: &'a OperationDefinition,
    given: &Map<String, Json>,
) -> Result<Vec<Asked<'a>>, Fault> {
    let variables = coerce::variables(api, operation, given)?;
    let collector = Collector { api, document, variables: &variables };
    Ok(collector.object(Sort::of(operation).root(), &[&operation.selection_set.node]))
}

struct Collector<'a, 'v> {
    api: &'a Api,
    document: &'a ExecutableDocument,
    variables: &'v Variables,
}

type Merged<'a> = IndexMap<&'a str, Vec<&'a Positioned<AstField>>>;

impl<'a> Collector<'a, '_> {
    fn object(&self, of: &str, sets: &[&'a SelectionSet]) -> Vec<Asked<'a>> {
        let mut merged = Merged::with_capacity(sets.iter().map(|set| set.items.len()).sum());
        let mut spread = Vec::new();
        for set in sets {
            self.collect(of, set, &mut merged, &mut spread);
        }
        let object = match self.types(of) {
            Some(TypeDef::Object(object) | TypeDef::Interface(object)) => Some(object),
            _ => None,
        };
        let introspection = |name: &str| built_in::root_field(name).filter(|_| name != "__typename");
        let def = |name: &str| object?.fields.get(name).or_else(|| introspection(name));
        merged
            .into_iter()
            .map(|(key, fields)| self.field(key, def(fields[0].node.name.node.as_str()), &fields))
            .collect()
    }

    /// A type of the API, or of introspection.
    fn types(&self, name: &str) -> Option<&'a TypeDef> {
        self.api.types.get(name).or_else(|| built_in::types().get(name))
    }

    fn collect(&self, of: &str, set: &'a SelectionSet, merged: &mut Merged<'a>, spread: &mut Vec<&'a str>) {
        for item in &set.items {
            if !self.included(&item.node) {
                continue;
            }
            match &item.node {
                Selection::Field(field) => {
                    merged.entry(field.node.response_key().node.as_str()).or_default().push(field);
                }
                Selection::InlineFragment(inline) => {
                    let fits = match &inline.node.type_condition {
                        Some(condition) => self.applies(of, condition.node.on.node.as_str()),
                        None => true,
                    };
                    if fits {
                        self.collect(of, &inline.node.selection_set.node, merged, spread);
                    }
                }
                Selection::FragmentSpread(named) => {
                    let name = named.node.fragment_name.node.as_str();
                    if spread.contains(&name) {
                        continue;
                    }
                    spread.push(name);
                    if let Some(fragment) = self.document.fragments.get(name)
                        && self.applies(of, fragment.node.type_condition.node.on.node.as_str())
                    {
                        self.collect(of, &fragment.node.selection_set.node, merged, spread);
                    }
                }
            }
        }
    }

    fn included(&self, item: &Selection) -> bool {
        item.directives().iter().all(|directive| {
            let directive = &directive.node;
            let when = match directive.name.node.as_str() {
                "skip" => false,
                "include" => true,
                _ => return true,
            };
            directive.get_argument("if").and_then(|value| self.flag(&value.node)) == Some(when)
        })
    }

    fn flag(&self, value: &async_graphql_value::Value) -> Option<bool> {
        match value {
            async_graphql_value::Value::Boolean(flag) => Some(*flag),
            async_graphql_value::Value::Variable(name) => self.variables.get(name.as_str()).and_then(Json::as_bool),
            _ => None,
        }
    }

    fn applies(&self, of: &str, condition: &str) -> bool {
        if of == condition {
            return true;
        }
        match self.api.types.get(condition) {
            Some(TypeDef::Interface(_)) => {
                self.api.object(of).is_some_and(|object| object.implements.iter().any(|name| name == condition))
            }
            Some(TypeDef::Union { members, .. }) => members.iter().any(|name| name == of),
            _ => false,
        }
    }

    fn field(&self, key: &'a str, def: Option<&'a FieldDef>, fields: &[&'a Positioned<AstField>]) -> Asked<'a> {
        let first = fields[0];
        let args = match def {
            Some(def) => coerce::arguments(self.api, &def.args, &first.node.arguments, self.variables),
            None => Ok(Map::new()),
        };
        let sets: Vec<&SelectionSet> = fields.iter().map(|field| &field.node.selection_set.node).collect();
        let below = match def {
            Some(def) if sets.iter().any(|set| !set.items.is_empty()) => self.below(def.ty.name(), &sets),
            _ => Vec::new(),
        };
        let Pos { line, column } = first.pos;
        Asked { key: key.into(), def, name: first.node.name.node.as_str(), args, at: (line, column), below }
    }

    fn below(&self, of: &'a str, sets: &[&'a SelectionSet]) -> Vec<Below<'a>> {
        match self.types(of) {
            Some(TypeDef::Object(_)) => vec![Below { of, fields: self.object(of, sets) }],
            Some(TypeDef::Interface(_)) => {
                let implementing = self.api.types.values().filter_map(|def| match def {
                    TypeDef::Object(object) if object.implements.iter().any(|name| name == of) => Some(object),
                    _ => None,
                });
                implementing.map(|object| Below { of: &object.name, fields: self.object(&object.name, sets) }).collect()
            }
            Some(TypeDef::Union { members, .. }) => {
                members.iter().map(|name| Below { of: name, fields: self.object(name, sets) }).collect()
            }
            _ => Vec::new(),
        }
    }
}
