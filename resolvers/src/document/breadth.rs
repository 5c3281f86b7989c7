//! Limits on the shape of a parsed document: one pass in which every fragment is measured once, however often it is spread.

use async_graphql::parser::types::{ExecutableDocument, Selection, SelectionSet};

use super::Sizes;
use crate::Limits;
use crate::fault::{Code, Fault};

/// Fields and depth of a selection set with all fragments followed.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Size {
    fields: usize,
    depth: usize,
    /// How often the lists of introspection are nested in each other.
    lists: usize,
}

/// Lists of introspection that lead back to types, and how deep they may be nested (the limit of graphql-js).
const LISTS: [&str; 4] = ["fields", "interfaces", "possibleTypes", "inputFields"];
const NESTED_LISTS: usize = 2;

/// Checks operations, variables, directives, depth and number of fields.
pub(super) fn within(document: &ExecutableDocument, limits: &Limits) -> Result<(), Fault> {
    let broad = |what: &str, setting: &str, limit: usize| {
        Fault::client(Code::TooBroad, format!("more {what} than `limits.{setting}`, {limit}"))
    };
    if document.operations.iter().len() > limits.operations {
        return Err(broad("operations in the document", "operations", limits.operations));
    }
    let mut pass = Pass { document, limits, sizes: Sizes::new(), open: Vec::new() };
    for (_, operation) in document.operations.iter() {
        let operation = &operation.node;
        if operation.variable_definitions.len() > limits.variables {
            return Err(broad("variables", "variables", limits.variables));
        }
        pass.directives(operation.directives.len())?;
        let roots = operation.selection_set.node.items.len();
        if roots > limits.root_fields {
            return Err(broad("selections at the root", "root_fields", limits.root_fields));
        }
        let size = pass.set(&operation.selection_set.node)?;
        pass.check(size)?;
    }
    // Fragments that nothing spreads are measured as well: validation walks them.
    for name in document.fragments.keys() {
        let size = pass.fragment(name.as_str())?;
        pass.check(size)?;
    }
    Ok(())
}

struct Pass<'a> {
    document: &'a ExecutableDocument,
    limits: &'a Limits,
    sizes: Sizes<'a>,
    open: Vec<&'a str>,
}

impl<'a> Pass<'a> {
    fn check(&self, size: Size) -> Result<(), Fault> {
        if size.depth > self.limits.depth {
            let message =
                format!("fields are nested {} deep; the limit `limits.depth` is {}", size.depth, self.limits.depth);
            return Err(Fault::client(Code::DepthTooGreat, message));
        }
        if size.fields > self.limits.fields {
            let message = format!("the document selects more fields than `limits.fields`, {}", self.limits.fields);
            return Err(Fault::client(Code::TooBroad, message));
        }
        Ok(())
    }

    fn directives(&self, number: usize) -> Result<(), Fault> {
        if number > self.limits.directives {
            let message = format!("more directives in one place than `limits.directives`, {}", self.limits.directives);
            return Err(Fault::client(Code::TooBroad, message));
        }
        Ok(())
    }

    fn set(&mut self, set: &'a SelectionSet) -> Result<Size, Fault> {
        let mut total = Size::default();
        for item in &set.items {
            self.directives(item.node.directives().len())?;
            let size = match &item.node {
                Selection::Field(field) => {
                    let inner = self.set(&field.node.selection_set.node)?;
                    self.field(field.node.name.node.as_str(), inner)?
                }
                Selection::InlineFragment(inline) => self.set(&inline.node.selection_set.node)?,
                Selection::FragmentSpread(spread) => self.fragment(spread.node.fragment_name.node.as_str())?,
            };
            total.fields = total.fields.saturating_add(size.fields);
            total.depth = total.depth.max(size.depth);
            total.lists = total.lists.max(size.lists);
        }
        Ok(total)
    }

    fn field(&self, name: &str, inner: Size) -> Result<Size, Fault> {
        let introspection = name.starts_with("__");
        if introspection && inner.lists > NESTED_LISTS {
            return Err(Fault::client(Code::DepthTooGreat, "introspection is nested in circles"));
        }
        Ok(Size {
            fields: inner.fields.saturating_add(1),
            // Introspection documents of well-known tools nest deeper than data needs to; they touch no store.
            depth: if introspection { 1 } else { inner.depth.saturating_add(1) },
            lists: inner.lists + usize::from(LISTS.contains(&name)),
        })
    }

    fn fragment(&mut self, name: &str) -> Result<Size, Fault> {
        if let Some(size) = self.sizes.get(name) {
            return Ok(*size);
        }
        // An unknown fragment is validation's to report.
        let Some((name, fragment)) = self.document.fragments.get_key_value(name) else { return Ok(Size::default()) };
        if self.open.contains(&name.as_str()) {
            let message = format!("the fragment {name} spreads itself");
            return Err(Fault::client(Code::GraphqlValidationFailed, message));
        }
        self.directives(fragment.node.directives.len())?;
        self.open.push(name.as_str());
        let size = self.set(&fragment.node.selection_set.node)?;
        self.open.pop();
        self.sizes.insert(name.as_str(), size);
        Ok(size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> Option<Code> {
        let document = async_graphql::parser::parse_query(text).expect("the test's document parses");
        within(&document, &Limits::default()).err().map(|fault| fault.code())
    }

    #[test]
    fn hostile_4_a_fragment_bomb_is_measured_in_one_pass() {
        let mut text = String::from("{ ...f0 }");
        for n in 0..31 {
            text += &format!(" fragment f{n} on Query {{ ...f{m} ...f{m} }}", m = n + 1);
        }
        text += " fragment f31 on Query { a }";
        assert_eq!(code(&text), Some(Code::TooBroad));
    }

    #[test]
    fn hostile_6_fragment_cycles_are_refused() {
        assert_eq!(
            code("{ ...a } fragment a on Query { ...b } fragment b on Query { ...a }"),
            Some(Code::GraphqlValidationFailed)
        );
    }

    #[test]
    fn hostile_7_8_9_many_fields_and_aliases_are_refused() {
        assert_eq!(code(&format!("{{ {} }}", "a ".repeat(5_000))), Some(Code::TooBroad));
        let aliases: String = (0..5_000).map(|n| format!("x{n}: a ")).collect();
        assert_eq!(code(&format!("{{ b {{ {aliases} }} }}")), Some(Code::TooBroad));
    }

    #[test]
    fn hostile_15_circular_introspection_is_refused() {
        let circle = "{ __schema { types { fields { type { fields { type { fields { name } } } } } } } }";
        assert_eq!(code(circle), Some(Code::DepthTooGreat));
        assert_eq!(code("{ __schema { types { fields { name args { name } type { ofType { name } } } } } }"), None);
    }

    #[test]
    fn hostile_10_many_directives_are_refused() {
        let many = "@skip(if: false) ".repeat(1_000);
        for text in [
            format!("{{ a {many} }}"),
            format!("{{ ... {many} {{ a }} }}"),
            format!("{{ ...f {many} }} fragment f on Q {{ a }}"),
        ] {
            assert_eq!(code(&text), Some(Code::TooBroad));
        }
    }
}
