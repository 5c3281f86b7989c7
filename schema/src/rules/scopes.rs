//! `@scoped`: types whose records are at places of a tree, written as the rules that it is short for.

use indexmap::IndexMap;

use super::{claims, complain, operation, operations, spoken_of};
use crate::catalog::{Catalog, Role};
use crate::directives::{CHANGES, OPERATIONS};
use crate::ontology::{CHUNK, DOCUMENT, EntityType, FieldOf, Ontology, Property, Scalar};
use crate::policy::{Condition, Operation, Policy, Quantifier, Reach, Rule, Scoped, When};
use crate::problem::{Code, Problems, Span};
use crate::syntax::{Definition, Directive, Literal, find};

/// Claim that names the caller's scopes, when the directive names no other.
const CLAIM: &str = "scopes";
/// What belongs to those alone whose scope it is, unless the directive says otherwise.
const OWNED: [Operation; 5] = [
    Operation::Create,
    Operation::Update,
    Operation::Delete,
    Operation::CreateRelationship,
    Operation::DeleteRelationship,
];

/// Compiles every `@scoped` into the rules of its type. Passages follow their document, unless they say something else.
pub(super) fn compile(catalog: &Catalog, ontology: &mut Ontology, problems: &mut Problems) {
    let written: Vec<(&Definition, &Directive)> = catalog
        .of(&[Role::Node, Role::Row])
        .filter_map(|(_, definition)| Some((definition, find(&definition.directives, "scoped")?)))
        .collect();
    let mut known: IndexMap<&str, (Scoped, Vec<Operation>)> = IndexMap::new();
    for (definition, directive) in &written {
        let Some(entity) = ontology.types.get_mut(&definition.name.text) else { continue };
        if directive.argument("through").is_none()
            && let Some(scoped) = own(entity, directive, problems)
        {
            let owned = owned(directive, problems);
            entity.rules.policies.push(policy(&owned, |reach| Condition::Scoped { scoped: scoped.clone(), reach }));
            known.insert(&definition.name.text, (scoped, owned));
        }
    }
    for (definition, directive) in &written {
        if let Some(through) = directive.argument("through") {
            let owned = owned(directive, problems);
            follow(ontology, &definition.name.text, (directive, through), &known, &owned, problems);
        }
    }
    let silent = !written.iter().any(|(definition, _)| definition.name.text == CHUNK);
    if let (true, Some((scoped, owned)), Some(chunk)) = (silent, known.get(DOCUMENT), ontology.types.get_mut(CHUNK)) {
        chunk.rules.policies.push(along("document", scoped, owned));
    }
}

/// The operations that are for those whose scope it is.
fn owned(directive: &Directive, problems: &mut Problems) -> Vec<Operation> {
    match directive.argument("operations") {
        Some(list) if list.items().is_empty() => operations(list, &CHANGES, problems),
        // What is no change was reported with the directive's arguments.
        Some(_) => spoken_of(directive, &OPERATIONS, problems),
        None => OWNED.to_vec(),
    }
}

/// Everything but making records can only be done to what is seen; what belongs to the scope's own is refused to all others.
fn policy(owned: &[Operation], condition: impl Fn(Reach) -> Condition) -> Policy {
    let all = crate::directives::OPERATIONS.into_iter().filter_map(operation);
    let rule = |operations: Vec<Operation>, when: Vec<When>, reach| {
        vec![Rule { operations, when, require_authentication: true, condition: condition(reach) }]
    };
    Policy {
        filter: rule(all.filter(|operation| *operation != Operation::Create).collect(), Vec::new(), Reach::Seen),
        validate: rule(owned.to_vec(), vec![When::Before, When::After], Reach::Own),
    }
}

fn along(field: &str, scoped: &Scoped, owned: &[Operation]) -> Policy {
    policy(owned, |reach| Condition::Related {
        field: field.to_owned(),
        quantifier: Quantifier::Some,
        node: Box::new(Condition::Scoped { scoped: scoped.clone(), reach }),
        edge: None,
    })
}

/// `@scoped(by, claim, key)`.
fn own(entity: &mut EntityType, directive: &Directive, problems: &mut Problems) -> Option<Scoped> {
    let Some((property, place)) = text(directive, "by") else {
        let help = "write `@scoped(by: \"scope\")` with a field `scope: String!`, or `@scoped(through: \"document\")`";
        complain(problems, directive.span, "`@scoped` says neither `by` nor `through`".to_owned(), help);
        return None;
    };
    let by = named(entity, property, place, problems)?;
    if by.list || !by.required || by.scalar != Scalar::String {
        let message = format!("`{property}` cannot hold a scope");
        complain(
            problems,
            place,
            message,
            &format!("write `{property}: String!`, for paths like \"/global/mortgage\""),
        );
    }
    by.indexed = true;
    let claim = text(directive, "claim").map_or_else(
        || vec![CLAIM.to_owned()],
        |(path, place)| {
            let path = claims::segments(path);
            if path.iter().any(String::is_empty) {
                complain(problems, place, "`claim` names no claim".to_owned(), "for example `claim: \"scopes\"`");
            }
            path
        },
    );
    let key = text(directive, "key").and_then(|(key, place)| {
        let found = named(entity, key, place, problems)?;
        let fits = matches!(found.scalar, Scalar::String | Scalar::Id) && !found.list;
        if !fits || found.unique || key == property {
            let message = format!("`{key}` cannot be the key by which records override each other");
            complain(problems, place, message, "it is an `ID` or a `String` that several records share");
        }
        found.indexed = true;
        Some(key.to_owned())
    });
    Some(Scoped { property: property.to_owned(), claim, key })
}

/// The property of that name.
fn named<'e>(entity: &'e mut EntityType, name: &str, place: Span, problems: &mut Problems) -> Option<&'e mut Property> {
    if !entity.properties.contains_key(name) {
        let message = format!("`{}` has no property `{name}`", entity.name);
        problems.add(Code::UnknownField, place, message).nearest(name, entity.properties.keys().map(String::as_str));
    }
    entity.properties.get_mut(name)
}

/// `@scoped(through)`: the scope of a record is that of the one that a field leads to.
fn follow(
    ontology: &mut Ontology,
    of: &str,
    (directive, through): (&Directive, &Literal),
    known: &IndexMap<&str, (Scoped, Vec<Operation>)>,
    owned: &[Operation],
    problems: &mut Problems,
) {
    for other in ["by", "claim", "key"] {
        if let Some(value) = directive.argument(other) {
            let message = format!("`through` and `{other}` exclude each other");
            complain(problems, value.span, message, "the scope is said where `through` leads to");
        }
    }
    let (Some((field, place)), Some(entity)) = (through.text(), ontology.types.get_mut(of)) else { return };
    let target = match entity.field(field) {
        Some(FieldOf::Relationship(link)) if !link.list => Some(&link.target),
        Some(FieldOf::Join(join)) if !join.list => Some(&join.target),
        _ => None,
    };
    match target.and_then(|target| known.get(target.as_str())) {
        Some((scoped, _)) => entity.rules.policies.push(along(field, scoped, owned)),
        None => {
            let help = "name a relationship or join to a single record of a type with `@scoped(by: ...)`";
            complain(problems, place, format!("`{field}` of `{of}` leads to no scope"), help);
        }
    }
}

fn text<'d>(directive: &'d Directive, name: &str) -> Option<(&'d str, Span)> {
    directive.argument(name)?.text()
}
