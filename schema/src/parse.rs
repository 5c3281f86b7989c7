//! Text to tree: `apollo-parser` reads the SDL with limits, and its tree becomes ours.

use apollo_parser::cst::{self, CstNode};
use apollo_parser::{Error, Parser, SyntaxNode};

use crate::names;
use crate::problem::{Code, Problems, Span};
use crate::syntax::{Argument, Choice, Definition, Directive, Document, Field, Lit, Literal, Sort, Type, Word};

mod errors;

/// Largest text that is read, in bytes.
pub const MAX_BYTES: usize = 1 << 20;
/// Most tokens that are read.
const MAX_TOKENS: usize = 200_000;
/// Most definitions: each becomes a dozen types of the API.
const MAX_DEFINITIONS: usize = 1_000;
/// Most fields of all definitions together: a relationship becomes a dozen types of the API.
const MAX_FIELDS: usize = 10_000;
/// Deepest nesting of values and types.
const MAX_DEPTH: usize = 64;

/// Reads the definitions of a text. Syntax errors become problems; definitions near them are marked as damaged.
pub(crate) fn parse(sdl: &str, problems: &mut Problems) -> Document {
    if sdl.len() > MAX_BYTES {
        let message = format!("the ontology has {} bytes, more than the {MAX_BYTES} that are read", sdl.len());
        problems.add(Code::Limit, Span::default(), message);
        return Document { damaged: true, ..Document::default() };
    }
    let tree = Parser::new(sdl).recursion_limit(MAX_DEPTH).token_limit(MAX_TOKENS).parse();
    let errors: Vec<_> = tree.errors().filter(|error| error.message() != "Unexpected <EOF>.").cloned().collect();
    let mut document = Document { damaged: !errors.is_empty(), ..Document::default() };
    errors::report(sdl, &errors, problems);
    if errors.iter().any(Error::is_limit) {
        return document;
    }
    let mut places: Vec<usize> = errors.iter().map(Error::index).collect();
    places.extend(errors::without_value(tree.document().syntax(), problems));
    places.sort_unstable();
    let definitions: Vec<_> = tree.document().definitions().collect();
    let starts: Vec<usize> = definitions.iter().map(|definition| span(definition.syntax()).start).collect();
    for (at, definition) in definitions.into_iter().enumerate() {
        // What comes after a definition and before the next may be the rest of it that could not be read.
        let reach = starts[at]..starts.get(at + 1).copied().unwrap_or(sdl.len() + 1);
        let first = places.partition_point(|place| *place < reach.start);
        let damaged = places.get(first).is_some_and(|place| reach.contains(place));
        if let Some(read) = read(definition, &mut document, problems) {
            document.definitions.push(Definition { damaged, ..read });
        }
    }
    bounded(document, problems)
}

/// Drops what is more than an ontology may hold.
fn bounded(mut document: Document, problems: &mut Problems) -> Document {
    let fields = document.definitions.iter().map(|definition| definition.fields.len()).sum::<usize>();
    let count = document.definitions.len();
    for (number, most, what) in [(count, MAX_DEFINITIONS, "definitions"), (fields, MAX_FIELDS, "fields")] {
        if number > most {
            let message = format!("the ontology has {number} {what}, more than the {most} that are read");
            problems.add(Code::Limit, Span::default(), message);
            document = Document { damaged: true, ..Document::default() };
        }
    }
    document
}

fn read(definition: cst::Definition, document: &mut Document, problems: &mut Problems) -> Option<Definition> {
    use cst::Definition as D;
    let name = definition.name().and_then(word);
    let (what, help) = match &definition {
        D::ObjectTypeDefinition(d) => return object(Sort::Object, false, d.syntax()),
        D::ObjectTypeExtension(d) => return object(Sort::Object, true, d.syntax()),
        D::InterfaceTypeDefinition(d) => return object(Sort::Interface, false, d.syntax()),
        D::InterfaceTypeExtension(d) => return object(Sort::Interface, true, d.syntax()),
        D::UnionTypeDefinition(d) => return object(Sort::Union, false, d.syntax()),
        D::UnionTypeExtension(d) => return object(Sort::Union, true, d.syntax()),
        D::EnumTypeDefinition(d) => return object(Sort::Enum, false, d.syntax()),
        D::EnumTypeExtension(d) => return object(Sort::Enum, true, d.syntax()),
        // Many a schema declares the scalars that are built in here.
        D::ScalarTypeDefinition(_) if name.as_ref().is_some_and(|n| names::scalar(&n.text).is_some()) => return None,
        // Braces without a word before them are what a syntax error left over.
        D::OperationDefinition(d) if document.damaged && d.operation_type().is_none() => return None,
        D::ScalarTypeDefinition(_) | D::ScalarTypeExtension(_) => {
            ("custom scalars", "use ID, String, Int, Float, Boolean, BigInt, DateTime, Date or JSON")
        }
        D::InputObjectTypeDefinition(_) | D::InputObjectTypeExtension(_) => {
            ("input types", "remove it: the inputs of the API are generated")
        }
        D::DirectiveDefinition(_) => ("directive definitions", "remove it: the directives are built in"),
        D::SchemaDefinition(_) | D::SchemaExtension(_) => {
            ("schema definitions", "remove it: the root types of the API are generated")
        }
        D::OperationDefinition(_) | D::FragmentDefinition(_) => {
            ("queries", "an ontology holds types only; send queries to the API")
        }
    };
    let place = name.as_ref().map_or_else(|| span(definition.syntax()), |name| name.span);
    problems.add(Code::Unsupported, place, format!("{what} are not part of an ontology")).help(help);
    document.refused.extend(name.map(|name| name.text));
    None
}

