use std::net::TcpListener;

use serde_json::json;

use super::quipu::{FARM, Quipu};

const SERVE: [&str; 3] = ["serve", "--listen", "127.0.0.1:0"];

#[tokio::test]
async fn a_running_server_serves_what_others_publish_and_import() {
    let quipu = Quipu::empty();
    quipu.file("farm.graphql", FARM);
    let running = quipu.start(&SERVE);
    let token = quipu.token("farm", &["--role", "admin"]);
    let before = running.ask(&token, "{ __typename }").await;
    assert!(before.get("data").is_none(), "nothing is published: {before}");

    assert_eq!(quipu.run(&["ontology", "publish", "--tenant", "farm", "farm.graphql"]).code, Some(0));
    running.soon(&token, "{ farms { name } }", |answer| answer["data"] == json!({"farms": []})).await;

    quipu.file("a.jsonl", r#"{"node":"Farm","id":"1","properties":{"name":"A","region":"EU","about":"cows"}}"#);
    assert_eq!(quipu.run(&["import", "--tenant", "farm", "--no-embed", "a.jsonl"]).code, Some(0));
    let query = "{ farms { name } }";
    running.soon(&token, query, |answer| answer["data"] == json!({"farms": [{"name": "A"}]})).await;

    quipu.file("farm.graphql", FARM.replace("kind: String!", "kind: String!  legs: Int"));
    assert_eq!(quipu.run(&["ontology", "publish", "--tenant", "farm", "farm.graphql"]).code, Some(0));
    running.soon(&token, "{ animals { legs } }", |answer| answer.get("errors").is_none()).await;

    let ended = running.stop();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(!ended.err.contains('\u{1b}'), "colours where nobody sees them: {ended:?}");
}

#[tokio::test]
async fn a_server_without_a_model_is_degraded_and_says_so() {
    let quipu = Quipu::with_farm();
    let running = quipu.start(&SERVE);
    let ready = reqwest::get(format!("http://{}/readyz", running.address)).await.expect("it answers");
    assert_eq!(ready.status(), 200);
    let ready: serde_json::Value = ready.json().await.expect("JSON");
    assert_eq!(ready["status"], "degraded");
    assert_eq!(
        ready["parts"],
        json!({"graph": "up", "metadata": "up", "vectors": "up", "embedding": "down", "auth": "up"})
    );
    let token = quipu.token("farm", &["--role", "admin"]);
    let answer = running.ask(&token, "{ farmsSimilar(query: \"cows\", first: 1) { score } }").await;
    assert_eq!(answer["errors"][0]["extensions"]["code"], "EMBEDDING_UNAVAILABLE", "{answer}");
}

/// Long before it would look by itself.
#[tokio::test]
async fn a_hangup_has_keys_and_certificates_looked_at() {
    let quipu = Quipu::with_farm();
    let settings = "[server]\nreload = \"10h\"\n[auth]\nsecret_file = \"secret\"\n[embedding]\nmodel = \"none\"\n";
    quipu.file("quipu.toml", settings);
    let running = quipu.start(&SERVE);
    let old = quipu.token("farm", &["--role", "admin"]);
    assert!(running.ask(&old, "{ farms { name } }").await.get("data").is_some());
    quipu.file("secret", "fedcba9876543210fedcba9876543210");
    let new = quipu.token("farm", &["--role", "admin"]);
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert!(running.ask(&new, "{ farms { name } }").await.get("data").is_none(), "nobody has looked");
    running.signal("-HUP");
    running.soon(&new, "{ farms { name } }", |answer| answer.get("data").is_some()).await;
    running.soon(&old, "{ farms { name } }", |answer| answer.get("data").is_none()).await;
    let ended = running.stop();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.err.contains("the keys of tokens have changed"), "{ended:?}");
}

#[test]
fn a_taken_port_is_refused_with_its_number_and_a_way_out() {
    let quipu = Quipu::with_farm();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    for args in [&["serve", "--listen", &address][..], &["demo", "--dir", "d", "--listen", &address]] {
        let ended = quipu.run(args);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let port = address.rsplit(':').next().expect("a port");
        assert!(ended.err.contains(&format!("port {port} of 127.0.0.1 is taken")), "{ended:?}");
        assert!(ended.err.contains("--listen"), "{ended:?}");
    }
    assert!(!quipu.path("d/quipu.db").exists(), "nothing is loaded for a port that is taken");
}

/// Two instances beside each other, with a Redis between them: what one writes wakes the other's subscribers and shows in its answers.
#[tokio::test]
async fn two_instances_with_redis_between_them_serve_alike() {
    let Some(url) = crate::servers::address("QUIPU_TEST_REDIS", "two_instances_with_redis_between_them") else {
        return;
    };
    let quipu = Quipu::with_farm();
    let settings = "[auth]\nsecret_file = \"secret\"\n[embedding]\nmodel = \"none\"\n";
    quipu.file("two.toml", format!("{settings}[cache]\nurl = \"{url}\"\nprefix = \"two-{}\"\n", std::process::id()));
    let serve = ["serve", "--listen", "127.0.0.1:0", "--config", "two.toml"];
    let (one, other) = (quipu.start(&serve), quipu.start(&serve));
    let token = quipu.token("farm", &["--role", "admin"]);
    let ready = reqwest::get(format!("http://{}/readyz", one.address)).await.expect("it answers");
    let ready: serde_json::Value = ready.json().await.expect("JSON");
    assert_eq!(ready["parts"]["cache"], "up", "{ready}");
    let create = r#"mutation { createFarms(input: [{ id: "a", name: "A", region: "EU" }]) { info { nodesCreated } } }"#;
    let made = one.ask(&token, create).await;
    assert!(made.get("errors").is_none(), "{made}");
    let query = "{ farms { name } }";
    other.soon(&token, query, |answer| answer["data"] == json!({"farms": [{"name": "A"}]})).await;
    for running in [one, other] {
        let ended = running.stop();
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(!format!("{ended:?}").contains(url.split('@').next().expect("credentials")), "the password is nowhere");
    }
}
