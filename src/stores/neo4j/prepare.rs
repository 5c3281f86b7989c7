//! What an ontology needs of the graph: labels, constraints, indexes, and the texts of records that are there already.

use std::collections::BTreeSet;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use neo4rs::Txn;
use quipu_resolvers::fault::{Code, Fault};
use quipu_resolvers::guard::TenantId;
use quipu_schema::ontology::Ontology;

use super::apply::{Named, begin, fetch, set_texts};
use super::failure::Failure;
use super::session::{Work, query};
use super::{BACKGROUND, Neo4j, PART, Statement, TenancyMode, column};
use crate::stores::cypher::apply::{self, Texts};
use crate::stores::cypher::{Labels, Scope, Tenancy, schema, texts};

/// Longest time for all of it; indexes go on being filled afterwards.
const PREPARING: Duration = Duration::from_secs(900);

/// Nodes whose texts are indexed in one transaction.
const PORTION: u32 = 2_000;

impl Neo4j {
    /// Makes the graph fit an ontology. Doing it again does nothing.
    pub(super) async fn fit(&self, tenant: &TenantId, ontology: &Ontology) -> Result<(), Fault> {
        let deadline = Instant::now() + PREPARING;
        self.look().await.map_err(|error| match error.away {
            true => Fault::passing(PART, error),
            false => Fault::internal(PART, format!("{error}; {}", error.help)),
        })?;
        self.alone(tenant, deadline).await?;
        let labels = Labels::of(ontology);
        self.ensure(&BTreeSet::new(), deadline).await.map_err(Failure::fault)?;
        if self.0.options.tenancy == TenancyMode::Property {
            for text in schema::of_ontology(ontology, &labels) {
                self.make(&text, deadline).await.map_err(Failure::fault)?;
            }
        }
        self.set_labels(tenant, labels);
        self.fit_texts(tenant, ontology, deadline).await.map_err(Failure::fault)
    }

    /// Whoever has a database as it stands sees all that is in it, so nobody else may be there.
    async fn alone(&self, tenant: &TenantId, deadline: Instant) -> Result<(), Fault> {
        if self.0.options.tenancy == TenancyMode::Property {
            return Ok(());
        }
        let asked = apply::other_tenant(&self.name(tenant));
        let rows = self.0.sessions.read(&asked, deadline).await.map_err(Failure::fault)?;
        let Some(row) = rows.first() else { return Ok(()) };
        let other: String = column(row, "tenant").map_err(|cause| Fault::internal(PART, cause))?;
        let message = format!(
            "the database that `{}.url` names holds the graph of {other} as well, and with tenancy = \"database\" {tenant} would see \
             it; name another database for one of them, as [graph.tenants.NAME]",
            self.0.options.section
        );
        Err(Fault::client(Code::Conflict, message))
    }

    /// Makes the constraints and indexes of what is written for the first time, and the gateway's own.
    pub(super) async fn ensure(&self, named: &BTreeSet<Named>, deadline: Instant) -> Result<(), Failure> {
        self.migrated(deadline).await?;
        if self.0.options.tenancy == TenancyMode::Database {
            return Ok(());
        }
        for name in named {
            let text = match name {
                Named::Label(label) => schema::key(label),
                Named::Relationship(of) => schema::of_tenant(of),
            };
            self.make(&text, deadline).await?;
        }
        Ok(())
    }

    /// Makes a constraint or an index, once in a process.
    pub(super) async fn make(&self, text: &str, deadline: Instant) -> Result<(), Failure> {
        if self.is_made(text) {
            return Ok(());
        }
        match self.0.sessions.run(text, deadline).await {
            Ok(()) => {}
            // Another instance made it a moment ago.
            Err(Failure::Store(neo4rs::Error::Neo4j(error))) if error.code().contains("AlreadyExists") => {}
            Err(failure) => return Err(failure),
        }
        self.note_made(text);
        Ok(())
    }

    /// Indexes of the database that the server still fills, as `Label(property, ...)`. Those of others count: they are filled by the same
    /// server at the same time.
    pub(super) async fn unfilled(&self) -> Result<Vec<String>, Fault> {
        let statement = Statement { text: schema::UNFILLED.to_owned(), parameters: Vec::new() };
        let rows = self.0.sessions.read(&statement, Instant::now() + BACKGROUND).await.map_err(Failure::fault)?;
        let mut names = Vec::with_capacity(rows.len());
        for row in &rows {
            let of = |name: &str| column::<String>(row, name).map_err(|cause| Failure::Answer(cause).fault());
            let (name, state) = (of("name")?, of("state")?);
            if state == "FAILED" {
                return Err(Fault::internal(PART, format!("the index {name} could not be filled: {}", of("failure")?)));
            }
            names.push(name);
        }
        Ok(names)
    }

