use std::sync::Mutex;

use async_trait::async_trait;
use quipu_resolvers::change::{Accepted, Change, Mode};
use quipu_resolvers::fault::Code;
use quipu_resolvers::guard::Allowed;
use quipu_resolvers::ports::{Call, Hit, Nearest, Reader, Terms, VectorOf};
use quipu_resolvers::read::Read;
use quipu_resolvers::value::Value;
use quipu_schema::ontology::Ontology;
use serde_json::json;

use super::*;

/// A log and vectors in memory, and a model that counts letters. `breaks_after` texts the model fails once.
#[derive(Default)]
struct World {
    log: Mutex<Vec<Entry>>,
    position: Mutex<u64>,
    vectors: Mutex<IndexMap<(Ref, String), f32>>,
    embedded: Mutex<usize>,
    breaks_after: Mutex<Option<usize>>,
}

#[async_trait]
impl Reader for World {
    async fn read(&self, _: &Allowed<Read>, _: Call<'_>) -> Result<Value, Fault> {
        unimplemented!("the relay reads the log alone")
    }

    async fn read_many(&self, _: &Allowed<Read>, _: &[Value], _: Call<'_>) -> Result<Vec<Value>, Fault> {
        unimplemented!("the relay reads the log alone")
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

    async fn publish(&self, _: &TenantId, _: &str, _: &Ontology) -> Result<u64, Fault> {
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
}

fn record(id: &str) -> Ref {
    Ref { of: "Chunk".into(), id: id.into() }
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
    Relay { metadata: world.clone(), vectors: world.clone(), embedder: world.clone(), turn: Turn::default() }
}

async fn follow(relay: &Relay) -> Result<usize, Fault> {
    let tenant = TenantId::parse("t").expect("a name");
    let mut told = 0;
    while relay.step(&tenant, &mut |count| told += count).await? != Step::InStep {}
    Ok(told)
}

#[tokio::test]
async fn the_newest_text_wins_and_is_embedded_once() {
    let world = Arc::new(World::default());
    world.write(vec![put("a", json!("one")), put("b", json!("two"))]);
    world.write(vec![put("a", json!("longer"))]);
    assert_eq!(relay(&world).behind(&TenantId::parse("t").expect("a name")).await.expect("counts"), 2);
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
    assert_eq!(relay.step(&tenant, &mut |_| {}).await.expect("no fault"), Step::Elsewhere);
    drop(other);
    assert_eq!(relay.step(&tenant, &mut |_| {}).await.expect("no fault"), Step::Embedded(1));
}
