//! What the audit trail keeps.

use serde_json::{Map, Value as Json};
use toml::de::{DeTable, DeValue};

use super::form::{Form, Raw, quoted};

/// The sorts of things that are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditKinds {
    /// Queries, each.
    pub reads: bool,
    /// Mutations.
    pub writes: bool,
    /// Subscriptions, once each.
    pub subscriptions: bool,
    /// What was refused, in whole or in part, credentials among it.
    pub refusals: bool,
    /// What is done to tenants, ontologies, keys and users.
    pub administration: bool,
}

impl Default for AuditKinds {
    fn default() -> Self {
        Self { reads: false, writes: true, subscriptions: false, refusals: true, administration: true }
    }
}

impl AuditKinds {
    /// Whether anything is kept.
    pub fn any(self) -> bool {
        self.reads || self.writes || self.subscriptions || self.refusals || self.administration
    }

    fn words(&mut self) -> [(&'static str, &mut bool); 5] {
        [
            ("reads", &mut self.reads),
            ("writes", &mut self.writes),
            ("subscriptions", &mut self.subscriptions),
            ("refusals", &mut self.refusals),
            ("administration", &mut self.administration),
        ]
    }
}

impl Form for AuditKinds {
    const EXPECTED: &'static str =
        "a list of \"reads\", \"writes\", \"subscriptions\", \"refusals\" and \"administration\"";

    fn take(raw: &Raw<'_>) -> Option<Self> {
        match raw {
            Raw::Toml(DeValue::Array(items)) => {
                let mut kinds =
                    Self { reads: false, writes: false, subscriptions: false, refusals: false, administration: false };
                for item in items.iter() {
                    let word = item.get_ref().as_str()?;
                    *kinds.words().into_iter().find(|(name, _)| *name == word)?.1 = true;
                }
                Some(kinds)
            }
            Raw::Toml(_) => None,
            // The environment has the same list as the file.
            Raw::Text(text) => {
                let text = format!("record = {text}");
                let table = DeTable::parse(&text).ok()?;
                let only = table.get_ref().len() == 1;
                Self::take(&Raw::Toml(table.get_ref().get("record").filter(|_| only)?.get_ref()))
            }
        }
    }

    fn show(&self) -> Option<String> {
        let mut kinds = *self;
        let words: Vec<String> =
            kinds.words().into_iter().filter(|(_, on)| **on).map(|(word, _)| quoted(word)).collect();
        Some(format!("[{}]", words.join(", ")))
    }
}

/// What of an operation's variables is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditVariables {
    /// Nothing.
    None,
    /// Their names.
    Names,
    /// Their values too, texts cut after some length.
    Values,
}

/// Characters of a text that are kept.
const LONGEST: usize = 256;

impl AuditVariables {
    /// What is kept of variables.
    pub fn of(self, variables: &Map<String, Json>) -> Map<String, Json> {
        match self {
            Self::None => Map::new(),
            Self::Names => variables.keys().map(|name| (name.clone(), Json::Null)).collect(),
            Self::Values => variables.iter().map(|(name, value)| (name.clone(), cut(value))).collect(),
        }
    }
}

fn cut(value: &Json) -> Json {
    match value {
        Json::String(text) if text.len() > LONGEST => {
            let kept: String = text.chars().take(LONGEST).collect();
            format!("{kept}...").into()
        }
        Json::Array(items) => items.iter().map(cut).collect(),
        Json::Object(fields) => Json::Object(fields.iter().map(|(name, value)| (name.clone(), cut(value))).collect()),
        other => other.clone(),
    }
}

impl Form for AuditVariables {
    const EXPECTED: &'static str = "\"none\", \"names\" or \"values\"";

    fn take(raw: &Raw<'_>) -> Option<Self> {
        match raw.text()? {
            "none" => Some(Self::None),
            "names" => Some(Self::Names),
            "values" => Some(Self::Values),
            _ => None,
        }
    }

    fn show(&self) -> Option<String> {
        Some(quoted(match self {
            Self::None => "none",
            Self::Names => "names",
            Self::Values => "values",
        }))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn kinds_are_read_and_written_again() {
        let shown = |text: &str| AuditKinds::take(&Raw::Text(text)).and_then(|kinds| Form::show(&kinds));
        for same in [r#"["writes", "refusals", "administration"]"#, "[]", r#"["reads"]"#] {
            assert_eq!(shown(same).as_deref(), Some(same));
        }
        assert_eq!(Form::show(&AuditKinds::default()).as_deref(), Some(r#"["writes", "refusals", "administration"]"#));
        for wrong in ["", "\"writes\"", "[\"write\"]", "[1]", "[]\nx = 1"] {
            assert_eq!(shown(wrong), None, "{wrong}");
        }
        assert!(!AuditKinds::take(&Raw::Text("[]")).expect("a list").any());
    }

    #[test]
    fn of_variables_no_more_is_kept_than_is_said() {
        let given = json!({"a": "x".repeat(300), "b": [{"c": 1}]});
        let given = given.as_object().expect("an object");
        assert!(AuditVariables::None.of(given).is_empty());
        assert_eq!(Json::Object(AuditVariables::Names.of(given)), json!({"a": null, "b": null}));
        let kept = AuditVariables::Values.of(given);
        assert_eq!((kept["a"].as_str().expect("a text").len(), &kept["b"]), (259, &json!([{"c": 1}])));
    }
}
