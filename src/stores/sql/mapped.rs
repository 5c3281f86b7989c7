//! Tables that belong to others, as statements speak of them: whose rows they hold, and how each column is compared, put in order and
//! shown. What the database says of them is found out elsewhere; everything here is data.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use quipu_resolvers::value::Value;

mod fields;
pub mod writes;

pub(super) use fields::Form;
pub(in crate::stores) use fields::unreadable;
pub use writes::{Settable, Writing};

/// The tables behind the types of one tenant, by the key of the type.
#[derive(Debug, Clone, Default)]
pub struct Tables {
    by_kind: HashMap<i64, Mapped>,
    /// When the database was asked about them.
    pub asked: Option<Instant>,
}

/// What a type of mapped rows stands for.
#[derive(Debug, Clone)]
pub enum Mapped {
    /// A table that can be read.
    Table(Arc<Table>),
    /// One that cannot, and what a client may know of the reason.
    Broken(String),
}

impl Tables {
    /// None yet, of a database that is asked from now on.
    pub fn asked_now() -> Self {
        Self { asked: Some(Instant::now()), ..Self::default() }
    }

    /// Takes what a type stands for.
    pub fn insert(&mut self, kind: i64, mapped: Mapped) {
        self.by_kind.insert(kind, mapped);
    }

    /// What a type stands for, if its rows are those of others.
    pub fn get(&self, kind: i64) -> Option<&Mapped> {
        self.by_kind.get(&kind)
    }

    /// True when no type has a table of others.
    pub fn is_empty(&self) -> bool {
        self.by_kind.is_empty()
    }
}

/// A table that belongs to others.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// The column of the id.
    pub id: String,
    /// Which of its rows are the tenant's.
    pub whose: Whose,
    /// Its columns by name, as far as they can be read.
    pub columns: HashMap<String, Column>,
    /// Values of the ontology's enums by name.
    pub enums: HashMap<String, Vec<String>>,
    /// What writing has to know, where its rows are written.
    pub writing: Option<Writing>,
}

/// Which rows of a table are the tenant's.
#[derive(Debug, Clone, PartialEq)]
pub enum Whose {
    /// All of them.
    All,
    /// Those with the tenant's name in a column, which is of a sort and has a value that is compared as that sort.
    Named {
        /// The column.
        column: String,
        /// The tenant's name as an SQL literal of the column's type.
        literal: String,
    },
    /// Those that the table's own policies show, which look at the setting `quipu.tenant_name`.
    Shown,
}

/// A column.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// What it holds, or each item of it.
    pub sort: Sort,
    /// Whether it is an array.
    pub array: bool,
}

/// What a column holds, as far as it makes a difference.
#[derive(Debug, Clone, PartialEq)]
pub enum Sort {
    /// Text, with the name of its collation as SQL; none when that is no comparison by bytes.
    Text {
        /// Like `pg_catalog."default"`.
        collation: Option<String>,
    },
    /// `uuid`.
    Uuid,
    /// `smallint`, `integer`, `bigint`.
    Integer,
    /// `numeric`; exact when every value is the decimal form of one double.
    Decimal {
        /// At most 15 digits.
        exact: bool,
    },
    /// `double precision`.
    Double,
    /// `real`.
    Single,
    /// `boolean`.
    Truth,
    /// `date`.
    Day,
    /// `timestamp with time zone`.
    Instant {
        /// Finer than milliseconds.
        fine: bool,
    },
    /// An enum of the database.
    Label {
        /// The type as SQL.
        name: String,
        /// Its labels.
        labels: Vec<String>,
    },
    /// `jsonb` and `json`.
    Json,
}

impl Sort {
    /// The type that a value is cast to for a comparison as this sort.
    fn cast(&self) -> &str {
        match self {
            Self::Text { .. } => "text",
            Self::Uuid => "uuid",
            Self::Integer => "bigint",
            Self::Decimal { exact: true } => "numeric",
            Self::Decimal { exact: false } | Self::Double | Self::Single => "double precision",
            Self::Truth => "boolean",
            Self::Day => "date",
            Self::Instant { .. } => "timestamptz",
            Self::Label { name, .. } => name,
            Self::Json => "jsonb",
        }
    }

