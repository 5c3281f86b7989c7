use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use quipu_resolvers::change::{Accepted, Change, Mode};
use quipu_resolvers::fault::Code;
use quipu_resolvers::guard::Allowed;
use quipu_resolvers::ports::{Applied, Bus, Call, Coverage, Hit, Matching, Nearest, Reader, Terms, VectorOf};
use quipu_resolvers::read::{Field, Predicate, Read};
use quipu_resolvers::value::Value;
use quipu_schema::ontology::Ontology;
use serde_json::json;

use super::*;

const ONTOLOGY: &str = "type Page @node { id: ID!  text: String @embed  index: Int }";
const PLAIN: &str = "type Page @node { id: ID!  text: String  index: Int }";

/// A log, a graph and vectors in memory, and a model that counts letters. `breaks_after` texts the model fails once.
#[derive(Default)]
struct World {
    log: Mutex<Vec<Entry>>,
    /// Texts of pages, as the graph has them.
    pages: Mutex<BTreeMap<String, String>>,
    coverage: Mutex<Vec<Coverage>>,
    position: Mutex<u64>,
    vectors: Mutex<IndexMap<(Ref, String), f32>>,
    embedded: Mutex<usize>,
    breaks_after: Mutex<Option<usize>>,
}

#[async_trait]
impl Reader for World {
    /// The pages after an id, as the relay asks for them.
    async fn read(&self, read: &Allowed<Read>, _: Call<'_>) -> Result<Value, Fault> {
        let read = read.get();
        let after = match &read.targets[0].filter {
            Predicate::All(parts) => parts.iter().find_map(|part| match part {
                Predicate::Compare { field: Field::Id, value, .. } => value.as_text(),
                _ => None,
            }),
            _ => None,
        };
        let pages = self.pages.lock().expect("not poisoned");
        let found = pages.iter().filter(|(id, _)| after.is_none_or(|after| id.as_str() > after));
        if read.total {
            return Ok(Value::List(vec![Value::Null, Value::Int(found.count() as i64), Value::Null]));
        }
        let row =
            |(id, text): (&String, &String)| Value::List(vec![Value::from(id.as_str()), Value::from(text.as_str())]);
        Ok(Value::List(found.take(read.window.limit.expect("a limit") as usize).map(row).collect()))
    }

    async fn read_many(&self, _: &Allowed<Read>, _: &[Value], _: Call<'_>) -> Result<Vec<Value>, Fault> {
        unimplemented!("the relay reads from the root")
    }
}

#[async_trait]
impl Graph for World {
    async fn matching(&self, _: &Allowed<Matching>, _: Call<'_>) -> Result<Vec<Hit>, Fault> {
        unimplemented!("the relay searches nothing")
    }

    async fn apply(&self, _: &TenantId, _: &[Entry]) -> Result<Applied, Fault> {
        unimplemented!("the relay writes vectors alone")
    }

    async fn position(&self, _: &TenantId) -> Result<u64, Fault> {
        Ok(self.log.lock().expect("not poisoned").len() as u64)
    }

    async fn clear(&self, _: &TenantId) -> Result<(), Fault> {
        unimplemented!("the relay writes vectors alone")
    }
}

#[async_trait]
impl Metadata for World {
    async fn accept(&self, _: &Allowed<Change>, _: Terms<'_>, _: Call<'_>) -> Result<Accepted, Fault> {
        unimplemented!("the relay writes vectors alone")
    }

    async fn log(&self, _: &TenantId, after: u64, limit: u32) -> Result<Vec<Entry>, Fault> {
        let log = self.log.lock().expect("not poisoned");
        Ok(log.iter().filter(|e| e.seq > after).take(limit as usize).cloned().collect())
    }

    async fn head(&self, _: &TenantId) -> Result<u64, Fault> {
        Ok(self.log.lock().expect("not poisoned").len() as u64)
    }

    async fn publish(&self, _: &TenantId, _: &str, _: &Ontology, _: &str) -> Result<u64, Fault> {
        unimplemented!("the relay publishes nothing")
    }

