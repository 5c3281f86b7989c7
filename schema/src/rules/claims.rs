//! Conditions on the caller's claims: `jwt: {roles: {includes: "admin"}}`, and `"$jwt.path"` in operands.

use super::{complain, once};
use crate::policy::{Condition, Operand, Operator};
use crate::problem::Problems;
use crate::syntax::{Argument, Lit, Literal};
use crate::values;

/// The operators, by the word of filters.
pub(super) const OPERATORS: [(&str, Operator); 10] = [
    ("eq", Operator::Eq),
    ("in", Operator::In),
    ("lt", Operator::Lt),
    ("lte", Operator::Lte),
    ("gt", Operator::Gt),
    ("gte", Operator::Gte),
    ("contains", Operator::Contains),
    ("startsWith", Operator::StartsWith),
    ("endsWith", Operator::EndsWith),
    ("includes", Operator::Includes),
];

/// The operator of that word.
pub(super) fn operator(word: &str) -> Option<Operator> {
    OPERATORS.iter().find(|(name, _)| *name == word).map(|(_, operator)| *operator)
}

/// Compiles a condition on claims. Claims are not declared, so every path is possible.
pub(super) fn condition(written: &Literal, problems: &mut Problems) -> Condition {
    inside(written, &[], problems)
}

fn inside(written: &Literal, path: &[String], problems: &mut Problems) -> Condition {
    let Some(fields) = written.fields() else {
        let help = "for example `{roles: {includes: \"admin\"}}`";
        complain(
            problems,
            written.span,
            format!("a condition on claims is an object, not {}", written.value.noun()),
            help,
        );
        return Condition::All(Vec::new());
    };
    if fields.is_empty() {
        complain(
            problems,
            written.span,
            "the condition is empty".to_owned(),
            "for example `{roles: {includes: \"admin\"}}`",
        );
    }
    once(fields, problems);
    let conditions = fields.iter().map(|field| one(field, path, problems)).collect();
    all(conditions)
}

fn one(field: &Argument, path: &[String], problems: &mut Problems) -> Condition {
    let (name, value) = (field.name.text.as_str(), &field.value);
    match name {
        "AND" => Condition::All(value.items().iter().map(|item| inside(item, path, problems)).collect()),
        "OR" => Condition::Any(value.items().iter().map(|item| inside(item, path, problems)).collect()),
        "NOT" => Condition::Not(Box::new(inside(value, path, problems))),
        _ => match operator(name) {
            Some(operator) if !path.is_empty() => {
                Condition::Claim { path: path.to_vec(), operator, operand: operand(value, operator, problems) }
            }
            _ => {
                let deeper: Vec<String> = path.iter().cloned().chain([name.to_owned()]).collect();
                inside(value, &deeper, problems)
            }
        },
    }
}

/// The right side of a comparison with a claim, whose type nobody declares.
fn operand(value: &Literal, operator: Operator, problems: &mut Problems) -> Operand {
    if let Some(claim) = claim(value, problems) {
        return claim;
    }
    match &value.value {
        Lit::List(items) => Operand::List(items.iter().map(|item| operand(item, Operator::Eq, problems)).collect()),
        Lit::Null if operator != Operator::Eq => {
            complain(problems, value.span, "only `eq` takes null".to_owned(), "");
            Operand::Value(serde_json::Value::Null)
        }
        _ if operator == Operator::In => {
            complain(problems, value.span, "`in` takes a list".to_owned(), "put the value in square brackets");
            Operand::List(Vec::new())
        }
        _ => match values::coerce(value, &crate::ontology::Scalar::Json, &Default::default()) {
            Ok(value) => Operand::Value(value),
            Err(misfit) => {
                complain(problems, value.span, misfit.message, &misfit.help.unwrap_or_default());
                Operand::Value(serde_json::Value::Null)
            }
        },
    }
}

/// `"$jwt.path.to.claim"` as an operand; `\.` is a dot inside a name. Other texts are none.
pub(super) fn claim(value: &Literal, problems: &mut Problems) -> Option<Operand> {
    let (text, place) = value.text()?;
    if text.starts_with("$context") {
        complain(problems, place, "there is no `$context` here".to_owned(), "use a claim, like \"$jwt.sub\"");
        return Some(Operand::Claim(Vec::new()));
    }
    let rest = text.strip_prefix("$jwt")?;
    let path = rest.strip_prefix('.').map(segments).unwrap_or_default();
    if path.is_empty() || path.iter().any(String::is_empty) {
        complain(problems, place, format!("`{text}` names no claim"), "for example \"$jwt.sub\"");
    }
    Some(Operand::Claim(path))
}

/// The steps of a path into the claims; `\.` is a dot inside a name.
pub(super) fn segments(path: &str) -> Vec<String> {
    let mut segments = vec![String::new()];
    let mut letters = path.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' if letters.next_if_eq(&'.').is_some() => segments.last_mut().into_iter().for_each(|s| s.push('.')),
            '.' => segments.push(String::new()),
            other => segments.last_mut().into_iter().for_each(|segment| segment.push(other)),
        }
    }
    segments
}

/// All conditions of an object; a single one stands for itself.
pub(super) fn all(mut conditions: Vec<Condition>) -> Condition {
    match conditions.len() {
        1 => conditions.remove(0),
        _ => Condition::All(conditions),
    }
}
