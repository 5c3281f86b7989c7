//! Conditions on records: `where: {node: {...}}`, checked against the fields of the type and the types of values.

use super::claims::{self, OPERATORS, all, claim, operator};
use super::{complain, list, once};
use crate::ontology::{AbstractType, EntityType, FieldOf, Ontology, Property, Relationship, Scalar};
use crate::policy::{Condition, Operand, Operator, Quantifier};
use crate::problem::{Code, Problems};
use crate::syntax::{Argument, Lit, Literal};
use crate::values;

/// What a condition speaks of.
#[derive(Clone, Copy)]
pub(super) enum Subject<'o> {
    Record(&'o EntityType),
    Group(&'o AbstractType),
    Edge(&'o crate::ontology::EdgeType),
}

impl<'o> Subject<'o> {
    fn name(self) -> &'o str {
        match self {
            Self::Record(entity) => &entity.name,
            Self::Group(group) => &group.name,
            Self::Edge(edge) => &edge.name,
        }
    }

    fn field(self, name: &str) -> Option<FieldOf<'o>> {
        match self {
            Self::Record(entity) => entity.field(name),
            Self::Group(group) => group.properties.get(name).map(FieldOf::Property),
            Self::Edge(edge) => edge.properties.get(name).map(FieldOf::Property),
        }
    }

    /// Whether the field is the id of the records.
    pub(super) fn is_id(self, name: &str) -> bool {
        match self {
            Self::Record(entity) => entity.properties.get(name).is_some_and(|property| property.stored == "id"),
            Self::Group(_) => name == "id",
            Self::Edge(_) => false,
        }
    }

    /// Whether it is a relationship, and no record.
    pub(super) fn is_edge(self) -> bool {
        matches!(self, Self::Edge(_))
    }

    /// What a `where` calls it.
    pub(super) fn word(self) -> &'static str {
        if self.is_edge() { "edge" } else { "node" }
    }

    fn names(self) -> Vec<&'o str> {
        let names: Vec<&String> = match self {
            Self::Record(entity) => entity.order.iter().collect(),
            Self::Group(group) => group.properties.keys().collect(),
            Self::Edge(edge) => edge.properties.keys().collect(),
        };
        names.into_iter().map(String::as_str).collect()
    }
}

/// Compiles the `where` of a rule: `node` (of a relationship: `edge`), `jwt`, and `AND`, `OR`, `NOT` of such.
pub(super) fn top(written: &Literal, subject: Subject<'_>, known: &Ontology, problems: &mut Problems) -> Condition {
    let Some(fields) = object(written, problems) else { return Condition::All(Vec::new()) };
    if fields.is_empty() {
        complain(problems, written.span, "`where` is empty".to_owned(), "say what must hold");
    }
    let mut conditions = Vec::new();
    for Argument { name, value } in fields {
        let mut each = |items: &[Literal]| items.iter().map(|item| top(item, subject, known, problems)).collect();
        conditions.push(match name.text.as_str() {
            "AND" => Condition::All(each(value.items())),
            "OR" => Condition::Any(each(value.items())),
            "NOT" => Condition::Not(Box::new(top(value, subject, known, problems))),
            word if word == subject.word() => inside(value, subject, known, problems),
            "jwt" => claims::condition(value, problems),
            other => {
                let words = [subject.word(), "jwt", "AND", "OR", "NOT"];
                let message = format!("`where` has no `{other}`");
                let note = problems.add(Code::InvalidRule, name.span, message);
                match other {
                    "edge" => note.help("`edge` stands in `node`, as `{devicesConnection: {some: {edge: {...}}}}`"),
                    "node" => note.help("what is at the ends of a relationship has rules on its own type"),
                    _ if subject.field(other).is_some() => {
                        note.help(format!("write `{}: {{{other}: ...}}`", subject.word()))
                    }
                    _ => note.help(format!("it has {}", list(&words))).nearest(other, words),
                };
                continue;
            }
        });
    }
    all(conditions)
}

fn object<'l>(written: &'l Literal, problems: &mut Problems) -> Option<&'l [Argument]> {
    let fields = written.fields();
    match fields {
        Some(fields) => once(fields, problems),
        None => complain(problems, written.span, format!("a condition is an object, not {}", written.value.noun()), ""),
    }
    fields
}

