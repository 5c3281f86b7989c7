//! SQL for reads, as SQLite speaks it: a guarded question in, text and parameters out. Pure.
//!
//! A whole subtree is one statement. Each level finds its records first, in order and limited, in a sub-select that carries only
//! their integer keys, and then takes the picks of those records as `json_array(...)`; nested levels are scalar sub-selects among
//! the picks. The tenant's and the types' integer keys and the names of properties are part of the text, all other values are
//! parameters, so the text is stable for a shape of question and a database can reuse its plan.

use std::fmt;

use quipu_resolvers::read::{Field, Read};
use quipu_resolvers::value::Value;

pub mod names;
mod outcome;
mod predicate;
mod record;
pub mod search;
mod window;

use names::Names;
use record::Enclosing;

/// Text with the values of its parameters, in order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Statement {
    /// SQL with `?` for each parameter.
    pub text: String,
    /// The values.
    pub parameters: Vec<Parameter>,
    /// True when a type was named that the store has no key for (yet).
    pub unknown_names: bool,
}

/// A value that is bound.
#[derive(Debug, Clone, PartialEq)]
pub enum Parameter {
    /// Null.
    Null,
    /// Integer.
    Int(i64),
    /// Text, JSON among it.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

impl fmt::Display for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Int(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(text),
            Self::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
        }
    }
}

/// A read at the root: one row with one column, the outcome as JSON (or null).
pub fn read(read: &Read, names: &Names) -> Statement {
    let mut writer = Writer::new(names);
    writer.outcome(read, Enclosing::Nothing);
    writer.statement
}

/// A read by keys: one row with one column, the JSON list of one outcome per key, in the order of the keys.
pub fn read_many(read: &Read, keys: &[Value], names: &Names) -> Statement {
    let mut writer = Writer::new(names);
    writer.put("SELECT json_group_array((");
    writer.outcome(read, Enclosing::Key);
    writer.put(")) FROM json_each(");
    let keys: serde_json::Value = keys.iter().map(Value::to_json).collect();
    writer.bind(Parameter::Text(keys.to_string()));
    writer.put(") AS wanted");
    writer.statement
}

/// Writes one statement from front to back, so that parameters come in the order of the text.
pub(super) struct Writer<'a> {
    names: &'a Names,
    statement: Statement,
    aliases: u32,
    /// Keys of an order that a sub-select has as columns: its alias, the field, the key's place.
    sorted: Vec<(u32, Field, usize)>,
}

/// Appends formatted text to a writer.
macro_rules! sql {
    ($writer:expr, $($text:tt)*) => { $writer.append(format_args!($($text)*)) };
}
pub(super) use sql;

impl<'a> Writer<'a> {
    pub(super) fn new(names: &'a Names) -> Self {
        // Room for a question of a few levels.
        let statement = Statement { text: String::with_capacity(2_048), ..Statement::default() };
        Self { names, statement, aliases: 0, sorted: Vec::new() }
    }

    pub(super) fn finish(self) -> Statement {
        self.statement
    }

    pub(super) fn put(&mut self, text: &str) {
        self.statement.text.push_str(text);
    }

    pub(super) fn append(&mut self, text: fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = fmt::Write::write_fmt(&mut self.statement.text, text);
    }

    /// Writes a `?` for the value.
    pub(super) fn bind(&mut self, value: Parameter) {
        self.put("?");
        self.statement.parameters.push(value);
    }

    /// Writes a value. Doubles travel as JSON text, so that the store reads them by the same rule as the ones it holds.
    pub(super) fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.bind(Parameter::Null),
            Value::Bool(flag) => self.bind(Parameter::Int(i64::from(*flag))),
            Value::Int(number) => self.bind(Parameter::Int(*number)),
            Value::Float(_) => {
                self.put("(");
                self.bind(Parameter::Text(value.to_json().to_string()));
                self.put(" ->> '$')");
            }
            Value::Text(text) => self.bind(Parameter::Text(text.clone())),
            Value::List(_) | Value::Json(_) => self.bind(Parameter::Text(value.to_json().to_string())),
        }
    }

    fn alias(&mut self) -> u32 {
        self.aliases += 1;
        self.aliases
    }

    /// The key of a name; remembers when there is none.
    pub(super) fn key(&mut self, sort: names::NameOf, name: &str) -> i64 {
        let key = self.names.key(sort, name);
        self.statement.unknown_names |= key == names::UNKNOWN;
        key
    }

    /// Writes parts with an operator between them as a balanced tree, since the depth of an expression is limited in SQLite.
    fn joined<T>(&mut self, parts: &[T], operator: &str, write: &mut impl FnMut(&mut Self, &T)) {
        match parts {
            [] => {}
            [one] => write(self, one),
            _ => {
                let (left, right) = parts.split_at(parts.len() / 2);
                self.put("(");
                self.joined(left, operator, write);
                self.put(operator);
                self.joined(right, operator, write);
                self.put(")");
            }
        }
    }
}

/// A JSON path to a property, as an SQL literal. Names come from the ontology; quotes in them are escaped all the same.
pub(super) fn path(name: &str) -> Path<'_> {
    Path(name)
}

/// Shows a path.
pub(super) struct Path<'a>(&'a str);

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.0;
        let plain = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if plain {
            return write!(f, "'$.{name}'");
        }
        let quoted = serde_json::Value::from(name).to_string();
        write!(f, "'$.{}'", quoted.replace('\'', "''"))
    }
}
