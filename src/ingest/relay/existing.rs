//! Properties that become embedded while records are there, and those that are embedded no more.
//!
//! Records are gone through in the order of their ids, and only when the log was followed to its end, so that a text read here is
//! never older than a vector that is there. What changes meanwhile is in the log, and follows. How far it came is noted together with
//! the vectors.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use quipu_resolvers::fault::Fault;
use quipu_resolvers::guard::{self, Principal, TenantId};
use quipu_resolvers::ports::{Call, Coverage, Reached, Trace};
use quipu_resolvers::read::{Field, Pick, Place, Predicate, Read, Sort, Target, Via, Window};
use quipu_resolvers::value::Value;
use quipu_resolvers::ways;
use quipu_schema::ontology::{EntityType, Ontology, Property};
use quipu_schema::policy::Operator;

use super::{Relay, Step, TEXTS, Wanted};

/// Records that are gone through at once.
const RECORDS: u32 = 256;
/// How long a look at the records may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is told how far it is.
const TELL: Duration = Duration::from_secs(5);

/// A property whose records are still to be gone through.
struct Todo<'o> {
    entity: &'o EntityType,
    property: &'o Property,
    /// Id of the last record that was gone through; `None` before the beginning.
    upto: Option<String>,
}

impl Todo<'_> {
    fn coverage(&self, reached: Reached) -> Coverage {
        Coverage { of: self.entity.name.clone(), property: self.property.stored.clone(), reached }
    }
}

/// All properties that an ontology embeds.
fn embedded(ontology: &Ontology) -> impl Iterator<Item = (&EntityType, &Property)> {
    ontology.types.values().flat_map(|entity| entity.embedded().map(move |property| (entity, property)))
}

/// What is to be gone through, and what is to go. Vectors that have followed nothing yet get everything from the log.
fn compare<'o>(ontology: &'o Ontology, position: u64, held: &[Coverage]) -> (Vec<Todo<'o>>, Vec<Coverage>) {
    let wanted: BTreeSet<(&str, &str)> =
        embedded(ontology).map(|(entity, property)| (entity.name.as_str(), property.stored.as_str())).collect();
    let stays = |c: &Coverage| c.reached != Reached::Leaving && wanted.contains(&(c.of.as_str(), c.property.as_str()));
    let gone = held.iter().filter(|coverage| !stays(coverage)).cloned().collect();
    let todo = embedded(ontology).filter_map(|(entity, property)| {
        let known = held.iter().find(|c| c.of == entity.name && c.property == property.stored);
        let upto = match known.map(|coverage| &coverage.reached) {
            Some(Reached::All) => return None,
            Some(Reached::Upto(id)) if !id.is_empty() => Some(id.clone()),
            Some(Reached::Upto(_) | Reached::Leaving) | None => None,
        };
        Some(Todo { entity, property, upto })
    });
    (if position == 0 { Vec::new() } else { todo.collect() }, gone)
}

impl Relay {
    /// Whether there is anything to go through or to remove.
    pub(super) async fn has_existing(
        &self,
        tenant: &TenantId,
        ontology: &Ontology,
        position: u64,
    ) -> Result<bool, Fault> {
        let (todo, gone) = compare(ontology, position, &self.vectors.coverage(tenant).await?);
        Ok(!todo.is_empty() || !gone.is_empty())
    }

    /// Before the first entry is followed: the log brings all records, none has to be gone through.
    pub(super) async fn begin(&self, tenant: &TenantId, ontology: &Ontology) -> Result<(), Fault> {
        let held = self.vectors.coverage(tenant).await?;
        for (entity, property) in embedded(ontology) {
            let (of, property) = (entity.name.clone(), property.stored.clone());
            let all = Coverage { of, property, reached: Reached::All };
            if !held.contains(&all) {
                self.vectors.cover(tenant, &all, &[]).await?;
            }
        }
        Ok(())
    }

    /// Removes a portion of the vectors that nobody wants any more; false when there are none.
    pub(super) async fn let_go(&self, tenant: &TenantId, ontology: &Ontology) -> Result<bool, Fault> {
        let (_, gone) = compare(ontology, 0, &self.vectors.coverage(tenant).await?);
        let Some(Coverage { of, property, .. }) = gone.first() else { return Ok(false) };
        if self.vectors.uncover(tenant, of, property).await? {
            tracing::info!(%tenant, of, property, "embedded no more: its vectors are removed");
        }
        Ok(true)
    }

