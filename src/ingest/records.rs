//! The import format: JSON Lines, one record a line, of four kinds.
//!
//! ```json
//! {"node":"Facility","id":"f1","properties":{"name":"Maasvlakte"}}
//! {"relationship":"HAS_DEVICE","from":{"Facility":"f1"},"to":{"Device":"d1"},"properties":{"slot":"B2-04"}}
//! {"row":"Contract","id":"c1","properties":{"supplier":"Nordfrost"}}
//! {"document":{"id":"p1","title":"Defrosting","text":"Moisture that ...","properties":{"revision":6}}}
//! ```
//!
//! A line is judged here by its shape alone. Whether types, fields and values fit the ontology is decided where records become a
//! `Change`.

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value};

use crate::json::Unique;

/// Properties by field name of the ontology.
pub type Properties = Map<String, Value>;

/// One record of an import.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// A node of the graph: made when it is not there, else the named properties are set.
    Node {
        /// Name of its type.
        node: String,
        /// Its id.
        id: String,
        /// Properties to set.
        properties: Properties,
    },
    /// A relationship between two nodes that are there, or come earlier in the file.
    Relationship {
        /// Type of the relationship, like `HAS_DEVICE`.
        relationship: String,
        /// Start node.
        from: Reference,
        /// End node.
        to: Reference,
        /// Written `"id"`: tells parallel relationships apart. Without it there is at most one of a type between two nodes.
        key: Option<String>,
        /// Properties to set.
        properties: Properties,
    },
    /// A row of a relational table.
    Row {
        /// Name of its type.
        row: String,
        /// Its id.
        id: String,
        /// Properties to set; columns that only a `@join` names are given by their own name.
        properties: Properties,
    },
    /// A document, to be split into chunks named `<id>#0`, `<id>#1` and so on, and embedded.
    Document {
        /// Its id.
        id: String,
        /// Its title.
        title: String,
        /// Its whole text.
        text: String,
        /// Where it can be read.
        url: Option<String>,
        /// When what it tells took place, RFC 3339.
        occurred_at: Option<String>,
        /// Any JSON that goes with it.
        properties: Properties,
    },
}

/// Names a node: `{"Facility": "f1"}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reference {
    /// Name of its type.
    pub of: String,
    /// Its id.
    pub id: String,
}

impl Reference {
    /// A reference to the node of that type and id.
    pub fn new(of: impl Into<String>, id: impl Into<String>) -> Self {
        Self { of: of.into(), id: id.into() }
    }
}

/// The key that says what kind a record is, with all keys that such a record may have.
const KINDS: [(&str, &[&str]); 4] = [
    ("node", &["node", "id", "properties"]),
    ("relationship", &["relationship", "from", "to", "id", "properties"]),
    ("row", &["row", "id", "properties"]),
    ("document", &["document"]),
];
const DOCUMENT_KEYS: &[&str] = &["id", "title", "text", "url", "occurredAt", "properties"];

/// Reads one line.
///
/// # Errors
/// A reason that a user understands: not JSON, no kind or two of them, an unknown key (with the nearest known one), a key that
/// is missing, given twice or of the wrong sort.
pub fn parse(line: &str) -> Result<Record, String> {
    let value = match serde_json::from_str::<Unique>(line) {
        Ok(Unique(value)) => value,
        Err(error) if error.is_data() => return Err(without_line(&error)),
        Err(error) => return Err(format!("not valid JSON: {}", without_line(&error))),
    };
    let Value::Object(object) = value else {
        return Err(format!("a record is a JSON object, not {}", sort_of(&value)));
    };
    let kind = kind_of(&object)?;
    let mut record = Keys { object, within: kind.0 };
    record.only(kind.1)?;
    match kind.0 {
        "node" => Ok(Record::Node { node: record.text("node")?, id: record.id()?, properties: record.properties()? }),
        "row" => Ok(Record::Row { row: record.text("row")?, id: record.id()?, properties: record.properties()? }),
        "relationship" => Ok(Record::Relationship {
            relationship: record.text("relationship")?,
            from: record.reference("from")?,
            to: record.reference("to")?,
            key: if record.object.contains_key("id") { Some(record.id()?) } else { None },
            properties: record.properties()?,
        }),
        _ => document(record),
    }
}

