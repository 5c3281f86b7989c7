//! Fields planned: what is asked of the API becomes reads of stores and the shape of the answer. One `match` on a field's source.

use std::collections::BTreeSet;
use std::time::Duration;

use quipu_schema::ontology::{EdgeType, PageLimit};
use quipu_schema::policy::Operation;

use crate::Limits;
use crate::fault::{Code, Fault};
use crate::guard::TenantId;
use crate::plan::Asked;
use crate::ports::Served;
use crate::read::{Place, Read, Via};
use crate::shape::What;

pub(crate) mod filter;
mod introspect;
mod listing;
pub(crate) mod mutate;
mod record;
pub(crate) mod search;
pub(crate) mod watch;
mod window;

use quipu_schema::api::{Form, Source};

/// A read with the reads of other stores that hang on its rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The read.
    pub read: Read,
    /// Reads of other stores, by keys in its rows.
    pub crossings: Vec<Crossing>,
}

/// A read of another store, once for all rows that hold a key for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Crossing {
    /// Number of the crossing in its request.
    pub id: usize,
    /// The way from an outcome of the enclosing plan down to the rows that hold the keys.
    pub trail: Vec<Step>,
    /// Which target's rows hold them; `None` when there is only one.
    pub target: Option<usize>,
    /// Position of the key in those rows.
    pub slot: usize,
    /// What is read by the keys.
    pub plan: Plan,
}

/// One step down: from the rows of an outcome to an outcome inside of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// Only rows of this target; `None` when there is only one.
    pub target: Option<usize>,
    /// Position of the inner outcome in the row.
    pub slot: usize,
}

/// What a root field does.
pub(crate) enum Job {
    /// Is answered by the shape alone: a name, or introspection.
    Nothing,
    /// Reads. What it reads may be kept that long, when the type says so.
    Read(Plan, Option<Duration>),
    /// Searches by meaning in one type.
    Similar(search::Similar),
    /// Searches by meaning and words.
    Search(search::Search),
    /// Writes.
    Write(mutate::Write),
    /// Watches.
    Watch(watch::Watch),
}

impl Job {
    /// Adds the types that it reads, writes or watches, at any level.
    pub fn touched(&self, types: &mut BTreeSet<String>) {
        let mut of_plan = |plan: &Plan| plan.touched(types);
        match self {
            Self::Nothing => {}
            Self::Read(plan, _) => of_plan(plan),
            Self::Similar(similar) => of_plan(&similar.plan),
            Self::Search(search) => of_plan(&search.plan),
            Self::Write(write) => {
                write.plan.iter().for_each(of_plan);
                types.insert(write.of.clone());
            }
            Self::Watch(watch) => {
                watch.nodes.iter().chain(&watch.rows).for_each(|(_, plan)| of_plan(plan));
                types.extend(watch.of.iter().cloned());
            }
        }
    }
}

impl Plan {
    fn touched(&self, types: &mut BTreeSet<String>) {
        self.read.touched(types);
        self.crossings.iter().for_each(|crossing| crossing.plan.touched(types));
    }
}

/// Plans the fields of one request.
pub(crate) struct Planner<'a> {
    pub served: &'a Served,
    pub limits: &'a Limits,
    pub secret: &'a [u8],
    crossings: usize,
}

/// Which records a listing is of.
pub(crate) struct Scope<'a> {
    /// Where they are.
    pub place: Place,
    /// How they are reached.
    pub via: Via,
    /// Concrete types.
    pub members: Vec<String>,
    /// Type of the relationship's properties.
    pub edge: Option<&'a EdgeType>,
    /// Page sizes of the ontology.
    pub pages: PageLimit,
    /// Name of the list, for its cursors.
    pub name: String,
}

impl<'a> Planner<'a> {
    pub fn new(served: &'a Served, limits: &'a Limits, secret: &'a [u8]) -> Self {
        Self { served, limits, secret, crossings: 0 }
    }

    /// How many crossings were planned.
    pub fn crossings(&self) -> usize {
        self.crossings
    }

    /// Plans a field at the root.
    pub fn root(&mut self, asked: &Asked<'a>) -> Result<(Job, What), Fault> {
        let Some(def) = asked.def else { return Ok((Job::Nothing, What::Typename("".into()))) };
        if asked.name.starts_with("__") {
            return Ok((Job::Nothing, What::Written(introspect::written(&self.served.api, asked)?)));
        }
        match &def.source {
            Source::Records { of, form } => {
                let (plan, what) = self.records(of, *form, asked)?;
                let kept = self.served.ontology.types.get(of).and_then(|entity| entity.cache);
                Ok((Job::Read(plan, kept), what))
            }
            Source::Similar { of } => self.similar(of, asked),
            Source::Search => self.search(asked),
            Source::Create { of } => self.create(of, asked),
            Source::Upsert { of } => self.upsert(of, asked),
            Source::Update { of } => self.update(of, asked),
            Source::Delete { of } => self.delete(of, asked),
            Source::Changes => self.changes(asked),
            Source::Watch { of, event } => self.watch(of, *event, asked),
            Source::Property(_) | Source::Related { .. } | Source::Joined { .. } | Source::Part(_) => {
                Err(Fault::internal("plan", format!("{} is no root field", asked.name)))
            }
        }
    }

    fn tenant(&self) -> &TenantId {
        &self.served.tenant
    }

    fn next_crossing(&mut self) -> usize {
        self.crossings += 1;
        self.crossings - 1
    }

    fn records(&mut self, of: &str, form: Form, asked: &Asked<'a>) -> Result<(Plan, What), Fault> {
        let ontology = &self.served.ontology;
        let scope = Scope {
            place: filter::place_of(ontology, of),
            via: Via::Root,
            members: crate::ways::names(ontology, of),
            edge: None,
            pages: ontology.types.get(of).map(|entity| entity.limit).unwrap_or_default(),
            name: of.to_owned(),
        };
        let scope = if of == quipu_schema::ontology::RELATIONSHIP {
            Scope { place: Place::Relationships, members: vec![of.to_owned()], ..scope }
        } else {
            scope
        };
        match form {
            Form::One => self.by_id(scope, asked),
            form => self.listing(scope, form, asked),
        }
    }
}

/// The rules under which the records of a write are found.
pub(crate) fn touching(update: bool) -> Operation {
    if update { Operation::Update } else { Operation::Delete }
}

/// A refusal of what the caller gave.
pub(crate) fn bad(message: impl Into<String>) -> Fault {
    Fault::client(Code::BadUserInput, message)
}
