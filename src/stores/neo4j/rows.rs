//! Searches by words among rows. Their texts are in the full-text index here, the rows themselves in the metadata store, which is asked
//! which of those found the caller may see and wants.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use neo4rs::Txn;
use quipu_resolvers::change::Ref;
use quipu_resolvers::fault::Fault;
use quipu_resolvers::guard::{self, Allowed, Principal, TenantId};
use quipu_resolvers::ports::{Call, Hit, Matching, Reader, Trace};
use quipu_resolvers::read::{Field, Pick, Place, Predicate, Read, Sort, Target, Via, Window};
use quipu_resolvers::value::Value;
use quipu_resolvers::ways;
use quipu_schema::ontology::{EntityType, Ontology};
use quipu_schema::policy::Operator;
use serde_json::{Map, Value as Json};

use super::apply::by_type;
use super::failure::Failure;
use super::session::{Work, query};
use super::{BACKGROUND, Neo4j, PART, column};
use crate::stores::cypher::apply::Texts;
use crate::stores::cypher::rows;
use crate::stores::fold::Folded;

/// Rows that are looked at first for each that is wanted.
const BREADTH: u32 = 4;
/// By how much more, as long as too few of them were of use.
const FURTHER: u32 = 8;
/// Rows whose texts are indexed in one transaction.
const PORTION: u32 = 1_000;

/// The id of a row, and its texts by property.
type Texted<'a> = (&'a str, Map<String, Json>);

impl Neo4j {
    /// Names the store that holds the rows, so that their texts can be searched.
    pub fn with_rows(self, rows: Arc<dyn Reader>) -> Self {
        // A second store of rows makes no sense, and is not taken.
        let _ = self.0.rows.set(rows);
        self
    }

    /// The best rows that have any of the words, at most `limit`, best first.
    pub(super) async fn matching_rows(
        &self,
        matching: &Allowed<Matching>,
        words: &[String],
        call: Call<'_>,
    ) -> Result<Vec<Hit>, Fault> {
        let asked = matching.get();
        let types: Vec<&str> = asked.within.iter().filter(|within| within.row).map(|w| w.of.as_str()).collect();
        let Some(reader) = self.0.rows.get().filter(|_| !types.is_empty()) else { return Ok(Vec::new()) };
        let name = self.name(matching.tenant());
        let mut most = asked.limit.saturating_mul(BREADTH).max(100);
        loop {
            let found = self
                .query(rows::matching(&name, &types, words, most), call, |rows| {
                    let hit = |row: &neo4rs::Row| {
                        Ok(Hit { of: column(row, "of")?, id: column(row, "id")?, score: column(row, "score")? })
                    };
                    rows.iter().map(hit).collect::<Result<Vec<Hit>, String>>()
                })
                .await?;
            let all = found.len() < most as usize;
            let mut hits = allowed(matching, reader.as_ref(), found, call).await?;
            if all || hits.len() >= asked.limit as usize {
                hits.truncate(asked.limit as usize);
                return Ok(hits);
            }
            most = most.saturating_mul(FURTHER);
        }
    }

    /// Indexes the texts of all rows of a type, as they are in the metadata store.
    pub(super) async fn index_rows(
        &self,
        tenant: &TenantId,
        ontology: &Ontology,
        entity: &EntityType,
        deadline: Instant,
    ) -> Result<(), Failure> {
        let Some(reader) = self.0.rows.get() else { return Ok(()) };
        let names: Vec<String> = entity.embedded().map(|property| property.stored.clone()).collect();
        let mut upto: Option<String> = None;
        loop {
            let portion = texts_after(tenant, ontology, entity, upto.as_deref(), reader.as_ref()).await;
            let portion = portion.map_err(|fault| Failure::Answer(fault.to_string()))?;
            let Some((last, _)) = portion.last() else { return Ok(()) };
            upto = Some(last.clone());
            let name = self.name(tenant);
            let indexing = Indexing { tenant: &name, of: &entity.name, names: &names, portion };
            self.0.sessions.transact(&indexing, deadline).await?;
        }
    }
}

