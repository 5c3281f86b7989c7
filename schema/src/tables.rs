//! Row types: their table.

use crate::names;
use crate::ontology::{EntityType, Kind, Mapped};
use crate::problem::{Code, Problems};
use crate::syntax::{Definition, find};

/// The table of a row type: the one of `@table`, or the plural in snake case. With a schema it is one that is there already.
pub(crate) fn kind(definition: &Definition, plural: &str, problems: &mut Problems) -> Kind {
    let directive = find(&definition.directives, "table");
    if let (Some(table), Some(_)) = (directive, find(&definition.directives, "node")) {
        let message = format!("`{}` is both a node and a row", definition.name.text);
        problems.add(Code::ConflictingDirectives, table.span, message).help("keep one of `@node` and `@table`");
    }
    let given = directive.and_then(|directive| directive.text("name"));
    let schema = directive.and_then(|directive| directive.text("schema"));
    let refused = if schema.is_some() { names::refused_by_postgres } else { names::refused_by_stores };
    for ((name, place), what) in given.map(|given| (given, "table")).into_iter().chain(schema.map(|s| (s, "schema"))) {
        if let Some(help) = refused(name) {
            problems.add(Code::InvalidName, place, format!("`{name}` cannot be a {what}")).help(help);
        }
    }
    let table = given.map_or_else(|| names::snake(plural), |(table, _)| table.to_owned());
    // Which column holds the id is known when the fields are.
    let mapped = schema.map(|(schema, _)| Mapped { schema: schema.to_owned(), id: "id".to_owned() });
    Kind::Row { table, mapped }
}

/// Takes the name of the column of the id where it is needed: everywhere else an id is stored as `id`.
pub(crate) fn take_id(entity: &mut EntityType) {
    if let (Kind::Row { mapped: Some(mapped), .. }, Some(id)) = (&mut entity.kind, entity.properties.get_mut("id")) {
        mapped.id = std::mem::replace(&mut id.stored, "id".to_owned());
    }
}
