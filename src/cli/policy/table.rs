//! What a policy test says: who asks, what they ask, and what they should see.

use std::path::PathBuf;

use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::{Map, Value as Json};

/// A file of `quipu policy test`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// The ontology, relative to the file.
    pub ontology: PathBuf,
    /// Records in the format of imports, relative to the file.
    #[serde(default)]
    pub data: Vec<PathBuf>,
    /// Who asks: their claims by name.
    pub who: IndexMap<String, Map<String, Json>>,
    /// What they ask.
    #[serde(rename = "case")]
    pub cases: Vec<Case>,
}

/// A question and what each should see.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What it shows.
    pub name: String,
    /// A GraphQL document with one operation. The rows are those of its first field.
    pub query: String,
    /// Values of its variables.
    #[serde(default)]
    pub variables: Map<String, Json>,
    /// By the name of who asks: the rows in any order, how many there are, or the code of the error.
    pub expect: IndexMap<String, Json>,
}

impl Table {
    /// Reads a file's text.
    ///
    /// # Errors
    /// What is wrong with it, with its line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let table: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        if table.cases.is_empty() {
            return Err("there is no [[case]]".to_owned());
        }
        for case in &table.cases {
            if case.expect.is_empty() {
                return Err(format!("the case \"{}\" expects nothing", case.name));
            }
            for (who, expected) in &case.expect {
                if !table.who.contains_key(who) {
                    return Err(format!("the case \"{}\" speaks of {who}, and there is no [who.{who}]", case.name));
                }
                if !matches!(expected, Json::Array(_) | Json::String(_) | Json::Number(_)) {
                    let what = "takes the rows, how many they are, or the code of an error";
                    return Err(format!("the case \"{}\": `expect.{who}` {what}", case.name));
                }
            }
        }
        Ok(table)
    }
}

/// What somebody saw.
#[derive(Debug, PartialEq)]
pub enum Seen {
    /// Rows, each a single value or an object, in a fixed order.
    Rows(Vec<Json>),
    /// Nothing but an error of that code.
    Refused(String),
}

impl Seen {
    /// Reads a response. What an error took the place of is shown as its code.
    pub fn of(mut response: Json) -> Self {
        let errors = response.get_mut("errors").map(Json::take).unwrap_or_default();
        let mut first = None;
        for error in errors.as_array().into_iter().flatten() {
            let code = error["extensions"]["code"].as_str().unwrap_or("UNKNOWN").to_owned();
            put(&mut response["data"], error["path"].as_array().map_or(&[][..], Vec::as_slice), &code);
            first.get_or_insert(code);
        }
        match (response["data"].as_object_mut().and_then(|data| data.values_mut().next()).map(Json::take), first) {
            (None | Some(Json::Null), Some(code)) => Self::Refused(code),
            (Some(Json::String(text)), Some(code)) if text == code => Self::Refused(code),
            (found, _) => Self::Rows(rows(found.unwrap_or_default())),
        }
    }

    /// Whether it is what was expected.
    pub fn is(&self, expected: &Json) -> bool {
        match (self, expected) {
            (Self::Refused(code), Json::String(expected)) => code == expected,
            (Self::Rows(rows), Json::Number(count)) => count.as_u64() == Some(rows.len() as u64),
            (Self::Rows(rows), Json::Array(expected)) => *rows == in_order(expected.clone()),
            _ => false,
        }
    }
}

/// Puts a code where the path ends in null, or at the null on the way there.
fn put(data: &mut Json, path: &[Json], code: &str) {
    let Some((step, rest)) = path.split_first() else { return };
    let next = match step {
        Json::String(key) => data.get_mut(key.as_str()),
        Json::Number(index) => index.as_u64().and_then(|index| data.get_mut(usize::try_from(index).ok()?)),
        _ => None,
    };
    match next {
        Some(null @ Json::Null) => *null = Json::from(code),
        Some(deeper) => put(deeper, rest, code),
        None => {}
    }
}

