//! The audit trail of the real binary: what it keeps of requests over each transport, and how it is read and proved.

use serde_json::{Value as Json, json};

use super::quipu::{FARM, Quipu, Running};
use crate::http::socket::Client;

const SERVE: [&str; 3] = ["serve", "--listen", "127.0.0.1:0"];
const MAKE: &str = r#"mutation Make { createFarms(input: [{ id: "f1", name: "A", region: "EU" }]) { farms { id bills { amount } } } }"#;

/// The records of a tenant, or of the gateway, without what differs from run to run, and without that of the ontology that all begin with.
fn records(quipu: &Quipu, of: &[&str]) -> Vec<Json> {
    let ended = quipu.run(&[&["audit", "list", "--json"], of].concat());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let records = ended.out.lines().map(|line| serde_json::from_str::<Json>(line).expect("JSON")["record"].clone());
    records.filter(|record| record["action"] != "ontology.publish").collect()
}

fn told(record: &Json) -> Json {
    json!([record["who"], record["action"], record["decision"], record["types"], record["codes"]])
}

async fn post(running: &Running, token: &str, body: Json) -> Json {
    let request = reqwest::Client::new().post(format!("http://{}/graphql", running.address)).bearer_auth(token);
    request
        .header("x-request-id", "the-request")
        .json(&body)
        .send()
        .await
        .expect("it answers")
        .json()
        .await
        .expect("JSON")
}

async fn kept(quipu: Quipu) {
    let running = quipu.start(&SERVE);
    let admin = quipu.token("farm", &["--subject", "ada", "--role", "admin"]);
    let eva = quipu.token("farm", &["--subject", "eva"]);
    let made =
        post(&running, &admin, json!({"query": MAKE, "operationName": "Make", "variables": {"secret": "hush"}})).await;
    assert_eq!(made["data"]["createFarms"]["farms"][0]["id"], "f1", "{made}");
    // A query is none of what is kept by default; what a rule refuses is.
    post(&running, &admin, json!({"query": "{ farms { id } }"})).await;
    let refused = post(&running, &eva, json!({"query": "mutation { deleteAnimals { nodesDeleted } }"})).await;
    assert_eq!(refused["errors"][0]["extensions"]["code"], "FORBIDDEN", "{refused}");
    post(&running, &eva, json!({"query": "{ animalsConnection { totalCount } farms { nothing } }"})).await;
    let batch = json!([{"query": "mutation { deleteAnimals { nodesDeleted } }"}, {"query": "{ farms { id } }"}]);
    post(&running, &eva, batch).await;
    // Over a socket as well; and whoever has no credentials is nobody.
    let mut socket = Client::at(running.address, Some("graphql-transport-ws"), None).await;
    socket.init(&eva).await;
    socket.subscribe("1", "mutation { deleteAnimals { nodesDeleted } }").await;
    assert_eq!(socket.receive().await["type"], "next");
    drop(socket);
    post(&running, "no.token.atall", json!({"query": "{ farms { id } }"})).await;
    let ended = running.stop();
    assert_eq!(ended.code, Some(0), "{ended:?}");

    let found = records(&quipu, &["--tenant", "farm"]);
    let delete = json!(["eva", "mutation", "partly", ["Animal"], ["FORBIDDEN"]]);
    let expected = [
        json!(["ada", "mutation", "allowed", ["Bill", "Farm"], null]),
        delete.clone(),
        json!(["eva", "operation", "refused", null, ["GRAPHQL_VALIDATION_FAILED"]]),
        delete.clone(),
        delete,
    ];
    assert_eq!(found.iter().map(told).collect::<Vec<_>>(), expected, "{found:#?}");
    let first = &found[0];
    assert_eq!(
        (&first["operation"], &first["roles"], &first["request"]),
        (&json!("Make"), &json!(["admin"]), &json!("the-request"))
    );
    assert_eq!(first["variables"], json!({"secret": null}), "names, and no values");
    assert_eq!(first["document"].as_str().map(str::len), Some(64));
    assert_eq!(found.iter().filter(|record| record["request"].is_string()).count(), 5);
    let nobody = records(&quipu, &["--gateway"]);
    assert_eq!(nobody.len(), 1, "{nobody:?}");
    assert_eq!(nobody[0]["action"], "credentials");
    assert!(!nobody[0].to_string().contains("no.token.atall"), "{nobody:?}");

    assert_eq!(records(&quipu, &["--tenant", "farm", "--who", "ada"]).len(), 1);
    assert_eq!(records(&quipu, &["--tenant", "farm", "--refused", "--limit", "2"]).len(), 2);
    assert_eq!(records(&quipu, &["--tenant", "farm", "--since", "2999-01-01"]).len(), 0);
    let lines = quipu.run(&["audit", "list", "--tenant", "farm"]).out;
    assert!(lines.contains(" allowed ada mutation Make of Bill, Farm"), "{lines}");
    let whole = quipu.run(&["audit", "verify", "--tenant", "farm"]);
    assert_eq!(whole.code, Some(0), "{whole:?}");
    assert!(whole.out.starts_with("the audit trail of farm is whole: 6 records\n6:"), "{whole:?}");
    let noted = whole.out.lines().nth(1).expect("position and hash").to_owned();
    assert_eq!(quipu.run(&["audit", "verify", "--tenant", "farm", "--has", &noted]).code, Some(0));
    let other = format!("4:{}", &noted[2..]);
    let differs = quipu.run(&["audit", "verify", "--tenant", "farm", "--has", &other]);
    assert_eq!(differs.code, Some(1), "{differs:?}");
    assert!(differs.err.contains("record 4 of farm is another than the one that was noted"), "{differs:?}");
    let cut = quipu.run(&["audit", "verify", "--tenant", "farm", "--has", &format!("9:{}", &noted[2..])]);
    assert!(cut.err.contains("record 9 of farm is gone"), "{cut:?}");
    assert_eq!(quipu.run(&["audit", "verify", "--gateway"]).code, Some(0));
}