/// Objects, interfaces, unions and enums differ only in which of these parts they have.
fn object(sort: Sort, extends: bool, node: &SyntaxNode) -> Option<Definition> {
    Some(Definition {
        sort,
        extends,
        built_in: false,
        damaged: false,
        name: word(child::<cst::Name>(node)?)?,
        description: description(node),
        interfaces: names(child::<cst::ImplementsInterfaces>(node).map(|list| list.named_types())),
        directives: directives(node),
        fields: each(child::<cst::FieldsDefinition>(node).map(|list| list.field_definitions()), field),
        members: names(child::<cst::UnionMemberTypes>(node).map(|list| list.named_types())),
        values: each(child::<cst::EnumValuesDefinition>(node).map(|list| list.enum_value_definitions()), choice),
    })
}

fn field(field: cst::FieldDefinition) -> Option<Field> {
    Some(Field {
        name: word(field.name()?)?,
        description: description(field.syntax()),
        ty: ty(field.ty()?)?,
        directives: directives(field.syntax()),
        arguments: field.arguments_definition().map(|arguments| span(arguments.syntax())),
    })
}

fn choice(value: cst::EnumValueDefinition) -> Option<Choice> {
    Some(Choice {
        name: word(value.enum_value()?.name()?)?,
        description: description(value.syntax()),
        directives: directives(value.syntax()),
    })
}

fn ty(written: cst::Type) -> Option<Type> {
    let whole = span(written.syntax());
    let outer = matches!(written, cst::Type::NonNullType(_));
    let (mut current, mut depth, mut required) = (written, 0, false);
    loop {
        let name = match current {
            cst::Type::NamedType(named) => named,
            cst::Type::ListType(list) => {
                (depth, required) = (depth + 1, false);
                current = list.ty()?;
                continue;
            }
            cst::Type::NonNullType(inner) => {
                required = true;
                match inner.list_type() {
                    Some(list) => {
                        current = cst::Type::ListType(list);
                        continue;
                    }
                    None => inner.named_type()?,
                }
            }
        };
        let name = word(name.name()?)?;
        return Some(Type { name, depth, required: outer, item_required: depth > 0 && required, span: whole });
    }
}

fn directives(node: &SyntaxNode) -> Vec<Directive> {
    each(child::<cst::Directives>(node).map(|list| list.directives()), |directive| {
        Some(Directive {
            name: word(directive.name()?)?,
            arguments: each(directive.arguments().map(|list| list.arguments()), |argument| {
                Some(Argument { name: word(argument.name()?)?, value: literal(argument.value()?)? })
            }),
            span: span(directive.syntax()),
        })
    })
}

fn literal(value: cst::Value) -> Option<Literal> {
    let place = span(value.syntax());
    let written = value.syntax().text().to_string();
    let value = match value {
        cst::Value::Variable(_) => return None,
        cst::Value::NullValue(_) => Lit::Null,
        cst::Value::BooleanValue(_) => Lit::Bool(written == "true"),
        cst::Value::IntValue(_) => Lit::Int(written),
        cst::Value::FloatValue(_) => Lit::Float(written),
        cst::Value::StringValue(text) => Lit::Text(string(&text)?),
        cst::Value::EnumValue(_) => Lit::Enum(written),
        cst::Value::ListValue(list) => Lit::List(list.values().filter_map(literal).collect()),
        cst::Value::ObjectValue(object) => Lit::Object(each(Some(object.object_fields()), |field| {
            Some(Argument { name: word(field.name()?)?, value: literal(field.value()?)? })
        })),
    };
    Some(Literal { value, span: place })
}

fn description(node: &SyntaxNode) -> Option<String> {
    let text = string(&child::<cst::Description>(node)?.string_value()?)?;
    (!text.trim().is_empty()).then_some(text)
}

/// The text of a string without quotes and escapes; `None` when the token is torn.
fn string(value: &cst::StringValue) -> Option<String> {
    let written = value.syntax().text().to_string();
    let quotes = if written.starts_with("\"\"\"") { 3 } else { 1 };
    let whole = written.len() >= 2 * quotes && written.ends_with(&"\"\"\""[..quotes]);
    whole.then(|| String::from(value))
}

fn names(list: Option<cst::CstChildren<cst::NamedType>>) -> Vec<Word> {
    each(list, |named| word(named.name()?))
}

fn word(name: cst::Name) -> Option<Word> {
    let text = name.syntax().text().to_string();
    (!text.is_empty()).then(|| Word { text, span: span(name.syntax()) })
}

fn each<N: CstNode, T>(list: Option<cst::CstChildren<N>>, read: impl FnMut(N) -> Option<T>) -> Vec<T> {
    list.into_iter().flatten().filter_map(read).collect()
}

fn child<N: CstNode>(node: &SyntaxNode) -> Option<N> {
    node.children().find_map(N::cast)
}

fn span(node: &SyntaxNode) -> Span {
    let range = node.text_range();
    Span { start: range.start().into(), end: range.end().into() }
}