/// Those of the hits that the caller may see and wants, in the same order.
async fn allowed(
    matching: &Allowed<Matching>,
    reader: &dyn Reader,
    found: Vec<Hit>,
    call: Call<'_>,
) -> Result<Vec<Hit>, Fault> {
    let mut passed: BTreeSet<(String, String)> = BTreeSet::new();
    for (index, within) in matching.get().within.iter().enumerate().filter(|(_, within)| within.row) {
        let ids: Vec<String> = found.iter().filter(|hit| hit.of == within.of).map(|hit| hit.id.clone()).collect();
        let Some(read) = matching.records(index, &ids).filter(|_| !ids.is_empty()) else { continue };
        let outcome = reader.read(&read, call).await?;
        let rows = outcome.as_list().ok_or_else(|| Fault::internal(PART, "no list of rows"))?;
        for row in rows {
            let id = row.as_list().and_then(|row| row.first()).and_then(Value::as_text);
            passed.insert((within.of.clone(), id.unwrap_or_default().to_owned()));
        }
    }
    Ok(found.into_iter().filter(|hit| passed.contains(&(hit.of.clone(), hit.id.clone()))).collect())
}

/// The next rows in the order of their ids, each with its texts.
async fn texts_after(
    tenant: &TenantId,
    ontology: &Ontology,
    entity: &EntityType,
    upto: Option<&str>,
    reader: &dyn Reader,
) -> Result<Vec<(String, Map<String, Json>)>, Fault> {
    let filter = upto.map_or(Predicate::True, |upto| Predicate::Compare {
        field: Field::Id,
        operator: Operator::Gt,
        value: Value::from(upto),
    });
    let embedded: Vec<_> = entity.embedded().collect();
    let picks = embedded.iter().map(|property| Pick::Field(ways::field(property)));
    let picks = std::iter::once(Pick::Field(Field::Id)).chain(picks).collect();
    let read = Read {
        place: Place::Rows,
        via: Via::Root,
        targets: vec![Target { of: entity.name.clone(), filter, visible: Predicate::True, picks }],
        sort: vec![Sort { field: Field::Id, descending: false }],
        window: Window { limit: Some(PORTION), ..Window::default() },
        rows: true,
        total: false,
        figures: Vec::new(),
    };
    let read = guard::read(&Principal::operator(tenant, None), ontology, read)?;
    let trace = Trace::default();
    let outcome = reader.read(&read, Call { deadline: Instant::now() + BACKGROUND, trace: &trace }).await?;
    let rows = outcome.as_list().ok_or_else(|| Fault::internal(PART, "no list of rows"))?;
    let texts = |row: &Value| {
        let (id, texts) = row.as_list()?.split_first()?;
        let texts = embedded
            .iter()
            .zip(texts)
            .map(|(property, text)| (property.stored.clone(), text.as_text().map_or(Json::Null, Json::from)));
        Some((id.as_text()?.to_owned(), texts.collect()))
    };
    rows.iter().map(texts).collect::<Option<_>>().ok_or_else(|| Fault::internal(PART, "a row without its texts"))
}

/// Indexes the texts of some rows.
struct Indexing<'a> {
    tenant: &'a str,
    of: &'a str,
    names: &'a [String],
    portion: Vec<(String, Map<String, Json>)>,
}

impl Work for Indexing<'_> {
    type Done = ();

    async fn work(&self, transaction: &mut Txn) -> Result<(), Failure> {
        let texts: Vec<Texted<'_>> = self.portion.iter().map(|(id, texts)| (id.as_str(), texts.clone())).collect();
        write(transaction, self.tenant, self.of, &texts, self.names).await
    }
}

async fn write(
    transaction: &mut Txn,
    tenant: &str,
    of: &str,
    texts: &[Texted<'_>],
    names: &[String],
) -> Result<(), Failure> {
    let ids: Vec<&str> = texts.iter().map(|(id, _)| *id).collect();
    transaction.run(query(&rows::put(tenant, of, texts), None)).await?;
    Ok(transaction.run(query(&rows::index(tenant, of, &ids, names), None)).await?)
}

/// Follows what a run of the log did to the texts of rows.
pub(super) async fn follow(
    transaction: &mut Txn,
    tenant: &str,
    folded: &Folded<'_>,
    texts: &Texts,
) -> Result<(), Failure> {
    for (of, ids) in by_type(folded.rows_gone.iter().copied()) {
        transaction.run(query(&rows::delete(tenant, of, &ids), None)).await?;
    }
    let mut changed: BTreeMap<&str, Vec<Texted<'_>>> = BTreeMap::new();
    for (record, set) in &folded.rows {
        let Ref { of, id } = *record;
        let names = texts.get(of).map_or(&[][..], Vec::as_slice);
        let held: Map<String, Json> =
            names.iter().filter_map(|name| Some((name.clone(), set.get(name)?.clone()))).collect();
        if !held.is_empty() {
            changed.entry(of).or_default().push((id, held));
        }
    }
    for (of, rows) in &changed {
        for portion in rows.chunks(PORTION as usize) {
            write(transaction, tenant, of, portion, texts.get(*of).map_or(&[][..], Vec::as_slice)).await?;
        }
    }
    Ok(())
}