/// A farm whose animals an administrator alone may remove.
fn guarded() -> String {
    FARM.replace("type Animal @node", "type Animal @node @role(anyOf: [\"admin\"], operations: [DELETE])")
        .replace("kind: String! }", "kind: String! @index }")
}

fn published(quipu: &Quipu) {
    quipu.file("farm.graphql", guarded());
    let ended = quipu.run(&["ontology", "publish", "--tenant", "farm", "farm.graphql"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    quipu.file("a.jsonl", r#"{"node":"Animal","id":"a1","properties":{"kind":"cow"}}"#);
    assert_eq!(quipu.run(&["import", "--tenant", "farm", "--no-embed", "a.jsonl"]).code, Some(0));
}

#[tokio::test]
async fn operations_and_refusals_are_kept_in_a_file() {
    let quipu = Quipu::empty();
    published(&quipu);
    kept(quipu).await;
}

#[tokio::test]
async fn operations_and_refusals_are_kept_in_postgres() {
    let Some(server) = crate::contract::postgres::server("operations_and_refusals_are_kept_in_postgres") else {
        return;
    };
    let quipu = Quipu::empty();
    let schema = server.fresh().schema;
    let settings = format!(
        "[auth]\nsecret_file = \"secret\"\n[embedding]\nmodel = \"none\"\n[metadata]\nurl = \"{}\"\nowner_url = \"{}\"\nschema = \"{schema}\"\n",
        server.login, server.owner
    );
    quipu.file("quipu.toml", settings);
    published(&quipu);
    kept(quipu).await;
}

#[tokio::test]
async fn the_settings_say_what_is_kept() {
    let quipu = Quipu::empty();
    published(&quipu);
    let settings = "[auth]\nsecret_file = \"secret\"\n[embedding]\nmodel = \"none\"\n[audit]\nrecord = [\"reads\"]\nvariables = \"values\"\n";
    quipu.file("quipu.toml", settings);
    let running = quipu.start(&SERVE);
    let admin = quipu.token("farm", &["--subject", "ada", "--role", "admin"]);
    post(&running, &admin, json!({"query": MAKE})).await;
    let query = "query ($id: ID!) { farm(id: $id) { id keeps { id } } farms { id } }";
    post(&running, &admin, json!({"query": query, "variables": {"id": "f1"}})).await;
    post(&running, "nothing", json!({"query": "{ farms { id } }"})).await;
    running.stop();
    let found = records(&quipu, &["--tenant", "farm"]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((&found[0]["variables"], &found[0]["records"]), (&json!({"id": "f1"}), &json!(2)));
    assert!(records(&quipu, &["--gateway"]).is_empty());
    quipu.file("quipu.toml", settings.replace("[\"reads\"]", "[]"));
    let running = quipu.start(&SERVE);
    post(&running, &admin, json!({"query": "{ farms { id } }"})).await;
    running.stop();
    assert_eq!(records(&quipu, &["--tenant", "farm"]).len(), 1);
}

/// What is done to keys, users and sessions, and what is refused before the engine is asked.
#[tokio::test]
async fn what_is_done_to_credentials_is_kept_and_what_is_refused_at_the_door() {
    let quipu = Quipu::empty();
    published(&quipu);
    quipu.file(
        "quipu.toml",
        "[auth]\nsecret_file = \"secret\"\n[embedding]\nmodel = \"none\"\n[passwords]\nmemory = \"1MiB\"\niterations = 1\n\
         [sessions]\ngrace = \"0s\"\n[tenants]\ndocuments = \"known-only\"\nrequests_per_hour = 2\n",
    );
    let user = |args: &[&str], password: &str| {
        let ended = quipu.run_reading(&[&["user"], args, &["--tenant", "farm", "--name", "ada"]].concat(), password);
        assert_eq!(ended.code, Some(0), "{ended:?}");
    };
    user(&["add", "--role", "admin"], "correct horse battery\n");
    let made = quipu.run(&["key", "create", "--tenant", "farm", "--name", "nightly"]);
    let key = made.out.trim().to_owned();
    assert_eq!(quipu.run(&["key", "revoke", "--tenant", "farm", key.split('.').nth(1).expect("an id")]).code, Some(0));
    let running = quipu.start(&SERVE);
    let client = reqwest::Client::new();
    let at = |path: &str| client.post(format!("http://{}{path}", running.address)).header("quipu-csrf", "1");
    let sign_in = async |tenant: &str, password: &str| {
        let body = json!({"tenant": tenant, "user": "ada", "password": password});
        at("/auth/sign-in").json(&body).send().await.expect("it answers")
    };
    assert_eq!(sign_in("farm", "wrong").await.status(), 401);
    assert_eq!(sign_in("nobody", "wrong").await.status(), 401);
    let signed_in = sign_in("farm", "correct horse battery").await;
    assert_eq!(signed_in.status(), 200);
    let cookies: Vec<String> = signed_in
        .headers()
        .get_all("set-cookie")
        .iter()
        .filter_map(|cookie| Some(cookie.to_str().ok()?.split(';').next()?.to_owned()))
        .collect();
    let refresh =
        async || at("/auth/refresh").header("cookie", cookies.join("; ")).send().await.expect("it answers").status();
    assert_eq!(
        (refresh().await.as_u16(), refresh().await.as_u16()),
        (200, 401),
        "a token that comes back ends the session"
    );
    let eva = quipu.token("farm", &["--subject", "eva"]);
    post(&running, &eva, json!({"query": "{ farms { id } }"})).await;
    let mut socket = Client::at(running.address, Some("graphql-transport-ws"), None).await;
    socket.init(&eva).await;
    socket.subscribe("1", "{ farms { id } }").await;
    assert_eq!(socket.receive().await["type"], "error");
    drop(socket);
    // Documents that are not let through are not counted; those that are, are.
    quipu.file("query.graphql", "{ farms { id } }");
    assert_eq!(quipu.run(&["documents", "publish", "--tenant", "farm", "query.graphql"]).code, Some(0));
    let is_limited = |answer: &Json| answer["errors"][0]["extensions"]["code"] == "RATE_LIMITED";
    running.soon(&eva, "{ farms { id } }", |answer| answer["errors"].is_null() || is_limited(answer)).await;
    running.soon(&eva, "{ farms { id } }", is_limited).await;
    running.stop();
    let found = records(&quipu, &["--tenant", "farm"]);
    let mut told: Vec<Json> =
        found.iter().map(|one| json!([one["who"], one["action"], one["decision"], one["codes"]])).collect();
    let refused = |code: &str| json!(["eva", "operation", "refused", [code]]);
    told.dedup();
    let unknown = told.iter().filter(|one| **one == refused("UNKNOWN_DOCUMENT")).count();
    assert!(unknown >= 1 && told.contains(&refused("RATE_LIMITED")), "{told:#?}");
    told.retain(|one| one[0] != "eva");
    let cli = "the command line";
    let expected = [
        json!([cli, "user.add", "allowed", null]),
        json!([cli, "key.create", "allowed", null]),
        json!([cli, "key.revoke", "allowed", null]),
        json!([null, "session.sign-in", "refused", ["wrong name or password"]]),
        json!(["ada", "session.begin", "allowed", null]),
        json!(["ada", "session.refresh", "refused", ["a token to refresh with was used twice"]]),
    ];
    assert_eq!(told, expected, "{found:#?}");
    let key_made = &found[1]["variables"];
    assert!(key_made["name"] == "nightly" && !key_made.to_string().contains(&key[40..]), "{key_made}");
    let gateway = records(&quipu, &["--gateway"]);
    let codes: Vec<&Json> = gateway.iter().map(|record| &record["codes"][1]).collect();
    assert!(codes.contains(&&json!("wrong name or password")), "whoever names a tenant that is none: {codes:?}");
}
