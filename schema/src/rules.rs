//! Rules: `@authentication`, `@authorization` and `@role` of types, interfaces and fields, and `@scoped` of types, checked against the types
//! they speak of.

mod claims;
mod conditions;
mod scopes;

use indexmap::IndexMap;

use self::conditions::Subject;
use crate::catalog::{Catalog, Role};
use crate::directives::{ON_RELATIONSHIPS, OPERATIONS};
use crate::ontology::Ontology;
use crate::policy::{Authentication, Condition, Operand, Operation, Operator, Policy, Rule, Rules, When};
use crate::problem::{Code, Problems, Span};
use crate::syntax::{Argument, Definition, Directive, Lit, Literal, find, repeated};

/// Rules of a whole definition (`None`) and of its fields.
type Found = Vec<(Option<String>, Rules)>;

/// Compiles all rules into the types and properties they stand on, and those of interfaces into the types that implement them.
pub(crate) fn compile(catalog: &Catalog, mut ontology: Ontology, problems: &mut Problems) -> Ontology {
    let mut own: Vec<(String, Found)> = Vec::new();
    for (_, definition) in catalog.of(&[Role::Node, Role::Row]) {
        let Some(entity) = ontology.types.get(&definition.name.text) else { continue };
        own.push((entity.name.clone(), of(definition, Subject::Record(entity), &ontology, problems)));
    }
    let mut promised: IndexMap<String, Found> = IndexMap::new();
    for (_, definition) in catalog.of(&[Role::Interface]) {
        let Some(group) = ontology.abstracts.get(&definition.name.text) else { continue };
        promised.insert(group.name.clone(), of(definition, Subject::Group(group), &ontology, problems));
    }
    for (owner, found) in &own {
        let Some(entity) = ontology.types.get_mut(owner) else { continue };
        let inherited = entity.interfaces.iter().filter_map(|name| promised.get(name));
        for (field, rules) in std::iter::once(found).chain(inherited).flatten() {
            match field {
                None => entity.rules.inherit(rules),
                Some(field) => {
                    if let Some(property) = entity.properties.get_mut(field) {
                        property.rules.inherit(rules);
                    }
                }
            }
        }
    }
    scopes::compile(catalog, &mut ontology, problems);
    edges(catalog, &mut ontology, problems);
    ontology.ruled = ruled(&ontology);
    ontology
}

/// What a definition and its fields say.
fn of(definition: &Definition, subject: Subject<'_>, known: &Ontology, problems: &mut Problems) -> Found {
    let whole = std::iter::once((None, &definition.directives));
    let fields = definition.fields.iter().map(|field| (Some(field.name.text.clone()), &field.directives));
    let mut found = Vec::new();
    for (field, directives) in whole.chain(fields) {
        if field.as_deref().is_some_and(|name| subject.is_id(name)) {
            names_records(directives, problems);
        }
        let rules = rules(directives, subject, known, problems);
        if !rules.is_empty() {
            found.push((field, rules));
        }
    }
    found
}

fn rules(directives: &[Directive], subject: Subject<'_>, known: &Ontology, problems: &mut Problems) -> Rules {
    let mut rules = Rules::default();
    for directive in directives {
        match directive.name.text.as_str() {
            "authentication" => rules.authentication.push(authentication(directive, subject, problems)),
            "authorization" => rules.policies.push(policy(directive, subject, known, problems)),
            "role" => rules.policies.push(role(directive, subject, problems)),
            _ => {}
        }
    }
    rules
}

/// An id is in every order, cursor and join: whoever may know of a record knows its id.
fn names_records(directives: &[Directive], problems: &mut Problems) {
    for name in ["authentication", "authorization", "role"] {
        if let Some(found) = find(directives, name) {
            let message = format!("an id has no `@{name}` of its own");
            problems
                .add(Code::InvalidRule, found.span, message)
                .help("put it on the type: who sees a record sees its id");
        }
    }
}

/// Compiles the rules on relationships, and on their properties.
fn edges(catalog: &Catalog, ontology: &mut Ontology, problems: &mut Problems) {
    for (_, definition) in catalog.of(&[Role::Edge]) {
        let Some(edge) = ontology.edge_types.get(&definition.name.text) else { continue };
        let found = of(definition, Subject::Edge(edge), ontology, problems);
        let Some(edge) = ontology.edge_types.get_mut(&definition.name.text) else { continue };
        for (field, rules) in found {
            match field {
                None => edge.rules = rules,
                Some(field) => {
                    if let Some(property) = edge.properties.get_mut(&field) {
                        property.rules = rules;
                    }
                }
            }
        }
    }
}

