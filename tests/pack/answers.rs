//! Every query of the pack, and the answer that is recorded for it.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};

use super::{Asks, Caller, Domain, Newsroom, somebody};

/// The queries: name, text, variables. Subscriptions are not among them.
fn pack(tenant: &str) -> Vec<(String, String, Json)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("playground/examples").join(tenant);
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "graphql"));
    paths.sort();
    let read = |path: PathBuf| {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let variables = fs::read_to_string(path.with_extension("json")).unwrap_or_else(|_| "{}".to_owned());
        (name, fs::read_to_string(path).unwrap(), serde_json::from_str(&variables).unwrap())
    };
    let mut pack: Vec<_> = paths.into_iter().map(read).collect();
    pack.retain(|(_, query, _)| !query.contains("\nsubscription "));
    pack
}

/// An answer as it is compared: scores and ranks differ in the last digits from machine to machine and cursors are signed, so of those it is
/// only kept that they are there.
fn steady(value: &mut Json) {
    match value {
        Json::Object(fields) => {
            for (name, value) in fields.iter_mut() {
                match (name.as_str(), &*value) {
                    ("score", Json::Number(_)) => *value = json!("a score"),
                    ("rank", Json::Number(_)) => *value = json!("a rank"),
                    ("endCursor", Json::String(_)) => *value = json!("a cursor"),
                    _ => steady(value),
                }
            }
        }
        Json::Array(items) => items.iter_mut().for_each(steady),
        // Stores add up in orders of their own.
        Json::Number(number) if number.is_f64() => {
            *value = number.as_f64().map(|number| (number * 1e9).round() / 1e9).into();
        }
        _ => {}
    }
}

/// Whether an answer is the recorded one as far as a store can tell that has the words of all tenants in one index: how rare a word is among all
/// its texts weighs in the ranks of hits. The first hit is the recorded one, there are as many, and most of them are those.
fn is_alike(answer: &Json, recorded: &Json) -> bool {
    match (answer, recorded) {
        (Json::Object(answer), Json::Object(recorded)) => {
            let alike = |(name, value): (&String, &Json)| {
                recorded.get(name).is_some_and(|recorded| match (name.as_str(), value, recorded) {
                    ("search", Json::Array(hits), Json::Array(recorded)) => are_near(hits, recorded),
                    _ => is_alike(value, recorded),
                })
            };
            answer.len() == recorded.len() && answer.iter().all(alike)
        }
        (Json::Array(answer), Json::Array(recorded)) => {
            answer.len() == recorded.len() && answer.iter().zip(recorded).all(|(one, other)| is_alike(one, other))
        }
        _ => answer == recorded,
    }
}

fn are_near(hits: &[Json], recorded: &[Json]) -> bool {
    let common = hits.iter().filter(|hit| recorded.contains(hit)).count();
    hits.len() == recorded.len() && hits.first() == recorded.first() && common * 2 >= hits.len()
}

/// The recorded answer of a snapshot's name.
fn recorded(tenant: &str, name: &str) -> Json {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{tenant}/{name}.snap"));
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let body = text.splitn(3, "---\n").nth(2).expect("a head and a body");
    serde_json::from_str(body).expect("JSON")
}

/// What the words of one tenant's texts are ranked among.
#[derive(Clone, Copy, PartialEq)]
pub enum Among {
    /// Its own texts.
    Own,
    /// Those of all tenants of the store.
    All,
}

/// Asks all queries as whom the demo gives a token, and what belongs to callers as others, too.
pub async fn as_recorded(newsroom: &Newsroom, domain: &Domain, among: Among) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(format!("../golden/{}", domain.tenant));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let pack = pack(domain.tenant);
    assert!(pack.len() >= 6, "{}", pack.len());
    for (name, query, variables) in pack {
        let (own, changes) = (name.contains("-my-") || name.contains("-i-follow"), query.contains("\nmutation "));
        let asking = domain.cast.iter().filter(|Caller(.., asks)| match asks {
            Asks::Everything => true,
            Asks::Queries => !changes,
            Asks::Own => own,
        });
        for Caller(subject, roles, scopes, _) in asking {
            let who = somebody(domain, subject, roles, scopes);
            let mut answer = newsroom.ask(&who, &query, variables.clone()).await;
            assert_eq!(answer["errors"], Json::Null, "{name} as {subject}");
            steady(&mut answer);
            let name = format!("{name}-{subject}");
            if among == Among::Own || !is_alike(&answer["data"], &recorded(domain.tenant, &name)) {
                let text = format!("{:#}", answer["data"]);
                settings.bind(|| insta::assert_snapshot!(name, text));
            }
        }
    }
}

#[test]
fn answers_are_compared_without_what_differs_between_machines() {
    let mut answer =
        json!({ "search": [{ "score": 0.5, "legs": [{ "leg": "TEXT", "rank": 1 }], "node": { "id": "a" } }] });
    steady(&mut answer);
    let node = json!({ "score": "a score", "legs": [{ "leg": "TEXT", "rank": "a rank" }], "node": { "id": "a" } });
    assert_eq!(answer, json!({ "search": [node] }));
    let mut answer = json!({ "average": 77.79999999999998, "max": 5 });
    steady(&mut answer);
    assert_eq!(answer, json!({ "average": 77.8, "max": 5 }));
    // A score that is missing is seen.
    let mut answer = json!({ "score": null });
    steady(&mut answer);
    assert_eq!(answer, json!({ "score": null }));
}

#[test]
fn a_search_among_the_texts_of_all_tenants_may_differ_behind_the_first_hit() {
    let answer =
        |ids: &[&str]| json!({ "a": 1, "search": ids.iter().map(|id| json!({ "id": id })).collect::<Vec<_>>() });
    let recorded = answer(&["c", "b", "a"]);
    for (ids, alike) in [
        (["c", "b", "a"], true),
        (["c", "a", "b"], true),
        (["c", "a", "x"], true),
        (["c", "y", "x"], false),
        (["b", "c", "a"], false),
    ] {
        assert_eq!(is_alike(&answer(&ids), &recorded), alike, "{ids:?}");
    }
    assert!(!is_alike(&answer(&["c", "b"]), &recorded));
    assert!(!is_alike(&json!({ "a": [1, 2] }), &json!({ "a": [2, 1] })), "only searches may");
    assert!(!is_alike(&json!({ "a": 1 }), &json!({ "b": 1 })) && !is_alike(&json!({}), &json!({ "b": 1 })));
}
