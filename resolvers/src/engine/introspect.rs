//! Introspection, which is async-graphql's own. Beside data fields, it is given a document without them.

use std::sync::Arc;

use async_graphql::dynamic::Schema;
use async_graphql::parser::types::{ExecutableDocument, OperationDefinition, Selection, SelectionSet};
use async_graphql::{Positioned, Request, Variables};
use async_graphql_value::Value as Literal;
use quick_cache::sync::Cache;
use serde_json::{Map, Value as Json};

use super::{Bound, Engine};
use crate::document::Document;
use crate::fault::{Code, Fault};
use crate::plan::{self, Asked};
use crate::ports::Served;
use crate::{Ask, bind};

/// Schemas of async-graphql that are kept: a client asks for all of an API at once and then not again for long, and a schema takes several
/// times the memory of the API that it is made of.
const KEPT: usize = 4;

/// The schemas that introspection asked for last, by tenant and version.
pub(super) struct Schemas {
    kept: Cache<(Arc<str>, u64), Schema>,
}

impl Default for Schemas {
    fn default() -> Self {
        Self { kept: Cache::new(KEPT) }
    }
}

impl Schemas {
    /// The schema of an API. Making one takes tens of milliseconds for a large API, off the threads of requests and once for all who wait.
    async fn of(&self, served: &Arc<Served>) -> Result<Schema, Fault> {
        let key = (Arc::from(served.tenant.as_str()), served.version);
        let make = async {
            let served = served.clone();
            let made = tokio::task::spawn_blocking(move || bind::schema(&served.api)).await;
            made.map_err(|error| Fault::internal("introspection", error))?
        };
        self.kept.get_or_insert_async(&key, make).await
    }
}

impl Engine {
    /// What `__schema` and `__type` answer, by response key; `None` when neither is asked.
    pub(super) async fn introspected(
        &self,
        bound: &Bound,
        document: &Document,
        operation: &Positioned<OperationDefinition>,
        asked: &[Asked<'_>],
        ask: &Ask,
    ) -> Result<Option<Map<String, Json>>, Fault> {
        if !asked.iter().any(|field| matches!(field.name, "__schema" | "__type")) {
            return Ok(None);
        }
        if !self.settings.introspection {
            return Err(Fault::client(Code::GraphqlValidationFailed, "introspection is switched off"));
        }
        let Some(mut only) = plan::introspection_only(&document.parsed, operation, asked) else { return Ok(None) };
        drop_unused(&mut only);
        let mut request = Request::new("");
        request.variables = Variables::from_json(Json::Object(ask.variables.clone()));
        request.set_parsed_query(only);
        let response = self.introspection.of(&bound.served).await?.execute(request).await;
        if let Some(error) = response.errors.first() {
            return Err(Fault::client(Code::GraphqlValidationFailed, &error.message));
        }
        match response.data.into_json() {
            Ok(Json::Object(found)) => Ok(Some(found)),
            _ => Err(Fault::internal("introspection", "the answer is no object")),
        }
    }
}

/// Takes out fragments and variables that only data fields used: validation would refuse them.
fn drop_unused(document: &mut ExecutableDocument) {
    let mut used = Used::default();
    for (_, operation) in document.operations.iter() {
        used.set(document, &operation.node.selection_set.node);
    }
    let Used { fragments, variables } = used;
    document.fragments.retain(|name, _| fragments.iter().any(|known| known == name.as_str()));
    if let async_graphql::parser::types::DocumentOperations::Single(operation) = &mut document.operations {
        let definitions = &mut operation.node.variable_definitions;
        definitions.retain(|definition| variables.iter().any(|known| known == definition.node.name.node.as_str()));
    }
}

#[derive(Default)]
struct Used {
    fragments: Vec<String>,
    variables: Vec<String>,
}

impl Used {
    fn set(&mut self, document: &ExecutableDocument, set: &SelectionSet) {
        for item in &set.items {
            for directive in item.node.directives() {
                for (_, value) in &directive.node.arguments {
                    self.value(&value.node);
                }
            }
            match &item.node {
                Selection::Field(field) => {
                    for (_, value) in &field.node.arguments {
                        self.value(&value.node);
                    }
                    self.set(document, &field.node.selection_set.node);
                }
                Selection::InlineFragment(inline) => self.set(document, &inline.node.selection_set.node),
                Selection::FragmentSpread(spread) => {
                    let name = spread.node.fragment_name.node.to_string();
                    if !self.fragments.contains(&name) {
                        self.fragments.push(name.clone());
                        if let Some(fragment) = document.fragments.get(name.as_str()) {
                            self.set(document, &fragment.node.selection_set.node);
                        }
                    }
                }
            }
        }
    }

    fn value(&mut self, value: &Literal) {
        match value {
            Literal::Variable(name) => self.variables.push(name.to_string()),
            Literal::List(items) => items.iter().for_each(|item| self.value(item)),
            Literal::Object(fields) => fields.values().for_each(|item| self.value(item)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::TenantId;

    #[tokio::test]
    async fn schemas_are_made_when_asked_for_and_only_some_are_kept() {
        let schemas = Schemas::default();
        assert_eq!(schemas.kept.len(), 0);
        for version in 1..=10 {
            let (ontology, api) = quipu_schema::compile_with_api("type A @node { id: ID! }").expect("it compiles");
            let tenant = TenantId::parse("alpha").expect("a name");
            let served = Arc::new(Served { tenant, version, ontology, api });
            let schema = schemas.of(&served).await.expect("the API binds");
            assert!(schema.sdl().contains("type AsConnection"));
            assert!(schemas.kept.get(&(Arc::from("alpha"), version)).is_some(), "asked again, it is there");
        }
        assert_eq!(schemas.kept.len(), KEPT);
    }
}
