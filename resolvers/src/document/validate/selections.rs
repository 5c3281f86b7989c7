//! The walk over one definition: fields (5.3.1, 5.3.3) and fragments (5.5.1.2, 5.5.1.3, 5.5.2.1, 5.5.2.3), each selection once.

use async_graphql::Positioned;
use async_graphql::parser::types::{
    DirectiveLocation, ExecutableDocument, Field, FragmentDefinition, InlineFragment, OperationType, Selection,
    SelectionSet, TypeCondition,
};
use async_graphql::{Pos, parser::types::FragmentSpread};
use quipu_schema::api::TypeDef;

use super::fragments::Part;
use super::known::{Known, is_composite};
use super::report::Report;
use super::variables::Defined;
use crate::plan::Sort;

/// A pass over definitions.
pub(super) struct Walk<'w, 'a> {
    pub(super) known: &'w Known<'a>,
    document: &'a ExecutableDocument,
    pub(super) report: &'w mut Report,
    pub(super) part: Part<'a>,
}

impl<'w, 'a> Walk<'w, 'a> {
    pub(super) fn new(known: &'w Known<'a>, document: &'a ExecutableDocument, report: &'w mut Report) -> Self {
        Self { known, document, report, part: Part::default() }
    }

    /// Walks an operation.
    pub(super) fn operation(&mut self, operation: &'a Defined<'a>) -> Part<'a> {
        let node = &operation.definition.node;
        let here = match node.ty {
            OperationType::Query => DirectiveLocation::Query,
            OperationType::Mutation => DirectiveLocation::Mutation,
            OperationType::Subscription => DirectiveLocation::Subscription,
        };
        self.directives(&node.directives, here);
        for (definition, default) in node.variable_definitions.iter().zip(&operation.defaults) {
            self.directives(&definition.node.directives, DirectiveLocation::VariableDefinition);
            let ty = operation.variables.get(definition.node.name.node.as_str());
            if let (Some(default), Some((ty, _))) = (default, ty) {
                self.default(default, ty, definition);
            }
        }
        self.set(self.known.get(Sort::of(node).root()), &node.selection_set.node);
        std::mem::take(&mut self.part)
    }

    /// Walks a fragment.
    pub(super) fn fragment(&mut self, name: &'a str, fragment: &'a FragmentDefinition) -> Part<'a> {
        self.directives(&fragment.directives, DirectiveLocation::FragmentDefinition);
        let on = self.condition(&fragment.type_condition, Some(name));
        self.set(on, &fragment.selection_set.node);
        std::mem::take(&mut self.part)
    }

    /// Walks a selection set on a type; on `None`, when the type is not known, to note what it uses.
    fn set(&mut self, of: Option<&'a TypeDef>, set: &'a SelectionSet) {
        for item in &set.items {
            match &item.node {
                Selection::Field(field) => self.field(of, field),
                Selection::InlineFragment(inline) => self.inline(of, inline),
                Selection::FragmentSpread(spread) => self.spread(of, spread),
            }
        }
    }

    fn field(&mut self, of: Option<&'a TypeDef>, field: &'a Positioned<Field>) {
        let Positioned { node: field, pos } = field;
        self.directives(&field.directives, DirectiveLocation::Field);
        let name = field.name.node.as_str();
        let def = of.and_then(|of| self.known.field(of, name));
        let below = &field.selection_set.node;
        let Some(def) = def else {
            if let Some(of) = of {
                self.unknown_field(of, name, *pos);
            }
            self.untyped(field.arguments.iter().map(|(_, value)| value));
            return self.set(None, below);
        };
        self.arguments(&def.args, &field.arguments, *pos, || format!("the field `{name}`"));
        let target = self.known.get(def.ty.name());
        match (target.is_some_and(is_composite), below.items.is_empty()) {
            (true, true) => {
                let message =
                    format!("the field `{name}` of type `{}` needs a selection of fields below it, in braces", def.ty);
                self.report.add(*pos, message);
            }
            (true, false) => self.set(target, below),
            (false, true) => {}
            (false, false) => {
                let message = format!("the field `{name}` of type `{}` has no fields below it", def.ty);
                self.report.add(*pos, message);
                self.set(None, below);
            }
        }
    }

    fn unknown_field(&mut self, of: &'a TypeDef, name: &str, at: Pos) {
        match of {
            TypeDef::Object(object) | TypeDef::Interface(object) => {
                let message = format!("the type `{}` has no field `{name}`", object.name);
                self.report.unknown(at, message, name, object.fields.keys().map(String::as_str));
            }
            other => {
                let help = "select fields in fragments on its types";
                self.report.add(at, format!("the union `{}` has no field `{name}`; {help}", other.name()));
            }
        }
    }

    fn inline(&mut self, of: Option<&'a TypeDef>, inline: &'a Positioned<InlineFragment>) {
        let Positioned { node: inline, pos } = inline;
        self.directives(&inline.directives, DirectiveLocation::InlineFragment);
        let on = match &inline.type_condition {
            Some(condition) => {
                let on = self.condition(condition, None);
                self.possible(of, on, *pos);
                on
            }
            None => of,
        };
        self.set(on, &inline.selection_set.node);
    }

    fn spread(&mut self, of: Option<&'a TypeDef>, spread: &'a Positioned<FragmentSpread>) {
        let Positioned { node: spread, pos } = spread;
        self.directives(&spread.directives, DirectiveLocation::FragmentSpread);
        let name = spread.fragment_name.node.as_str();
        let Some(fragment) = self.document.fragments.get(name) else {
            let message = format!("the document has no fragment `{name}`");
            let known = self.document.fragments.keys().map(|name| name.as_str());
            return self.report.unknown(*pos, message, name, known);
        };
        self.part.spreads.push(name);
        let on = self.known.get(fragment.node.type_condition.node.on.node.as_str());
        self.possible(of, on.filter(|on| is_composite(on)), *pos);
    }

    /// The type that a fragment stands on.
    fn condition(&mut self, condition: &'a Positioned<TypeCondition>, fragment: Option<&str>) -> Option<&'a TypeDef> {
        let name = condition.node.on.node.as_str();
        let whose =
            || fragment.map_or_else(|| "a fragment".to_owned(), |fragment| format!("the fragment `{fragment}`"));
        match self.known.get(name) {
            Some(def) if is_composite(def) => Some(def),
            Some(_) => {
                let message = format!("{} cannot stand on `{name}`, which has no fields", whose());
                self.report.add(condition.pos, message);
                None
            }
            None => {
                let message = format!("{} stands on the unknown type `{name}`", whose());
                self.report.unknown(condition.pos, message, name, self.known.names());
                None
            }
        }
    }

    fn possible(&mut self, of: Option<&'a TypeDef>, on: Option<&'a TypeDef>, at: Pos) {
        if let (Some(of), Some(on)) = (of, on)
            && !self.known.meet(of, on)
        {
            let message = format!("a `{}` is never a `{}`: the fragment selects nothing here", of.name(), on.name());
            self.report.add(at, message);
        }
    }
}