    /// Embeds the next few records that were there before.
    pub(super) async fn existing(
        &self,
        tenant: &TenantId,
        ontology: &Ontology,
        position: u64,
        embedded: &mut (dyn FnMut(usize) + Send),
    ) -> Result<Step, Fault> {
        let (todo, _) = compare(ontology, position, &self.vectors.coverage(tenant).await?);
        let Some(todo) = todo.into_iter().next() else { return Ok(Step::InStep) };
        // A graph that is behind would give older texts than those that were followed.
        if self.graph.position(tenant).await? < position {
            return Ok(Step::Elsewhere);
        }
        self.tell(tenant, ontology, &todo).await?;
        let found = self.texts(tenant, ontology, &todo).await?;
        let end = if found.len() < RECORDS as usize { None } else { found.last().map(|(id, _)| id.clone()) };
        let named = found.into_iter().filter_map(|(id, text)| Some((id, text?))).collect::<Vec<_>>();
        let ids = named.iter().map(|(id, _)| id.clone()).collect();
        let lacking = self.vectors.lacking(tenant, &todo.entity.name, &todo.property.stored, ids).await?;
        let lacking: BTreeSet<String> = lacking.into_iter().collect();
        let passed = named.len() - lacking.len();
        let wanted: Vec<Wanted> =
            named.into_iter().filter(|(id, _)| lacking.contains(id)).map(|(id, text)| todo.wanted(id, text)).collect();
        let total = wanted.len();
        for portion in wanted.chunks(TEXTS) {
            let upto = portion.last().map_or_else(String::new, |wanted| wanted.record.id.clone());
            let changes = self.embed(portion.to_vec()).await?;
            self.vectors.cover(tenant, &todo.coverage(Reached::Upto(upto)), &changes).await?;
            embedded(portion.len());
        }
        if passed > 0 {
            embedded(passed);
        }
        let reached = end.map_or(Reached::All, Reached::Upto);
        if reached == Reached::All {
            let (of, property) = (&todo.entity.name, &todo.property.stored);
            tracing::info!(%tenant, of, property, "embedded: all records are found by meaning");
        }
        self.vectors.cover(tenant, &todo.coverage(reached), &[]).await?;
        Ok(Step::Embedded(total))
    }

    /// How many records with a text were there before and are still to be gone through.
    ///
    /// # Errors
    /// A store's.
    pub async fn left(&self, tenant: &TenantId, ontology: &Ontology) -> Result<u64, Fault> {
        let position = self.vectors.position(tenant).await?;
        let (todo, _) = compare(ontology, position, &self.vectors.coverage(tenant).await?);
        let mut left = 0;
        for todo in &todo {
            left += self.count(tenant, ontology, todo).await?;
        }
        Ok(left)
    }

    /// Says in the log that it begins, and from time to time how many are left.
    async fn tell(&self, tenant: &TenantId, ontology: &Ontology, todo: &Todo<'_>) -> Result<(), Fault> {
        let mut told = self.told.lock().await;
        if todo.upto.is_none() || told.is_none_or(|at| at.elapsed() >= TELL) {
            *told = Some(Instant::now());
            let (of, property) = (&todo.entity.name, &todo.property.stored);
            let left = self.count(tenant, ontology, todo).await?;
            tracing::info!(%tenant, of, property, left, "embedding records that were there before");
        }
        Ok(())
    }

    async fn count(&self, tenant: &TenantId, ontology: &Ontology, todo: &Todo<'_>) -> Result<u64, Fault> {
        let mut read = todo.read(Vec::new());
        (read.rows, read.total, read.window.limit) = (false, true, None);
        let outcome = self.ask(tenant, ontology, read).await?;
        Ok(outcome.as_list().and_then(|parts| parts.get(1)?.as_int()).map_or(0, |n| u64::try_from(n).unwrap_or(0)))
    }

    /// Ids and texts of the next records.
    async fn texts(
        &self,
        tenant: &TenantId,
        ontology: &Ontology,
        todo: &Todo<'_>,
    ) -> Result<Vec<(String, Option<String>)>, Fault> {
        let picks = vec![Pick::Field(Field::Id), Pick::Field(ways::field(todo.property))];
        let outcome = self.ask(tenant, ontology, todo.read(picks)).await?;
        let rows = outcome.as_list().unwrap_or_default().iter();
        let text = |row: &Value| {
            let [id, text] = row.as_list()? else { return None };
            let text = text.as_text().filter(|text| !text.trim().is_empty());
            Some((id.as_text()?.to_owned(), text.map(str::to_owned)))
        };
        Ok(rows.filter_map(text).collect())
    }

    async fn ask(&self, tenant: &TenantId, ontology: &Ontology, read: Read) -> Result<Value, Fault> {
        let rows = read.place == Place::Rows;
        let read = guard::read(&Principal::operator(tenant, None), ontology, read)?;
        let trace = Trace::default();
        let call = Call { deadline: Instant::now() + PATIENCE, trace: &trace };
        if rows { self.metadata.read(&read, call).await } else { self.graph.read(&read, call).await }
    }
}

impl Todo<'_> {
    fn wanted(&self, id: String, text: String) -> Wanted {
        let record = quipu_resolvers::change::Ref { of: self.entity.name.clone(), id };
        Wanted { record, property: self.property.stored.clone(), text }
    }

    /// The next records with a value, in the order of their ids.
    fn read(&self, picks: Vec<Pick>) -> Read {
        let field = ways::field(self.property);
        let mut filter = Predicate::Absent(field).negate();
        if let Some(upto) = &self.upto {
            let after =
                Predicate::Compare { field: Field::Id, operator: Operator::Gt, value: Value::from(upto.as_str()) };
            filter = filter.and(after);
        }
        Read {
            place: ways::place(self.entity),
            via: Via::Root,
            targets: vec![Target { of: self.entity.name.clone(), filter, visible: Predicate::True, picks }],
            sort: vec![Sort { field: Field::Id, descending: false }],
            window: Window { limit: Some(RECORDS), ..Window::default() },
            rows: true,
            total: false,
            figures: Vec::new(),
        }
    }
}