fn document(mut record: Keys) -> Result<Record, String> {
    let object = match record.object.swap_remove("document") {
        Some(Value::Object(object)) => object,
        other => {
            let found = other.as_ref().map_or("nothing", sort_of);
            return Err(format!("`document` is an object with `id`, `title` and `text`, not {found}"));
        }
    };
    let mut document = Keys { object, within: "document" };
    document.only(DOCUMENT_KEYS)?;
    Ok(Record::Document {
        id: document.id()?,
        title: document.text("title")?,
        text: document.text("text")?,
        url: document.optional_text("url")?,
        occurred_at: document.optional_text("occurredAt")?,
        properties: document.properties()?,
    })
}

fn kind_of(object: &Properties) -> Result<(&'static str, &'static [&'static str]), String> {
    let present: Vec<_> = KINDS.into_iter().filter(|(kind, _)| object.contains_key(*kind)).collect();
    match present.as_slice() {
        [kind] => Ok(*kind),
        [] => {
            let near =
                object.keys().find_map(|key| Some((key, nearest(key, KINDS.into_iter().map(|(kind, _)| kind))?)));
            let hint =
                near.map(|(key, kind)| format!("; did you mean `{kind}` instead of `{key}`?")).unwrap_or_default();
            Err(format!("one of the keys `node`, `relationship`, `row` and `document` is needed{hint}"))
        }
        [first, second, ..] => {
            Err(format!("`{}` and `{}` cannot stand in one record: a line is one record", first.0, second.0))
        }
    }
}

/// An object whose keys are taken out one by one.
struct Keys {
    object: Properties,
    within: &'static str,
}

impl Keys {
    fn only(&self, known: &[&'static str]) -> Result<(), String> {
        let Some(key) = self.object.keys().find(|key| !known.contains(&key.as_str())) else {
            return Ok(());
        };
        let help = match nearest(key, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("it has {}", known.iter().map(|k| format!("`{k}`")).collect::<Vec<_>>().join(", ")),
        };
        Err(format!("unknown key `{key}` in a {} record; {help}", self.within))
    }

    fn id(&mut self) -> Result<String, String> {
        match self.object.swap_remove("id") {
            Some(Value::Number(number)) if number.is_i64() || number.is_u64() => Ok(number.to_string()),
            value => self.filled("id", value),
        }
    }

    fn text(&mut self, key: &str) -> Result<String, String> {
        let value = self.object.swap_remove(key);
        self.filled(key, value)
    }

    fn filled(&self, key: &str, value: Option<Value>) -> Result<String, String> {
        match value {
            Some(Value::String(text)) if !text.trim().is_empty() => Ok(text),
            Some(Value::String(_)) => Err(format!("`{key}` of a {} record is empty", self.within)),
            Some(other) => Err(format!("`{key}` of a {} record is text, not {}", self.within, sort_of(&other))),
            None => Err(format!("a {} record needs `{key}`", self.within)),
        }
    }

    fn optional_text(&mut self, key: &str) -> Result<Option<String>, String> {
        match self.object.swap_remove(key) {
            None | Some(Value::Null) => Ok(None),
            value => self.filled(key, value).map(Some),
        }
    }

    fn properties(&mut self) -> Result<Properties, String> {
        match self.object.swap_remove("properties") {
            None => Ok(Properties::new()),
            Some(Value::Object(properties)) => Ok(properties),
            Some(other) => {
                Err(format!("`properties` of a {} record is an object, not {}", self.within, sort_of(&other)))
            }
        }
    }

    fn reference(&mut self, key: &str) -> Result<Reference, String> {
        let shape = format!("`{key}` names one node as {{\"Type\": \"id\"}}");
        let ends = match self.object.swap_remove(key) {
            Some(Value::Object(ends)) if ends.len() == 1 => ends,
            Some(Value::Object(ends)) => return Err(format!("{shape}, not {} of them", ends.len())),
            Some(other) => return Err(format!("{shape}, not {}", sort_of(&other))),
            None => return Err(format!("a relationship record needs `{key}`")),
        };
        match ends.into_iter().next() {
            Some((of, Value::String(id))) if !id.trim().is_empty() => Ok(Reference { of, id }),
            Some((of, Value::Number(id))) if id.is_i64() || id.is_u64() => Ok(Reference { of, id: id.to_string() }),
            Some((_, Value::String(_))) => Err(format!("{shape}; its id is empty")),
            _ => Err(format!("{shape}; its id is text")),
        }
    }
}

/// The known name that `name` is probably a slip of, if there is one.
fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    let closest = known.map(|k| (strsim::damerau_levenshtein(&name, &k.to_lowercase()), k)).min()?;
    (closest.0 <= closest.1.len().div_ceil(3)).then_some(closest.1)
}

fn sort_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// The message of the parser, whose line number is always 1, with the column alone.
fn without_line(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let reason = text.rsplit_once(" at line ").map_or(text.as_str(), |(reason, _)| reason);
    format!("{reason} (column {})", error.column())
}

impl Serialize for Reference {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(Some(1))?;
        object.serialize_entry(&self.of, &self.id)?;
        object.end()
    }
}