/// A condition on one record or relationship.
fn inside(written: &Literal, subject: Subject<'_>, known: &Ontology, problems: &mut Problems) -> Condition {
    let Some(fields) = object(written, problems) else { return Condition::All(Vec::new()) };
    let mut conditions = Vec::new();
    for Argument { name, value } in fields {
        let mut each = |items: &[Literal]| items.iter().map(|item| inside(item, subject, known, problems)).collect();
        match name.text.as_str() {
            "AND" => conditions.push(Condition::All(each(value.items()))),
            "OR" => conditions.push(Condition::Any(each(value.items()))),
            "NOT" => conditions.push(Condition::Not(Box::new(inside(value, subject, known, problems)))),
            field => match subject.field(field) {
                Some(FieldOf::Property(property)) => compare(property, value, known, problems, &mut conditions),
                Some(FieldOf::Relationship(link)) => {
                    related(link.name.as_str(), &link.target, link.list, value, known, problems, &mut conditions);
                }
                Some(FieldOf::Join(join)) => {
                    related(join.name.as_str(), &join.target, join.list, value, known, problems, &mut conditions);
                }
                None => match connection(subject, field) {
                    Some(link) => through(link, value, known, problems, &mut conditions),
                    None => {
                        let message = format!("`{}` has no field `{field}`", subject.name());
                        let names = subject.names();
                        problems.add(Code::UnknownField, name.span, message).nearest(field, names);
                    }
                },
            },
        }
    }
    all(conditions)
}

/// The relationship behind `devicesConnection`.
fn connection<'o>(subject: Subject<'o>, field: &str) -> Option<&'o Relationship> {
    match subject {
        Subject::Record(entity) => entity.relationships.get(field.strip_suffix("Connection")?),
        _ => None,
    }
}

/// `{name: {eq: "x"}}`; several operators must all hold.
fn compare(
    property: &Property,
    written: &Literal,
    known: &Ontology,
    problems: &mut Problems,
    conditions: &mut Vec<Condition>,
) {
    let Some(fields) = written.fields() else {
        let help = format!("write `{}: {{eq: ...}}`", property.name);
        let message =
            format!("`{}` is compared by an object of operators, not {}", property.name, written.value.noun());
        return complain(problems, written.span, message, &help);
    };
    if fields.is_empty() {
        complain(
            problems,
            written.span,
            format!("`{}` is compared with nothing", property.name),
            "for example `{eq: ...}`",
        );
    }
    once(fields, problems);
    for Argument { name, value } in fields {
        let fit = operator(&name.text).filter(|operator| allowed(property).contains(operator));
        let Some(operator) = fit else {
            let message = format!("`{}` cannot be compared by `{}`", property.name, name.text);
            let words = words(property);
            let help = match words.is_empty() {
                true => "JSON has no operators".to_owned(),
                false => format!("use {}", list(&words)),
            };
            problems.add(Code::InvalidRule, name.span, message).help(help).nearest(&name.text, words);
            continue;
        };
        if let Some(operand) = operand(property, operator, value, known, problems) {
            conditions.push(Condition::Property { property: property.name.clone(), operator, operand });
        }
    }
}

/// The operators that make sense for a property.
fn allowed(property: &Property) -> &'static [Operator] {
    use Operator::{Contains, EndsWith, Eq, Gt, Gte, In, Includes, Lt, Lte, StartsWith};
    if property.list {
        return if property.scalar == Scalar::Json { &[] } else { &[Eq, Includes] };
    }
    match property.scalar {
        Scalar::Id => &[Eq, In, Contains, StartsWith, EndsWith],
        Scalar::String => &[Eq, In, Lt, Lte, Gt, Gte, Contains, StartsWith, EndsWith],
        Scalar::Int | Scalar::Float | Scalar::BigInt | Scalar::DateTime | Scalar::Date => &[Eq, In, Lt, Lte, Gt, Gte],
        Scalar::Boolean | Scalar::Enum(_) => &[Eq, In],
        Scalar::Json => &[],
    }
}

fn words(property: &Property) -> Vec<&'static str> {
    let allowed = allowed(property);
    OPERATORS.iter().filter(|(_, operator)| allowed.contains(operator)).map(|(word, _)| *word).collect()
}

