//! The ontology compiler: SDL in, an immutable [`ontology::Ontology`] and its [`api::Api`] out. No async, no drivers.

mod abstracts;
pub mod api;
mod catalog;
pub mod diff;
mod directives;
mod joins;
mod names;
mod nodes;
pub mod ontology;
mod parse;
pub mod policy;
pub mod problem;
mod properties;
mod records;
mod relationships;
mod rules;
mod syntax;
mod tables;
mod uniqueness;
mod values;

pub use diff::{Diff, diff};
pub use parse::MAX_BYTES;
pub use problem::{Code, Problem, Problems};

use api::Api;
use ontology::Ontology;

/// Compiles an ontology: the SDL of one tenant, at most [`MAX_BYTES`], to types, relationships, joins and rules, with the
/// built-in types `Document`, `Chunk` and `Entity` added.
///
/// # Errors
///
/// Everything that is wrong with it at once, each with its place and mostly with help; up to a hundred are kept.
pub fn compile(sdl: &str) -> Result<Ontology, Problems> {
    compile_with_api(sdl).map(|(ontology, _)| ontology)
}

/// Compiles an ontology and derives its API, which [`compile`] makes as well, to see whether its names are unique.
///
/// # Errors
///
/// Those of [`compile`].
pub fn compile_with_api(sdl: &str) -> Result<(Ontology, Api), Problems> {
    let mut problems = Problems::new(sdl);
    let document = parse::parse(sdl, &mut problems);
    let catalog = catalog::merge(document, &mut problems);
    directives::check(&catalog, &mut problems);
    let enums = properties::enums(&catalog, &mut problems);
    let edge_types = relationships::edge_types(&catalog, &enums, &mut problems);
    let types = records::compile(&catalog, &enums, &mut problems);
    let abstracts = abstracts::compile(&catalog, &enums, &types, &mut problems);
    let ontology = Ontology { types, edge_types, abstracts, enums, ruled: Default::default() };
    let ontology = rules::compile(&catalog, ontology, &mut problems);
    let api = uniqueness::check(&catalog, &ontology, &mut problems);
    // There is no API exactly when something is wrong: this makes sure of it, should the two ever disagree.
    let api = problems.finish(api)?.unwrap_or_else(|| Api::of(&ontology));
    Ok((ontology, api))
}