    async fn published(&self) -> Result<Vec<(TenantId, u64)>, Fault> {
        Ok(Vec::new())
    }

    async fn ontology(&self, _: &TenantId) -> Result<Option<(u64, String)>, Fault> {
        Ok(None)
    }
}

#[async_trait]
impl Vectors for World {
    async fn nearest(&self, _: &Allowed<Nearest>, _: Call<'_>) -> Result<Vec<Hit>, Fault> {
        unimplemented!("the relay searches nothing")
    }

    async fn vector(&self, _: &Allowed<VectorOf>, _: Call<'_>) -> Result<Option<Vec<f32>>, Fault> {
        unimplemented!("the relay searches nothing")
    }

    async fn apply(&self, _: &TenantId, position: u64, changes: &[VectorChange]) -> Result<(), Fault> {
        let mut vectors = self.vectors.lock().expect("not poisoned");
        for change in changes {
            match (&change.property, &change.vector) {
                (Some(property), Some(vector)) => {
                    vectors.insert((change.record.clone(), property.clone()), vector[0]);
                }
                (Some(property), None) => {
                    vectors.shift_remove(&(change.record.clone(), property.clone()));
                }
                (None, _) => vectors.retain(|(record, _), _| *record != change.record),
            }
        }
        *self.position.lock().expect("not poisoned") = position;
        Ok(())
    }

    async fn position(&self, _: &TenantId) -> Result<u64, Fault> {
        Ok(*self.position.lock().expect("not poisoned"))
    }

    async fn coverage(&self, _: &TenantId) -> Result<Vec<Coverage>, Fault> {
        Ok(self.coverage.lock().expect("not poisoned").clone())
    }

    async fn cover(&self, tenant: &TenantId, coverage: &Coverage, changes: &[VectorChange]) -> Result<(), Fault> {
        let position = Vectors::position(self, tenant).await?;
        Vectors::apply(self, tenant, position, changes).await?;
        let mut held = self.coverage.lock().expect("not poisoned");
        held.retain(|known| (&known.of, &known.property) != (&coverage.of, &coverage.property));
        held.push(coverage.clone());
        Ok(())
    }

    async fn lacking(&self, _: &TenantId, of: &str, property: &str, ids: Vec<String>) -> Result<Vec<String>, Fault> {
        let vectors = self.vectors.lock().expect("not poisoned");
        let has = |id: &String| vectors.contains_key(&(Ref { of: of.into(), id: id.clone() }, property.into()));
        Ok(ids.into_iter().filter(|id| !has(id)).collect())
    }

    async fn rewind(&self, _: &TenantId, position: u64) -> Result<(), Fault> {
        *self.position.lock().expect("not poisoned") = position;
        Ok(())
    }

    async fn uncover(&self, _: &TenantId, of: &str, property: &str) -> Result<bool, Fault> {
        self.vectors.lock().expect("not poisoned").retain(|(record, name), _| record.of != of || name != property);
        self.coverage.lock().expect("not poisoned").retain(|known| known.of != of || known.property != property);
        Ok(true)
    }
}

#[async_trait]
impl Bus for World {
    async fn announce(&self, _: &TenantId, _: u64) {}

    fn listen(&self, _: &TenantId) -> tokio::sync::watch::Receiver<u64> {
        tokio::sync::watch::channel(0).1
    }
}

#[async_trait]
impl Embedder for World {
    async fn embed(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, Fault> {
        let mut embedded = self.embedded.lock().expect("not poisoned");
        let mut breaks = self.breaks_after.lock().expect("not poisoned");
        if breaks.is_some_and(|limit| *embedded >= limit) {
            *breaks = None;
            return Err(Fault::client(Code::EmbeddingUnavailable, "no model"));
        }
        *embedded += texts.len();
        Ok(texts.iter().map(|text| vec![text.len() as f32]).collect())
    }

    fn dimensions(&self) -> usize {
        1
    }

    fn model(&self) -> Option<&str> {
        Some("lengths")
    }
}

fn record(id: &str) -> Ref {
    Ref { of: "Page".into(), id: id.into() }
}

fn put(id: &str, text: Json) -> Op {
    let Json::Object(set) = json!({"text": text, "index": 0}) else { unreachable!("an object") };
    Op::Put { record: record(id), row: false, mode: Mode::Upsert, set, unique: vec![], embed: vec!["text".into()] }
}

fn delete(id: &str) -> Op {
    Op::Delete { record: record(id), row: false }
}

impl World {
    fn write(&self, ops: Vec<Op>) {
        let mut log = self.log.lock().expect("not poisoned");
        let seq = log.len() as u64 + 1;
        log.push(Entry { seq, at: String::new(), actor: None, change: Change { ops }, effects: vec![] });
    }

