//! Loading the demo's tenants, once: each batch has an idempotency key, so a load that broke off goes on where it was, and what
//! users changed meanwhile stays changed.

use std::io;
use std::time::Instant;

use indicatif::HumanCount;
use quipu_resolvers::fault::Fault;
use quipu_resolvers::guard::{self, TenantId};
use quipu_resolvers::ports::{Call, Trace};
use quipu_resolvers::read::{Field, Pick, Place, Predicate, Read, Target, Via, Window};
use quipu_resolvers::{Bound, ways};

use super::Failure;
use crate::app::App;
use crate::cli::import::{self, Report};
use crate::cli::progress::Unit;
use crate::demo;
use crate::ingest::records::Record;
use crate::ingest::source::Source;

/// One tenant of the demo.
pub struct Tenant {
    /// Its name.
    pub name: TenantId,
    ontology: &'static str,
    records: fn() -> io::Result<Box<dyn Iterator<Item = Record> + Send>>,
    /// Type and id of a row that nothing refers to. It is loaded last, so where it is, all of it is.
    last: (&'static str, &'static str),
}

impl Tenant {
    /// Passages of an encyclopaedia.
    pub fn library() -> Result<Self, Failure> {
        Self::new("library", demo::LIBRARY_ONTOLOGY, ("Source", "d1"), || Ok(Box::new(demo::library()?)))
    }

    /// A cold chain.
    pub fn cryox() -> Result<Self, Failure> {
        Self::new("cryox", demo::CRYOX_ONTOLOGY, ("Reading", "d1-000"), || Ok(Box::new(demo::cryox(demo::SEED)?)))
    }

    /// Articles, what they name, and what was made of them.
    pub fn insights() -> Result<Self, Failure> {
        Self::new("insights", demo::INSIGHTS_ONTOLOGY, ("Job", "j1"), || Ok(Box::new(demo::insights(demo::SEED)?)))
    }

    /// A mortgage desk: rules in scopes, and what was overridden.
    pub fn emma() -> Result<Self, Failure> {
        Self::new("emma", demo::EMMA_ONTOLOGY, ("Override", "o1"), || Ok(Box::new(demo::emma(demo::SEED)?)))
    }

    /// Marketing figures: fields by role.
    pub fn supertrack() -> Result<Self, Failure> {
        Self::new("supertrack", demo::SUPERTRACK_ONTOLOGY, ("Run", "search-1"), || {
            Ok(Box::new(demo::supertrack(demo::SEED)))
        })
    }

    /// All of them, in the order in which they are loaded.
    pub fn all() -> Result<[Self; 5], Failure> {
        Ok([Self::library()?, Self::cryox()?, Self::insights()?, Self::emma()?, Self::supertrack()?])
    }

    fn new(
        name: &str,
        ontology: &'static str,
        last: (&'static str, &'static str),
        records: fn() -> io::Result<Box<dyn Iterator<Item = Record> + Send>>,
    ) -> Result<Self, Failure> {
        let name = TenantId::parse(name).ok_or_else(|| Failure::usage(format!("{name} names no tenant")))?;
        Ok(Self { name, ontology, records, last })
    }

    fn is_last(&self, record: &Record) -> bool {
        matches!(record, Record::Row { row, id, .. } if (row.as_str(), id.as_str()) == self.last)
    }
}

/// Publishes a tenant's ontology when it has none, and loads its records when they were not all loaded before.
///
/// # Errors
/// When a store fails, or the records do not fit an ontology that was published since.
pub async fn load(app: &App, tenant: &Tenant) -> Result<(), Failure> {
    let metadata = &app.ports.metadata;
    if metadata.ontology(&tenant.name).await?.is_none() {
        let ontology = quipu_schema::compile(tenant.ontology)
            .map_err(|problems| Failure::refused(format!("the ontology of {}: {problems}", tenant.name)))?;
        metadata.publish(&tenant.name, tenant.ontology, &ontology, &app.now()).await?;
    }
    let bound = import::served(app, &tenant.name).await?;
    if is_loaded(app, &bound, tenant).await? {
        return Ok(());
    }
    let damaged = |error: io::Error| Failure::refused(format!("the demo's records: {error}"));
    let (records, last): (Vec<_>, Vec<_>) =
        (tenant.records)().map_err(damaged)?.partition(|record| !tenant.is_last(record));
    let total = (records.len() + last.len()) as u64;
    let mut report = Report::begin(&format!("loading {}", tenant.name), total, Unit::Count("records"));
    let name = format!("demo {}", tenant.name);
    let sources = vec![Source::records(&name, records.into_iter()), Source::records(&name, last.into_iter())];
    let outcome = import::importer(app, bound, Some(name)).run(sources, &mut report).await;
    let took = report.progress.end();
    match outcome?.refused {
        0 => {
            eprintln!("loaded {}: {} records in {:.1} s", tenant.name, HumanCount(total), took.as_secs_f64());
            Ok(())
        }
        refused => Err(Failure::refused(format!("{refused} records of the demo were refused")).help(
            "the ontology of the demo was changed before all was loaded; delete the demo's folder to begin anew",
        )),
    }
}

/// Whether the record that is loaded last is there.
async fn is_loaded(app: &App, bound: &Bound, tenant: &Tenant) -> Result<bool, Fault> {
    let (of, id) = tenant.last;
    let served = bound.served();
    let Some(place) = served.ontology.types.get(of).map(ways::place) else { return Ok(false) };
    let target = Target {
        of: of.to_owned(),
        filter: Predicate::equals(Field::Id, id.into()),
        visible: Predicate::True,
        picks: vec![Pick::Field(Field::Id)],
    };
    let read = Read {
        place,
        via: Via::Root,
        targets: vec![target],
        sort: Vec::new(),
        window: Window { limit: Some(1), ..Window::default() },
        rows: true,
        total: false,
        figures: Vec::new(),
    };
    let allowed = guard::read(&import::operator(&tenant.name, "quipu demo"), &served.ontology, read)?;
    let trace = Trace::default();
    let call = Call { deadline: Instant::now() + app.config.server.request_timeout, trace: &trace };
    let found = match place {
        Place::Rows => app.ports.metadata.read(&allowed, call).await?,
        Place::Nodes | Place::Relationships => app.ports.graph.read(&allowed, call).await?,
    };
    Ok(found.as_list().is_some_and(|rows| !rows.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_loaded_last_is_there_once_and_nothing_needs_it() {
        for tenant in Tenant::all().unwrap_or_else(|_| panic!("tenants")) {
            let records: Vec<_> = (tenant.records)().expect("records").collect();
            assert_eq!(records.iter().filter(|record| tenant.is_last(record)).count(), 1, "{}", tenant.name);
            // Rows are referred to by joins only, and no record of the demo holds the id of such a row.
            let entity = quipu_schema::compile(tenant.ontology).expect("compiles").types[tenant.last.0].clone();
            assert!(!entity.is_node());
        }
    }
}
