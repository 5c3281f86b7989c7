//! Properties: fields that hold a stored value, of records, relationships and interfaces.

use indexmap::IndexMap;

use crate::catalog::{Catalog, Entry, Named, Role};
use crate::names;
use crate::ontology::{EnumType, EnumValue, Generated, Property, Scalar};
use crate::policy::Rules;
use crate::problem::{Code, Problems, Span};
use crate::syntax::{Directive, Field, Lit, Literal, find};
use crate::values;

/// What holds the property.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holder {
    Record,
    /// A row of a table that belongs to others.
    Mapped,
    Edge,
    Interface,
}

/// The enums of an ontology.
pub(crate) fn enums(catalog: &Catalog, problems: &mut Problems) -> IndexMap<String, EnumType> {
    let mut enums = IndexMap::new();
    for (_, definition) in catalog.of(&[Role::Enum]) {
        let name = definition.name.text.clone();
        if definition.values.is_empty() {
            problems.add(Code::EmptyType, definition.name.span, format!("enum `{name}` has no values"));
        }
        for value in definition.values.iter().filter(|value| !names::is_graphql(&value.name.text)) {
            let message = format!("the name `{}` is reserved", value.name.text);
            problems.add(Code::ReservedName, value.name.span, message);
        }
        let values = definition.values.iter().map(|value| EnumValue {
            name: value.name.text.clone(),
            description: value.description.clone(),
            deprecated: deprecated(&value.directives),
        });
        let values = values.collect();
        enums.insert(name.clone(), EnumType { name, description: definition.description.clone(), values });
    }
    enums
}

/// The sort of value a name stands for, when it is a scalar or an enum.
pub(crate) fn scalar(named: &Named<'_>) -> Option<Scalar> {
    match named {
        Named::Scalar(scalar) => Some(scalar.clone()),
        Named::Entry(Entry { role: Role::Enum, definition }) => Some(Scalar::Enum(definition.name.text.clone())),
        Named::Entry(_) => None,
    }
}

/// The property that a field declares; its rules are added by a later stage.
pub(crate) fn property(
    field: &Field,
    scalar: Scalar,
    holder: Holder,
    enums: &IndexMap<String, EnumType>,
    problems: &mut Problems,
) -> Property {
    let has = |name: &str| find(&field.directives, name).is_some();
    let says_no =
        |name: &str, argument: &str| find(&field.directives, name).and_then(|d| d.flag(argument)) == Some(false);
    let list = field.ty.depth > 0;
    let mut property = Property {
        name: field.name.text.clone(),
        stored: stored(field, holder, problems),
        description: field.description.clone(),
        deprecated: deprecated(&field.directives),
        sortable: !list && scalar != Scalar::Json,
        scalar,
        list,
        required: field.ty.required,
        item_required: field.ty.item_required,
        unique: has("unique"),
        indexed: has("index") || has("unique"),
        default: None,
        generated: generated(field),
        embed: has("embed"),
        selectable: !says_no("selectable", "onRead"),
        filterable: !says_no("filterable", "byValue"),
        implicit: false,
        rules: Rules::default(),
    };
    if field.ty.depth > 1 {
        let help = format!("a list of `{}` is as deep as it goes; JSON holds anything", field.ty.name.text);
        problems.add(Code::InvalidList, field.ty.span, "lists of lists cannot be stored").help(help);
    }
    fitting(field, &property, holder, problems);
    property.default = find(&field.directives, "default").and_then(|d| default(d, &property, enums, problems));
    property
}

/// Reason of `@deprecated`, the one of the GraphQL specification when none is given.
pub(crate) fn deprecated(directives: &[Directive]) -> Option<String> {
    let directive = find(directives, "deprecated")?;
    Some(directive.text("reason").map_or("No longer supported", |(reason, _)| reason).to_owned())
}

/// What `@column` says of values that the database sets.
fn generated(field: &Field) -> Option<Generated> {
    match find(&field.directives, "column")?.argument("generated")?.word()? {
        "ALWAYS" => Some(Generated::Always),
        _ => Some(Generated::ByDefault),
    }
}

/// The name that `@alias` or `@column` gives, with its place.
pub(crate) fn stored_name(field: &Field) -> Option<(&str, Span)> {
    let given = |name, argument| find(&field.directives, name).and_then(|directive| directive.text(argument));
    given("alias", "property").or_else(|| given("column", "name"))
}

