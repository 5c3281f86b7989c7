//! Conditions, of rules and of `where` alike: made of numbers that mean something for every type, and written as GraphQL.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::skeleton::{EDGE_FIELDS, HOLDING, Link, SECRET, Sort, TYPES, Way, fields};

/// A condition before it is known what it speaks of.
#[derive(Debug, Clone)]
pub enum Raw {
    Leaf([u8; 4]),
    Node([u8; 4], Vec<Raw>),
}

/// Conditions of a few parts, mostly with one on related records.
pub fn raw() -> impl Strategy<Value = Raw> {
    let leaf = || any::<[u8; 4]>().prop_map(Raw::Leaf);
    let inner = prop_oneof![3 => leaf(), 1 => node(leaf().boxed(), 1)];
    let middle = prop_oneof![2 => leaf(), 3 => node(inner.boxed(), 2)];
    prop_oneof![1 => leaf(), 3 => node(middle.boxed(), 2)]
}

fn node(parts: BoxedStrategy<Raw>, most: usize) -> impl Strategy<Value = Raw> {
    (any::<[u8; 4]>(), vec(parts, 1..=most)).prop_map(|(n, parts)| Raw::Node(n, parts))
}

/// A condition on records of some types.
#[derive(Debug, Clone)]
pub enum Condition {
    Compare(Compare),
    And(Vec<Condition>),
    Or(Vec<Condition>),
    Not(Box<Condition>),
    Related { way: &'static Way, quantifier: &'static str, node: Box<Condition>, edge: Option<Compare> },
}

/// A comparison of a field.
#[derive(Debug, Clone)]
pub struct Compare {
    pub field: &'static str,
    pub operator: &'static str,
    pub right: Right,
}