/// Which types of relationships have rules. Fields of one type may name several types of properties, or none.
fn ruled(ontology: &Ontology) -> IndexMap<String, Vec<String>> {
    let mut ruled: IndexMap<String, Vec<String>> = IndexMap::new();
    for field in ontology.types.values().flat_map(|entity| entity.relationships.values()) {
        let Some(edge) = field.properties.as_ref().and_then(|name| ontology.edge_types.get(name)) else { continue };
        let says = edge.properties.values().map(|property| &property.rules).chain([&edge.rules]);
        if says.into_iter().any(|rules| !rules.is_empty()) {
            let names = ruled.entry(field.relationship_type.clone()).or_default();
            if !names.contains(&edge.name) {
                names.push(edge.name.clone());
            }
        }
    }
    ruled
}

fn authentication(directive: &Directive, subject: Subject<'_>, problems: &mut Problems) -> Authentication {
    // What is no operation, and what is no object, was reported with the directive's arguments.
    let operations = spoken_of(directive, possible(subject), problems);
    let claims = directive.argument("jwt").filter(|jwt| jwt.fields().is_some());
    let claims = claims.map(|jwt| claims::condition(jwt, problems));
    Authentication { operations, claims }
}

/// The operations that a directive speaks of: all of them, unless it says which.
fn spoken_of(directive: &Directive, possible: &[&'static str], problems: &mut Problems) -> Vec<Operation> {
    // What is no operation at all was reported with the directive's arguments.
    let written = directive.items("operations").iter().filter(|item| item.word().and_then(operation).is_some());
    match directive.argument("operations") {
        Some(list) if list.items().is_empty() => operations(list, possible, problems),
        Some(_) => chosen(written, "operations", possible, problems).into_iter().filter_map(operation).collect(),
        None => possible.iter().copied().filter_map(operation).collect(),
    }
}

/// The words of `operations:` that can be said of something. Relationships are made and removed under names of their own, and nobody
/// subscribes to them.
fn possible(subject: Subject<'_>) -> &'static [&'static str] {
    if subject.is_edge() { &ON_RELATIONSHIPS } else { &OPERATIONS }
}

/// `@role(anyOf, operations)`, as the rules that it is short for: who has none of the roles sees nothing, and is refused what they see and
/// try to change.
fn role(directive: &Directive, subject: Subject<'_>, problems: &mut Problems) -> Policy {
    // What is no text was reported with the directive's arguments.
    let roles: Vec<&str> = directive.items("anyOf").iter().filter_map(|item| Some(item.text()?.0)).collect();
    if roles.is_empty() && directive.argument("anyOf").is_some_and(|given| given.items().is_empty()) {
        complain(problems, directive.span, "`anyOf` is empty".to_owned(), "name the roles that may");
    }
    let has = |role: &str| Condition::Claim {
        path: vec!["roles".to_owned()],
        operator: Operator::Includes,
        operand: Operand::Value(role.into()),
    };
    let condition = Condition::Any(roles.into_iter().map(has).collect());
    let seeing = [Operation::Read, Operation::Aggregate, Operation::Subscribe];
    let (filter, validate): (Vec<_>, Vec<_>) =
        spoken_of(directive, possible(subject), problems).into_iter().partition(|operation| seeing.contains(operation));
    let one = |operations: Vec<Operation>, when: Vec<When>| {
        let rule = Rule { operations, when, require_authentication: true, condition: condition.clone() };
        Some(rule).filter(|rule| !rule.operations.is_empty()).into_iter().collect()
    };
    Policy { filter: one(filter, Vec::new()), validate: one(validate, vec![When::Before, When::After]) }
}

fn policy(directive: &Directive, subject: Subject<'_>, known: &Ontology, problems: &mut Problems) -> Policy {
    let mut rules = |kind: Kind| {
        let written = directive.items(kind.word()).iter();
        written.filter_map(|written| rule(kind, written, subject, known, problems)).collect::<Vec<_>>()
    };
    let (filter, validate) = (rules(Kind::Filter), rules(Kind::Validate));
    let empty = |name: &str| directive.items(name).is_empty();
    if empty("filter") && empty("validate") {
        let word = subject.word();
        let help =
            format!("for example `@authorization(filter: [{{where: {{{word}: {{owner: {{eq: \"$jwt.sub\"}}}}}}}}])`");
        problems.add(Code::InvalidRule, directive.span, "`@authorization` has no rule").help(help);
    }
    Policy { filter, validate }
}

/// The two sorts of rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Filter,
    Validate,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Filter => "filter",
            Self::Validate => "validate",
        }
    }

    /// The words of `operations:` that make sense: what is being made cannot be made invisible.
    fn operations(self, subject: Subject<'_>) -> Vec<&'static str> {
        let making = if subject.is_edge() { "CREATE_RELATIONSHIP" } else { "CREATE" };
        possible(subject).iter().copied().filter(|word| self == Self::Validate || *word != making).collect()
    }

    fn fields(self) -> &'static [&'static str] {
        match self {
            Self::Filter => &["where", "operations", "requireAuthentication"],
            Self::Validate => &["where", "operations", "when", "requireAuthentication"],
        }
    }
}

