//! Request documents: what is let through stays within every limit, measured here by other means, and selects only what the API has.

use std::sync::OnceLock;

use apollo_parser::{Lexer, TokenKind};
use async_graphql_parser::types::{ExecutableDocument, OperationType, Selection, SelectionSet};
use quipu_resolvers::Limits;
use quipu_resolvers::fuzzing::Checker;
use quipu_resolvers::guard::TenantId;
use quipu_schema::api::{Api, FieldDef, TypeDef};

/// An API with every kind of type.
const ONTOLOGY: &str = include_str!("../../schema/ontologies/cryox.graphql");

/// Small ones, so that short documents come near them.
fn limits() -> Limits {
    Limits {
        document_bytes: 4 << 10,
        nesting: 12,
        tokens: 500,
        depth: 6,
        fields: 60,
        root_fields: 8,
        directives: 3,
        variables: 6,
        operations: 4,
        errors: 5,
        ..Limits::default()
    }
}

fn checker() -> &'static Checker {
    static CHECKER: OnceLock<Checker> = OnceLock::new();
    CHECKER.get_or_init(|| {
        let tenant = TenantId::parse("fuzz").expect("a name of a tenant");
        let compiled = quipu_schema::compile_with_api(ONTOLOGY).expect("the ontology ships");
        Checker::new(tenant, compiled, limits())
    })
}

/// Takes a text as the document of a request.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let checker = checker();
    let limits = limits();
    match checker.check(text) {
        Ok(()) => accepted(text, checker.api(), &limits),
        Err(told) => {
            assert!((1..=limits.errors).contains(&told.len()), "{} errors", told.len());
            for (code, message) in told {
                assert!(!code.is_empty() && !message.is_empty(), "an error without code or message: {code} {message}");
            }
        }
    }
}

fn accepted(text: &str, api: &Api, limits: &Limits) {
    assert!(text.len() <= limits.document_bytes);
    lexed(text, limits);
    let document = async_graphql_parser::parse_query(text).expect("what was accepted parses");
    let operations: Vec<_> = document.operations.iter().map(|(_, operation)| &operation.node).collect();
    assert!(operations.len() <= limits.operations);
    for operation in &operations {
        assert!(operation.variable_definitions.len() <= limits.variables);
        assert!(operation.directives.len() <= limits.directives);
        let set = &operation.selection_set.node;
        assert!(set.items.len() <= limits.root_fields);
        let root = match operation.ty {
            OperationType::Query => "Query",
            OperationType::Mutation => "Mutation",
            OperationType::Subscription => "Subscription",
        };
        let mut walk = Walk { document: &document, api, limits, left: limits.fields };
        walk.set(set, Some(root), 0);
    }
}

/// Tokens and brackets, as another lexer sees them.
fn lexed(text: &str, limits: &Limits) {
    let (mut tokens, mut depth) = (0, 0_usize);
    for token in Lexer::new(text) {
        let token = token.expect("what was accepted has no bad tokens");
        match token.kind() {
            TokenKind::Whitespace | TokenKind::Comment | TokenKind::Comma | TokenKind::Eof => continue,
            TokenKind::LCurly | TokenKind::LParen | TokenKind::LBracket => depth += 1,
            TokenKind::RCurly | TokenKind::RParen | TokenKind::RBracket => depth = depth.saturating_sub(1),
            _ => {}
        }
        tokens += 1;
        assert!(depth <= limits.nesting, "brackets are nested {depth} deep");
    }
    assert!(tokens <= limits.tokens, "{tokens} tokens");
}

/// Follows every fragment wherever it is spread, which is only good for documents that were accepted: the number of steps is what the limit on
/// fields bounds.
struct Walk<'a> {
    document: &'a ExecutableDocument,
    api: &'a Api,
    limits: &'a Limits,
    left: usize,
}

impl Walk<'_> {
    /// Walks a selection set on a type of the API, or below introspection, which has types of its own.
    fn set(&mut self, set: &SelectionSet, of: Option<&str>, depth: usize) {
        for item in &set.items {
            assert!(item.node.directives().len() <= self.limits.directives);
            match &item.node {
                Selection::Field(field) => {
                    self.left = self.left.checked_sub(1).expect("more fields than `limits.fields`");
                    let name = field.node.name.node.as_str();
                    let inner = &field.node.selection_set.node;
                    if of.is_none() || name.starts_with("__") {
                        self.set(inner, None, 0);
                        continue;
                    }
                    assert!(depth < self.limits.depth, "fields deeper than `limits.depth`");
                    let def = self.field(of.unwrap_or_default(), name);
                    for (argument, _) in &field.node.arguments {
                        let argument = argument.node.as_str();
                        assert!(def.args.contains_key(argument), "no argument {argument} of {name}");
                    }
                    let leaf = matches!(
                        self.api.types.get(def.ty.name()),
                        None | Some(TypeDef::Scalar { .. } | TypeDef::Enum(_))
                    );
                    assert_eq!(leaf, inner.items.is_empty(), "the selection of {name} is not what its type needs");
                    let ty = def.ty.name().to_owned();
                    self.set(inner, Some(&ty), depth + 1);
                }
                Selection::InlineFragment(inline) => {
                    let on = inline.node.type_condition.as_ref().map(|on| on.node.on.node.as_str());
                    self.set(&inline.node.selection_set.node, of.and(on).or(of), depth);
                }
                Selection::FragmentSpread(spread) => {
                    let fragment = self.document.fragments.get(&spread.node.fragment_name.node);
                    let fragment = &fragment.expect("what is spread is there").node;
                    assert!(fragment.directives.len() <= self.limits.directives);
                    let on = fragment.type_condition.node.on.node.as_str();
                    self.set(&fragment.selection_set.node, of.and(Some(on)), depth);
                }
            }
        }
    }

    fn field(&self, of: &str, name: &str) -> &FieldDef {
        let fields = match self.api.types.get(of) {
            Some(TypeDef::Object(def) | TypeDef::Interface(def)) => &def.fields,
            _ => panic!("fields are selected of {of}, which has none"),
        };
        fields.get(name).unwrap_or_else(|| panic!("{of} has no field {name}"))
    }
}
