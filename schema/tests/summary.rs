//! An ontology as a page that people can check: one line per field, one per rule.

use std::fmt::{Display, Write};

use quipu_schema::ontology::{
    AbstractType, Direction, EntityType, FieldOf, Join, Kind, Ontology, Property, Relationship, Scalar,
};
use quipu_schema::policy::{Authentication, Condition, Operand, Policy, Rule};

/// Types that every ontology has are shown only where they differ from those of `plain`.
pub fn of(ontology: &Ontology, plain: Option<&Ontology>) -> String {
    let mut page = String::new();
    for entity in ontology.types.values() {
        if plain.and_then(|plain| plain.types.get(&entity.name)) != Some(entity) {
            page.push_str(&record(entity));
        }
    }
    for edge in ontology.edge_types.values() {
        line(&mut page, 0, format!("properties {}{}", edge.name, said(&edge.description)));
        edge.properties.values().for_each(|of| property(&mut page, of));
    }
    for group in ontology.abstracts.values() {
        page.push_str(&abstract_type(group));
    }
    for choices in ontology.enums.values() {
        line(&mut page, 0, format!("enum {}{}", choices.name, said(&choices.description)));
        for value in &choices.values {
            line(&mut page, 1, format!("{}{}{}", value.name, gone(&value.deprecated), said(&value.description)));
        }
    }
    page
}

fn line(page: &mut String, depth: usize, text: impl Display) {
    writeln!(page, "{}{text}", "  ".repeat(depth)).expect("a string takes everything");
}

fn said(description: &Option<String>) -> String {
    description.as_ref().map(|text| format!(" # {}", text.replace('\n', " / "))).unwrap_or_default()
}

fn gone(reason: &Option<String>) -> String {
    reason.as_ref().map(|reason| format!(" deprecated: {reason}")).unwrap_or_default()
}

fn record(entity: &EntityType) -> String {
    let mut page = String::new();
    let home = match &entity.kind {
        Kind::Node { labels } => format!("node {} :{}", entity.name, labels.join(":")),
        Kind::Row { table, mapped: None } => format!("row {} in {table}", entity.name),
        Kind::Row { table, mapped: Some(mapped) } => {
            format!("row {} in {}.{table} of others, id in {}", entity.name, mapped.schema, mapped.id)
        }
    };
    let (singular, plural, about) = (&entity.singular, &entity.plural, said(&entity.description));
    line(&mut page, 0, format!("{home}, {singular}, {plural}{about}"));
    if !entity.interfaces.is_empty() {
        line(&mut page, 1, format!("is {}", entity.interfaces.join(", ")));
    }
    if entity.limit.default.is_some() || entity.limit.max.is_some() {
        line(&mut page, 1, format!("{:?}", entity.limit));
    }
    if let Some(kept) = entity.cache {
        line(&mut page, 1, format!("answers kept for {kept:?}"));
    }
    rules(&mut page, 1, &entity.authentication, &entity.policy);
    assert_eq!(entity.properties.keys().next().map(String::as_str), Some("id"), "id comes first");
    for name in &entity.order {
        match entity.field(name).expect("what is in order is there") {
            FieldOf::Property(of) => property(&mut page, of),
            FieldOf::Relationship(of) => relationship(&mut page, of),
            FieldOf::Join(of) => join(&mut page, of),
        }
    }
    page
}

fn property(page: &mut String, of: &Property) {
    let scalar = match &of.scalar {
        Scalar::Enum(name) => format!("enum {name}"),
        other => format!("{other:?}"),
    };
    let item = if of.item_required { "!" } else { "" };
    let mut text = match of.list {
        true => format!("{}: [{scalar}{item}]", of.name),
        false => format!("{}: {scalar}", of.name),
    };
    if of.required {
        text.push('!');
    }
    if let Some(default) = &of.default {
        write!(text, " = {default}").expect("a string takes everything");
    }
    let words = [
        (of.unique, "unique"),
        (of.indexed, "indexed"),
        (of.embed, "embedded"),
        (!of.selectable, "hidden"),
        (!of.filterable, "unfiltered"),
        (!of.sortable, "unsorted"),
        (of.implicit, "implicit"),
    ];
    for (_, word) in words.iter().filter(|(holds, _)| *holds) {
        write!(text, " {word}").expect("a string takes everything");
    }
    if of.stored != of.name {
        write!(text, " stored as {}", of.stored).expect("a string takes everything");
    }
    line(page, 1, format!("{text}{}{}", gone(&of.deprecated), said(&of.description)));
    rules(page, 2, &of.authentication, &of.policy);
}

