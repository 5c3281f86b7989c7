//! Cells of what is written, and of what is heard of it. Whatever went through is taken back before the next request.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::StreamExt;
use quipu_resolvers::guard::Principal;
use quipu_schema::ontology::{EntityType, Property, Scalar};
use serde_json::{Map, Value as Json, json};

use super::reads::{ABSENT, REFUSED, letter, shown};
use super::stage::{Outcome, Stage};

/// Id of what is made.
const NEW: &str = "made-by-the-test";

fn capital(name: &str) -> String {
    name[..1].to_uppercase() + &name[1..]
}

/// The input of a record like another one: what has to be given, one property more, and what it belongs to.
fn like(stage: &Stage, entity: &EntityType, id: &str, also: Option<&Property>) -> Map<String, Json> {
    let given = stage.set_on(&entity.name, id);
    let mut input: Map<String, Json> = entity
        .properties
        .values()
        .filter(|property| {
            property.is_demanded() || property.implicit || also.is_some_and(|also| also.name == property.name)
        })
        .filter_map(|property| Some((property.name.clone(), given.get(&property.name)?.clone())))
        .collect();
    for property in entity.properties.values().filter(|property| property.unique) {
        match input.get_mut(&property.name) {
            Some(Json::String(text)) if text.chars().all(|c| c.is_ascii_digit()) => *text = "4006381333948".to_owned(),
            Some(Json::String(text)) => text.push_str(" anew"),
            _ => {}
        }
    }
    for link in entity.relationships.values().filter(|link| !link.list && link.required) {
        for (other, edge) in stage.linked(entity, &link.name, id) {
            let mut connect = json!({ "where": { "node": { "id": { "eq": other } } } });
            if !edge.is_empty() {
                connect["edge"] = Json::Object(edge);
            }
            input.insert(link.name.clone(), json!({ "connect": connect }));
        }
    }
    input.insert("id".to_owned(), json!(NEW));
    input
}

async fn makes(stage: &Stage, who: &Principal, entity: &EntityType, id: &str, also: Option<&Property>) -> bool {
    let query = format!(
        "mutation($input: [{}CreateInput!]!) {{ x: create{}(input: $input) {{ info {{ nodesCreated }} }} }}",
        entity.name,
        capital(&entity.plural)
    );
    let made = stage.may(who, &query, json!({ "input": [like(stage, entity, id, also)] })).await;
    if made {
        assert_eq!(gone(stage, &stage.operator(), entity, NEW).await, 1);
    }
    made
}

/// How many records a deletion took.
async fn gone(stage: &Stage, who: &Principal, entity: &EntityType, id: &str) -> u64 {
    let query = format!(
        "mutation($id: ID!) {{ x: delete{}(where: {{id: {{eq: $id}}}}) {{ nodesDeleted }} }}",
        capital(&entity.plural)
    );
    match stage.ask(who, &query, json!({ "id": id })).await {
        Outcome::Answered(found, _) => found["nodesDeleted"].as_u64().unwrap(),
        Outcome::Refused => 0,
    }
}

/// Whether an update of one record goes through and finds it.
async fn sets(stage: &Stage, who: &Principal, entity: &EntityType, id: &str, update: Json) -> bool {
    let query = format!(
        "mutation($id: ID!, $update: {}UpdateInput!) {{ x: update{}(where: {{id: {{eq: $id}}}}, update: $update) {{ {} {{ id }} }} }}",
        entity.name,
        capital(&entity.plural),
        entity.plural
    );
    match stage.ask(who, &query, json!({ "id": id, "update": update })).await {
        Outcome::Answered(found, _) => found[&entity.plural][0]["id"] == id,
        Outcome::Refused => false,
    }
}

fn set_to(stage: &Stage, entity: &EntityType, id: &str, property: &Property) -> Json {
    let value = stage.set_on(&entity.name, id).get(&property.name).cloned().unwrap_or_default();
    let value = if value.is_null() { property.default.clone().unwrap_or_default() } else { value };
    json!({ &property.name: { "set": value } })
}

/// Records that somebody can make the like of, change, and remove.
pub async fn records(stage: &Stage, who: &Principal, entity: &EntityType) -> [String; 3] {
    let ids = stage.ids(&entity.name);
    let free = free(stage, entity);
    let (mut made, mut changed, mut removed) = (Vec::new(), Vec::new(), Vec::new());
    for (at, id) in ids.iter().enumerate() {
        if makes(stage, who, entity, id, None).await {
            made.push(at);
        }
        if sets(stage, who, entity, id, set_to(stage, entity, id, free)).await {
            changed.push(at);
        }
        if gone(stage, who, entity, id).await == 1 {
            removed.push(at);
            stage.restore().await;
        }
    }
    [shown(&made), shown(&changed), shown(&removed)]
}