    pub(super) fn is_made(&self, text: &str) -> bool {
        self.0.made.lock().unwrap_or_else(PoisonError::into_inner).contains(text)
    }

    pub(super) fn note_made(&self, text: &str) {
        self.0.made.lock().unwrap_or_else(PoisonError::into_inner).insert(text.to_owned());
    }

    /// Indexes the texts of the types of which other properties than before are embedded. The new ones are noted first: changes that come
    /// meanwhile are indexed by them, and what is gone through twice is the same as once.
    async fn fit_texts(&self, tenant: &TenantId, ontology: &Ontology, deadline: Instant) -> Result<(), Failure> {
        let types = ontology.types.values();
        let wanted: Texts = types
            .map(|entity| (entity.name.clone(), entity.embedded().map(|property| property.stored.clone()).collect()))
            .filter(|(_, names): &(String, Vec<String>)| !names.is_empty())
            .collect();
        let name = self.name(tenant);
        let noting = NotingTexts { tenant: &name, wanted: &wanted };
        let held = self.0.sessions.transact(&noting, deadline).await?;
        let types: BTreeSet<&String> = held.keys().chain(wanted.keys()).collect();
        for of in types.into_iter().filter(|of| held.get(*of) != wanted.get(*of)) {
            let names = wanted.get(of).map_or(&[][..], Vec::as_slice);
            match ontology.types.get(of).filter(|entity| !entity.is_node()) {
                Some(entity) => self.index_rows(tenant, ontology, entity, deadline).await?,
                None => self.index_type(tenant, of, names, deadline).await?,
            }
        }
        Ok(())
    }

    /// Indexes the texts of all nodes of a type again, a portion at a time.
    async fn index_type(
        &self,
        tenant: &TenantId,
        of: &str,
        names: &[String],
        deadline: Instant,
    ) -> Result<(), Failure> {
        let (tenancy, labels) = (self.tenancy(tenant), self.labels(tenant));
        let scope = Scope { tenancy: &tenancy, labels: &labels };
        let name = self.name(tenant);
        let mut indexing = Indexing { tenant: &name, of, names, scope, after: String::new() };
        while let Some(last) = self.0.sessions.transact(&indexing, deadline).await? {
            indexing.after = last;
        }
        Ok(())
    }
}

/// Notes which texts are to be indexed; gives those that were.
struct NotingTexts<'a> {
    tenant: &'a str,
    wanted: &'a Texts,
}

impl Work for NotingTexts<'_> {
    type Done = Texts;

    async fn work(&self, transaction: &mut Txn) -> Result<Texts, Failure> {
        let (_, held) = begin(transaction, self.tenant).await?;
        if held != *self.wanted {
            set_texts(transaction, self.tenant, self.wanted).await?;
        }
        Ok(held)
    }
}

/// Indexes the texts of a portion of a type's nodes; gives the last id, or nothing after the end.
struct Indexing<'a> {
    tenant: &'a str,
    of: &'a str,
    names: &'a [String],
    scope: Scope<'a>,
    after: String,
}

impl Work for Indexing<'_> {
    type Done = Option<String>;

    async fn work(&self, transaction: &mut Txn) -> Result<Option<String>, Failure> {
        if *self.scope.tenancy == Tenancy::Database {
            let asked = texts::index_after(self.tenant, self.of, &self.after, PORTION, self.names, self.scope);
            let found = fetch(transaction, &asked).await?;
            return found.first().map_or(Ok(None), |row| column(row, "id").map_err(Failure::Answer));
        }
        let found = fetch(transaction, &apply::ids_after(self.of, &self.after, PORTION, self.scope)).await?;
        let ids: Vec<String> =
            found.iter().map(|row| column(row, "id")).collect::<Result<_, _>>().map_err(Failure::Answer)?;
        let all: Vec<&str> = ids.iter().map(String::as_str).collect();
        transaction.run(query(&apply::index(self.tenant, self.of, &all, self.names, self.scope), None)).await?;
        Ok(ids.last().cloned())
    }
}
