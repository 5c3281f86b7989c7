//! Hostile 69: a store that is away takes nothing with it but its own fields, and is used again when it is back.

use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use super::address;
use super::proxy::Proxy;
use crate::cli::quipu::{FARM, Quipu, Running};

const QUERY: &str = r#"{ farm(id: "a") { name } bill(id: "b") { amount farm { name } } }"#;

/// A proxy before a server, and the server's URL through it.
pub async fn through(url: &str) -> (Proxy, String) {
    let (credentials, rest) = url.rsplit_once('@').expect("credentials");
    let (server, path) =
        rest.split_once('/').map_or((rest, String::new()), |(server, path)| (server, format!("/{path}")));
    let proxy = Proxy::to(server).await;
    let url = format!("{credentials}@{}{path}", proxy.address);
    (proxy, url)
}

/// Asks until the answer fits: what is away is noticed, and found again, after a moment.
async fn answers(running: &Running, token: &str, fits: impl Fn(&Json) -> bool) -> Json {
    let begun = Instant::now();
    loop {
        let answer = running.ask(token, QUERY).await;
        if fits(&answer) {
            return answer;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "still {answer}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Paths of the errors, each of which must say that a store is away.
fn paths(answer: &Json) -> Vec<Json> {
    let errors = answer["errors"].as_array().expect("errors");
    let codes = ["STORE_UNAVAILABLE", "OVERLOADED", "TIMEOUT"].map(Json::from);
    assert!(errors.iter().all(|error| codes.contains(&error["extensions"]["code"])), "{answer}");
    errors.iter().map(|error| error["path"].clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_69_one_store_is_away() {
    let test = "hostile_69_one_store_is_away";
    let Some(graph) = address("QUIPU_TEST_NEO4J", test) else { return };
    let (Some(owner), Some(login)) = (address("QUIPU_TEST_POSTGRES", test), address("QUIPU_TEST_POSTGRES_LOGIN", test))
    else {
        return;
    };
    let ((mut graph_wire, graph), (mut rows_wire, login)) = tokio::join!(through(&graph), through(&login));
    let name = format!("away_{}", std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_micros());
    let quipu = Quipu::empty();
    quipu.file(
        "quipu.toml",
        format!(
            "[auth]\nsecret_file = \"secret\"\n[embedding]\nmodel = \"none\"\n[graph]\nurl = \"{graph}\"\nprefix = \"{name}\"\n\
             [metadata]\nurl = \"{login}\"\nowner_url = \"{owner}\"\nschema = \"{name}\"\n"
        ),
    );
    quipu.file("farm.graphql", FARM);
    quipu.file(
        "a.jsonl",
        "{\"node\":\"Farm\",\"id\":\"a\",\"properties\":{\"name\":\"A\",\"region\":\"EU\"}}\n\
         {\"row\":\"Bill\",\"id\":\"b\",\"properties\":{\"amount\":3,\"farm_id\":\"a\"}}",
    );
    assert_eq!(quipu.run(&["ontology", "publish", "--tenant", "farm", "farm.graphql"]).code, Some(0));
    assert_eq!(quipu.run(&["import", "--tenant", "farm", "--no-embed", "a.jsonl"]).code, Some(0));
    let running = quipu.start(&["serve", "--listen", "127.0.0.1:0"]);
    let token = quipu.token("farm", &["--role", "admin"]);
    let whole = json!({"farm": {"name": "A"}, "bill": {"amount": 3, "farm": {"name": "A"}}});
    assert_eq!(running.ask(&token, QUERY).await["data"], whole);

    graph_wire.cut().await;
    let answer = answers(&running, &token, |answer| answer["data"]["farm"].is_null()).await;
    assert_eq!(answer["data"], json!({"farm": null, "bill": {"amount": 3, "farm": null}}), "{answer}");
    assert_eq!(paths(&answer), [json!(["farm"]), json!(["bill", "farm"])]);
    graph_wire.mend().await;
    answers(&running, &token, |answer| answer["data"] == whole).await;

    rows_wire.cut().await;
    let answer = answers(&running, &token, |answer| answer["data"]["bill"].is_null()).await;
    assert_eq!(answer["data"], json!({"farm": {"name": "A"}, "bill": null}), "{answer}");
    assert_eq!(paths(&answer), [json!(["bill"])]);
    rows_wire.mend().await;
    answers(&running, &token, |answer| answer["data"] == whole).await;
    assert_eq!(running.stop().code, Some(0));
}
