//! The directives of the language: where each may stand, and what its arguments are. What they mean is for later stages.

use crate::catalog::{Catalog, Entry};
use crate::problem::{Code, Problems, nearest};
use crate::syntax::{Argument, Directive, Lit, Literal, Sort, repeated};

/// Where a directive can stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Type,
    Field,
    InterfaceField,
    Choice,
    Interface,
    /// On unions and enums stands nothing.
    Elsewhere,
}

/// What an argument takes. Lists also take a single value.
#[derive(Debug, Clone, Copy)]
enum Shape {
    Text,
    Texts,
    Number,
    Flag,
    Word(&'static [&'static str]),
    Words(&'static [&'static str]),
    Object,
    Objects,
    Any,
}

struct Parameter {
    name: &'static str,
    shape: Shape,
    required: bool,
}

struct Signature {
    name: &'static str,
    places: &'static [Place],
    parameters: &'static [Parameter],
}

const fn may(name: &'static str, shape: Shape) -> Parameter {
    Parameter { name, shape, required: false }
}

const fn must(name: &'static str, shape: Shape) -> Parameter {
    Parameter { name, shape, required: true }
}

const fn on(name: &'static str, places: &'static [Place], parameters: &'static [Parameter]) -> Signature {
    Signature { name, places, parameters }
}

/// The words of `operations:`.
pub(crate) const OPERATIONS: [&str; 8] =
    ["READ", "AGGREGATE", "CREATE", "UPDATE", "DELETE", "CREATE_RELATIONSHIP", "DELETE_RELATIONSHIP", "SUBSCRIBE"];

/// Those of them that speak of relationships.
pub(crate) const ON_RELATIONSHIPS: [&str; 5] =
    ["READ", "AGGREGATE", "UPDATE", "CREATE_RELATIONSHIP", "DELETE_RELATIONSHIP"];

/// Those of them that change something, which `@scoped` can speak of.
pub(crate) const CHANGES: [&str; 5] = ["CREATE", "UPDATE", "DELETE", "CREATE_RELATIONSHIP", "DELETE_RELATIONSHIP"];

/// The words of `writes:`.
const WRITES: [&str; 3] = ["CREATE", "UPDATE", "DELETE"];

const TYPE: &[Place] = &[Place::Type];
const FIELD: &[Place] = &[Place::Field];
/// Where rules can stand.
const RULED: &[Place] = &[Place::Type, Place::Field, Place::Interface, Place::InterfaceField];

const SIGNATURES: [Signature; 21] = [
    on("node", TYPE, &[may("labels", Shape::Texts), may("plural", Shape::Text)]),
    on(
        "table",
        TYPE,
        &[
            may("name", Shape::Text),
            may("plural", Shape::Text),
            may("schema", Shape::Text),
            may("writes", Shape::Words(&WRITES)),
        ],
    ),
    on("relationshipProperties", TYPE, &[]),
    on("limit", TYPE, &[may("default", Shape::Number), may("max", Shape::Number)]),
    on("cache", TYPE, &[must("ttl", Shape::Number)]),
    on(
        "relationship",
        FIELD,
        &[must("type", Shape::Text), must("direction", Shape::Word(&["IN", "OUT"])), may("properties", Shape::Text)],
    ),
    on("join", FIELD, &[may("on", Shape::Text), may("by", Shape::Text)]),
    on("alias", FIELD, &[must("property", Shape::Text)]),
    on("column", FIELD, &[may("name", Shape::Text), may("generated", Shape::Word(&["ALWAYS", "BY_DEFAULT"]))]),
    on("unique", FIELD, &[]),
    on("index", FIELD, &[]),
    on("embed", FIELD, &[]),
    on("default", FIELD, &[must("value", Shape::Any)]),
    on("selectable", FIELD, &[may("onRead", Shape::Flag), may("onAggregate", Shape::Flag)]),
    on("filterable", FIELD, &[may("byValue", Shape::Flag), may("byAggregate", Shape::Flag)]),
    on("authentication", RULED, &[may("operations", Shape::Words(&OPERATIONS)), may("jwt", Shape::Object)]),
    on("authorization", RULED, &[may("filter", Shape::Objects), may("validate", Shape::Objects)]),
    on("role", RULED, &[must("anyOf", Shape::Texts), may("operations", Shape::Words(&OPERATIONS))]),
    on(
        "scoped",
        TYPE,
        &[
            may("by", Shape::Text),
            may("claim", Shape::Text),
            may("key", Shape::Text),
            may("through", Shape::Text),
            may("operations", Shape::Words(&CHANGES)),
        ],
    ),
    on("deprecated", &[Place::Field, Place::InterfaceField, Place::Choice], &[may("reason", Shape::Text)]),
    on("specifiedBy", &[], &[may("url", Shape::Text)]),
];

