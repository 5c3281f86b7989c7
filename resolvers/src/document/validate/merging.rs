//! Fields that merge (5.3.2): what stands under one key of the response is one field with one set of arguments, unless it is asked of
//! different objects, and has one shape in any case.
//!
//! The specification compares all pairs. This groups instead, after Simon Adameit, "GraphQL: Overlapping fields can be merged fast"
//! (XING, 2019): all fields under a key are compared with the first of them, and their selections are merged and looked at as one set.
//! Shapes are looked at over all fields under a key; names and arguments over those that one object can have, which are the fields of
//! each object type together with those of interfaces and unions.
//!
//! Every field is looked at once for its shape. For its name, once for each object type beside it when it stands on an interface or
//! union; selections below such fields could multiply that by level, so the work is bounded as well.

use std::collections::HashSet;

use async_graphql::Positioned;
use async_graphql::parser::types::{ExecutableDocument, Field, OperationDefinition, Selection, SelectionSet};
use indexmap::IndexMap;
use quipu_schema::api::{FieldDef, TypeDef, TypeRef};

use super::known::{Known, is_composite};
use super::report::Report;
use crate::Limits;
use crate::plan::Sort;

/// How many fields are looked at for each that a document may have (`limits.fields`). Documents that are no attack stay below three.
const LOOKS: usize = 16;

/// Checks an operation of a document in which everything else is valid.
pub(super) fn check<'a>(
    known: &Known<'a>,
    document: &'a ExecutableDocument,
    operation: &'a OperationDefinition,
    limits: &Limits,
    report: &mut Report,
) {
    let mut pass = Pass { known, document, report, left: limits.fields.saturating_mul(LOOKS), limit: limits.fields };
    let Some(root) = known.get(Sort::of(operation).root()) else { return };
    let mut found = Vec::new();
    pass.collect(root, &operation.selection_set.node, &mut found, &mut HashSet::new());
    pass.set(&found, Look { shapes: true, names: true });
}

/// A field where it stands.
#[derive(Clone, Copy)]
struct Found<'a> {
    /// The type that it is asked of.
    of: &'a TypeDef,
    field: &'a Positioned<Field>,
    def: &'a FieldDef,
}

/// What is looked at.
#[derive(Clone, Copy)]
struct Look {
    shapes: bool,
    names: bool,
}

struct Pass<'p, 'a> {
    known: &'p Known<'a>,
    document: &'a ExecutableDocument,
    report: &'p mut Report,
    /// Fields that may still be looked at.
    left: usize,
    limit: usize,
}

