//! Whether a document fits the API: section 5 of the GraphQL specification (October 2021), over our own [`Api`] and without any registry of
//! types beside it. Values of variables play no part: they are coerced for every request.
//!
//! | rules | where |
//! |---|---|
//! | 5.1.1, 5.2.1.1, 5.2.2.1, 5.5.1.1: what a document holds, names that occur once | the parser |
//! | 5.2.3.1: one field at the root of a subscription | `fragments` |
//! | 5.3.1, 5.3.3: fields and leaves; 5.5.1.2, 5.5.1.3, 5.5.2.1, 5.5.2.3: what fragments stand on | `selections` |
//! | 5.3.2: fields that merge | `merging` |
//! | 5.4: arguments; 5.7: directives | `arguments` |
//! | 5.5.1.4: fragments are used; 5.5.2.2, no cycles, is kept by `breadth` before anything follows a fragment | `fragments` |
//! | 5.6.1, 5.6.2, 5.6.4: literals | `literals` |
//! | 5.6.3: keys of an input object occur once, which the parsed tree does not show | `repeats` |
//! | 5.8: variables | `variables` |
//!
//! Every definition is walked once, and what it spreads and which variables it uses is noted; the rules that follow fragments work on
//! those notes. A document with an error goes through all rules but merging, so that its mistakes are told together.

use async_graphql::ServerError;
use async_graphql::parser::types::ExecutableDocument;
use quipu_schema::api::Api;

use crate::Limits;

mod arguments;
mod fragments;
mod known;
mod literals;
mod merging;
mod repeats;
mod report;
mod selections;
mod variables;

#[cfg(test)]
mod tests;

use known::Known;
use report::Report;
use selections::Walk;
use variables::Defined;

/// What is wrong with a document that is within the limits of `breadth`, in the order of the text and at most `limits.errors`; empty
/// when it is valid. With `suggest`, names that are not known are answered with the nearest one that is.
pub(super) fn errors(
    api: &Api,
    text: &str,
    document: &ExecutableDocument,
    limits: &Limits,
    suggest: bool,
) -> Vec<ServerError> {
    let mut report = Report::new(limits.errors, suggest);
    repeats::check(text, &mut report);
    let known = Known::of(api);
    let mut operations: Vec<Defined<'_>> = document.operations.iter().map(|(name, o)| Defined::new(name, o)).collect();
    operations.sort_by_key(|operation| place(operation.definition.pos));
    let mut parts = fragments::Parts::with_capacity(document.fragments.len());
    let mut walk = Walk::new(&known, document, &mut report);
    let roots: Vec<_> = operations.iter().map(|operation| walk.operation(operation)).collect();
    let mut all: Vec<_> = document.fragments.iter().collect();
    all.sort_by_key(|(_, fragment)| place(fragment.pos));
    for (name, fragment) in &all {
        parts.insert(name.as_str(), walk.fragment(name.as_str(), &fragment.node));
    }
    fragments::unused(&all, &roots, &parts, &mut report);
    for (operation, part) in operations.iter().zip(&roots) {
        fragments::single_root(document, &operation.definition.node, &mut report);
        variables::check(&known, operation, part, &parts, &mut report);
    }
    if report.is_empty() {
        for operation in &operations {
            merging::check(&known, document, &operation.definition.node, limits, &mut report);
        }
    }
    report.finish()
}

fn place(at: async_graphql::Pos) -> (usize, usize) {
    (at.line, at.column)
}