/// True when the language has a directive of that name.
pub(crate) fn is_known(name: &str) -> bool {
    SIGNATURES.iter().any(|signature| signature.name == name)
}

/// Checks every directive against its signature.
pub(crate) fn check(catalog: &Catalog, problems: &mut Problems) {
    for Entry { definition, .. } in catalog.all() {
        let (whole, field) = match definition.sort {
            Sort::Object => (Place::Type, Place::Field),
            Sort::Interface => (Place::Interface, Place::InterfaceField),
            Sort::Union | Sort::Enum => (Place::Elsewhere, Place::Elsewhere),
        };
        list(&definition.directives, whole, problems);
        for f in &definition.fields {
            list(&f.directives, field, problems);
        }
        for choice in &definition.values {
            list(&choice.directives, Place::Choice, problems);
        }
    }
}

fn list(directives: &[Directive], place: Place, problems: &mut Problems) {
    let once = directives.iter().filter(|directive| directive.name.text != "role");
    for word in repeated(once.map(|directive| &directive.name)) {
        problems.add(Code::DuplicateDirective, word.span, format!("`@{}` stands here twice", word.text));
    }
    for directive in directives {
        let name = directive.name.text.as_str();
        let Some(signature) = SIGNATURES.iter().find(|signature| signature.name == name) else {
            let known = SIGNATURES.iter().filter(|s| s.places.contains(&place)).map(|s| s.name);
            let message = format!("unknown directive `@{name}`");
            let near = || nearest(name, known).map(|near| format!("did you mean `@{near}`?"));
            problems.add(Code::UnknownDirective, directive.span, message).advise(near);
            continue;
        };
        if !signature.places.contains(&place) {
            misplaced(directive, signature, place, problems);
        } else {
            arguments(directive, signature, problems);
        }
    }
}

fn misplaced(directive: &Directive, signature: &Signature, place: Place, problems: &mut Problems) {
    let here = match place {
        Place::Type => "a type",
        Place::Field => "a field",
        Place::InterfaceField => "a field of an interface",
        Place::Choice => "a value of an enum",
        Place::Interface => "an interface",
        Place::Elsewhere => "a union or an enum",
    };
    let name = &directive.name.text;
    let help = match signature.places {
        [] => "remove it".to_owned(),
        [Place::Type] => format!("`@{name}` stands on types"),
        [Place::Field] => format!("`@{name}` stands on fields of types"),
        [Place::Type, ..] => format!("`@{name}` stands on types, interfaces and their fields"),
        _ => format!("`@{name}` stands on fields and on values of enums"),
    };
    problems.add(Code::MisplacedDirective, directive.span, format!("`@{name}` cannot stand on {here}")).help(help);
}

