//! The real binary over tables that are written: what the settings open, over HTTP, with keys that write once.

use serde_json::{Value as Json, json};

use super::{Shop, look};
use crate::cli::quipu::Quipu;
use crate::contract::{neo4j, skipped};

#[tokio::test(flavor = "multi_thread")]
async fn what_the_settings_open_is_written() {
    written("mapped::writing::what_the_settings_open_is_written", "").await;
}

/// The same where the graph, which follows the log, is in Neo4j.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_settings_open_is_written_beside_neo4j() {
    let test = "mapped::writing::what_the_settings_open_is_written_beside_neo4j";
    let Some(options) = neo4j::options() else { return skipped(test, "QUIPU_TEST_NEO4J names no server") };
    let (scheme, address) = options.url.split_once("://").unwrap();
    let (user, password, prefix) = (&options.user, &options.password, options.namespace.trim_end_matches('/'));
    let graph = format!("[graph]\nurl = \"{scheme}://{user}:{password}@{address}\"\nprefix = \"{prefix}\"\n");
    written(test, &graph).await;
}

async fn written(test: &str, graph: &str) {
    let Some(shop) = Shop::till(test).await else { return };
    let quipu = Quipu::empty();
    let settings = |tables: &str| {
        format!(
            "[auth]\nsecret_file = \"secret\"\n[embedding]\nmodel = \"none\"\n[metadata]\nurl = \"{}\"\nowner_url = \"{}\"\nschema = \"{}\"\n\
             tables = [\"{tables}\"]\n{graph}",
            shop.server.login, shop.server.owner, shop.options.schema
        )
    };
    quipu.file("till.graphql", shop.written());
    let publish = |who: &'static str| ["ontology", "publish", "--tenant", who, "till.graphql"];
    quipu.file("quipu.toml", settings(&format!("{}.* by tenant", shop.schema)));
    let refused = quipu.run(&publish("alpha"));
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.err.contains("is open to be read and not written"), "{refused:?}");
    quipu.file("quipu.toml", settings(&format!("{}.* by tenant, writable", shop.schema)));
    for who in ["alpha", "beta"] {
        let published = quipu.run(&publish(who));
        assert_eq!(published.code, Some(0), "{published:?}");
    }
    let running = quipu.start(&["serve", "--listen", "127.0.0.1:0"]);
    let tokens = ["alpha", "beta"].map(|who| quipu.token(who, &["--role", "admin"]));
    let client = reqwest::Client::new();
    let create = "mutation { createClients(input: [{ id: \"c1\", name: \"a\" }]) { clients { id credit } } \
                  createSales(input: [{ code: \"one\", client_id: \"c1\" }]) { sales { id state client { name } } } }";
    let mut answers: Vec<Json> = Vec::new();
    for token in [&tokens[0], &tokens[0], &tokens[1]] {
        let request = client.post(format!("http://{}/graphql", running.address)).bearer_auth(token);
        let response = request.header("Idempotency-Key", "k").json(&json!({ "query": create })).send().await.unwrap();
        answers.push(response.json().await.unwrap());
    }
    assert_eq!(answers[0]["errors"], Json::Null, "{answers:?}");
    assert_eq!(answers[0]["data"]["createClients"]["clients"], json!([{"id": "c1", "credit": 10}]));
    assert_eq!(answers[0]["data"]["createSales"]["sales"][0]["client"], json!({"name": "a"}));
    assert_eq!(answers[1]["data"], answers[0]["data"], "the same key again");
    assert_eq!(answers[2]["errors"], Json::Null, "{answers:?}");
    // Who brings the position back sees what was written; a refusal has the code of its own, and no word of the database.
    let position = &answers[0]["extensions"]["position"];
    let seen = running.ask_at(&tokens[0], "{ salesConnection { totalCount } sales { code } }", position).await;
    assert_eq!(seen["data"], json!({"salesConnection": {"totalCount": 1}, "sales": [{"code": "one"}]}), "{seen}");
    let taken = running
        .ask(&tokens[1], "mutation { createSales(input: [{ code: \"two\" }, { code: \"one\" }]) { sales { id } } }")
        .await;
    assert_eq!(taken["errors"][0]["extensions"]["code"], "CONFLICT", "{taken}");
    assert_eq!(taken["errors"][0]["message"], "Sale.code: the value is taken");
    let gone = running.ask(&tokens[0], "mutation { deleteSales { nodesDeleted } }").await;
    assert_eq!(gone["data"]["deleteSales"]["nodesDeleted"], 1, "{gone}");
    assert_eq!(running.stop().code, Some(0));
    let what = format!("SELECT tenant, code FROM {}.\"Sales \"\"2026\"\"\"", shop.schema);
    let there = look(&mut shop.another().await, &what).await;
    assert_eq!(there, json!([{"tenant": "beta", "code": "one"}]));
    let compared = quipu.run(&["status", "--compare", "--tenant", "alpha"]);
    assert_eq!(compared.code, Some(0), "{compared:?}");
    let rebuilt = quipu.run(&["rebuild", "--store", "graph", "--tenant", "alpha"]);
    assert_eq!(rebuilt.code, Some(0), "{rebuilt:?}");
    // What is closed again is not written, although it is published.
    quipu.file("quipu.toml", settings(&format!("{}.* by tenant", shop.schema)));
    let running = quipu.start(&["serve", "--listen", "127.0.0.1:0"]);
    let told = running.ask(&tokens[0], "mutation { deleteClients { nodesDeleted } }").await;
    assert_eq!(told["errors"][0]["extensions"]["code"], "STORE_UNAVAILABLE", "{told}");
    let read = running.ask(&tokens[0], "{ clients { id } }").await;
    assert_eq!(read["data"]["clients"], json!([{"id": "c1"}]), "{read}");
    assert_eq!(running.stop().code, Some(0));
}
