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
                // How rare a word is among all texts of a store weighs in the order of hits that are near each other.
                if let ("search", Json::Array(hits)) = (name.as_str(), value)
                    && let Some(rest) = hits.get_mut(1..)
                {
                    rest.sort_by_cached_key(Json::to_string);
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

/// Asks all queries as whom the demo gives a token, and what belongs to callers as others, too.
pub async fn as_recorded(newsroom: &Newsroom, domain: &Domain) {
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
            let text = format!("{:#}", answer["data"]);
            settings.bind(|| insta::assert_snapshot!(format!("{name}-{subject}"), text));
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
    let mut answer = json!({ "search": [{ "id": "c" }, { "id": "b" }, { "id": "a" }] });
    steady(&mut answer);
    assert_eq!(answer, json!({ "search": [{ "id": "c" }, { "id": "a" }, { "id": "b" }] }), "the first one stays");
    // A score that is missing is seen.
    let mut answer = json!({ "score": null });
    steady(&mut answer);
    assert_eq!(answer, json!({ "score": null }));
}
