//! Row types: their table.

use crate::names;
use crate::ontology::Kind;
use crate::problem::{Code, Problems};
use crate::syntax::{Definition, find};

/// The table of a row type: the one of `@table`, or the plural in snake case.
pub(crate) fn kind(definition: &Definition, plural: &str, problems: &mut Problems) -> Kind {
    if let (Some(table), Some(_)) = (find(&definition.directives, "table"), find(&definition.directives, "node")) {
        let message = format!("`{}` is both a node and a row", definition.name.text);
        problems.add(Code::ConflictingDirectives, table.span, message).help("keep one of `@node` and `@table`");
    }
    let given = find(&definition.directives, "table").and_then(|directive| directive.text("name"));
    if let Some((table, place)) = given
        && let Some(help) = names::refused_by_stores(table)
    {
        problems.add(Code::InvalidName, place, format!("`{table}` cannot be a table")).help(help);
    }
    let table = given.map_or_else(|| names::snake(plural), |(table, _)| table.to_owned());
    Kind::Row { table }
}