fn end(target: &str, list: bool, required: bool) -> String {
    match (list, required) {
        (true, _) => format!("many {target}"),
        (false, true) => format!("one {target}"),
        (false, false) => format!("maybe {target}"),
    }
}

fn relationship(page: &mut String, of: &Relationship) {
    let properties = of.properties.as_ref().map(|name| format!(" {{{name}}}")).unwrap_or_default();
    let (left, right) = match of.direction {
        Direction::Out => ("-", "->"),
        Direction::In => ("<-", "-"),
    };
    let end = end(&of.target, of.list, of.required);
    let kind = &of.relationship_type;
    let (gone, said) = (gone(&of.deprecated), said(&of.description));
    line(page, 1, format!("{}: {left}[{kind}{properties}]{right} {end}{gone}{said}", of.name));
}

fn join(page: &mut String, of: &Join) {
    let end = end(&of.target, of.list, of.required);
    let (gone, said) = (gone(&of.deprecated), said(&of.description));
    line(page, 1, format!("{}: {end} where its {} = {}{gone}{said}", of.name, of.remote, of.local));
}

fn abstract_type(group: &AbstractType) -> String {
    let mut page = String::new();
    let sort = if group.union { "union" } else { "interface" };
    let (plural, about) = (&group.plural, said(&group.description));
    line(&mut page, 0, format!("{sort} {}, {plural}: {}{about}", group.name, group.members.join(", ")));
    group.properties.values().for_each(|of| property(&mut page, of));
    page
}

fn rules(page: &mut String, depth: usize, authentication: &Option<Authentication>, policy: &Policy) {
    if let Some(Authentication { operations, claims }) = authentication {
        let claims = claims.as_ref().map(condition).unwrap_or_else(|| "anybody".to_owned());
        line(page, depth, format!("authenticated to {operations:?}: {claims}"));
    }
    policy.filter.iter().for_each(|of| line(page, depth, format!("filter {}", rule(of))));
    policy.validate.iter().for_each(|of| line(page, depth, format!("validate {:?} {}", of.when, rule(of))));
}

fn rule(of: &Rule) -> String {
    let anonymous = if of.require_authentication { "" } else { " also anonymous" };
    format!("{:?}{anonymous}: {}", of.operations, condition(&of.condition))
}

fn condition(of: &Condition) -> String {
    let join = |of: &[Condition], word: &str| of.iter().map(condition).collect::<Vec<_>>().join(word);
    match of {
        Condition::All(all) => format!("({})", join(all, " and ")),
        Condition::Any(any) => format!("({})", join(any, " or ")),
        Condition::Not(not) => format!("not {}", condition(not)),
        Condition::Property { property, operator, operand } => format!("{property} {operator:?} {}", right(operand)),
        Condition::Claim { path, operator, operand } => format!("$jwt{path:?} {operator:?} {}", right(operand)),
        Condition::Related { field, quantifier, node, edge } => {
            let edge = edge.as_ref().map(|edge| format!(" along {}", condition(edge))).unwrap_or_default();
            format!("{quantifier:?} of {field} {}{edge}", condition(node))
        }
    }
}

fn right(operand: &Operand) -> String {
    match operand {
        Operand::Value(value) => value.to_string(),
        Operand::Claim(path) => format!("$jwt{path:?}"),
        Operand::List(items) => format!("[{}]", items.iter().map(right).collect::<Vec<_>>().join(", ")),
    }
}
