//! Names: what is reserved, what stores take, and the singular and plural of a type.

use crate::ontology::Scalar;
use crate::syntax::{Definition, Sort};

/// The scalars an ontology may use.
pub(crate) const SCALARS: [&str; 9] = ["ID", "String", "Int", "Float", "Boolean", "BigInt", "DateTime", "Date", "JSON"];

/// Longest name for a store, in bytes: what Postgres takes.
const LONGEST: usize = 63;

/// The scalar of that name.
pub(crate) fn scalar(name: &str) -> Option<Scalar> {
    Some(match name {
        "ID" => Scalar::Id,
        "String" => Scalar::String,
        "Int" => Scalar::Int,
        "Float" => Scalar::Float,
        "Boolean" => Scalar::Boolean,
        "BigInt" => Scalar::BigInt,
        "DateTime" => Scalar::DateTime,
        "Date" => Scalar::Date,
        "JSON" => Scalar::Json,
        _ => return None,
    })
}

/// Names of the API that belong to no single type, and `Path`, which it will have.
const RESERVED: [&str; 25] = [
    "Query",
    "Mutation",
    "Subscription",
    "Relationship",
    "RelationshipAggregate",
    "RelationshipEdge",
    "RelationshipSort",
    "RelationshipWhere",
    "RelationshipsConnection",
    "Path",
    "PageInfo",
    "SearchHit",
    "SearchLeg",
    "SearchLegName",
    "SearchType",
    "SearchWhere",
    "Count",
    "CountConnection",
    "CreateInfo",
    "UpdateInfo",
    "DeleteInfo",
    "SortDirection",
    "Change",
    "ChangeOperation",
    "ChangeType",
];

/// Endings of names that the API makes for scalars, like `StringScalarFilters`.
const SCALAR_ENDINGS: [&str; 6] =
    ["ScalarFilters", "ListFilters", "ScalarMutations", "ListMutations", "Mutations", "AggregateSelection"];

/// Why a type may not have this name, as help; `None` when it may.
pub(crate) fn reserved_type(name: &str, built_in: &[Definition]) -> Option<String> {
    if let Some(definition) = built_in.iter().find(|definition| definition.name.text == name) {
        return Some(match definition.sort {
            Sort::Object => format!("it is built in; use `extend type {name}` to add fields to it"),
            _ => "it is built in; choose another name".to_owned(),
        });
    }
    if name.starts_with("__") {
        return Some("names that begin with `__` belong to GraphQL's introspection".to_owned());
    }
    if scalar(name).is_some() {
        return Some("it is a scalar; choose another name".to_owned());
    }
    let of_scalar =
        SCALAR_ENDINGS.iter().filter_map(|ending| name.strip_suffix(ending)).any(|start| SCALARS.contains(&start));
    (of_scalar || RESERVED.contains(&name)).then(|| "the API has a type of this name; choose another".to_owned())
}

/// Why a store cannot take this name; `None` when it can. Stores keep names of their own, which begin with `_`.
pub(crate) fn refused_by_stores(name: &str) -> Option<&'static str> {
    if name.starts_with('_') {
        return Some("names that begin with `_` belong to the stores");
    }
    if name.len() > LONGEST {
        return Some("at most 63 bytes are possible");
    }
    let begins = name.chars().next().is_some_and(char::is_alphabetic);
    let goes_on = name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ' '));
    (!begins || !goes_on).then_some("use letters, digits, `_`, `-`, `.` and spaces, with a letter first")
}

/// Why a table of others, its schema or a column cannot have this name; `None` when they can. Whatever Postgres takes in quotes is fine.
pub(crate) fn refused_by_postgres(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        return Some("it has to have a name");
    }
    if name.len() > LONGEST {
        return Some("at most 63 bytes are possible");
    }
    name.contains(char::is_control).then_some("control characters are not possible")
}

/// True for a name in GraphQL's sense that introspection does not own.
pub(crate) fn is_graphql(name: &str) -> bool {
    let begins = name.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    begins && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !name.starts_with("__")
}

/// `Facility` to `facility`, `APIKey` to `apiKey`.
pub(crate) fn lower_camel(name: &str) -> String {
    let upper = name.chars().take_while(char::is_ascii_uppercase).count();
    let whole = name.chars().nth(upper).is_none_or(|next| !next.is_ascii_lowercase());
    let lowered = if upper <= 1 || whole { upper } else { upper - 1 };
    name.chars().enumerate().map(|(at, c)| if at < lowered { c.to_ascii_lowercase() } else { c }).collect()
}

/// `auditEntries` to `audit_entries`, the name of a table that has none.
pub(crate) fn snake(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for (at, letter) in name.chars().enumerate() {
        if letter.is_ascii_uppercase() && at > 0 {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

/// Words whose plural no rule gives.
const IRREGULAR: [(&str, &str); 16] = [
    ("person", "people"),
    ("child", "children"),
    ("woman", "women"),
    ("man", "men"),
    ("foot", "feet"),
    ("tooth", "teeth"),
    ("goose", "geese"),
    ("mouse", "mice"),
    ("knife", "knives"),
    ("life", "lives"),
    ("shelf", "shelves"),
    ("leaf", "leaves"),
    ("half", "halves"),
    ("quiz", "quizzes"),
    ("hero", "heroes"),
    ("criterion", "criteria"),
];

/// The English plural of the last word of a lower-camel name.
pub(crate) fn plural(singular: &str) -> String {
    let at = singular.rfind(|c: char| c.is_ascii_uppercase() || c == '_').unwrap_or(0);
    let (rest, last) = singular.split_at(at);
    let lower = last.to_ascii_lowercase();
    for (one, many) in IRREGULAR {
        if lower.trim_start_matches('_') == one {
            return format!("{rest}{}{}", &last[..last.len() - one.len() + 1], &many[1..]);
        }
    }
    let before = lower.chars().rev().nth(1).unwrap_or('a');
    if lower.len() > 4 && lower.ends_with("sis") {
        return format!("{}es", &singular[..singular.len() - 2]);
    }
    if lower.ends_with('y') && !"aeiou".contains(before) {
        return format!("{}ies", &singular[..singular.len() - 1]);
    }
    if ["s", "x", "z", "ch", "sh"].iter().any(|ending| lower.ends_with(ending)) {
        return format!("{singular}es");
    }
    format!("{singular}s")
}