fn rule(
    kind: Kind,
    written: &Literal,
    subject: Subject<'_>,
    known: &Ontology,
    problems: &mut Problems,
) -> Option<Rule> {
    // Anything but an object was reported with the directive's arguments.
    let fields = written.fields()?;
    let mut rule = Rule {
        operations: kind.operations(subject).into_iter().filter_map(operation).collect(),
        when: if kind == Kind::Validate { vec![When::Before, When::After] } else { Vec::new() },
        require_authentication: true,
        condition: Condition::All(Vec::new()),
    };
    once(fields, problems);
    for Argument { name, value } in fields {
        match name.text.as_str() {
            "where" => rule.condition = conditions::top(value, subject, known, problems),
            "operations" => rule.operations = operations(value, &kind.operations(subject), problems),
            "when" if kind == Kind::Validate => rule.when = moments(value, problems),
            "requireAuthentication" => match value.value {
                Lit::Bool(flag) => rule.require_authentication = flag,
                _ => complain(problems, value.span, "`requireAuthentication` takes true or false".to_owned(), ""),
            },
            other => {
                let message = format!("a {} rule has no `{other}`", kind.word());
                let help = format!("it has {}", list(kind.fields()));
                let known = kind.fields().iter().copied();
                problems.add(Code::InvalidRule, name.span, message).help(help).nearest(other, known);
            }
        }
    }
    if !fields.iter().any(|field| field.name.text == "where") {
        let message = format!("a {} rule needs `where`", kind.word());
        let help = format!("for example `where: {{{}: {{owner: {{eq: \"$jwt.sub\"}}}}}}`", subject.word());
        complain(problems, written.span, message, &help);
    }
    Some(rule)
}

fn moments(written: &Literal, problems: &mut Problems) -> Vec<When> {
    let words = words(written, "when", &["BEFORE", "AFTER"], problems);
    words.into_iter().map(|word| if word == "BEFORE" { When::Before } else { When::After }).collect()
}

fn operations(written: &Literal, allowed: &[&'static str], problems: &mut Problems) -> Vec<Operation> {
    words(written, "operations", allowed, problems).into_iter().filter_map(operation).collect()
}

/// The words of a list, each allowed one once. An empty list is a rule that never speaks, which nobody means.
fn words(written: &Literal, name: &str, allowed: &[&'static str], problems: &mut Problems) -> Vec<&'static str> {
    if written.items().is_empty() {
        complain(problems, written.span, format!("`{name}` is empty"), "leave it out: then it means all of them");
    }
    chosen(written.items().iter(), name, allowed, problems)
}

fn chosen<'l>(
    written: impl Iterator<Item = &'l Literal>,
    name: &str,
    allowed: &[&'static str],
    problems: &mut Problems,
) -> Vec<&'static str> {
    let mut words = Vec::new();
    for item in written {
        let word = item.word().and_then(|word| allowed.iter().find(|allowed| **allowed == word));
        match word {
            Some(word) if words.contains(word) => {}
            Some(word) => words.push(*word),
            None => {
                let message = format!("`{name}` takes {}", list(allowed));
                let on_relationships = !allowed.contains(&"SUBSCRIBE");
                let help = match item.word() {
                    Some("CREATE") if on_relationships => Some("a relationship is made by `CREATE_RELATIONSHIP`"),
                    Some("DELETE") if on_relationships => Some("a relationship is removed by `DELETE_RELATIONSHIP`"),
                    Some("CREATE" | "CREATE_RELATIONSHIP") if allowed.contains(&"READ") => {
                        Some("what is being created cannot be filtered; use `validate`")
                    }
                    _ => None,
                };
                let help = help.map(str::to_owned);
                let (word, known) = (item.word().unwrap_or_default(), allowed.iter().copied());
                problems.add(Code::InvalidRule, item.span, message).nearest(word, known).advice(help);
            }
        }
    }
    words
}

fn operation(word: &str) -> Option<Operation> {
    Some(match word {
        "READ" => Operation::Read,
        "AGGREGATE" => Operation::Aggregate,
        "CREATE" => Operation::Create,
        "UPDATE" => Operation::Update,
        "DELETE" => Operation::Delete,
        "CREATE_RELATIONSHIP" => Operation::CreateRelationship,
        "DELETE_RELATIONSHIP" => Operation::DeleteRelationship,
        "SUBSCRIBE" => Operation::Subscribe,
        _ => return None,
    })
}

/// Reports fields of an object that are given twice.
fn once(fields: &[Argument], problems: &mut Problems) {
    for word in repeated(fields.iter().map(|field| &field.name)) {
        let message = format!("`{}` is given twice", word.text);
        complain(problems, word.span, message, "put the two into a list of `AND`");
    }
}

/// Notes a problem with a rule; an empty help is none.
fn complain(problems: &mut Problems, place: Span, message: String, help: &str) {
    problems.add(Code::InvalidRule, place, message).advice((!help.is_empty()).then(|| help.to_owned()));
}

/// Words for a message: `a`, `b` or `c`.
fn list(words: &[&str]) -> String {
    let quoted: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}