/// A property without a rule of its own, by which it is seen whether the record may be changed.
fn free<'e>(stage: &Stage, entity: &'e EntityType) -> &'e Property {
    let free = entity.properties.values().find(|property| {
        property.name != "id" && property.rules.is_empty() && settable(stage, entity, property) && !property.implicit
    });
    free.unwrap_or_else(|| panic!("every property of {} has a rule", entity.name))
}

fn settable(stage: &Stage, entity: &EntityType, property: &Property) -> bool {
    stage.input(&format!("{}UpdateInput", entity.name), &property.name).is_some()
}

/// `c` when a new record may have the property, like any of those that are there; `u` when it may be set on all records that are there, `p`
/// on some.
pub async fn property(stage: &Stage, who: &Principal, entity: &EntityType, property: &Property) -> String {
    let ids = stage.ids(&entity.name);
    let mut cell = String::new();
    cell.push(match stage.input(&format!("{}CreateInput", entity.name), &property.name) {
        None => ABSENT,
        Some(_) => {
            let mut made = false;
            for id in &ids {
                made = made || makes(stage, who, entity, id, Some(property)).await;
            }
            letter('c', made)
        }
    });
    if !settable(stage, entity, property) {
        cell.push(ABSENT);
        return cell;
    }
    let mut changed = 0;
    for id in &ids {
        changed += usize::from(sets(stage, who, entity, id, set_to(stage, entity, id, property)).await);
    }
    cell.push(some_of('u', changed, ids.len()));
    cell
}

fn some_of(letter: char, done: usize, all: usize) -> char {
    match done {
        0 => REFUSED,
        _ if done == all => letter,
        _ => 'p',
    }
}

/// `c` when every relationship that is there could be made, `d` when it could be removed; `p` for some of them.
pub async fn links(stage: &Stage, who: &Principal, entity: &EntityType, field: &str) -> String {
    let link = &entity.relationships[field];
    if stage.input(&format!("{}UpdateInput", entity.name), field).is_none() {
        return format!("{ABSENT}{ABSENT}");
    }
    let (operator, mut made, mut removed, mut all) = (stage.operator(), 0, 0, 0);
    for id in stage.ids(&entity.name) {
        for (other, edge) in stage.linked(entity, field, &id) {
            all += 1;
            let node = json!({ "node": { "id": { "eq": other } } });
            let mut connect = json!({ "where": node });
            if !edge.is_empty() {
                connect["edge"] = Json::Object(edge);
            }
            let wrapped = |inner: Json| if link.list { json!({ field: [inner] }) } else { json!({ field: inner }) };
            let connect = wrapped(json!({ "connect": listed(link.list, connect) }));
            let disconnect = wrapped(json!({ "disconnect": listed(link.list, json!({ "where": node })) }));
            sets(stage, who, entity, &id, disconnect.clone()).await;
            removed += usize::from(!linked(stage, entity, field, &id, &other).await);
            assert!(sets(stage, &operator, entity, &id, disconnect).await);
            sets(stage, who, entity, &id, connect.clone()).await;
            made += usize::from(linked(stage, entity, field, &id, &other).await);
            assert!(sets(stage, &operator, entity, &id, connect).await);
        }
    }
    assert!(all > 0, "no record has {}.{field}", entity.name);
    [some_of('c', made, all), some_of('d', removed, all)].iter().collect()
}

fn listed(list: bool, input: Json) -> Json {
    if list { json!([input]) } else { input }
}

/// Whether a relationship is there.
async fn linked(stage: &Stage, entity: &EntityType, field: &str, id: &str, other: &str) -> bool {
    let query = format!(
        "query($id: ID!) {{ x: {}(id: $id) {{ v: {field}Connection {{ edges {{ node {{ ... on Entity {{ id }} }} }} }} }} }}",
        entity.singular
    );
    match stage.ask(&stage.operator(), &query, json!({ "id": id })).await {
        Outcome::Answered(found, _) => {
            found["v"]["edges"].as_array().unwrap().iter().any(|edge| edge["node"]["id"] == other)
        }
        Outcome::Refused => panic!("{query}"),
    }
}

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

/// The records that each of the cast hears of when all are changed, as type and id.
pub async fn heard(stage: &Stage) -> Vec<BTreeSet<(String, String)>> {
    let query = "subscription { changes { type id } }";
    let mut streams: Vec<_> = stage.cast.iter().map(|(_, who)| stage.world.watch(who, query)).collect();
    // A stream begins when it is first asked.
    for stream in &mut streams {
        let _ = tokio::time::timeout(Duration::from_millis(300), stream.next()).await;
    }
    let operator = stage.operator();
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
    let mut heard = Vec::new();
    for stream in &mut streams {
        let mut found = BTreeSet::new();
        while let Ok(Some(event)) = tokio::time::timeout(Duration::from_millis(1_500), stream.next()).await {
            let event: Json = serde_json::from_slice(&event.body).unwrap();
            let text = |name: &str| event["data"]["changes"][name].as_str().unwrap_or_default().to_owned();
            found.insert((text("type"), text("id")));
        }
        heard.push(found);
    }
    stage.restore().await;
    heard
}