/// Writes the record as it stands in a file, without keys that say nothing.
impl Serialize for Record {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(None)?;
        match self {
            Self::Node { node: of, id, properties } | Self::Row { row: of, id, properties } => {
                let kind = if matches!(self, Self::Node { .. }) { "node" } else { "row" };
                object.serialize_entry(kind, of)?;
                object.serialize_entry("id", id)?;
                object.serialize_entry("properties", properties)?;
            }
            Self::Relationship { relationship, from, to, key, properties } => {
                object.serialize_entry("relationship", relationship)?;
                object.serialize_entry("from", from)?;
                object.serialize_entry("to", to)?;
                if let Some(key) = key {
                    object.serialize_entry("id", key)?;
                }
                if !properties.is_empty() {
                    object.serialize_entry("properties", properties)?;
                }
            }
            Self::Document { id, title, text, url, occurred_at, properties } => {
                let mut document = Properties::new();
                document.insert("id".into(), id.as_str().into());
                document.insert("title".into(), title.as_str().into());
                document.insert("text".into(), text.as_str().into());
                for (key, value) in [("url", url), ("occurredAt", occurred_at)] {
                    if let Some(value) = value {
                        document.insert(key.into(), value.as_str().into());
                    }
                }
                document.insert("properties".into(), Value::Object(properties.clone()));
                object.serialize_entry("document", &document)?;
            }
        }
        object.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(line: &str) -> String {
        parse(line).expect_err(line)
    }

    #[test]
    fn every_kind_comes_back_as_it_was_written() {
        let lines = [
            r#"{"node":"Facility","id":"f1","properties":{"name":"Maasvlakte","position":[51.9,4.0]}}"#,
            r#"{"relationship":"HAS_DEVICE","from":{"Facility":"f1"},"to":{"Device":"d1"}}"#,
            r#"{"relationship":"STATES","from":{"Thing":"a"},"to":{"Thing":"a"},"id":"p1:0","properties":{"predicate":"is"}}"#,
            r#"{"row":"Contract","id":"c1","properties":{"facility_id":"f1","value":9007199254740993}}"#,
            r#"{"document":{"id":"p1","title":"T","text":"Text","url":"https://a.example/","occurredAt":"2026-10-31T00:00:00.000Z","properties":{}}}"#,
        ];
        for line in lines {
            let record = parse(line).unwrap();
            assert_eq!(serde_json::to_string(&record).unwrap(), line);
        }
    }