    fn held(&self) -> Vec<(String, f32)> {
        let vectors = self.vectors.lock().expect("not poisoned");
        vectors.iter().map(|((record, _), vector)| (record.id.clone(), *vector)).collect()
    }
}

fn relay(world: &Arc<World>) -> Relay {
    let ports = Ports {
        graph: world.clone(),
        metadata: world.clone(),
        vectors: world.clone(),
        embedder: world.clone(),
        cache: Arc::new(crate::stores::cache::LocalCache::new(0, 0, Arc::new(crate::stores::clock::SystemClock))),
        bus: world.clone(),
        clock: Arc::new(crate::stores::clock::SystemClock),
    };
    Relay::new(&ports, Turn::default())
}

fn tenant() -> TenantId {
    TenantId::parse("t").expect("a name")
}

async fn follow(relay: &Relay) -> Result<usize, Fault> {
    follow_as(relay, ONTOLOGY).await
}

async fn follow_as(relay: &Relay, sdl: &str) -> Result<usize, Fault> {
    let ontology = quipu_schema::compile(sdl).expect("compiles");
    let mut told = 0;
    while relay.step(&tenant(), &ontology, &mut |count| told += count).await? != Step::InStep {}
    Ok(told)
}

#[tokio::test]
async fn the_newest_text_wins_and_is_embedded_once() {
    let world = Arc::new(World::default());
    world.write(vec![put("a", json!("one")), put("b", json!("two"))]);
    world.write(vec![put("a", json!("longer"))]);
    let ontology = quipu_schema::compile(ONTOLOGY).expect("compiles");
    assert_eq!(relay(&world).behind(&tenant(), &ontology).await.expect("counts"), 2);
    assert_eq!(follow(&relay(&world)).await.expect("follows"), 2);
    assert_eq!(world.held(), [("a".to_owned(), 6.0), ("b".to_owned(), 3.0)]);
    assert_eq!(*world.embedded.lock().expect("not poisoned"), 2);
    assert_eq!(follow(&relay(&world)).await.expect("nothing to do"), 0);
}

#[tokio::test]
async fn what_was_deleted_or_emptied_has_no_vector() {
    let world = Arc::new(World::default());
    world.write(vec![put("a", json!("one")), put("b", json!("two")), put("c", json!("three")), put("d", json!("x"))]);
    follow(&relay(&world)).await.expect("follows");
    world.write(vec![delete("a"), put("b", Json::Null), put("c", json!("  ")), delete("d"), put("d", json!("again"))]);
    follow(&relay(&world)).await.expect("follows");
    assert_eq!(world.held(), [("d".to_owned(), 5.0)]);
}

#[tokio::test]
async fn after_a_failure_it_goes_on_where_the_position_is() {
    let world = Arc::new(World::default());
    world.write((0..3 * TEXTS).map(|n| put(&n.to_string(), json!("text"))).collect());
    *world.breaks_after.lock().expect("not poisoned") = Some(TEXTS);
    let fault = follow(&relay(&world)).await.expect_err("the model breaks");
    assert_eq!(fault.code(), Code::EmbeddingUnavailable);
    assert_eq!((world.held().len(), *world.position.lock().expect("not poisoned")), (TEXTS, 0));
    follow(&relay(&world)).await.expect("follows");
    assert_eq!((world.held().len(), *world.position.lock().expect("not poisoned")), (3 * TEXTS, 1));
}

#[tokio::test]
async fn entries_without_texts_need_no_model() {
    let world = Arc::new(World::default());
    *world.breaks_after.lock().expect("not poisoned") = Some(0);
    world.write(vec![delete("a"), put("b", Json::Null)]);
    follow(&relay(&world)).await.expect("nothing to embed");
    assert_eq!(*world.position.lock().expect("not poisoned"), 1);
}

#[tokio::test]
async fn one_process_at_a_time_has_the_turn() {
    let folder = tempfile::tempdir().expect("a folder");
    let world = Arc::new(World::default());
    world.write(vec![put("a", json!("one"))]);
    let turn = Turn::beside(&folder.path().join("quipu.db"));
    let relay = Relay { turn: turn.clone(), ..relay(&world) };
    let tenant = TenantId::parse("t").expect("a name");
    let other = turn.take().expect("nobody has it");
    let ontology = quipu_schema::compile(ONTOLOGY).expect("compiles");
    assert_eq!(relay.step(&tenant, &ontology, &mut |_| {}).await.expect("no fault"), Step::Elsewhere);
    drop(other);
    assert_eq!(relay.step(&tenant, &ontology, &mut |_| {}).await.expect("no fault"), Step::Embedded(1));
}

/// Pages that are in graph and log, followed by an ontology that embeds nothing.
async fn plain(count: usize) -> Arc<World> {
    let world = Arc::new(World::default());
    let names: Vec<String> = (0..count).map(|n| format!("{n:05}")).collect();
    world.write(names.iter().map(|id| put(id, json!("text"))).collect());
    *world.pages.lock().expect("not poisoned") = names.into_iter().map(|id| (id, "text".to_owned())).collect();
    follow_as(&relay(&world), PLAIN).await.expect("follows");
    assert!(world.held().is_empty(), "what the log says of embedding is not what is served now");
    world
}

#[tokio::test]
async fn what_was_there_before_is_embedded_and_a_failure_costs_little() {
    let world = plain(1_000).await;
    let ontology = quipu_schema::compile(ONTOLOGY).expect("compiles");
    assert_eq!(relay(&world).behind(&tenant(), &ontology).await.expect("counts"), 1_000);
    *world.breaks_after.lock().expect("not poisoned") = Some(300);
    follow(&relay(&world)).await.expect_err("the model breaks");
    let held = world.held().len();
    assert!((300..1_000).contains(&held), "{held}");
    assert_eq!(relay(&world).left(&tenant(), &ontology).await.expect("counts"), 1_000 - held as u64);
    assert_eq!(follow(&relay(&world)).await.expect("goes on"), 1_000 - held);
    assert_eq!(world.held().len(), 1_000);
    assert_eq!(*world.embedded.lock().expect("not poisoned"), 1_000, "none twice");
    assert_eq!(follow(&relay(&world)).await.expect("nothing to do"), 0);
}

#[tokio::test]
async fn what_the_log_brought_meanwhile_is_not_embedded_again() {
    let world = plain(10).await;
    world.write(vec![put("00003", json!("longer"))]);
    world.pages.lock().expect("not poisoned").insert("00003".into(), "longer".into());
    follow(&relay(&world)).await.expect("follows");
    assert_eq!(*world.embedded.lock().expect("not poisoned"), 10);
    assert!(world.held().contains(&("00003".to_owned(), 6.0)));
}

#[tokio::test]
async fn what_is_embedded_no_more_loses_its_vectors_and_begins_anew_later() {
    let world = plain(10).await;
    follow(&relay(&world)).await.expect("follows");
    assert_eq!(world.held().len(), 10);
    follow_as(&relay(&world), PLAIN).await.expect("lets go");
    assert!(world.held().is_empty());
    world.write(vec![put("00003", json!("changed since"))]);
    world.pages.lock().expect("not poisoned").insert("00003".into(), "changed since".into());
    follow_as(&relay(&world), PLAIN).await.expect("follows");
    follow(&relay(&world)).await.expect("follows");
    assert_eq!(world.held().len(), 10);
    assert!(world.held().contains(&("00003".to_owned(), 13.0)));
}