/// What is compared with.
#[derive(Debug, Clone)]
pub enum Right {
    Value(Json),
    /// A claim by its path, which the caller may not have.
    Claim(&'static str),
}

/// From here on a number asks for what would come up too rarely.
pub const OFTEN: u8 = 200;

const QUANTIFIERS: [&str; 4] = ["some", "all", "none", "single"];

impl Raw {
    /// What it says of types; only rules speak of claims.
    pub fn of(&self, types: &[usize], rule: bool) -> Condition {
        match self {
            Self::Leaf(n) => {
                let fields: Vec<_> = fields(types).into_iter().filter(|(name, _)| !rule || *name != SECRET).collect();
                Condition::Compare(compare(&fields, *n, rule))
            }
            Self::Node(n, parts) => {
                let each = || parts.iter().map(|part| part.of(types, rule)).collect();
                let ways = if let [one] = types { TYPES[*one].ways } else { &[] };
                match n[0] % 6 {
                    0 => Condition::And(each()),
                    1 => Condition::Or(each()),
                    2 => Condition::Not(Box::new(parts[0].of(types, rule))),
                    _ if ways.is_empty() => Condition::Or(each()),
                    _ => {
                        let way = &ways[usize::from(n[1]) % ways.len()];
                        let quantifier = if way.list { QUANTIFIERS[usize::from(n[2]) % 4] } else { "some" };
                        let through = matches!(way.link, Link::Edge { properties: true, .. }) && n[3] % 2 == 0;
                        let edge = through.then(|| compare(&EDGE_FIELDS.map(|name| (name, Sort::Int)), *n, rule));
                        let mut node = parts[0].of(way.to, rule);
                        if rule && n[2] >= OFTEN / 2 {
                            // One alternative among related records that is decided, and one that may not be.
                            let other = compare(&fields(way.to), [n[1], n[2], n[3], 1], rule);
                            node = Condition::Or(vec![node, Condition::Compare(other)]);
                        }
                        Condition::Related { way, quantifier, node: Box::new(node), edge }
                    }
                }
            }
        }
    }
}

fn compare(fields: &[(&'static str, Sort)], n: [u8; 4], rule: bool) -> Compare {
    let secret = fields.iter().find(|(name, _)| *name == SECRET && n[0] >= OFTEN);
    let (field, sort) = *secret.unwrap_or(&fields[usize::from(n[0]) % fields.len()]);
    let operators: &[&'static str] = match sort {
        Sort::Id => &["eq", "in"],
        Sort::Text => &["eq", "in", "lt", "gte", "contains", "startsWith"],
        Sort::Int | Sort::Float => &["eq", "in", "lt", "lte", "gt", "gte"],
        Sort::Bool => &["eq"],
    };
    let operator = operators[usize::from(n[1]) % operators.len()];
    if field != "id" && n[3] % 8 == 7 {
        return Compare { field, operator: "eq", right: Right::Value(Json::Null) };
    }
    let claimed = rule.then(|| claim(field, sort, operator, n[3])).flatten();
    let right = claimed.map_or_else(|| Right::Value(right(field, sort, operator, n[2])), Right::Claim);
    Compare { field, operator, right }
}

/// A claim that fits; of three comparisons, two are with one.
fn claim(field: &str, sort: Sort, operator: &str, n: u8) -> Option<&'static str> {
    match (sort, field, operator) {
        _ if n.is_multiple_of(3) => None,
        (Sort::Text, "region", "in") => Some("regions"),
        (Sort::Text, "region", "eq") => Some("region"),
        (Sort::Int, _, "eq" | "lt" | "lte" | "gt" | "gte") => {
            Some(if n.is_multiple_of(2) { "org.level" } else { "level" })
        }
        (Sort::Id, _, "in") => Some("keys"),
        (Sort::Id, _, "eq") => Some("key"),
        _ => None,
    }
}

fn right(field: &str, sort: Sort, operator: &str, n: u8) -> Json {
    let one = |n: u8| value(field, sort, n);
    match operator {
        "in" => json!([one(n), one(n / 4)]),
        "contains" | "startsWith" => {
            let text = one(n);
            let text = text.as_str().unwrap_or_default();
            json!(if n.is_multiple_of(2) { &text[..1] } else { &text[text.len() - 1..] })
        }
        _ => one(n),
    }
}

/// A value of a field: few, so that many records have the same.
pub fn value(field: &str, sort: Sort, n: u8) -> Json {
    let at = usize::from(n);
    match (sort, field) {
        (Sort::Id, _) => json!(format!("{}", 1 + n % 5)),
        (Sort::Text, "region") => json!(["EU", "US", "ASIA"][at % 3]),
        (Sort::Text, "about") => json!(about(n)),
        (Sort::Text, _) => json!(["ann", "Bob", "cy"][at % 3]),
        (Sort::Int, _) => json!(n % 4),
        (Sort::Float, _) => json!(f64::from(n % 4) / 2.0),
        (Sort::Bool, _) => json!(n.is_multiple_of(2)),
    }
}

/// Words of texts that are searched.
pub const WORDS: [&str; 5] = ["frost", "river", "copper", "lamp", "onion"];

/// Three different words: texts of one length, in which a word is as rare as in any other, whatever else there is.
fn about(n: u8) -> String {
    let at = usize::from(n);
    [0, 1, 2].map(|step| WORDS[(at + step * (1 + at / 5 % 2)) % 5]).join(" ")
}

impl Compare {
    fn written(&self) -> String {
        let right = match &self.right {
            Right::Value(value) => value.to_string(),
            Right::Claim(path) => format!("\"$jwt.{path}\""),
        };
        format!("{{{}: {{{}: {right}}}}}", self.field, self.operator)
    }
}

impl Condition {
    /// As GraphQL.
    pub fn written(&self) -> String {
        let list = |parts: &[Self]| parts.iter().map(Self::written).collect::<Vec<_>>().join(", ");
        match self {
            Self::Compare(compare) => compare.written(),
            Self::And(parts) => format!("{{AND: [{}]}}", list(parts)),
            Self::Or(parts) => format!("{{OR: [{}]}}", list(parts)),
            Self::Not(part) => format!("{{NOT: {}}}", part.written()),
            Self::Related { way, quantifier, node, edge } => {
                let (name, node) = match edge {
                    Some(edge) => (
                        format!("{}Connection", way.name),
                        format!("{{node: {}, edge: {}}}", node.written(), edge.written()),
                    ),
                    None => (way.name.to_owned(), node.written()),
                };
                if way.list { format!("{{{name}: {{{quantifier}: {node}}}}}") } else { format!("{{{name}: {node}}}") }
            }
        }
    }

    /// Says of each field that it speaks of, with the number of its type; ids of joins among them.
    pub fn mentions(&self, types: &[usize], note: &mut impl FnMut(usize, &'static str)) {
        match self {
            Self::Compare(compare) => types.iter().for_each(|of| note(*of, compare.field)),
            Self::And(parts) | Self::Or(parts) => parts.iter().for_each(|part| part.mentions(types, note)),
            Self::Not(part) => part.mentions(types, note),
            Self::Related { way, node, edge, .. } => {
                match way.link {
                    Link::On(column) => note(way.to[0], column),
                    Link::By(column) => note(types[0], column),
                    Link::Edge { .. } => {}
                }
                if let Some(edge) = edge {
                    note(HOLDING, edge.field);
                }
                way.to.iter().for_each(|of| note(*of, "id"));
                node.mentions(way.to, note);
            }
        }
    }
}
