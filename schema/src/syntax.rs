//! The SDL as a tree of owned words, each with its place: what the parser hands to the other stages.

use std::collections::HashSet;

use crate::problem::Span;

/// A word of the text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Word {
    pub text: String,
    pub span: Span,
}

/// What a definition defines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sort {
    Object,
    Interface,
    Union,
    Enum,
}

impl Sort {
    /// The word of the SDL.
    pub fn keyword(self) -> &'static str {
        match self {
            Self::Object => "type",
            Self::Interface => "interface",
            Self::Union => "union",
            Self::Enum => "enum",
        }
    }

    /// The noun for messages.
    pub fn noun(self) -> &'static str {
        match self {
            Self::Object => "a type",
            Self::Interface => "an interface",
            Self::Union => "a union",
            Self::Enum => "an enum",
        }
    }
}

/// The definitions of one text.
#[derive(Debug, Clone, Default)]
pub(crate) struct Document {
    pub definitions: Vec<Definition>,
    /// The syntax is so broken that names may be missing.
    pub damaged: bool,
    /// Names of definitions that were reported and dropped.
    pub refused: Vec<String>,
}

/// One definition, or an extension of one.
#[derive(Debug, Clone)]
pub(crate) struct Definition {
    pub sort: Sort,
    pub extends: bool,
    pub built_in: bool,
    /// A syntax error lies inside: what it seems to say is not judged.
    pub damaged: bool,
    pub name: Word,
    pub description: Option<String>,
    pub interfaces: Vec<Word>,
    pub directives: Vec<Directive>,
    pub fields: Vec<Field>,
    /// Members of a union.
    pub members: Vec<Word>,
    /// Values of an enum.
    pub values: Vec<Choice>,
}

/// A field of a type or interface.
#[derive(Debug, Clone)]
pub(crate) struct Field {
    pub name: Word,
    pub description: Option<String>,
    pub ty: Type,
    pub directives: Vec<Directive>,
    /// Where its arguments stand, if it has any.
    pub arguments: Option<Span>,
}

/// The type of a field.
#[derive(Debug, Clone)]
pub(crate) struct Type {
    pub name: Word,
    /// Square brackets around the name: 0, 1, or more than is supported.
    pub depth: usize,
    /// `!` on the outside.
    pub required: bool,
    /// `!` on the items of a list.
    pub item_required: bool,
    pub span: Span,
}

/// A value of an enum.
#[derive(Debug, Clone)]
pub(crate) struct Choice {
    pub name: Word,
    pub description: Option<String>,
    pub directives: Vec<Directive>,
}

/// A directive with its arguments.
#[derive(Debug, Clone)]
pub(crate) struct Directive {
    pub name: Word,
    pub arguments: Vec<Argument>,
    pub span: Span,
}

/// An argument of a directive, or a field of an object value.
#[derive(Debug, Clone)]
pub(crate) struct Argument {
    pub name: Word,
    pub value: Literal,
}

/// A value written in the text.
#[derive(Debug, Clone)]
pub(crate) struct Literal {
    pub value: Lit,
    pub span: Span,
}

/// The sorts of written values.
#[derive(Debug, Clone)]
pub(crate) enum Lit {
    Null,
    Bool(bool),
    Int(String),
    Float(String),
    Text(String),
    Enum(String),
    List(Vec<Literal>),
    Object(Vec<Argument>),
}

impl Lit {
    /// What it is, for messages.
    pub fn noun(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Int(_) => "an integer",
            Self::Float(_) => "a decimal number",
            Self::Text(_) => "a string",
            Self::Enum(_) => "a bare word",
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
        }
    }
}

/// Makes problems about a definition point nowhere: it is not the user's.
pub(crate) fn forget_places(definition: &mut Definition) {
    let directives = |directives: &mut Vec<Directive>| {
        for directive in directives {
            (directive.span, directive.name.span) = (Span::NOWHERE, Span::NOWHERE);
            directive.arguments.iter_mut().for_each(|argument| argument.value.span = Span::NOWHERE);
        }
    };
    definition.name.span = Span::NOWHERE;
    directives(&mut definition.directives);
    for field in &mut definition.fields {
        (field.name.span, field.ty.span, field.ty.name.span) = (Span::NOWHERE, Span::NOWHERE, Span::NOWHERE);
        directives(&mut field.directives);
    }
}

/// The directive of that name among some.
pub(crate) fn find<'d>(directives: &'d [Directive], name: &str) -> Option<&'d Directive> {
    directives.iter().find(|directive| directive.name.text == name)
}

/// The words that were there before, each time they come again.
pub(crate) fn repeated<'w>(words: impl Iterator<Item = &'w Word>) -> impl Iterator<Item = &'w Word> {
    let mut seen = HashSet::new();
    words.filter(move |word| !seen.insert(word.text.as_str()))
}

impl Directive {
    /// The written value of an argument; a written `null` counts as absent.
    pub fn argument(&self, name: &str) -> Option<&Literal> {
        let argument = self.arguments.iter().find(|argument| argument.name.text == name)?;
        (!matches!(argument.value.value, Lit::Null)).then_some(&argument.value)
    }

    /// A string argument with its place.
    pub fn text(&self, name: &str) -> Option<(&str, Span)> {
        self.argument(name).and_then(Literal::text)
    }

    /// A boolean argument.
    pub fn flag(&self, name: &str) -> Option<bool> {
        match self.argument(name)?.value {
            Lit::Bool(flag) => Some(flag),
            _ => None,
        }
    }

    /// An integer argument that is not negative, with its place.
    pub fn number(&self, name: &str) -> Option<(u32, Span)> {
        let literal = self.argument(name)?;
        match &literal.value {
            Lit::Int(digits) => digits.parse().ok().map(|number| (number, literal.span)),
            _ => None,
        }
    }

    /// The items of a list argument; a single value is a list of one, as everywhere in GraphQL.
    pub fn items(&self, name: &str) -> &[Literal] {
        self.argument(name).map_or(&[], Literal::items)
    }
}

impl Literal {
    /// The string, with its place.
    pub fn text(&self) -> Option<(&str, Span)> {
        match &self.value {
            Lit::Text(text) => Some((text, self.span)),
            _ => None,
        }
    }

    /// The bare word.
    pub fn word(&self) -> Option<&str> {
        match &self.value {
            Lit::Enum(word) => Some(word),
            _ => None,
        }
    }

    /// The fields of an object.
    pub fn fields(&self) -> Option<&[Argument]> {
        match &self.value {
            Lit::Object(fields) => Some(fields),
            _ => None,
        }
    }

    /// The items of a list, or the value as the only item.
    pub fn items(&self) -> &[Literal] {
        match &self.value {
            Lit::List(items) => items,
            _ => std::slice::from_ref(self),
        }
    }
}

impl Definition {
    /// The field of that name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name.text == name)
    }
}
