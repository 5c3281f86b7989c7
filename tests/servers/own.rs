//! Tenants with databases of their own: one gateway, several Neo4j servers.

use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use tokio::net::TcpListener;

use super::address;
use super::foreign::Foreign;
use super::proxy::Proxy;
use crate::cli::quipu::{FARM, Quipu, Running};

const SERVE: [&str; 3] = ["serve", "--listen", "127.0.0.1:0"];
const FARMS: &str = "{ farms { id name } farmsConnection { totalCount } }";

/// Host and port of a URL with credentials, and what stands before them.
fn taken_apart(url: &str) -> (&str, &str) {
    url.rsplit_once('@').expect("credentials")
}

fn farms(name: &str) -> Json {
    json!({"farms": [{"id": "a", "name": name}], "farmsConnection": {"totalCount": 1}})
}

/// What `/readyz` says: its status and its parts.
async fn ready(running: &Running) -> (u16, Json) {
    let response = reqwest::get(format!("http://{}/readyz", running.address)).await.expect("it answers");
    (response.status().as_u16(), response.json().await.expect("JSON"))
}

/// Waits until a part of `/readyz` is as expected; the whole answer then.
pub async fn until(running: &Running, part: &str, condition: &str) -> (u16, Json) {
    let begun = Instant::now();
    loop {
        let (status, told) = ready(running).await;
        if told["parts"][part] == condition {
            return (status, told);
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "still {told}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Three tenants with the same ids: one in a database of its own as others wrote it, one on another server, one in the file.
#[tokio::test(flavor = "multi_thread")]
async fn tenants_on_servers_of_their_own() {
    let test = "servers::own::tenants_on_servers_of_their_own";
    let Some(shared) = address("QUIPU_TEST_NEO4J", test) else { return };
    let Some(foreign) = Foreign::empty(test).await else { return };
    foreign.run("CREATE (:Farm {id: 'a', name: 'theirs', region: 'EU'}), (:Elsewhere {id: 'a'})").await;
    let (credentials, server) = taken_apart(&foreign.url);
    let mut wire = Proxy::to(server).await;
    let quipu = Quipu::empty();
    let name = format!("own_{}", std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_micros());
    quipu.file(
        "quipu.toml",
        format!(
            "[auth]\nsecret_file = \"secret\"\n[embedding]\nmodel = \"none\"\n[graph]\nprefix = \"{name}\"\n\
             [graph.tenants.theirs]\nurl = \"{credentials}@{}\"\n\
             [graph.tenants.shared]\nurl = \"{shared}\"\ntenancy = \"property\"\n",
            wire.address
        ),
    );
    quipu.file("farm.graphql", FARM);
    // One has another label than its type: what is made anew from the log must have it as well.
    quipu.file("shared.graphql", FARM.replace("type Farm @node", "type Farm @node(labels: [\"Farmstead\"])"));
    for tenant in ["theirs", "shared", "in-file"] {
        let file = if tenant == "shared" { "shared.graphql" } else { "farm.graphql" };
        let ended = quipu.run(&["ontology", "publish", "--tenant", tenant, file]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        if tenant != "theirs" {
            let farm = json!({"node": "Farm", "id": "a", "properties": {"name": tenant, "region": "EU"}});
            let ended = quipu.run_reading(&["import", "--tenant", tenant, "--no-embed", "-"], &farm.to_string());
            assert_eq!(ended.code, Some(0), "{ended:?}");
        }
    }
    let running = quipu.start(&SERVE);
    let tokens = ["theirs", "shared", "in-file"].map(|tenant| (tenant, quipu.token(tenant, &["--role", "admin"])));
    for (tenant, token) in &tokens {
        assert_eq!(running.ask(token, FARMS).await["data"], farms(tenant));
    }
    let up = json!({
        "graph": "up", "graph.shared": "up", "graph.theirs": "up", "metadata": "up", "vectors": "up", "embedding": "down",
        "auth": "up"
    });
    let (status, told) = until(&running, "embedding", "down").await;
    assert_eq!((status, &told["parts"]), (200, &up), "{told}");

    wire.cut().await;
    let (status, told) = until(&running, "graph.theirs", "down").await;
    assert_eq!((status, &told["status"]), (200, &json!("degraded")), "{told}");
    assert_eq!((&told["parts"]["graph"], &told["parts"]["graph.shared"]), (&json!("up"), &json!("up")), "{told}");
    for (tenant, token) in &tokens[1..] {
        assert_eq!(running.ask(token, FARMS).await["data"], farms(tenant), "{tenant} needs no other's database");
    }
    let answer = running.ask(&tokens[0].1, r#"{ farm(id: "a") { name } bill(id: "b") { amount } }"#).await;
    assert_eq!(answer["data"], json!({"farm": null, "bill": null}), "{answer}");
    let errors = answer["errors"].as_array().expect("errors");
    assert_eq!((errors.len(), &errors[0]["path"]), (1, &json!(["farm"])), "{answer}");
    // What is written meanwhile for another tenant is there, and so is what is published.
    let made = r#"mutation { createFarms(input: [{id: "b", name: "B", region: "EU"}]) { info { nodesCreated } } }"#;
    assert!(running.ask(&tokens[1].1, made).await.get("errors").is_none());
    wire.mend().await;
    running.soon(&tokens[0].1, FARMS, |answer| answer["data"] == farms("theirs")).await;
    until(&running, "graph.theirs", "up").await;
    let two = |answer: &Json| answer["data"]["farmsConnection"]["totalCount"] == 2;
    running.soon(&tokens[1].1, FARMS, two).await;
    let text = running.text("/metrics").await;
    assert!(text.contains(r#"quipu_position{of="graph",tenant="theirs"} 0"#), "{text}");
    assert_eq!(running.stop().code, Some(0));
    let ended = quipu.run(&["status"]);
    assert_eq!((ended.code, ended.out.matches("in step").count()), (Some(0), 6), "{ended:?}");
    let ended = quipu.run(&["rebuild", "--store", "graph", "--tenant", "shared"]);
    assert!(ended.code == Some(0) && ended.out.contains("is equal to its log"), "{ended:?}");
    let ended = quipu.run(&["rebuild", "--store", "graph", "--tenant", "theirs"]);
    assert!(ended.code == Some(1) && ended.err.contains("`graph.tenants.theirs.tenancy`"), "{ended:?}");
    // To serve them as they stand, nothing was written to the nodes of others.
    assert_eq!(foreign.nodes("Farm").await, ["{id: \"a\", name: \"theirs\", region: \"EU\"} Farm"]);
    assert_eq!(foreign.nodes("Elsewhere").await, ["{id: \"a\"} Elsewhere"]);
}

/// A tenant's database that is away at the start, or does not answer, keeps nobody else from being served; when it is back, its tenant is.
#[tokio::test(flavor = "multi_thread")]
async fn the_others_are_served_when_a_tenants_database_is_away_at_the_start() {
    let test = "servers::own::the_others_are_served_when_a_tenants_database_is_away_at_the_start";
    let Some(foreign) = Foreign::empty(test).await else { return };
    foreign.run("CREATE (:Farm {id: 'a', name: 'theirs', region: 'EU'})").await;
    let (credentials, server) = taken_apart(&foreign.url);
    let mut wire = Proxy::to(server).await;
    let quipu = Quipu::empty();
    let settings = |address: &str| {
        format!(
            "[auth]\nsecret_file = \"secret\"\n[embedding]\nmodel = \"none\"\n\
             [graph.tenants.theirs]\nurl = \"{credentials}@{address}\"\n"
        )
    };
    quipu.file("quipu.toml", settings(&wire.address.to_string()));
    quipu.file("farm.graphql", FARM);
    quipu.file("more.graphql", format!("{FARM} type Barn @node {{ id: ID! }}"));
    for tenant in ["theirs", "in-file"] {
        assert_eq!(quipu.run(&["ontology", "publish", "--tenant", tenant, "farm.graphql"]).code, Some(0));
    }
    let tokens = ["theirs", "in-file"].map(|tenant| quipu.token(tenant, &["--role", "admin"]));
    let is_away =
        |answer: &Json| answer["errors"][0]["extensions"]["code"] == "STORE_UNAVAILABLE" && answer["data"].is_null();
    let has_barns = |answer: &Json| answer["data"]["barns"] == json!([]);

    // It takes connections and never answers.
    let silent = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    quipu.file("quipu.toml", settings(&silent.local_addr().unwrap().to_string()));
    let running = quipu.start(&SERVE);
    let begun = Instant::now();
    assert!(is_away(&running.ask(&tokens[0], FARMS).await));
    assert_eq!(running.ask(&tokens[1], "{ farms { id } }").await["data"], json!({"farms": []}));
    assert!(begun.elapsed() < Duration::from_secs(20), "nobody waits for it");
    assert_eq!(running.stop().code, Some(0));

    quipu.file("quipu.toml", settings(&wire.address.to_string()));
    wire.cut().await;
    let running = quipu.start(&SERVE);
    let (status, told) = until(&running, "graph.theirs", "down").await;
    assert_eq!((status, &told["status"]), (200, &json!("degraded")), "{told}");
    assert!(is_away(&running.ask(&tokens[0], FARMS).await));
    let farm = r#"mutation { createFarms(input: [{id: "a", name: "A", region: "EU"}]) { info { nodesCreated } } }"#;
    assert!(running.ask(&tokens[1], farm).await.get("errors").is_none());
    // Commands of others work, and what they publish is served.
    assert_eq!(quipu.run(&["ontology", "publish", "--tenant", "in-file", "more.graphql"]).code, Some(0));
    running.soon(&tokens[1], "{ barns { id } }", has_barns).await;
    // What is asked of the tenant itself is told where its graph should be.
    let ended = quipu.run(&["ontology", "publish", "--tenant", "theirs", "more.graphql"]);
    assert!(ended.code != Some(0) && !ended.err.contains(credentials), "{ended:?}");
    wire.mend().await;
    running.soon(&tokens[0], FARMS, |answer| answer["data"] == farms("theirs")).await;
    until(&running, "graph.theirs", "up").await;
    let ended = running.stop();
    assert!(ended.code == Some(0) && ended.err.contains("graph.tenants.theirs.url"), "{ended:?}");
}

/// What is wrong with a tenant's database is told by its section, with a way out and without credentials.
#[tokio::test]
async fn wrong_databases_of_tenants_are_told_at_the_start() {
    let test = "servers::own::wrong_databases_of_tenants_are_told_at_the_start";
    let Some(url) = address("QUIPU_TEST_NEO4J", test) else { return };
    let (_, server) = taken_apart(&url);
    let settings = |more: &str| {
        format!("[auth]\nsecret_file = \"secret\"\n[embedding]\nmodel = \"none\"\n[graph.tenants.acme]\n{more}\n")
    };
    for (settings, told) in [
        (settings(&format!("url = \"neo4j://neo4j:hunter22@{server}\"")), "check graph.tenants.acme.user"),
        (
            settings("url = \"neo4j://neo4j:hunter22@127.0.0.1:1\""),
            "which `graph.tenants.acme.url` names, cannot be reached",
        ),
        (settings(&format!("url = \"{url}\"\ndatabase = \"absent\"")), "name another in graph.tenants.acme.database"),
        (settings(&format!("url = \"{url}\"\npassword = \"hunter22\"")), "`graph.tenants.acme.password` is set, and"),
    ] {
        let quipu = Quipu::empty();
        quipu.file("quipu.toml", &settings);
        let begun = Instant::now();
        let ended = quipu.run(&["migrate"]);
        assert!(matches!(ended.code, Some(2 | 3)), "{told}: {ended:?}");
        assert!(ended.err.contains(told) && ended.err.contains("help: "), "{told}: {ended:?}");
        assert!(!ended.err.contains("hunter22"), "{ended:?}");
        assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    }
}

/// Who has a database as it stands would see all that is in it.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_as_it_stands_has_one_tenant() {
    let Some(foreign) = Foreign::empty("servers::own::a_database_as_it_stands_has_one_tenant").await else { return };
    let quipu = Quipu::empty();
    let url = &foreign.url;
    quipu.file(
        "quipu.toml",
        format!(
            "[auth]\nsecret_file = \"secret\"\n[embedding]\nmodel = \"none\"\n[graph.tenants.one]\nurl = \"{url}\"\n\
             [graph.tenants.two]\nurl = \"{url}\"\n"
        ),
    );
    quipu.file("farm.graphql", FARM);
    assert_eq!(quipu.run(&["ontology", "publish", "--tenant", "one", "farm.graphql"]).code, Some(0));
    let ended = quipu.run(&["ontology", "publish", "--tenant", "two", "farm.graphql"]);
    assert!(
        ended.code == Some(1) && ended.err.contains("`graph.tenants.two.url` names holds the graph of one"),
        "{ended:?}"
    );
}
