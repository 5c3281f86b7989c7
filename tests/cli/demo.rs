use std::fs;

use serde_json::{Value as Json, json};

use super::meaning;
use super::quipu::{Quipu, Running};
use super::tour::Tour;

const DEMO: [&str; 5] = ["demo", "--dir", "d", "--listen", "127.0.0.1:0"];
/// Records of the demo's tenants, as `src/demo` counts them: things and readings.
const THINGS: u64 = 19_104;

fn offered(quipu: &Quipu) -> Vec<(String, String)> {
    let text = fs::read_to_string(quipu.path("d/tokens.json")).expect("tokens");
    let tokens: Vec<Json> = serde_json::from_str(&text).expect("JSON");
    let text = |value: &Json| value.as_str().expect("text").to_owned();
    tokens.iter().map(|token| (text(&token["name"]), text(&token["token"]))).collect()
}

async fn things(running: &Running, token: &str) -> Json {
    running.ask(token, "{ thingsConnection { totalCount } }").await["data"]["thingsConnection"]["totalCount"].clone()
}

/// One long test: the load takes its time, and each step needs the one before. The README's tour is taken on the way.
#[tokio::test]
async fn a_load_that_broke_off_goes_on_and_the_next_start_loads_nothing() {
    let quipu = Quipu::empty();
    let settings = "[store]\npath = \"d/quipu.db\"\n[auth]\nsecret_file = \"secret\"\n[playground]\ndemo_tokens = \"d/tokens.json\"\n";
    // No model: whatever is installed here, the texts are left alone.
    quipu.file("d.toml", format!("{settings}[embedding]\nmodel = \"none\"\n"));
    quipu.file("model.toml", format!("{settings}{}", meaning::embedding()));
    let tour = Tour::read();
    fs::create_dir(quipu.path("d")).expect("a folder");
    let demo = [&DEMO[..], &["--config", "d.toml"]].concat();
    quipu.kill_when(&demo, |folder| fs::metadata(folder.join("d/quipu.db-wal")).is_ok_and(|wal| wal.len() > 3_000_000));

    let running = quipu.start(&demo);
    let tokens = offered(&quipu);
    assert_eq!(
        tokens.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
        ["library", "cryox", "insights", "emma", "supertrack"]
    );
    let (library, cryox) = (&tokens[0].1, &tokens[1].1);
    assert_eq!(things(&running, library).await, json!(THINGS));
    // The analyst sees two regions of three.
    let answer = running.ask(cryox, "{ facilities(limit: 50) { region } }").await;
    let mut regions: Vec<_> = answer["data"]["facilities"].as_array().expect("a list").iter().collect();
    regions.dedup();
    assert!(regions.len() > 1 && regions.iter().all(|f| f["region"] == "EU" || f["region"] == "NA"), "{answer}");
    assert_eq!(tour.ask(&quipu, &running, "d.toml", false).await, 4);
    tour.live(&quipu, &running, "d.toml").await;
    // What users change stays changed.
    let gone =
        running.ask(library, "mutation { deleteThings(where: { id: { eq: \"euro\" } }) { nodesDeleted } }").await;
    assert_eq!(gone["data"]["deleteThings"]["nodesDeleted"], 1, "{gone}");
    let ended = running.stop();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for part in ["Playground: http://127.0.0.1:", "/playground", library, cryox, "query SearchByMeaning"] {
        assert!(ended.out.contains(part), "{part}: {}", ended.out);
    }
    assert!(
        ["library", "cryox", "insights", "emma", "supertrack"]
            .iter()
            .all(|name| ended.err.contains(&format!("loaded {name}: "))),
        "{}",
        ended.err
    );
    assert!(ended.err.contains("texts are not embedded"), "{}", ended.err);

    // Only to load is done at once when all is there, and the tokens are new.
    let ended = quipu.run(&["demo", "--dir", "d", "--load-only", "--config", "d.toml"]);
    assert_eq!((ended.code, ended.out.as_str(), ended.err.contains("load")), (Some(0), "", false), "{ended:?}");
    assert_eq!(offered(&quipu).len(), 5);

    // Nothing is loaded twice, neither said nor done.
    let running = quipu.start(&demo);
    assert_eq!(things(&running, &offered(&quipu)[0].1).await, json!(THINGS - 1));
    let ended = running.stop();
    assert!(!ended.err.contains("load"), "{}", ended.err);

    // With a model, what is there is embedded first.
    let running = quipu.start(&[&DEMO[..], &["--config", "model.toml"]].concat());
    assert_eq!(tour.ask(&quipu, &running, "model.toml", true).await, 2);
    assert_eq!(running.stop().code, Some(0));
}

#[test]
fn the_demos_settings_work_for_the_other_commands() {
    let quipu = Quipu::empty();
    quipu.kill_when(&DEMO, |folder| folder.join("d/quipu.db").exists());
    let settings = fs::read_to_string(quipu.path("d/quipu.toml")).expect("settings");
    assert!(settings.contains("listen = \"127.0.0.1:0\""), "{settings}");
    assert!(!settings.contains(&fs::read_to_string(quipu.path("d/secret")).expect("a key")));
    let token = quipu.run(&["token", "--tenant", "library", "--config", "d/quipu.toml"]);
    assert_eq!(token.code, Some(0), "{token:?}");
    let migrated = quipu.run(&["migrate", "--config", "d/quipu.toml"]);
    assert_eq!((migrated.code, migrated.out.as_str()), (Some(0), "d/quipu.db is up to date\n"), "{migrated:?}");
}
