//! SQL for reads: a guarded question in, text and parameters out. Pure.
//!
//! A whole subtree is one statement. For SQLite each level finds its records first, in order and limited, in a sub-select that carries
//! only their integer keys, and then takes the picks of those records as `json_array(...)`; nested levels are scalar sub-selects among
//! the picks. Postgres puts off by itself what is costly until the records are found, so there one sub-select does both. What else the
//! two say in other words is in `dialect.rs`. The tenant's and the types' integer keys and the names of properties are part of the text, all other values are
//! parameters, so the text is stable for a shape of question and a database can reuse its plan.

use std::fmt;

use quipu_resolvers::read::{Field, Read, Via};
use quipu_resolvers::value::Value;

pub mod apart;
mod at_once;
mod dialect;
pub mod mapped;
pub mod names;
mod outcome;
mod predicate;
mod record;
pub mod search;
mod window;

pub use dialect::Dialect;
use names::Names;
use record::{Enclosing, Record};

/// Text with the values of its parameters, in order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Statement {
    /// SQL with `?`, or `$1` and so on, for each parameter.
    pub text: String,
    /// The values.
    pub parameters: Vec<Parameter>,
    /// True when a type was named that the store has no key for (yet).
    pub unknown_names: bool,
    /// True when tables of others are read.
    pub foreign: bool,
    /// True when the policies of such a table have to know the tenant's name.
    pub shows_name: bool,
    /// What a client may know of why the statement cannot be run: a table of others is not what it has to be.
    pub broken: Option<String>,
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
    /// A list of texts, null among them.
    Texts(Vec<Option<String>>),
}

impl fmt::Display for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Int(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(text),
            Self::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
            Self::Texts(texts) => write!(f, "{}", serde_json::json!(texts)),
        }
    }
}

impl Dialect {
    /// A read at the root: one row with one column, the outcome as JSON (or null).
    pub fn read(self, read: &Read, names: &Names) -> Statement {
        let mut writer = Writer::new(self, names);
        writer.outcome(read, Enclosing::Nothing);
        writer.statement
    }

    /// A read by keys: one row with one column, the JSON list of one outcome per key, in the order of the keys.
    pub fn read_many(self, read: &Read, keys: &[Value], names: &Names) -> Statement {
        let mut writer = Writer::new(self, names);
        let possible;
        let keys = match (&read.via, read.targets.as_slice()) {
            (Via::Key { remote, .. }, [target]) if !names.tables.is_empty() => {
                let kind = Some(names.key(record::sort_of(read.place), &target.of));
                let sought = Record { place: read.place, alias: 0, edge: None, carried: false, kind };
                possible = writer.possible_keys(remote, &sought, keys);
                &possible
            }
            _ => keys,
        };
        writer.per_key(keys, |writer| writer.outcome(read, Enclosing::Key));
        writer.statement
    }
}

/// Writes one statement from front to back, so that parameters come in the order of the text.
pub(super) struct Writer<'a> {
    dialect: Dialect,
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
    pub(super) fn new(dialect: Dialect, names: &'a Names) -> Self {
        // Room for a question of a few levels.
        let statement = Statement { text: String::with_capacity(2_048), ..Statement::default() };
        Self { dialect, names, statement, aliases: 0, sorted: Vec::new() }
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

    /// Writes a place for the value.
    pub(super) fn bind(&mut self, value: Parameter) {
        self.statement.parameters.push(value);
        match self.dialect {
            Dialect::Sqlite => self.put("?"),
            Dialect::Postgres => sql!(self, "${}", self.statement.parameters.len()),
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

/// A JSON path to a property as SQLite takes it, an SQL literal.
pub(super) fn path(name: &str) -> Path<'_> {
    Path(name, Dialect::Sqlite)
}

/// Shows the way to a property. Names come from the ontology; quotes in them are escaped all the same.
pub(super) struct Path<'a>(&'a str, Dialect);

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.0;
        if self.1 == Dialect::Postgres {
            return write!(f, "'{}'", name.replace('\'', "''"));
        }
        let plain = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if plain {
            return write!(f, "'$.{name}'");
        }
        let quoted = serde_json::Value::from(name).to_string();
        write!(f, "'$.{}'", quoted.replace('\'', "''"))
    }
}
