//! The life of a tenant by the command line, in a file and, where there are some, on servers, while a server serves it.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use reqwest::header::{ACCEPT, SET_COOKIE};
use serde_json::{Value as Json, json};
use sqlx::Connection as _;
use sqlx::sqlite::SqliteConnection;

use super::quipu::{Ended, Quipu, Running};
use crate::http::socket::Client;
use crate::servers::whole;

const SERVE: [&str; 3] = ["serve", "--listen", "127.0.0.1:0"];
const FARMS: &str = "{ farms(limit: 3) { id } }";

const ONTOLOGY: &str = r#"
type Farm @node {
  id: ID!
  name: String! @unique
  region: String @default(value: "EU") @alias(property: "area")
  tags: [String!]
  extra: JSON
  size: BigInt
  built: Date
  seen: DateTime
  score: Float
  about: String @embed
  keeps: [Animal!]! @relationship(type: "KEEPS", direction: OUT, properties: "Keeping")
  bills: [Bill!]! @join(on: "farm_id")
}
type Animal @node {
  id: ID!
  kind: String!
  "Declared from its end alone."
  admirers: [Farm!]! @relationship(type: "ADMIRES", direction: IN)
}
type Keeping @relationshipProperties { since: Date!  note: String }
type Bill @table(name: "bills") { id: ID!  amount: Int!  farm: Farm @join(by: "farm_id") }
extend type Document { revision: Int }
"#;

/// More farms than a page, one with more animals than two pages of relationships, and one record of every oddity.
fn records() -> String {
    let mut lines = String::new();
    let mut line = |value: Json| writeln!(lines, "{value}").expect("a string grows");
    for n in 0..450 {
        line(
            json!({"node": "Farm", "id": format!("f{n:03}"), "properties": {"name": format!("farm {n}"), "region": "US"}}),
        );
    }
    line(json!({"node": "Farm", "id": "odd \"'\\", "properties": {
        "name": "odd\nlines", "region": null, "tags": ["b", "a"], "extra": {"deep": [1, {"x": null}]}, "size": "9007199254740993",
        "built": "1999-12-31", "seen": "2026-01-02T03:04:05.678Z", "score": 4.0, "about": "A farm on a hill."
    }}));
    for n in 0..1_100 {
        line(json!({"node": "Animal", "id": format!("a{n}"), "properties": {"kind": "cow"}}));
        let (from, to) = (json!({"Farm": "f000"}), json!({"Animal": format!("a{n}")}));
        line(json!({"relationship": "KEEPS", "from": from, "to": to, "properties": {"since": "2020-01-01"}}));
    }
    let (from, to) = (json!({"Farm": "f001"}), json!({"Animal": "a1"}));
    for key in ["first", "second"] {
        let properties = json!({"since": "2021-01-01", "note": key});
        line(json!({"relationship": "KEEPS", "from": from, "to": to, "id": key, "properties": properties}));
    }
    line(json!({"relationship": "ADMIRES", "from": from, "to": to}));
    line(json!({"row": "Bill", "id": "b1", "properties": {"amount": 7, "farm_id": "f001"}}));
    let text = "Cows eat grass. They rest at noon. ".repeat(80);
    line(json!({"document": {"id": "d1", "title": "Cows", "text": text, "properties": {"revision": 3, "by": "ada"}}}));
    lines
}

/// The binary with every store in a file.
fn in_a_file() -> Quipu {
    let quipu = Quipu::empty();
    quipu.file(
        "quipu.toml",
        "[auth]\nsecret_file = \"secret\"\nrecheck = \"200ms\"\n[embedding]\nmodel = \"none\"\n\
         [passwords]\nmemory = \"1MiB\"\niterations = 1\n",
    );
    quipu
}

/// The same on servers, where there are some.
fn on_servers(test: &str) -> Option<Quipu> {
    let settings = whole::settings(test)?;
    let quipu = Quipu::empty();
    quipu.file("quipu.toml", settings);
    Some(quipu)
}

fn done(ended: Ended) -> Ended {
    assert_eq!(ended.code, Some(0), "{ended:?}");
    ended
}