fn operand(
    property: &Property,
    operator: Operator,
    value: &Literal,
    known: &Ontology,
    problems: &mut Problems,
) -> Option<Operand> {
    if let Some(claim) = claim(value, problems) {
        return Some(claim);
    }
    let wants_list = operator == Operator::In || (property.list && operator == Operator::Eq);
    match &value.value {
        Lit::Null if operator == Operator::Eq => Some(Operand::Value(serde_json::Value::Null)),
        Lit::Null => {
            complain(problems, value.span, "only `eq` takes null".to_owned(), "write `{eq: null}` for absent");
            None
        }
        Lit::List(items) if wants_list => {
            let each = items.iter().map(|item| single(property, item, known, problems));
            each.collect::<Option<Vec<_>>>().map(Operand::List)
        }
        _ if wants_list => {
            complain(problems, value.span, "a list is wanted".to_owned(), "put the value in square brackets");
            None
        }
        _ => single(property, value, known, problems),
    }
}

fn single(property: &Property, value: &Literal, known: &Ontology, problems: &mut Problems) -> Option<Operand> {
    if let Some(claim) = claim(value, problems) {
        return Some(claim);
    }
    match values::coerce(value, &property.scalar, &known.enums) {
        Ok(value) => Some(Operand::Value(value)),
        Err(misfit) => {
            complain(problems, value.span, misfit.message, &misfit.help.unwrap_or_default());
            None
        }
    }
}

const QUANTIFIERS: [(&str, Quantifier); 4] =
    [("some", Quantifier::Some), ("all", Quantifier::All), ("none", Quantifier::None), ("single", Quantifier::Single)];

/// `{devices: {some: {...}}}`, or `{facility: {...}}` for a single record.
fn related(
    field: &str,
    target: &str,
    list: bool,
    written: &Literal,
    known: &Ontology,
    problems: &mut Problems,
    conditions: &mut Vec<Condition>,
) {
    let Some(subject) = subject(target, known) else { return };
    for (quantifier, value) in quantified(field, list, written, problems) {
        let node = Box::new(inside(value, subject, known, problems));
        conditions.push(Condition::Related { field: field.to_owned(), quantifier, node, edge: None });
    }
}

/// `{devicesConnection: {some: {node: {...}, edge: {...}}}}`.
fn through(
    link: &Relationship,
    written: &Literal,
    known: &Ontology,
    problems: &mut Problems,
    conditions: &mut Vec<Condition>,
) {
    let Some(target) = subject(&link.target, known) else { return };
    let properties = link.properties.as_ref().and_then(|name| known.edge_types.get(name));
    for (quantifier, value) in quantified(&format!("{}Connection", link.name), link.list, written, problems) {
        let (mut node, mut edge) = (Condition::All(Vec::new()), None);
        for Argument { name, value } in object(value, problems).unwrap_or_default() {
            match (name.text.as_str(), properties) {
                ("node", _) => node = inside(value, target, known, problems),
                ("edge", Some(properties)) => {
                    edge = Some(Box::new(inside(value, Subject::Edge(properties), known, problems)));
                }
                ("edge", None) => {
                    let message = format!("the relationship `{}` has no properties", link.name);
                    complain(problems, name.span, message, "remove `edge`");
                }
                (other, _) => {
                    let message = format!("a connection has no `{other}`");
                    complain(problems, name.span, message, "it has `node` and `edge`");
                }
            }
        }
        conditions.push(Condition::Related { field: link.name.clone(), quantifier, node: Box::new(node), edge });
    }
}

fn quantified<'l>(
    field: &str,
    list: bool,
    written: &'l Literal,
    problems: &mut Problems,
) -> Vec<(Quantifier, &'l Literal)> {
    if !list {
        return vec![(Quantifier::Some, written)];
    }
    let mut found = Vec::new();
    let Some(fields) = object(written, problems) else { return found };
    if fields.is_empty() {
        let help = "say `some`, `all`, `none` or `single`";
        complain(problems, written.span, format!("`{field}` is a list, and this says nothing of how many"), help);
    }
    for Argument { name, value } in fields {
        match QUANTIFIERS.iter().find(|(word, _)| *word == name.text) {
            Some((_, quantifier)) => found.push((*quantifier, value)),
            None => {
                let help = format!("write `{field}: {{some: {{{}: ...}}}}`, or `all`, `none`, `single`", name.text);
                let message = format!("`{field}` is a list, and `{}` says nothing of how many", name.text);
                complain(problems, name.span, message, &help);
            }
        }
    }
    found
}

fn subject<'o>(name: &str, known: &'o Ontology) -> Option<Subject<'o>> {
    let record = known.types.get(name).map(Subject::Record);
    record.or_else(|| known.abstracts.get(name).map(Subject::Group))
}