fn arguments(directive: &Directive, signature: &Signature, problems: &mut Problems) {
    let name = &directive.name.text;
    for word in repeated(directive.arguments.iter().map(|argument| &argument.name)) {
        problems.add(Code::DuplicateName, word.span, format!("argument `{}` is given twice", word.text));
    }
    for Argument { name: word, value } in &directive.arguments {
        let parameter = signature.parameters.iter().find(|parameter| parameter.name == word.text);
        match parameter {
            None => {
                let known = signature.parameters.iter().map(|parameter| parameter.name);
                let message = format!("`@{name}` has no argument `{}`", word.text);
                let all: Vec<_> = known.clone().map(|known| format!("`{known}`")).collect();
                let help = match all.len() {
                    0 => format!("`@{name}` has no arguments"),
                    _ => format!("its arguments are {}", all.join(", ")),
                };
                problems.add(Code::UnknownArgument, word.span, message).help(help).nearest(&word.text, known);
            }
            Some(parameter) => argument(parameter, value, problems),
        }
    }
    for parameter in signature.parameters.iter().filter(|parameter| parameter.required) {
        let any =
            matches!(parameter.shape, Shape::Any) && directive.arguments.iter().any(|a| a.name.text == parameter.name);
        if !any && directive.argument(parameter.name).is_none() {
            let message = format!("`@{name}` needs the argument `{}`", parameter.name);
            let help = format!("for example `@{name}({})`", example(signature));
            problems.add(Code::MissingArgument, directive.span, message).help(help);
        }
    }
}

/// The required arguments as they are written.
fn example(signature: &Signature) -> String {
    let required = signature.parameters.iter().filter(|parameter| parameter.required);
    let written = required.map(|parameter| match (parameter.name, parameter.shape) {
        ("type", _) => "type: \"HAS_PART\"".to_owned(),
        (name, Shape::Word(words)) => format!("{name}: {}", words[words.len() - 1]),
        ("property", _) => "property: \"name_in_store\"".to_owned(),
        (name, Shape::Number) => format!("{name}: 30"),
        (name, _) => format!("{name}: \"...\""),
    });
    written.collect::<Vec<_>>().join(", ")
}

fn argument(parameter: &Parameter, value: &Literal, problems: &mut Problems) {
    if matches!(value.value, Lit::Null) && !parameter.required {
        return;
    }
    let items = match parameter.shape {
        Shape::Texts | Shape::Words(_) | Shape::Objects => value.items(),
        _ => std::slice::from_ref(value),
    };
    for item in items {
        fits(parameter, item, problems);
    }
}

fn fits(parameter: &Parameter, value: &Literal, problems: &mut Problems) {
    let wanted = match (parameter.shape, &value.value) {
        (Shape::Any, _)
        | (Shape::Text | Shape::Texts, Lit::Text(_))
        | (Shape::Flag, Lit::Bool(_))
        | (Shape::Object | Shape::Objects, Lit::Object(_)) => return,
        (Shape::Number, Lit::Int(digits)) if digits.parse::<u32>().is_ok_and(|number| number > 0) => return,
        (Shape::Word(words) | Shape::Words(words), Lit::Enum(word)) if words.contains(&word.as_str()) => return,
        (Shape::Text | Shape::Texts, _) => "a string".to_owned(),
        (Shape::Flag, _) => "true or false".to_owned(),
        (Shape::Object | Shape::Objects, _) => "an object".to_owned(),
        (Shape::Number, _) => "a whole number from 1 to 4294967295".to_owned(),
        (Shape::Word(words) | Shape::Words(words), _) => format!("one of {}", words.join(", ")),
    };
    let message = format!("`{}` takes {wanted}, not {}", parameter.name, written(&value.value));
    problems.add(Code::InvalidArgument, value.span, message).advise(|| advice(parameter.shape, &value.value));
}

/// The value as it is shown in a message.
fn written(value: &Lit) -> String {
    match value {
        Lit::Enum(word) => format!("`{word}`"),
        Lit::Int(digits) | Lit::Float(digits) => format!("`{digits}`"),
        other => other.noun().to_owned(),
    }
}

fn advice(shape: Shape, value: &Lit) -> Option<String> {
    match (shape, value) {
        (Shape::Text | Shape::Texts, Lit::Enum(word)) => Some(format!("write \"{word}\"")),
        (Shape::Word(words) | Shape::Words(words), Lit::Text(text)) if words.contains(&text.as_str()) => {
            Some(format!("write {text} without quotes"))
        }
        (Shape::Word(words) | Shape::Words(words), Lit::Enum(word)) => {
            nearest(word, words.iter().copied()).map(|near| format!("did you mean `{near}`?"))
        }
        _ => None,
    }
}
