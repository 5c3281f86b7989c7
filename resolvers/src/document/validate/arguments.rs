//! Arguments (5.4) and directives (5.7).

use async_graphql::parser::types::{Directive, DirectiveLocation};
use async_graphql::{Name, Pos, Positioned};
use async_graphql_value::Value as Literal;
use indexmap::IndexMap;
use quipu_schema::api::InputField;

use super::known::Known;
use super::literals::Path;
use super::selections::Walk;

type Given = (Positioned<Name>, Positioned<Literal>);

impl<'a> Walk<'_, 'a> {
    /// Checks the arguments of a field or directive, which `whose` names.
    pub(super) fn arguments(
        &mut self,
        defs: &'a IndexMap<String, InputField>,
        given: &'a [Given],
        at: Pos,
        whose: impl Fn() -> String,
    ) {
        for (number, (name, value)) in given.iter().enumerate() {
            let def = defs.get(name.node.as_str());
            match def {
                // As many as there are definitions at most are looked through: what is unknown or there twice ends in an error.
                Some(_) if given[..number].iter().rev().take(defs.len()).any(|(other, _)| other.node == name.node) => {
                    self.report.add(name.pos, format!("{} has the argument `{}` twice", whose(), name.node));
                }
                Some(def) => self.literal(
                    &value.node,
                    &def.ty,
                    def.default.is_some(),
                    &Path::argument(name.node.as_str(), value.pos),
                ),
                None => {
                    let message = format!("{} has no argument `{}`", whose(), name.node);
                    self.report.unknown(name.pos, message, name.node.as_str(), defs.keys().map(String::as_str));
                    self.untyped(std::iter::once(value));
                }
            }
        }
        for def in defs.values().filter(|def| def.ty.is_required() && def.default.is_none()) {
            if !given.iter().any(|(name, _)| name.node == def.name) {
                let message = format!("{} needs the argument `{}` of type `{}`", whose(), def.name, def.ty);
                self.report.add(at, message);
            }
        }
    }

    /// Checks the directives of one place.
    pub(super) fn directives(&mut self, given: &'a [Positioned<Directive>], here: DirectiveLocation) {
        for (number, directive) in given.iter().enumerate() {
            let Positioned { node: Directive { name, arguments }, pos } = directive;
            let name = name.node.as_str();
            let Some(def) = Known::directive(name) else {
                let message = format!("there is no directive `@{name}`");
                self.report.unknown(*pos, message, name, Known::directives());
                self.untyped(arguments.iter().map(|(_, value)| value));
                continue;
            };
            if !def.places.contains(&here) {
                self.report.add(*pos, format!("the directive `@{name}` cannot stand on {}", called(here)));
            }
            if given[..number].iter().any(|other| other.node.name.node == name) {
                self.report.add(*pos, format!("the directive `@{name}` stands here twice"));
            }
            self.arguments(&def.args, arguments, *pos, || format!("the directive `@{name}`"));
        }
    }
}

fn called(place: DirectiveLocation) -> &'static str {
    match place {
        DirectiveLocation::Query => "a query",
        DirectiveLocation::Mutation => "a mutation",
        DirectiveLocation::Subscription => "a subscription",
        DirectiveLocation::Field => "a field",
        DirectiveLocation::FragmentDefinition => "the definition of a fragment",
        DirectiveLocation::FragmentSpread => "the spread of a fragment",
        DirectiveLocation::InlineFragment => "a fragment",
        _ => "the definition of a variable",
    }
}
