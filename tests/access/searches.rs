//! Cells of what is found by meaning and by words.

use std::collections::BTreeSet;

use quipu_resolvers::guard::Principal;
use quipu_schema::ontology::{EntityType, Property};
use serde_json::{Value as Json, json};

use super::reads::{REFUSED, shown};
use super::stage::{Outcome, Stage};

/// More than there are records of a type.
const ALL: usize = 20;

/// A text of a record that is embedded.
fn text(stage: &Stage, entity: &EntityType, id: &str, property: &Property) -> Option<String> {
    Some(stage.set_on(&entity.name, id).get(&property.name)?.as_str()?.to_owned())
}

/// Which records of the type are among the hits, counted from 0.
fn among(stage: &Stage, entity: &EntityType, hits: &Json, also: impl Fn(&Json) -> bool) -> BTreeSet<usize> {
    let ids = stage.ids(&entity.name);
    let hits = hits.as_array().unwrap().iter().filter(|hit| also(hit));
    let at = |hit: &Json| ids.iter().position(|id| hit["node"]["id"] == id.as_str());
    hits.map(|hit| at(hit).unwrap_or_else(|| panic!("{hit}"))).collect()
}

fn cell(found: Option<BTreeSet<usize>>) -> String {
    found.map_or(REFUSED.to_string(), |found| shown(&found.into_iter().collect::<Vec<_>>()))
}

/// The records that are found by the text of each of them: by meaning, and by words.
pub async fn found(stage: &Stage, who: &Principal, entity: &EntityType) -> [String; 2] {
    let query = format!(
        "query($text: String!) {{ x: search(query: $text, types: [{}], first: {ALL}) {{ legs {{ leg }} node {{ id }} }} }}",
        entity.name
    );
    let (mut dense, mut words) = (Some(BTreeSet::new()), Some(BTreeSet::new()));
    for id in stage.ids(&entity.name) {
        for property in entity.embedded() {
            let Some(text) = text(stage, entity, &id, property) else { continue };
            match stage.ask(who, &query, json!({ "text": text })).await {
                Outcome::Refused => (dense, words) = (None, None),
                Outcome::Answered(hits, _) => {
                    for (found, leg) in [(&mut dense, "DENSE"), (&mut words, "TEXT")] {
                        let by = |hit: &Json| hit["legs"].as_array().unwrap().iter().any(|one| one["leg"] == leg);
                        if let Some(found) = found {
                            found.extend(among(stage, entity, &hits, by));
                        }
                    }
                }
            }
        }
    }
    [cell(dense), cell(words)]
}

/// The records that are found by the meaning of one property.
pub async fn similar(stage: &Stage, who: &Principal, entity: &EntityType, property: &Property) -> String {
    let query = format!(
        "query($text: String!) {{ x: {}Similar(query: $text, property: {}, first: {ALL}) {{ node {{ id }} }} }}",
        entity.plural, property.name
    );
    let ids = stage.ids(&entity.name);
    let some = ids.iter().find_map(|id| text(stage, entity, id, property));
    let some = some.unwrap_or_else(|| panic!("no record has {}.{}", entity.name, property.name));
    match stage.ask(who, &query, json!({ "text": some })).await {
        Outcome::Refused => cell(None),
        Outcome::Answered(hits, _) => cell(Some(among(stage, entity, &hits, |_| true))),
    }
}