/// The rows of a root field: of a list, of a connection, or the single record.
fn rows(field: Json) -> Vec<Json> {
    let nodes = |edges: &Json| -> Option<Vec<Json>> {
        edges.as_array()?.iter().map(|edge| edge.get("node").cloned()).collect()
    };
    let found = match field {
        Json::Null => Vec::new(),
        Json::Array(rows) => rows,
        Json::Object(fields) => match fields.get("edges").and_then(nodes) {
            Some(nodes) => nodes,
            None => vec![Json::Object(fields)],
        },
        value => vec![value],
    };
    in_order(found.into_iter().map(single).collect())
}

/// A row of one value stands for it.
fn single(row: Json) -> Json {
    match row {
        Json::Object(mut fields) if fields.len() == 1 => fields.values_mut().next().map(Json::take).unwrap_or_default(),
        row => row,
    }
}

/// Rows are compared in no order of their own, and without what is null, which the file has no word for.
fn in_order(mut rows: Vec<Json>) -> Vec<Json> {
    rows.iter_mut().for_each(without_nulls);
    rows.sort_by_cached_key(Json::to_string);
    rows
}

fn without_nulls(value: &mut Json) {
    match value {
        Json::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(without_nulls);
            fields.sort_keys();
        }
        Json::Array(items) => items.iter_mut().for_each(without_nulls),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn error(path: Json) -> Json {
        json!([{"message": "no", "path": path, "extensions": {"code": "FORBIDDEN"}}])
    }

    #[test]
    fn rows_are_told_without_their_wrapping() {
        for (data, rows) in [
            (json!({"a": [{"id": "2"}, {"id": "1"}]}), json!(["1", "2"])),
            (json!({"a": {"edges": [{"node": {"id": "1"}}], "totalCount": 4}}), json!(["1"])),
            (json!({"a": {"totalCount": 4}}), json!([4])),
            (json!({"a": {"id": "1", "b": null, "c": [null]}}), json!([{"id": "1", "c": [null]}])),
            (json!({"a": null}), json!([])),
        ] {
            let seen = Seen::of(json!({"data": data}));
            assert!(seen.is(&rows), "{seen:?} {rows}");
            assert!(seen.is(&json!(rows.as_array().unwrap().len())));
            assert!(!seen.is(&json!("FORBIDDEN")) && !seen.is(&json!(7)) && !seen.is(&json!(["9"])));
        }
    }

    #[test]
    fn what_is_refused_is_told_by_its_code_at_its_place() {
        let seen = Seen::of(json!({"data": null, "errors": error(json!(["a"]))}));
        assert_eq!(seen, Seen::Refused("FORBIDDEN".into()));
        assert!(seen.is(&json!("FORBIDDEN")) && !seen.is(&json!([])) && !seen.is(&json!(0)));
        let seen = Seen::of(json!({"data": {"a": null}, "errors": error(json!(["a", "b"]))}));
        assert!(seen.is(&json!("FORBIDDEN")), "{seen:?}");
        let data = json!({"a": [{"id": "1", "pay": null}, {"id": "2", "pay": 3}]});
        let seen = Seen::of(json!({"data": data, "errors": error(json!(["a", 0, "pay"]))}));
        assert!(seen.is(&json!([{"id": "2", "pay": 3}, {"id": "1", "pay": "FORBIDDEN"}])), "{seen:?}");
    }

    #[test]
    fn a_table_that_says_too_little_is_refused() {
        let with = |rest: &str| Table::parse(&format!("ontology = \"o.graphql\"\n[who.ann]\nsub = \"ann\"\n{rest}"));
        assert!(with("[[case]]\nname = \"x\"\nquery = \"{a}\"\nexpect.ann = [1, {a = 2}]").is_ok());
        for (rest, wanted) in [
            ("", "case"),
            ("[[case]]\nname = \"x\"\nquery = \"{a}\"\nexpect = {}", "expects nothing"),
            ("[[case]]\nname = \"x\"\nquery = \"{a}\"\nexpect.bob = []", "there is no [who.bob]"),
            ("[[case]]\nname = \"x\"\nquery = \"{a}\"\nexpect.ann = true", "takes the rows"),
            ("[[case]]\nname = \"x\"\nquery = \"{a}\"\nexpected.ann = []", "unknown field"),
        ] {
            let refused = with(rest).expect_err(rest);
            assert!(refused.contains(wanted), "{refused}");
        }
    }
}
