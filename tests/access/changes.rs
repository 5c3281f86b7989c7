//! Cells of what is written. Whatever went through is taken back before the next request.

use quipu_resolvers::guard::Principal;
use quipu_schema::ontology::{EntityType, Property};
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
pub async fn gone(stage: &Stage, who: &Principal, entity: &EntityType, id: &str) -> u64 {
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
pub async fn sets(stage: &Stage, who: &Principal, entity: &EntityType, id: &str, update: Json) -> bool {
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

/// Records that somebody can upsert as they are there, and those of which they can upsert a new one that is like them.
pub async fn upserts(stage: &Stage, who: &Principal, entity: &EntityType) -> [String; 2] {
    let kind = format!("{}UpsertInput", entity.name);
    if stage.input(&kind, "id").is_none() {
        return [ABSENT, ABSENT].map(String::from);
    }
    let query = format!(
        "mutation($input: [{kind}!]!) {{ x: upsert{}(input: $input) {{ info {{ nodesCreated }} }} }}",
        capital(&entity.plural)
    );
    // What is hidden is as if it were new: then what a new record lacks may be told before what is forbidden.
    let through = async |input: Map<String, Json>| {
        stage.world.run(who, &query, json!({ "input": [input] })).await.1 == Json::Null
    };
    let (mut written, mut made) = (Vec::new(), Vec::new());
    for (at, id) in stage.ids(&entity.name).iter().enumerate() {
        let given = stage.set_on(&entity.name, id);
        let own = |name: &String| entity.properties.get(name).is_some_and(|property| property.is_demanded());
        let mut as_it_is: Map<String, Json> = given.into_iter().filter(|(name, _)| own(name)).collect();
        as_it_is.insert("id".to_owned(), json!(id));
        if through(as_it_is).await {
            written.push(at);
        }
        if through(like(stage, entity, id, None)).await {
            made.push(at);
            assert_eq!(gone(stage, &stage.operator(), entity, NEW).await, 1);
        }
    }
    [shown(&written), shown(&made)]
}

/// A property without a rule of its own, by which it is seen whether the record may be changed.
fn free<'e>(stage: &Stage, entity: &'e EntityType) -> &'e Property {
    let free = entity.properties.values().find(|property| {
        property.name != "id" && property.rules.is_empty() && settable(stage, entity, property) && !property.implicit
    });
    free.unwrap_or_else(|| panic!("every property of {} has a rule", entity.name))
}

pub fn settable(stage: &Stage, entity: &EntityType, property: &Property) -> bool {
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