    #[test]
    fn ids_may_be_integers_and_properties_may_be_left_out() {
        let record = parse(r#"{"node":"Facility","id":7}"#).unwrap();
        assert_eq!(record, Record::Node { node: "Facility".into(), id: "7".into(), properties: Properties::new() });
        let record = parse(r#"{"relationship":"R","from":{"A":1},"to":{"B":"x"},"id":2}"#).unwrap();
        let Record::Relationship { from, to, key, .. } = record else { panic!("{record:?}") };
        assert_eq!((from, to, key), (Reference::new("A", "1"), Reference::new("B", "x"), Some("2".into())));
    }

    #[test]
    fn a_line_is_one_record_of_one_kind() {
        insta::assert_snapshot!(refused(r#"{"node":"A","row":"B","id":"1"}"#), @"`node` and `row` cannot stand in one record: a line is one record");
        insta::assert_snapshot!(refused(r#"{"nodes":"A","id":"1"}"#), @"one of the keys `node`, `relationship`, `row` and `document` is needed; did you mean `node` instead of `nodes`?");
        insta::assert_snapshot!(refused(r#"{"type":"A","id":"1"}"#), @"one of the keys `node`, `relationship`, `row` and `document` is needed");
        insta::assert_snapshot!(refused("[1]"), @"a record is a JSON object, not a list");
        insta::assert_snapshot!(refused(r#"{"node":"A","id":"1"} {"node":"A","id":"2"}"#), @"not valid JSON: trailing characters (column 23)");
        insta::assert_snapshot!(refused(r#"{"node":"A","#), @"not valid JSON: EOF while parsing a value (column 12)");
    }

    #[test]
    fn unknown_keys_are_refused_with_the_nearest_known_one() {
        insta::assert_snapshot!(refused(r#"{"node":"A","id":"1","propertys":{}}"#), @"unknown key `propertys` in a node record; did you mean `properties`?");
        insta::assert_snapshot!(refused(r#"{"row":"A","id":"1","from":{"A":"1"}}"#), @"unknown key `from` in a row record; it has `row`, `id`, `properties`");
        insta::assert_snapshot!(refused(r#"{"document":{"id":"1","title":"t","text":"x","occuredAt":"2026-01-01"}}"#), @"unknown key `occuredAt` in a document record; did you mean `occurredAt`?");
        insta::assert_snapshot!(refused(r#"{"document":{"id":"1","title":"t","text":"x"},"id":"1"}"#), @"unknown key `id` in a document record; it has `document`");
    }

    #[test]
    fn a_key_that_is_missing_or_of_the_wrong_sort_is_named() {
        insta::assert_snapshot!(refused(r#"{"node":"A"}"#), @"a node record needs `id`");
        insta::assert_snapshot!(refused(r#"{"node":"A","id":" "}"#), @"`id` of a node record is empty");
        insta::assert_snapshot!(refused(r#"{"node":"A","id":1.5}"#), @"`id` of a node record is text, not a number");
        insta::assert_snapshot!(refused(r#"{"node":"A","id":"1","properties":[]}"#), @"`properties` of a node record is an object, not a list");
        insta::assert_snapshot!(refused(r#"{"document":"x"}"#), @"`document` is an object with `id`, `title` and `text`, not text");
        insta::assert_snapshot!(refused(r#"{"document":{"id":"1","title":"t"}}"#), @"a document record needs `text`");
        insta::assert_snapshot!(refused(r#"{"relationship":"R","from":{"A":"1"}}"#), @"a relationship record needs `to`");
        insta::assert_snapshot!(refused(r#"{"relationship":"R","from":{"A":"1","B":"2"},"to":{"A":"1"}}"#), @r#"`from` names one node as {"Type": "id"}, not 2 of them"#);
        insta::assert_snapshot!(refused(r#"{"relationship":"R","from":"f1","to":{"A":"1"}}"#), @r#"`from` names one node as {"Type": "id"}, not text"#);
        insta::assert_snapshot!(refused(r#"{"relationship":"R","from":{"A":""},"to":{"A":"1"}}"#), @r#"`from` names one node as {"Type": "id"}; its id is empty"#);
        insta::assert_snapshot!(refused(r#"{"relationship":"R","from":{"A":null},"to":{"A":"1"}}"#), @r#"`from` names one node as {"Type": "id"}; its id is text"#);
    }

    #[test]
    fn a_key_given_twice_is_refused_at_any_depth() {
        insta::assert_snapshot!(refused(r#"{"node":"A","id":"1","id":"2"}"#), @"the key `id` occurs twice (column 25)");
        insta::assert_snapshot!(refused(r#"{"node":"A","id":"1","properties":{"s":[{"a":1,"a":2}]}}"#), @"the key `a` occurs twice (column 50)");
    }

    #[test]
    fn deep_nesting_is_an_error_and_no_crash() {
        let line = format!(r#"{{"node":"A","id":"1","properties":{{"x":{}}}}}"#, "[".repeat(100_000));
        assert!(refused(&line).starts_with("not valid JSON: recursion limit exceeded"));
    }
}
