//! Row types: their table.

use crate::names;
use crate::ontology::{EntityType, Kind, Mapped, Property, Writes};
use crate::problem::{Code, Problems};
use crate::syntax::{Definition, Directive, find};

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
    let writes = directive.map(|directive| writes(directive, problems)).unwrap_or_default();
    let mapped = schema.map(|(schema, _)| Mapped { schema: schema.to_owned(), id: "id".to_owned(), writes });
    Kind::Row { table, mapped }
}

/// What `@table(writes)` says.
fn writes(directive: &Directive, problems: &mut Problems) -> Writes {
    let Some(given) = directive.argument("writes") else { return Writes::default() };
    let said = |word: &str| given.items().iter().any(|item| item.word() == Some(word));
    let writes = Writes { create: said("CREATE"), update: said("UPDATE"), delete: said("DELETE") };
    if directive.text("schema").is_none() {
        let message = "`writes` is said of a table of others, and this one is the gateway's own";
        let help = "remove `writes`, or name the table's `schema`; rows of our own are always written";
        problems.add(Code::InvalidArgument, given.span, message).help(help);
    } else if given.items().is_empty() {
        let help = "name what is done to its rows, as in `writes: [CREATE, UPDATE, DELETE]`, or remove it";
        problems.add(Code::InvalidArgument, given.span, "`writes` says nothing").help(help);
    }
    writes
}

/// Checks whether what is said of writing to a table of others can be done with the fields that there are. `definition` is theirs.
pub(crate) fn check_writes(definition: &Definition, entity: &EntityType, problems: &mut Problems) {
    let Some((_, Mapped { writes, .. })) = entity.mapped() else { return };
    let place = find(&definition.directives, "table").map_or(definition.name.span, |directive| directive.span);
    if writes.create && !entity.properties.values().any(Property::is_given) {
        let message = format!("nothing of a new `{}` can be given: the database sets every field", entity.name);
        problems.add(Code::InvalidArgument, place, message).help("leave CREATE out of `writes`, or add a field");
    }
    if writes.update && !entity.properties.values().any(|property| property.is_given() && property.name != "id") {
        let message = format!("nothing of a `{}` can be changed", entity.name);
        problems.add(Code::InvalidArgument, place, message).help("leave UPDATE out of `writes`, or add a field");
    }
    let of_nobody = |property: &&Property| property.generated.is_some() && !writes.any();
    for property in entity.properties.values().filter(of_nobody) {
        let directive = definition.field(&property.name).and_then(|field| find(&field.directives, "column"));
        let place = directive.and_then(|d| d.argument("generated")).map_or(place, |argument| argument.span);
        let message =
            format!("`{}.{}` is never written, so nothing is left to the database", entity.name, property.name);
        let help = "remove `generated`, or say `writes` in `@table`";
        problems.add(Code::InvalidArgument, place, message).help(help);
    }
}

/// Takes the name of the column of the id where it is needed: everywhere else an id is stored as `id`.
pub(crate) fn take_id(entity: &mut EntityType) {
    if let (Kind::Row { mapped: Some(mapped), .. }, Some(id)) = (&mut entity.kind, entity.properties.get_mut("id")) {
        mapped.id = std::mem::replace(&mut id.stored, "id".to_owned());
    }
}
