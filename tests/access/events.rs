//! What is heard of changes and removals.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use quipu_resolvers::Answer;
use quipu_schema::ontology::{EntityType, Property, Scalar};
use serde_json::{Value as Json, json};

use super::changes::{gone, sets, settable};
use super::stage::Stage;

/// Records, as type and id.
pub type Told = BTreeSet<(String, String)>;

/// Another value for a property of a record, at which rules do not look if there is such a one.
fn otherwise(stage: &Stage, entity: &EntityType, id: &str) -> (String, Json) {
    let given = stage.set_on(&entity.name, id);
    let other = |property: &Property| {
        let value = match given.get(&property.name)? {
            Json::String(text) if property.scalar == Scalar::String => json!(format!("{text}!")),
            Json::Number(number) if property.scalar == Scalar::Float => json!(number.as_f64()? + 1.0),
            Json::Number(number) => json!(number.as_i64()? + 1),
            _ => return None,
        };
        (property.rules.is_empty() && settable(stage, entity, property)).then(|| (property.name.clone(), value))
    };
    let (indexed, plain): (Vec<&Property>, Vec<&Property>) =
        entity.properties.values().partition(|property| property.indexed);
    let found = plain.into_iter().chain(indexed).find_map(other);
    found.unwrap_or_else(|| panic!("{} has neither a text nor a number", entity.name))
}

/// What each of the cast is told, and last whoever runs the gateway.
struct Streams(Vec<BoxStream<'static, Answer>>);

impl Streams {
    /// Opens them.
    async fn open(stage: &Stage) -> Self {
        let query = "subscription { changes { type id operation } }";
        let operator = stage.operator();
        let all = stage.cast.iter().map(|(_, who)| who).chain([&operator]);
        let mut streams: Vec<_> = all.map(|who| stage.world.watch(who, query)).collect();
        // A stream begins when it is first asked.
        for stream in &mut streams {
            let _ = tokio::time::timeout(Duration::from_millis(300), stream.next()).await;
        }
        Self(streams)
    }

    /// The records of which each was told the operation; whoever runs the gateway has to have been told of all.
    async fn told(mut self, stage: &Stage, operation: &str) -> Vec<Told> {
        let mut told = Vec::new();
        for stream in &mut self.0 {
            let mut found = Told::new();
            while let Ok(Some(event)) = tokio::time::timeout(Duration::from_millis(1_500), stream.next()).await {
                let event: Json = serde_json::from_slice(&event.body).unwrap();
                let change = &event["data"]["changes"];
                let text = |name: &str| change[name].as_str().unwrap_or_default().to_owned();
                if change["operation"] == operation {
                    found.insert((text("type"), text("id")));
                }
            }
            told.push(found);
        }
        let all: Told = stage
            .ontology
            .types
            .values()
            .flat_map(|entity| stage.ids(&entity.name).into_iter().map(|id| (entity.name.clone(), id)))
            .collect();
        assert_eq!(told.pop(), Some(all), "whoever runs the gateway hears of all");
        told
    }
}

/// The records that each of the cast hears of when all are changed.
pub async fn heard(stage: &Stage) -> Vec<Told> {
    let (streams, operator) = (Streams::open(stage).await, stage.operator());
    for entity in stage.ontology.types.values() {
        for id in stage.ids(&entity.name) {
            let (name, value) = otherwise(stage, entity, &id);
            assert!(
                sets(stage, &operator, entity, &id, json!({ name: { "set": value } })).await,
                "{} {id}",
                entity.name
            );
        }
    }
    let heard = streams.told(stage, "UPDATED").await;
    stage.restore().await;
    heard
}

/// The records of whose removal each of the cast hears when all are removed.
pub async fn removals(stage: &Stage) -> Vec<Told> {
    let (streams, operator) = (Streams::open(stage).await, stage.operator());
    for entity in stage.ontology.types.values() {
        for id in stage.ids(&entity.name) {
            gone(stage, &operator, entity, &id).await;
        }
    }
    let heard = streams.told(stage, "DELETED").await;
    stage.restore().await;
    heard
}
