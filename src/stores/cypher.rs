//! Cypher for reads, searches and changes, as Neo4j 5 speaks it: a guarded question in, text and parameters out. Pure.
//!
//! A whole subtree is one statement: the outcome of a read is an expression, `COLLECT { ... }`, which finds its records, orders and
//! limits them, and then returns one positional list per record; the outcomes of the levels below are items of that list. Names of
//! types and properties are part of the text, quoted; all values are parameters, so the text is stable for a shape of question and
//! the database reuses its plan.
//!
//! A type is its labels ([`Labels`]), a property is a property of the same name ([`stored`] says in which form), and what belongs to
//! the gateway begins with `_`, which no name of an ontology does: `_tenant` and `_key` (of parallel relationships), and what full
//! text needs, `_text` and `_scope` under the label `_Text`, and nodes `_Row` for the texts of rows ([`rows`]). Where a database is
//! served as others wrote it ([`Tenancy::Database`]) none of this is on their nodes: values are read as they hold them (`native`), and
//! nodes `_QuipuText` hold the texts.

use std::fmt;

use quipu_resolvers::read::Read;
use quipu_resolvers::value::Value;

pub mod adopt;
pub mod apply;
pub mod labels;
pub mod migrations;
mod native;
mod outcome;
mod predicate;
mod record;
pub mod rows;
pub mod schema;
pub mod search;
pub mod stored;
pub mod texts;
mod together;
mod window;

pub use labels::Labels;
use record::Enclosing;
pub use together::Question;

/// How the records of a tenant are told from those of others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tenancy {
    /// By the property `_tenant` of every node and relationship, which has this value.
    Property(String),
    /// The database holds nothing else: nodes and relationships are as others wrote them.
    Database,
}

/// What a statement is written for.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// Whose records.
    pub tenancy: &'a Tenancy,
    /// The labels of the types.
    pub labels: &'a Labels,
}

/// Text with the values of its parameters.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Statement {
    /// Cypher with `$name` for each parameter.
    pub text: String,
    /// Names and values.
    pub parameters: Vec<(String, Parameter)>,
}

/// A value that is bound, in the form in which the database holds it.
#[derive(Debug, Clone, PartialEq)]
pub enum Parameter {
    /// Null; as a property to set, it removes the property.
    Null,
    /// Boolean.
    Bool(bool),
    /// Integer.
    Int(i64),
    /// Double.
    Float(f64),
    /// Text.
    Text(String),
    /// List.
    List(Vec<Parameter>),
    /// Map by name.
    Map(Vec<(String, Parameter)>),
}

impl fmt::Display for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, items: &mut dyn Iterator<Item = String>| {
            f.write_str(&items.collect::<Vec<_>>().join(", "))
        };
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(flag) => write!(f, "{flag}"),
            Self::Int(number) => write!(f, "{number}"),
            Self::Float(number) => write!(f, "{number:?}"),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::List(items) => {
                f.write_str("[")?;
                list(f, &mut items.iter().map(Parameter::to_string))?;
                f.write_str("]")
            }
            Self::Map(entries) => {
                f.write_str("{")?;
                list(f, &mut entries.iter().map(|(name, value)| format!("{name}: {value}")))?;
                f.write_str("}")
            }
        }
    }
}

impl From<&str> for Parameter {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// A read at the root: one row with one column, `o`, the outcome.
pub fn read(read: &Read, scope: Scope<'_>) -> Statement {
    Question::new(read, scope).into_alone()
}

/// A read by keys: one row per key with the columns `i`, the position of the key from 0, and `o`, its outcome.
pub fn read_many(read: &Read, keys: &[Value], scope: Scope<'_>) -> Statement {
    let mut writer = Writer::new(scope);
    let keys = Parameter::List(keys.iter().map(stored::parameter).collect());
    writer.put("UNWIND range(0, size($keys) - 1) AS i WITH i, $keys[i] AS wanted RETURN i, ");
    writer.outcome(read, Enclosing::Key);
    writer.put(" AS o");
    writer.statement.parameters.push(("keys".to_owned(), keys));
    writer.finish()
}

/// Writes one statement from front to back.
struct Writer<'a> {
    scope: Scope<'a>,
    statement: Statement,
    /// Values of the question: where each stands in the text, and which parameter it is.
    values: Vec<(usize, usize)>,
    aliases: u32,
}

/// Appends formatted text to a writer.
macro_rules! cypher {
    ($writer:expr, $($text:tt)*) => { $writer.append(format_args!($($text)*)) };
}
use cypher;

impl<'a> Writer<'a> {
    fn new(scope: Scope<'a>) -> Self {
        // Room for a question of a few levels.
        let text = String::with_capacity(2_048);
        let mut parameters = Vec::with_capacity(8);
        if let Tenancy::Property(tenant) = scope.tenancy {
            parameters.push(("t".to_owned(), Parameter::Text(tenant.clone())));
        }
        Self { scope, statement: Statement { text, parameters }, values: Vec::with_capacity(8), aliases: 0 }
    }

    fn finish(self) -> Statement {
        self.statement
    }

    fn finish_with_values(self) -> (Statement, Vec<(usize, usize)>) {
        (self.statement, self.values)
    }

    fn put(&mut self, text: &str) {
        self.statement.text.push_str(text);
    }

    fn append(&mut self, text: fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = fmt::Write::write_fmt(&mut self.statement.text, text);
    }

    /// Writes a `$name` for a value of the question.
    fn bind(&mut self, value: Parameter) {
        self.values.push((self.statement.text.len(), self.statement.parameters.len()));
        self.bind_fixed(value);
    }

    /// Writes a `$name` for a value that no row can have, like a limit.
    fn bind_fixed(&mut self, value: Parameter) {
        // The names count the values of the question alone.
        let number = self.statement.parameters.len();
        cypher!(self, "$p{number}");
        self.statement.parameters.push((format!("p{number}"), value));
    }

    fn alias(&mut self) -> u32 {
        self.aliases += 1;
        self.aliases
    }

    /// True when records carry their tenant.
    fn by_property(&self) -> bool {
        matches!(self.scope.tenancy, Tenancy::Property(_))
    }

    /// Writes parts with an operator between them as a balanced tree, since parsers recurse.
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

/// A name in the text.
pub(super) fn quoted(name: &str) -> Quoted<'_> {
    Quoted(name)
}

/// Shows a name in backticks, where it needs them. Backticks inside are doubled; a backslash is written as its escape, because Cypher
/// reads `\u0060` as a backtick wherever it stands.
pub(super) struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.0;
        let plain = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if plain {
            // Backticks also where a name could be a word of the language.
            return write!(f, "`{name}`");
        }
        write!(f, "`{}`", name.replace('\\', "\\u005C").replace('`', "``"))
    }
}
