//! Several reads of one shape as one statement.
//!
//! Reads have one shape when their statements differ in the values of the question alone, not in their text. Then one statement does for
//! all of them: it goes through a list with the values of each, and asks with `asked[0]` where it would have asked with `$p1`. How many
//! records are passed over and wanted at most has to be the same, since Cypher takes no value of a row for these; so is the tenant, which
//! stays a parameter.

use std::fmt::Write as _;

use quipu_resolvers::read::Read;

use super::outcome::has_figures;
use super::record::Enclosing;
use super::{Parameter, Scope, Statement, Writer};

/// What every statement of a read at the root begins with.
const BEGIN: &str = "RETURN ";

/// A read at the root that can be asked alone, or together with others of its shape.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    alone: Statement,
    /// The values in the order of the text: where each stands, and which parameter it is.
    values: Vec<(usize, usize)>,
    has_figures: bool,
}

impl Question {
    /// A read at the root.
    pub fn new(read: &Read, scope: Scope<'_>) -> Self {
        let mut writer = Writer::new(scope);
        writer.put(BEGIN);
        writer.outcome(read, Enclosing::Nothing);
        writer.put(" AS o");
        let (alone, values) = writer.finish_with_values();
        Self { alone, values, has_figures: has_figures(read) }
    }

    /// Whether it can be asked together with others. What computes figures cannot: beside an aggregate, Cypher takes no value of a row
    /// from further out.
    pub fn is_for_several(&self) -> bool {
        !self.has_figures
    }

    /// The statement that asks it alone: one row with one column, `o`, the outcome.
    pub fn alone(&self) -> &Statement {
        &self.alone
    }

    /// The same.
    pub fn into_alone(self) -> Statement {
        self.alone
    }

    /// What has to be the same for questions to be asked together: the tenant, the text, and how many records are wanted.
    pub fn shape(&self, tenant: &str) -> String {
        let mut shape = String::with_capacity(tenant.len() + self.alone.text.len() + 64);
        shape.push_str(tenant);
        shape.push('\n');
        shape.push_str(&self.alone.text);
        for (name, value) in self.common() {
            // Writing to a string cannot fail.
            let _ = write!(shape, "\n{name}: {value}");
        }
        shape
    }

    /// Its values, in the order of the text.
    pub fn values(&self) -> impl Iterator<Item = &Parameter> {
        self.values.iter().filter_map(|(_, number)| self.alone.parameters.get(*number)).map(|(_, value)| value)
    }

    /// Asks several questions of one shape: one row for each with the columns `i`, its position from 0, and `o`, its outcome.
    pub fn together(questions: &[&Self]) -> Statement {
        let Some(first) = questions.first() else { return Statement::default() };
        let alone = &first.alone.text;
        let mut text = String::with_capacity(alone.len() + 128);
        text.push_str("UNWIND range(0, size($asked) - 1) AS i WITH i, $asked[i] AS asked RETURN i, ");
        let mut from = BEGIN.len();
        for (place, (at, number)) in first.values.iter().enumerate() {
            text.push_str(&alone[from..*at]);
            let _ = write!(text, "asked[{place}]");
            from = at + "$".len() + first.alone.parameters[*number].0.len();
        }
        text.push_str(&alone[from..]);
        let asked = questions.iter().map(|question| Parameter::List(question.values().cloned().collect()));
        let asked = ("asked".to_owned(), Parameter::List(asked.collect()));
        let parameters = first.common().map(Clone::clone).chain([asked]).collect();
        Statement { text, parameters }
    }

    /// The parameters that are not among the values.
    fn common(&self) -> impl Iterator<Item = &(String, Parameter)> {
        // Values are numbered in the order of the text.
        let is_value = |number: usize| self.values.binary_search_by_key(&number, |(_, value)| *value).is_ok();
        self.alone.parameters.iter().enumerate().filter(move |(number, _)| !is_value(*number)).map(|(_, named)| named)
    }
}