/// Publishes for a tenant, and imports.
fn filled(quipu: &Quipu, tenant: &str) {
    quipu.file("farm.graphql", ONTOLOGY);
    quipu.file("records.jsonl", records());
    done(quipu.run(&["ontology", "publish", "--tenant", tenant, "farm.graphql"]));
    import(quipu, tenant, "records.jsonl");
}

/// Imports; with vectors, where the model can be had.
fn import(quipu: &Quipu, tenant: &str, file: &str) {
    let on_servers = std::fs::read_to_string(quipu.path("quipu.toml")).expect("settings").contains("[vectors]");
    match std::env::var("ORT_DYLIB_PATH") {
        Ok(library) if on_servers => {
            done(quipu.run_with(&["import", "--tenant", tenant, file], &[("ORT_DYLIB_PATH", &library)]));
        }
        _ => drop(done(quipu.run(&["import", "--tenant", tenant, "--no-embed", file]))),
    }
}

fn exported(quipu: &Quipu, tenant: &str) -> String {
    done(quipu.run(&["tenant", "export", tenant])).out
}

/// Asks until the status is another one than before; it takes a second at most, and a busy machine some more.
async fn soon(running: &Running, token: &str, status: u16) -> Json {
    let begun = Instant::now();
    loop {
        let request = reqwest::Client::new().post(format!("http://{}/graphql", running.address)).bearer_auth(token);
        let response = request.json(&json!({"query": FARMS})).send().await.expect("it answers");
        let (found, body) = (response.status().as_u16(), response.json().await.expect("JSON"));
        if found == status {
            return body;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "still {found} {body}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_suspended_tenant_is_served_to_nobody_over_no_transport() {
    let quipu = in_a_file();
    filled(&quipu, "farm");
    filled(&quipu, "other");
    let add = ["user", "add", "--tenant", "farm", "--name", "ada"];
    done(quipu.run_reading(&add, "correct horse battery\n"));
    let key = done(quipu.run(&["key", "create", "--tenant", "farm", "--name", "nightly"])).out.trim().to_owned();
    let running = quipu.start(&SERVE);
    let (token, other) = (quipu.token("farm", &[]), quipu.token("other", &[]));
    let at = |path: &str| format!("http://{}{path}", running.address);
    let client = reqwest::Client::new();
    let sign_in = async |password: &str| {
        let body = json!({"tenant": "farm", "user": "ada", "password": password});
        client.post(at("/auth/sign-in")).header("quipu-csrf", "1").json(&body).send().await.expect("it answers")
    };
    let signed_in = sign_in("correct horse battery").await;
    assert_eq!(signed_in.status(), 200);
    let cookies: Vec<_> =
        signed_in.headers().get_all(SET_COOKIE).iter().filter_map(|line| line.to_str().ok()).collect();
    let cookies: Vec<_> = cookies.iter().filter_map(|line| line.split(';').next()).collect();
    let cookies = cookies.join("; ");
    let refresh = async || {
        let request = client.post(at("/auth/refresh")).header("quipu-csrf", "1").header("cookie", &cookies);
        request.send().await.expect("it answers")
    };
    let subscription = "subscription { changes { id } }";
    let mut socket = Client::at(running.address, Some("graphql-transport-ws"), None).await;
    socket.init(&token).await;
    socket.subscribe("1", subscription).await;
    let events = client.post(at("/graphql")).bearer_auth(&key).header(ACCEPT, "text/event-stream");
    let mut events = events.json(&json!({"query": subscription})).send().await.expect("it answers").bytes_stream();
    soon(&running, &token, 200).await;

    let suspended = done(quipu.run(&["tenant", "suspend", "farm", "--reason", "contract ended"]));
    assert!(suspended.out.contains("farm is suspended"), "{suspended:?}");
    let begun = Instant::now();
    assert_eq!(socket.closed().await, (4403, "Forbidden: the tenant is suspended".to_owned()));
    let mut text = String::new();
    while let Some(Ok(bytes)) = events.next().await {
        text.push_str(&String::from_utf8_lossy(&bytes));
    }
    assert!(text.contains("TENANT_SUSPENDED") && text.contains("event: complete"), "{text}");
    assert!(begun.elapsed() < Duration::from_secs(5), "streams end soon: {:?}", begun.elapsed());
    let body = soon(&running, &token, 403).await;
    assert_eq!(body["errors"][0]["extensions"]["code"], "TENANT_SUSPENDED", "{body}");
    assert_eq!(body["errors"][0]["message"], "the tenant is suspended; ask whoever runs this gateway");
    soon(&running, &key, 403).await;
    let get = client.get(at("/graphql?query=%7B__typename%7D")).bearer_auth(&token).send().await.expect("it answers");
    assert_eq!(get.status(), 403);
    let events =
        client.get(at("/graphql?query=%7B__typename%7D")).bearer_auth(&token).header(ACCEPT, "text/event-stream");
    assert_eq!(events.send().await.expect("it answers").status(), 403);
    let mut socket = Client::at(running.address, Some("graphql-transport-ws"), None).await;
    let payload = json!({"authorization": format!("Bearer {token}")});
    socket.send(json!({"type": "connection_init", "payload": payload})).await;
    assert_eq!(socket.closed().await.0, 4403);
    assert_eq!(sign_in("correct horse battery").await.status(), 403);
    assert_eq!(sign_in("wrong horse battery").await.status(), 401, "whoever has no password learns nothing");
    assert_eq!(refresh().await.status(), 403);
    for nobody in ["x.y.z", "quipu_farm.0123456789abcdef0123.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
        soon(&running, nobody, 401).await;
    }
    soon(&running, &other, 200).await;

    let again = done(quipu.run(&["tenant", "suspend", "farm"]));
    assert!(again.out.contains("suspended before"), "{again:?}");
    let listed = done(quipu.run(&["tenant", "list"])).out;
    assert!(listed.contains("contract ended") && listed.contains("suspended since 20"), "{listed}");
    // Its stores are kept in step, and whoever runs the gateway may write.
    quipu.file("more.jsonl", r#"{"node":"Animal","id":"later","properties":{"kind":"hen"}}"#);
    done(quipu.run(&["import", "--tenant", "farm", "--no-embed", "more.jsonl"]));
    assert!(done(quipu.run(&["tenant", "resume", "farm"])).out.contains("served again"));
    soon(&running, &token, 200).await;
    assert_eq!(refresh().await.status(), 200, "the token to refresh with is as good as before");
    let nobody = quipu.run(&["tenant", "suspend", "nobody"]);
    assert!(nobody.code == Some(1) && nobody.err.contains("there is no tenant nobody"), "{nobody:?}");
    let trail = done(quipu.run(&["audit", "list", "--tenant", "farm"])).out;
    for action in ["tenant.suspend", "tenant.resume", "TENANT_SUSPENDED"] {
        assert!(trail.contains(action), "{action}: {trail}");
    }
}

#[test]
fn tenants_are_listed_whether_their_ontology_compiles_or_not() {
    let quipu = in_a_file();
    filled(&quipu, "farm");
    quipu.file("other.graphql", "type Thing @node { id: ID! }");
    done(quipu.run(&["ontology", "publish", "--tenant", "other", "other.graphql"]));
    let listed: Json = serde_json::from_str(&done(quipu.run(&["tenant", "list", "--json"])).out).expect("JSON");
    let first = &listed[0];
    assert_eq!((&first["tenant"], &first["state"], &first["ontology"]), (&json!("farm"), &json!("active"), &json!(1)));
    assert!(first["log"].as_u64() > Some(0) && first["graph"] == first["log"], "{listed}");
    let other = json!({"tenant": "other", "state": "active", "since": null, "reason": null, "ontology": 1, "log": 0, "graph": 0, "vectors": 0});
    assert_eq!(listed[1], other);
}

#[test]
fn an_earlier_ontology_comes_back_unless_the_records_do_not_fit() {
    let quipu = in_a_file();
    let first = "type Thing @node { id: ID! name: String }";
    for (number, sdl) in [first, "type Thing @node { id: ID! name: String size: Int }"].iter().enumerate() {
        quipu.file("thing.graphql", sdl);
        let published = done(quipu.run(&["ontology", "publish", "--tenant", "t", "thing.graphql"]));
        assert!(published.out.contains(&format!("published version {}", number + 1)), "{published:?}");
    }
    let back = done(quipu.run(&["ontology", "rollback", "--tenant", "t"]));
    assert!(back.out.contains("published version 3") && back.out.contains("size"), "{back:?}");
    let shown = done(quipu.run(&["ontology", "history", "--tenant", "t", "--show", "3"]));
    assert_eq!(shown.out, first);
    let history = done(quipu.run(&["ontology", "history", "--tenant", "t"])).out;
    assert!(
        history.lines().count() == 4 && history.lines().last().is_some_and(|line| line.ends_with("served")),
        "{history}"
    );
    let same = done(quipu.run(&["ontology", "rollback", "--tenant", "t", "--to", "1"]));
    assert!(same.out.contains("has this ontology already: version 3"), "{same:?}");
    let unknown = quipu.run(&["ontology", "rollback", "--tenant", "t", "--to", "9"]);
    assert!(unknown.code == Some(1) && unknown.err.contains("no version 9"), "{unknown:?}");
    // What publishing refuses, rolling back refuses.
    quipu.file("thing.graphql", "type Thing @node { id: ID! name: Int }");
    done(quipu.run(&["ontology", "publish", "--tenant", "t", "thing.graphql"]));
    quipu.file("one.jsonl", r#"{"node":"Thing","id":"1","properties":{"name":1}}"#);
    done(quipu.run(&["import", "--tenant", "t", "--no-embed", "one.jsonl"]));
    let refused = quipu.run(&["ontology", "rollback", "--tenant", "t", "--to", "1"]);
    assert!(refused.code == Some(1) && refused.err.contains("name"), "{refused:?}");
    let history = done(quipu.run(&["ontology", "history", "--tenant", "t"])).out;
    assert_eq!(history.lines().count(), 5, "nothing was published: {history}");
}

/// What was exported is imported for another tenant, and comes out of it as it went in.
fn comes_out_as_it_went_in(quipu: &Quipu) {
    filled(quipu, "alpha");
    let first = exported(quipu, "alpha");
    quipu.file("export.jsonl", &first);
    done(quipu.run(&["ontology", "publish", "--tenant", "beta", "farm.graphql"]));
    import(quipu, "beta", "export.jsonl");
    assert!(first == exported(quipu, "beta"), "the same lines come out again");
    let count = |what: &str| first.lines().filter(|line| line.starts_with(what)).count();
    assert_eq!((count("{\"node\":\"Farm\""), count("{\"node\":\"Animal\""), count("{\"row\"")), (451, 1_100, 1));
    assert!(count("{\"node\":\"Chunk\"") > 1 && count("{\"node\":\"Document\"") == 1, "documents are nodes");
    let chunks = count("{\"node\":\"Chunk\"");
    assert_eq!(count("{\"relationship\":\"KEEPS\""), 1_102);
    assert_eq!((count("{\"relationship\":\"ADMIRES\""), count("{\"relationship\":\"HAS_CHUNK\"")), (1, chunks));
    assert!(
        first.contains(r#""region":null"#) && first.contains(r#""id":"second""#),
        "nulls where there is a default, and keys"
    );
    let to_file = done(quipu.run(&["tenant", "export", "alpha", "alpha.jsonl"]));
    assert!(to_file.err.contains("451") || to_file.err.contains("nodes"), "{to_file:?}");
    assert!(std::fs::read_to_string(quipu.path("alpha.jsonl")).expect("it is there") == first);
    assert!(!quipu.path("alpha.jsonl.part").exists());
    let again = quipu.run(&["tenant", "export", "alpha", "alpha.jsonl"]);
    assert!(again.code == Some(1) && again.err.contains("is there already"), "{again:?}");
    let nobody = quipu.run(&["tenant", "export", "nobody"]);
    assert!(nobody.code == Some(1) && nobody.out.is_empty(), "{nobody:?}");
}

#[test]
fn exports_are_imports_in_a_file() {
    comes_out_as_it_went_in(&in_a_file());
}

#[test]
fn exports_are_imports_on_servers() {
    if let Some(quipu) = on_servers("exports_are_imports_on_servers") {
        comes_out_as_it_went_in(&quipu);
    }
}

/// A tenant is deleted while a server serves it: nothing is left of it, the other has what it had, and the name is used anew.
async fn is_deleted(quipu: &Quipu) {
    for tenant in ["alpha", "beta"] {
        filled(quipu, tenant);
    }
    quipu.file("farms.graphql", FARMS);
    done(quipu.run(&["documents", "publish", "--tenant", "alpha", "farms.graphql"]));
    let key = done(quipu.run(&["key", "create", "--tenant", "alpha", "--name", "nightly"])).out.trim().to_owned();
    done(quipu.run_reading(&["user", "add", "--tenant", "alpha", "--name", "ada"], "correct horse battery\n"));
    let of_beta = exported(quipu, "beta");
    let running = quipu.start(&SERVE);
    let (token, beta) = (quipu.token("alpha", &[]), quipu.token("beta", &[]));
    soon(&running, &token, 200).await;
    soon(&running, &key, 200).await;

    for (wrong, code) in
        [(&["tenant", "delete", "alpha"][..], 2), (&["tenant", "delete", "alpha", "--confirm", "beta"], 1)]
    {
        let refused = quipu.run(wrong);
        assert_eq!(refused.code, Some(code), "{refused:?}");
    }
    soon(&running, &token, 200).await;
    let deleted = done(quipu.run(&["tenant", "delete", "alpha", "--confirm", "alpha", "--json"]));
    let proof: Json = serde_json::from_str(&deleted.out).unwrap_or_else(|_| panic!("{deleted:?}"));
    assert_eq!((&proof["complete"], &proof["auditKept"]), (&json!(true), &json!(true)), "{proof}");
    let left = proof["left"].as_array().expect("a list");
    assert!(left.len() > 15 && left.iter().all(|one| one["count"] == 0), "{proof}");
    for store in ["metadata", "graph", "vectors", "cache"] {
        assert!(left.iter().any(|one| one["store"] == store), "{store}: {proof}");
    }
    soon(&running, &token, 401).await;
    soon(&running, &key, 401).await;
    soon(&running, &beta, 200).await;
    assert!(exported(quipu, "beta") == of_beta, "the other tenant has what it had");

    let again = done(quipu.run(&["tenant", "delete", "alpha", "--confirm", "alpha"]));
    assert!(again.out.contains("alpha is deleted"), "{again:?}");
    assert!(!done(quipu.run(&["tenant", "list"])).out.contains("alpha"));
    assert!(done(quipu.run(&["tenant", "list", "--deleted"])).out.contains("deleted since"));
    let trail = done(quipu.run(&["audit", "list", "--tenant", "alpha"])).out;
    assert!(trail.contains("tenant.delete"), "{trail}");
    done(quipu.run(&["audit", "verify", "--tenant", "alpha"]));
    for gone in [&["key", "list", "--tenant", "alpha"][..], &["user", "list", "--tenant", "alpha"]] {
        assert!(done(quipu.run(gone)).out.lines().count() <= 1, "{gone:?}");
    }

    let anew = done(quipu.run(&["ontology", "publish", "--tenant", "alpha", "farm.graphql"]));
    assert!(anew.out.contains("published version 2 for alpha"), "{anew:?}");
    let body = soon(&running, &token, 200).await;
    assert_eq!(body, json!({"data": {"farms": []}}));
    soon(&running, &key, 401).await;
    quipu.file("one.jsonl", r#"{"node":"Farm","id":"new","properties":{"name":"new"}}"#);
    done(quipu.run(&["import", "--tenant", "alpha", "--no-embed", "one.jsonl"]));
    running.soon(&token, FARMS, |answer| answer["data"]["farms"] == json!([{"id": "new"}])).await;

    done(quipu.run(&["tenant", "delete", "alpha", "--confirm", "alpha", "--with-audit"]));
    soon(&running, &token, 401).await;
    let trail = done(quipu.run(&["audit", "list", "--tenant", "alpha"])).out;
    assert!(!trail.contains("tenant.delete"), "{trail}");
    let of_gateway = done(quipu.run(&["audit", "list", "--gateway"])).out;
    assert!(of_gateway.contains("tenant.delete"), "{of_gateway}");
    assert!(exported(quipu, "beta") == of_beta, "the other tenant has what it had");
}

#[tokio::test]
async fn a_tenant_is_deleted_from_a_file() {
    let quipu = in_a_file();
    is_deleted(&quipu).await;
    // Whatever has a tenant has nothing of this one, tables that come later among them.
    let path = quipu.path("quipu.db");
    let mut file = SqliteConnection::connect(&format!("sqlite://{}", path.display())).await.expect("a file");
    let tables = "SELECT s.name FROM sqlite_schema AS s JOIN pragma_table_info(s.name) AS c ON c.name = 'tenant' WHERE s.type = 'table'";
    let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(&mut file).await.expect("tables");
    assert!(tables.len() > 15, "{tables:?}");
    for (tenant, is_there) in [("alpha", false), ("beta", true)] {
        let mut all = 0;
        for table in &tables {
            let text = format!(
                "SELECT count(*) FROM \"{table}\" WHERE tenant = (SELECT key FROM tenant WHERE name = '{tenant}')"
            );
            let count: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(text)).fetch_one(&mut file).await.expect("a count");
            assert!(is_there || count == 0, "{table} has {count}");
            all += count;
        }
        assert_eq!(all > 0, is_there, "{tenant}");
    }
    file.close().await.expect("it is closed");
}

/// Deletion that a power cut interrupts, early and late, is brought to its end by doing it again.
#[test]
fn a_deletion_that_was_interrupted_is_done_again() {
    let quipu = in_a_file();
    filled(&quipu, "other");
    let of_other = exported(&quipu, "other");
    for after in [300, 1_000, 1_500] {
        filled(&quipu, "farm");
        let begun = Instant::now();
        let delete = ["tenant", "delete", "farm", "--confirm", "farm", "--json"];
        quipu.kill_when(&delete, |_| begun.elapsed() >= Duration::from_millis(after));
        let proof: Json = serde_json::from_str(&done(quipu.run(&delete)).out).expect("JSON");
        assert_eq!(proof["complete"], true, "after {after} ms: {proof}");
        assert!(proof["left"].as_array().is_some_and(|left| left.iter().all(|one| one["count"] == 0)), "{proof}");
    }
    assert!(exported(&quipu, "other") == of_other);
}

/// What was removed is not in the file any more, not even in what is free of it.
#[test]
fn nothing_that_was_deleted_lies_in_the_file() {
    let quipu = in_a_file();
    let secret = "unmistakable words of alpha";
    quipu.file("farm.graphql", ONTOLOGY);
    for (tenant, words) in [("alpha", secret), ("beta", "other words of beta")] {
        done(quipu.run(&["ontology", "publish", "--tenant", tenant, "farm.graphql"]));
        let properties = json!({"name": words, "about": words, "extra": {"words": words}});
        let bill = json!({"row": "Bill", "id": words, "properties": {"amount": 1}});
        let lines = format!("{}\n{bill}\n", json!({"node": "Farm", "id": "f", "properties": properties}));
        quipu.file("one.jsonl", lines);
        import(&quipu, tenant, "one.jsonl");
    }
    let bytes = |name: &str| std::fs::read(quipu.path(name)).unwrap_or_default();
    let has = |words: &str| {
        ["quipu.db", "quipu.db-wal"]
            .iter()
            .any(|name| bytes(name).windows(words.len()).any(|part| part == words.as_bytes()))
    };
    assert!(has(secret));
    done(quipu.run(&["tenant", "delete", "alpha", "--confirm", "alpha"]));
    assert!(!has(secret) && has("other words of beta"));
}

#[tokio::test]
async fn a_tenant_is_deleted_from_servers() {
    if let Some(quipu) = on_servers("a_tenant_is_deleted_from_servers") {
        is_deleted(&quipu).await;
    }
}
