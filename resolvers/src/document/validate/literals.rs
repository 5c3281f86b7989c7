//! Literals (5.6.1, 5.6.2, 5.6.4): the same rules as coercion's, before variables have values.

use std::fmt;

use async_graphql::parser::types::VariableDefinition;
use async_graphql::{Pos, Positioned};
use async_graphql_value::Value as Literal;
use quipu_schema::api::{EnumDef, InputDef, TypeDef, TypeRef};
use quipu_schema::ontology::Scalar;

use super::selections::Walk;
use super::variables::Use;
use crate::value::coerce;

/// Where in an argument or default a literal stands.
pub(super) struct Path<'p> {
    parent: Option<&'p Path<'p>>,
    step: Step<'p>,
    at: Pos,
}

#[derive(Clone, Copy)]
enum Step<'p> {
    Argument(&'p str),
    Variable(&'p str),
    Key(&'p str),
    Item(usize),
}

impl<'p> Path<'p> {
    /// The value of an argument.
    pub(super) fn argument(name: &'p str, at: Pos) -> Self {
        Self { parent: None, step: Step::Argument(name), at }
    }

    fn below(&'p self, step: Step<'p>) -> Path<'p> {
        Path { parent: Some(self), step, at: self.at }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            write!(f, "{parent}")?;
        }
        match self.step {
            Step::Argument(name) => write!(f, "argument {name}: "),
            Step::Variable(name) => write!(f, "default of ${name}: "),
            Step::Key(name) => write!(f, "{name}: "),
            Step::Item(number) => write!(f, "[{number}]: "),
        }
    }
}

impl<'a> Walk<'_, 'a> {
    /// Checks the default of a variable.
    pub(super) fn default(
        &mut self,
        value: &'a Literal,
        ty: &'a TypeRef,
        definition: &'a Positioned<VariableDefinition>,
    ) {
        let path = Path { parent: None, step: Step::Variable(definition.node.name.node.as_str()), at: definition.pos };
        self.literal(value, ty, false, &path);
    }

    /// Checks a literal in a place of that type, which has a default or not, and notes the variables in it.
    pub(super) fn literal(&mut self, value: &'a Literal, ty: &'a TypeRef, default: bool, path: &Path<'_>) {
        match (value, ty) {
            (Literal::Variable(name), _) => {
                let place = Some((ty, default));
                self.part.uses.push(Use { name: name.as_str(), at: path.at, place });
            }
            (Literal::Null, TypeRef::NonNull(_)) => {
                self.report.add(path.at, format!("{path}expected {ty}, found null"));
            }
            (value, TypeRef::NonNull(inner)) => self.literal(value, inner, false, path),
            (Literal::Null, _) => {}
            (Literal::List(items), TypeRef::List(item)) => {
                for (number, value) in items.iter().enumerate() {
                    self.literal(value, item, false, &path.below(Step::Item(number)));
                }
            }
            (single, TypeRef::List(item)) => self.literal(single, item, false, path),
            (value, TypeRef::Named(name)) => self.named(value, name, path),
        }
    }

    fn named(&mut self, value: &'a Literal, name: &str, path: &Path<'_>) {
        match (self.known.get(name), value) {
            (Some(TypeDef::Input(def)), Literal::Object(_)) => self.object(value, def, path),
            (Some(TypeDef::Enum(def)), Literal::Enum(word)) => self.word(word.as_str(), def, path),
            (Some(TypeDef::Scalar { scalar, .. }), value) => self.scalar(value, scalar, name, path),
            (_, other) => {
                self.report.add(path.at, format!("{path}expected {name}, found {}", kind(other)));
                self.variables(other, path.at);
            }
        }
    }

    fn object(&mut self, value: &'a Literal, def: &'a InputDef, path: &Path<'_>) {
        let Literal::Object(given) = value else { return };
        for (key, value) in given {
            match def.fields.get(key.as_str()) {
                Some(field) => {
                    let path = path.below(Step::Key(key.as_str()));
                    self.literal(value, &field.ty, field.default.is_some(), &path);
                }
                None => {
                    let message = format!("{path}{} has no field {:?}", def.name, key.as_str());
                    self.report.unknown(path.at, message, key.as_str(), def.fields.keys().map(String::as_str));
                    self.variables(value, path.at);
                }
            }
        }
        let required = def.fields.values().filter(|field| field.ty.is_required() && field.default.is_none());
        for field in required.filter(|field| !given.contains_key(field.name.as_str())) {
            let message = format!("{path}{}: a value of type {} is required", field.name, field.ty);
            self.report.add(path.at, message);
        }
    }

    fn word(&mut self, word: &str, def: &'a EnumDef, path: &Path<'_>) {
        if !def.values.iter().any(|value| value.name == word) {
            let message = format!("{path}{} has no value {word}", def.name);
            self.report.unknown(path.at, message, word, def.values.iter().map(|value| value.name.as_str()));
        }
    }

    fn scalar(&mut self, value: &'a Literal, scalar: &Scalar, name: &str, path: &Path<'_>) {
        let wrong = match value {
            Literal::Enum(word) => Some(format!("expected {name}, found the enum value {word}")),
            _ => coerce::scalar(scalar, value).err(),
        };
        if let Some(wrong) = wrong {
            self.report.add(path.at, format!("{path}{wrong}"));
        }
        self.variables(value, path.at);
    }

    /// Notes the variables of values whose type is not known.
    pub(super) fn untyped(&mut self, values: impl Iterator<Item = &'a Positioned<Literal>>) {
        for value in values {
            self.variables(&value.node, value.pos);
        }
    }

    fn variables(&mut self, value: &'a Literal, at: Pos) {
        match value {
            Literal::Variable(name) => self.part.uses.push(Use { name: name.as_str(), at, place: None }),
            Literal::List(items) => items.iter().for_each(|item| self.variables(item, at)),
            Literal::Object(fields) => fields.values().for_each(|item| self.variables(item, at)),
            _ => {}
        }
    }
}

fn kind(value: &Literal) -> &'static str {
    match value {
        Literal::Variable(_) => "a variable",
        Literal::Null => "null",
        Literal::Boolean(_) => "a boolean",
        Literal::Number(_) => "a number",
        Literal::String(_) => "a string",
        Literal::Enum(_) => "an enum value",
        Literal::List(_) => "a list",
        Literal::Object(_) => "an object",
        Literal::Binary(_) => "bytes",
    }
}