    /// A text as one that can be cast to this sort; `None` when no value of it is shown like that.
    pub fn exactly(&self, text: &str) -> Option<String> {
        let fits = match self {
            Self::Text { .. } => true,
            Self::Uuid => is_uuid(text),
            Self::Integer => text.parse::<i64>().is_ok_and(|number| number.to_string() == text),
            Self::Label { labels, .. } => labels.iter().any(|label| label == text),
            Self::Day => return day(text, 10),
            Self::Instant { .. } => return day(text, 24),
            _ => false,
        };
        fits.then(|| text.to_owned())
    }

    /// The same for any value, of which numbers and truth values are written as they are.
    fn exactly_of(&self, value: &Value) -> Option<String> {
        match (self, value) {
            (Self::Decimal { .. } | Self::Double | Self::Single, Value::Int(_) | Value::Float(_))
            | (Self::Truth, Value::Bool(_)) => Some(value.to_json().to_string()),
            (Self::Integer, Value::Int(number)) => Some(number.to_string()),
            // What is asked of a whole number is none, or one that is written with a point.
            (Self::Integer, Value::Float(number)) if number.fract() == 0.0 && number.abs() < 9e15 => {
                Some(format!("{number:.0}"))
            }
            (Self::Json, value) => Some(value.to_json().to_string()),
            (_, Value::Text(text)) => self.exactly(text),
            (Self::Text { .. } | Self::Uuid | Self::Label { .. }, Value::Int(number)) => {
                self.exactly(&number.to_string())
            }
            _ => None,
        }
    }
}

/// 36 characters as the database shows them: small letters, hyphens in four places.
fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
        })
}

/// A day, or an instant, of so many characters. The database has no year 0: whatever is in it is before everything.
fn day(text: &str, length: usize) -> Option<String> {
    let digits = text.get(..4)?.bytes().all(|byte| byte.is_ascii_digit());
    match text {
        _ if !digits || text.len() != length => None,
        _ if text.starts_with("0000") => Some("-infinity".to_owned()),
        _ => Some(text.to_owned()),
    }
}

/// A name as an SQL identifier.
pub struct Quoted<'a>(pub &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.replace('"', "\"\""))
    }
}

/// A text as an SQL literal, whatever the server thinks of backslashes.
pub struct Literal<'a>(pub &'a str);

impl fmt::Display for Literal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let escape = if self.0.contains('\\') { "E" } else { "" };
        write!(f, "{escape}'{}'", self.0.replace('\\', "\\\\").replace('\'', "''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_column_shows_is_compared_with_it() {
        let uuid = "0190a6b2-6f0e-7cc0-98a5-3a7d1f3c2b10";
        assert_eq!(Sort::Uuid.exactly(uuid).as_deref(), Some(uuid));
        for other in ["", "abc", &uuid.to_uppercase(), &uuid.replace('-', ""), "{0190a6b2-6f0e-7cc0-98a5-3a7d1f3c2b10}"]
        {
            assert_eq!(Sort::Uuid.exactly(other), None, "{other}");
        }
        assert_eq!(Sort::Integer.exactly("-9223372036854775808").as_deref(), Some("-9223372036854775808"));
        for other in ["", "007", "+7", " 7", "7 ", "-0", "1e3", "9223372036854775808", "٧", "7.0"] {
            assert_eq!(Sort::Integer.exactly(other), None, "{other}");
        }
        assert_eq!(Sort::Day.exactly("2026-11-21").as_deref(), Some("2026-11-21"));
        assert_eq!(Sort::Day.exactly("0000-01-01").as_deref(), Some("-infinity"));
        assert_eq!(Sort::Day.exactly("now"), None);
        let label = Sort::Label { name: "shop.state".into(), labels: vec!["OPEN".into()] };
        assert_eq!((label.exactly("OPEN").as_deref(), label.exactly("open")), (Some("OPEN"), None));
    }

    #[test]
    fn names_and_texts_stay_inside_their_quotes() {
        assert_eq!(Quoted("a\"; DROP TABLE x; --").to_string(), "\"a\"\"; DROP TABLE x; --\"");
        assert_eq!(Literal("o'clock").to_string(), "'o''clock'");
        assert_eq!(Literal("\\' OR 1=1 --").to_string(), "E'\\\\'' OR 1=1 --'");
    }
}