impl<'a> Pass<'_, 'a> {
    /// The fields of a selection set, fragments followed, each fragment once.
    fn collect(
        &self,
        of: &'a TypeDef,
        set: &'a SelectionSet,
        found: &mut Vec<Found<'a>>,
        spread: &mut HashSet<&'a str>,
    ) {
        for item in &set.items {
            match &item.node {
                Selection::Field(field) => {
                    if let Some(def) = self.known.field(of, field.node.name.node.as_str()) {
                        found.push(Found { of, field, def });
                    }
                }
                Selection::InlineFragment(inline) => {
                    let condition = inline.node.type_condition.as_ref();
                    let on = condition.map_or(Some(of), |on| self.known.get(on.node.on.node.as_str()));
                    if let Some(on) = on {
                        self.collect(on, &inline.node.selection_set.node, found, spread);
                    }
                }
                Selection::FragmentSpread(named) => {
                    let name = named.node.fragment_name.node.as_str();
                    let fragment = self.document.fragments.get(name).filter(|_| spread.insert(name));
                    if let Some(fragment) = fragment
                        && let Some(on) = self.known.get(fragment.node.type_condition.node.on.node.as_str())
                    {
                        self.collect(on, &fragment.node.selection_set.node, found, spread);
                    }
                }
            }
        }
    }

    /// Looks at the fields of one merged set.
    fn set(&mut self, found: &[Found<'a>], look: Look) {
        if found.len() > self.left {
            if self.left > 0 {
                let message = format!("fields merge in too many ways for `limits.fields`, {}", self.limit);
                self.report.at(&found.first().map(|one| one.field.pos).into_iter().collect::<Vec<_>>(), message);
            }
            self.left = 0;
            return;
        }
        self.left -= found.len();
        if let [one] = found {
            return self.below(&[*one], look);
        }
        let mut keys: IndexMap<&str, Vec<Found<'a>>> = IndexMap::with_capacity(found.len());
        for one in found {
            keys.entry(one.field.node.response_key().node.as_str()).or_default().push(*one);
        }
        for (key, fields) in &keys {
            self.key(key, fields, look);
        }
    }

    /// Looks at the fields under one key, and at what is below them.
    fn key(&mut self, key: &str, fields: &[Found<'a>], look: Look) {
        let (first, others) = match fields {
            [] => return,
            [first, others @ ..] => (first, others),
        };
        if look.shapes
            && let Some(other) = others.iter().find(|other| !self.same_shape(&first.def.ty, &other.def.ty))
        {
            let why = format!("`{}` and `{}` are different types", first.def.ty, other.def.ty);
            return self.conflict(key, [first, other], &why);
        }
        let groups = common_parents(fields);
        if look.names {
            for group in &groups {
                if let Some((other, why)) =
                    group[1..].iter().find_map(|other| Some((other, different(&group[0], other)?)))
                {
                    return self.conflict(key, [&group[0], other], &why);
                }
            }
        }
        match groups.as_slice() {
            [_] => self.below(fields, look),
            groups => {
                if look.shapes {
                    self.below(fields, Look { shapes: true, names: false });
                }
                for group in groups.iter().filter(|_| look.names) {
                    self.below(group, Look { shapes: false, names: true });
                }
            }
        }
    }

    fn below(&mut self, fields: &[Found<'a>], look: Look) {
        let (mut found, mut spread) = (Vec::new(), HashSet::new());
        for one in fields {
            let set = &one.field.node.selection_set.node;
            if !set.items.is_empty()
                && let Some(of) = self.known.get(one.def.ty.name())
            {
                self.collect(of, set, &mut found, &mut spread);
            }
        }
        if !found.is_empty() {
            self.set(&found, look);
        }
    }

    /// `SameResponseShape`, without what is below.
    fn same_shape(&self, one: &TypeRef, other: &TypeRef) -> bool {
        match (one, other) {
            (TypeRef::NonNull(one), TypeRef::NonNull(other)) | (TypeRef::List(one), TypeRef::List(other)) => {
                self.same_shape(one, other)
            }
            (TypeRef::Named(one), TypeRef::Named(other)) => {
                let composite = |name: &str| self.known.get(name).is_some_and(is_composite);
                one == other || composite(one) && composite(other)
            }
            _ => false,
        }
    }

    fn conflict(&mut self, key: &str, [one, other]: [&Found<'a>; 2], why: &str) {
        let help = "give one of them another name with an alias";
        self.report.at(&[one.field.pos, other.field.pos], format!("two fields `{key}` cannot be one: {why}; {help}"));
    }
}

/// The fields that one object can have, for each object type that is named: its own and those of interfaces and unions.
fn common_parents<'a>(fields: &[Found<'a>]) -> Vec<Vec<Found<'a>>> {
    let same = |one: &Found<'_>| std::ptr::eq(one.of, fields[0].of);
    if fields.iter().all(same) {
        return vec![fields.to_vec()];
    }
    let mut objects: IndexMap<&str, Vec<Found<'a>>> = IndexMap::new();
    let (concrete, general): (Vec<Found<'a>>, Vec<_>) =
        fields.iter().copied().partition(|one| matches!(one.of, TypeDef::Object(_)));
    for one in concrete {
        objects.entry(one.of.name()).or_insert_with(|| general.clone()).push(one);
    }
    if objects.is_empty() { vec![general] } else { objects.into_values().collect() }
}

/// How two fields that one object can have differ.
fn different(one: &Found<'_>, other: &Found<'_>) -> Option<String> {
    let (one, other) = (&one.field.node, &other.field.node);
    if one.name.node != other.name.node {
        return Some(format!("`{}` and `{}` are different fields", one.name.node, other.name.node));
    }
    let same = one.arguments.len() == other.arguments.len()
        && one
            .arguments
            .iter()
            .all(|(name, value)| other.get_argument(&name.node).is_some_and(|v| v.node == value.node));
    (!same).then(|| "they have different arguments".to_owned())
}