fn stored(field: &Field, holder: Holder, problems: &mut Problems) -> String {
    let (stored, place) = stored_name(field).unwrap_or((&field.name.text, field.name.span));
    let refused = match holder {
        Holder::Mapped => names::refused_by_postgres(stored),
        _ => names::refused_by_stores(stored),
    };
    if let Some(help) = refused {
        problems.add(Code::InvalidName, place, format!("`{stored}` cannot be a name in a store")).help(help);
    }
    stored.to_owned()
}

/// Checks the directives against the sort of the value and against what holds it.
fn fitting(field: &Field, property: &Property, holder: Holder, problems: &mut Problems) {
    let plain = !property.list && property.scalar != Scalar::Json;
    let text = !property.list && property.scalar == Scalar::String;
    for directive in &field.directives {
        let name = directive.name.text.as_str();
        if holder == Holder::Mapped
            && let Some(help) = not_mapped(name)
        {
            let message =
                format!("`@{name}` cannot stand on `{}`, which is a column of a table of others", property.name);
            problems.add(Code::MisplacedDirective, directive.span, message).help(help);
            continue;
        }
        if name == "column" && directive.arguments.is_empty() {
            let help = "give it `name`, `generated` or both";
            problems.add(Code::InvalidArgument, directive.span, "`@column` says nothing").help(help);
            continue;
        }
        let wanted = match name {
            "column" if holder != Holder::Mapped => {
                "a field of a type with `@table(schema: \"...\")`; otherwise use `@alias`"
            }
            "relationship" | "join" => "a field of records",
            "unique" | "embed" if holder == Holder::Edge => "a field of a node or row type",
            "unique" | "index" if !plain => "a single value that is not JSON",
            "embed" if !text => "a `String`",
            "default" if holder == Holder::Record && property.name == "id" => "a field other than `id`",
            _ => continue,
        };
        let message = format!("`@{name}` cannot stand on `{}: {}`", property.name, written(field));
        problems.add(Code::MisplacedDirective, directive.span, message).help(format!("it needs {wanted}"));
    }
}

/// Why a directive says nothing of a column of a table that belongs to others, as help.
fn not_mapped(directive: &str) -> Option<&'static str> {
    Some(match directive {
        "alias" => "use `@column(name: \"...\")`",
        "unique" | "index" => "remove it: constraints and indexes are up to whoever owns the table",
        "default" => "remove it: defaults are up to whoever owns the table; see `@column(generated: BY_DEFAULT)`",
        "embed" => "remove it: what others do to the table is not in the log, which search follows",
        _ => return None,
    })
}

/// The type of a field as the SDL has it.
pub(crate) fn written(field: &Field) -> String {
    let ty = &field.ty;
    let mark = |required: bool| if required { "!" } else { "" };
    match ty.depth {
        0 => format!("{}{}", ty.name.text, mark(ty.required)),
        depth => {
            let (open, close) = ("[".repeat(depth), "]".repeat(depth));
            format!("{open}{}{}{close}{}", ty.name.text, mark(ty.item_required), mark(ty.required))
        }
    }
}

fn default(
    directive: &Directive,
    property: &Property,
    enums: &IndexMap<String, EnumType>,
    problems: &mut Problems,
) -> Option<serde_json::Value> {
    let written = &directive.arguments.iter().find(|argument| argument.name.text == "value")?.value;
    if matches!(written.value, Lit::Null) {
        let message = format!("`{}` cannot have null as its default", property.name);
        problems.add(Code::InvalidDefault, written.span, message).help("remove `@default`: absent is null");
        return None;
    }
    let is_list = matches!(written.value, Lit::List(_));
    let mut coerced = |literal: &Literal| match values::coerce(literal, &property.scalar, enums) {
        Ok(value) => Some(value),
        Err(misfit) => {
            problems.add(Code::InvalidDefault, literal.span, misfit.message).advice(misfit.help);
            None
        }
    };
    match (property.list, is_list) {
        (true, _) => written.items().iter().map(coerced).collect(),
        (false, true) if property.scalar != Scalar::Json => {
            let message = format!("a list is not {}", values::noun(&property.scalar));
            problems.add(Code::InvalidDefault, written.span, message);
            None
        }
        (false, _) => coerced(written),
    }
}
