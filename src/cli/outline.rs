//! An ontology as the compiler understood it, for people: what `quipu ontology print` prints.

use std::fmt::Write;

use quipu_schema::ontology::{
    AbstractType, Direction, EntityType, FieldOf, Join, Kind, Ontology, Property, Relationship, Scalar,
};
use quipu_schema::policy::Rules;

/// The outline of an ontology, built-in types included.
pub fn of(ontology: &Ontology) -> String {
    let mut out = String::new();
    for entity in ontology.types.values() {
        let _ = writeln!(out, "{}", head(entity));
        for name in &entity.order {
            let told = match entity.field(name) {
                Some(FieldOf::Property(found)) => property(found),
                Some(FieldOf::Relationship(found)) => relationship(found),
                Some(FieldOf::Join(found)) => join(found),
                None => continue,
            };
            let _ = writeln!(out, "  {name}: {told}");
        }
        out.push('\n');
    }
    for edge in ontology.edge_types.values() {
        let _ = writeln!(out, "{}: properties of a relationship{}", edge.name, ruled(&edge.rules));
        for found in edge.properties.values() {
            let _ = writeln!(out, "  {}: {}", found.name, property(found));
        }
        out.push('\n');
    }
    for group in ontology.abstracts.values() {
        let _ = writeln!(out, "{}", members(group));
    }
    for known in ontology.enums.values() {
        let values: Vec<_> = known.values.iter().map(|value| value.name.as_str()).collect();
        let _ = writeln!(out, "{}: enum of {}", known.name, values.join(", "));
    }
    out
}

fn ruled(rules: &Rules) -> String {
    let mut told = String::new();
    let count: usize = rules.policies.iter().map(|policy| policy.filter.len() + policy.validate.len()).sum();
    if count > 0 {
        let _ = write!(told, "; {count} rules");
    }
    if !rules.authentication.is_empty() {
        told.push_str("; authentication required");
    }
    told
}

fn head(entity: &EntityType) -> String {
    let kind = match &entity.kind {
        Kind::Node { labels } => format!("nodes labelled {}", labels.join(", ")),
        Kind::Row { table, mapped: None } => format!("rows of the table {table}"),
        Kind::Row { table, mapped: Some(mapped) } => {
            let writes: Vec<&str> = mapped.writes.words().collect();
            let writes = if writes.is_empty() { String::new() } else { format!(" and takes {}", writes.join(", ")) };
            format!("rows of the table {}.{table}, which belongs to others{writes}", mapped.schema)
        }
    };
    let mut told = format!("{}: {kind}; roots {} and {}", entity.name, entity.plural, entity.singular);
    told.push_str(&ruled(&entity.rules));
    if let Some(kept) = entity.cache {
        let _ = write!(told, "; answers kept for {} s", kept.as_secs());
    }
    if entity.built_in {
        told.push_str("; built in");
    }
    told
}

fn property(property: &Property) -> String {
    let scalar = match &property.scalar {
        Scalar::Enum(name) => name.as_str(),
        known => known.name(),
    };
    let mark = |required| if required { "!" } else { "" };
    let mut told = match property.list {
        true => format!("[{scalar}{}]{}", mark(property.item_required), mark(property.required)),
        false => format!("{scalar}{}", mark(property.required)),
    };
    let notes = [
        (property.unique, "unique"),
        (property.indexed && !property.unique, "indexed"),
        (property.embed, "embedded"),
        (property.implicit, "named by a join only"),
        (!property.selectable && !property.implicit, "not selectable"),
        (!property.filterable, "not filterable"),
        (!property.rules.is_empty(), "with rules"),
        (property.deprecated.is_some(), "deprecated"),
    ];
    for (_, note) in notes.iter().filter(|(is, _)| *is) {
        let _ = write!(told, ", {note}");
    }
    if let Some(default) = &property.default {
        let _ = write!(told, ", {default} by default");
    }
    if property.stored != property.name {
        let _ = write!(told, ", stored as {}", property.stored);
    }
    told
}

fn target(target: &str, list: bool, required: bool) -> String {
    match (list, required) {
        (true, _) => format!("[{target}]"),
        (false, true) => format!("{target}!"),
        (false, false) => target.to_owned(),
    }
}

fn relationship(relationship: &Relationship) -> String {
    let Relationship { relationship_type, direction, list, required, properties, .. } = relationship;
    let way = match direction {
        Direction::Out => format!("-{relationship_type}->"),
        Direction::In => format!("<-{relationship_type}-"),
    };
    let with = properties.as_ref().map_or(String::new(), |name| format!(" with {name}"));
    format!("{way} {}{with}", target(&relationship.target, *list, *required))
}

fn join(join: &Join) -> String {
    format!("join {} where its {} is {}", target(&join.target, join.list, join.required), join.remote, join.local)
}

fn members(group: &AbstractType) -> String {
    let sort = if group.union { "union of" } else { "interface of" };
    format!("{}: {sort} {}; root {}", group.name, group.members.join(", "), group.plural)
}
