//! `quipu adopt`: a graph that others wrote, registered, and from then on changed through the gateway.

use std::path::Path;

use serde_json::json;
use tokio::runtime::Handle;
use tokio::task::block_in_place;

use super::foreign::Foreign;
use super::standing::{EVENTS, WRITTEN, data, gateway};
use crate::cli::quipu::{Ended, Quipu};

const SERVE: [&str; 3] = ["serve", "--listen", "127.0.0.1:0"];

fn adopt(quipu: &Quipu, more: &[&str]) -> Ended {
    quipu.run(&[&["adopt", "--tenant", "theirs", "--no-embed"], more].concat())
}

fn equal(quipu: &Quipu) {
    let ended = quipu.run(&["status", "--compare"]);
    assert!(ended.code == Some(0) && ended.out.contains("the stores hold what the log says"), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_is_adopted_and_stays_as_others_wrote_it() {
    let test = "servers::adopt::a_database_is_adopted_and_stays_as_others_wrote_it";
    let Some(foreign) = Foreign::empty(test).await else { return };
    foreign.run(WRITTEN).await;
    let twice = "MATCH (e:Event {id: 'e'}), (y:Place {id: 'y'}) CREATE (e)-[:VISITS {share: 1}]->(y), (e)-[:VISITS {share: 2}]->(y)";
    foreign.run(twice).await;
    let before = (foreign.nodes("Event").await, foreign.nodes("Place").await);
    let quipu = gateway(&foreign, "").await;
    let ended = adopt(&quipu, &[]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    for told in [
        "7 Event\n",
        "5 VISITS from Event to Place\n",
        "1 pairs of nodes with several VISITS from Event to Place which nothing tells apart: e to y",
        "1 Event without an id: ",
        "1 Event with an id that is no text: 7",
        "MATCH (n:`Event`) WHERE n.id IS NULL CALL (n) { SET n.id = randomUUID() } IN TRANSACTIONS",
        "2 properties of Event that the ontology does not name: spot, took",
    ] {
        assert!(ended.out.contains(told), "{told}: {ended:?}");
    }
    let ended = adopt(&quipu, &["--assign-ids"]);
    assert!(ended.code == Some(0) && ended.out.contains("nothing was written"), "{ended:?}");
    assert_eq!((foreign.nodes("Event").await, foreign.nodes("Place").await), before, "a look changes nothing");

    let ended = adopt(&quipu, &["--assign-ids", "--yes"]);
    assert!(ended.code == Some(0) && ended.out.contains("adopted 9 of 9 nodes, with 5 relationships"), "{ended:?}");
    assert!(ended.out.contains("3 ids and keys were given"), "{ended:?}");
    // One text instead of a number and one id more; all else is as it was, to the zone and the nanosecond.
    let (events, places) = (foreign.nodes("Event").await, foreign.nodes("Place").await);
    assert_eq!(places, before.1);
    let lost: Vec<_> = before.0.iter().filter(|node| !events.contains(node)).collect();
    assert_eq!(lost.len(), 2, "{lost:?} of {:?} became {events:?}", before.0);
    assert!(lost.iter().all(|node| node.contains("id: 7") || node.contains("no id")), "{lost:?}");
    equal(&quipu);
    let ended = adopt(&quipu, &["--yes"]);
    assert!(ended.code == Some(0) && ended.out.contains("adopted 0 of 9 nodes"), "{ended:?}");

    let running = quipu.start(&SERVE);
    let token = quipu.token("theirs", &["--subject", "ada"]);
    let both = r#"{ event(id: "e") { visitsConnection(sort: [{ edge: { share: ASC } }]) { edges { properties { share } } } } }"#;
    let shares = json!([{"properties": {"share": 1}}, {"properties": {"share": 2}}]);
    assert_eq!(data(&running, &token, both).await["event"]["visitsConnection"]["edges"], shares);
    let taken = r#"mutation { createEvents(input: [{ id: "z", name: "two" }]) { info { nodesCreated } } }"#;
    assert_eq!(running.ask(&token, taken).await["errors"][0]["extensions"]["code"], "CONFLICT");
    let changed = r#"mutation { updateEvents(where: { id: { eq: "a" } }, update: {
        at: { set: "2024-07-01T00:00:00+02:00" }, name: { set: "uno" },
        visits: [{ disconnect: [{ where: { node: { id: { eq: "x" } } } }] }]
    }) { events { id at name visits { id } } } }"#;
    assert_eq!(
        data(&running, &token, changed).await["updateEvents"]["events"],
        json!([{"id": "a", "at": "2024-06-30T22:00:00.000Z", "name": "uno", "visits": [{"id": "y"}]}])
    );
    let made = r#"mutation { createEvents(input: [{ id: "z", name: "one", day: "2024-01-01", at: "2024-01-01T00:00:00Z" }]) {
        events { day at } } }"#;
    let read = json!([{"day": "2024-01-01", "at": "2024-01-01T00:00:00.000Z"}]);
    assert_eq!(data(&running, &token, made).await["createEvents"]["events"], read, "a name that was given up is free");
    let gone = r#"mutation { deleteEvents(where: { id: { eq: "b" } }) { nodesDeleted } }"#;
    assert_eq!(data(&running, &token, gone).await["deleteEvents"]["nodesDeleted"], 1);
    assert_eq!(running.stop().code, Some(0));
    let events = foreign.nodes("Event").await;
    let of = |id: &str| events.iter().find(|node| node.contains(&format!("id: \"{id}\""))).cloned().unwrap_or_default();
    assert!(of("a").contains("at: 2024-06-30T22:00:00Z as ZONED DATETIME NOT NULL"), "{events:?}");
    assert!(of("a").contains("took: PT2H as DURATION NOT NULL") && of("a").contains("Special"), "{events:?}");
    assert!(of("z").contains("day: 2024-01-01 as DATE NOT NULL"), "{events:?}");
    assert_eq!(of("b"), "");
    equal(&quipu);
    let ended = quipu.run(&["rebuild", "--store", "graph", "--tenant", "theirs"]);
    assert!(ended.code == Some(1) && ended.err.contains("others write this graph as well"), "{ended:?}");
}

/// What does not fit is told by kind, with examples, and nothing is adopted.
#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_is_told() {
    let Some(foreign) = Foreign::empty("servers::adopt::what_does_not_fit_is_told").await else { return };
    foreign
        .run(
            "CREATE (a:Event {id: 'a', name: 'same'}), (:Event {id: 'b', name: 'same'}), (:Event {id: 'twice', name: '1'}), \
             (:Event {id: 'twice', name: '2'}), (:Event {id: 'c'}), (:Event {id: 'd', name: 4}), \
             (:Event {id: 'e', name: 'e', at: 'yesterday'}), (:Event {id: 'f', name: 'f', day: duration('P1D')}), \
             (:Event:Place {id: 'g', name: 'g'}), (:Event {id: reduce(all = '', i IN range(1, 600) | all + 'x'), name: 'long'}), (p:Place {id: 'p', name: 'p'}), (o:Other), (:Event {name: 'no id'}), \
             (a)-[:VISITS {share: 'half'}]->(p), (a)-[:VISITS]->(p), (a)-[:VISITS]->(o), (p)-[:VISITS]->(a)",
        )
        .await;
    let quipu = gateway(&foreign, "").await;
    let before = foreign.nodes("Event").await;
    let ended = adopt(&quipu, &["--assign-ids", "--yes"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert_eq!(foreign.nodes("Event").await, before, "no id is given before all else fits");
    let ended = adopt(&quipu, &["--yes"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    for told in [
        "1 ids that several Event have: twice (2 nodes)",
        "1 values of Event.name that several have: same of ",
        "1 Event: an id of Event has 600 bytes; at most 512 are allowed: xxx",
        "1 Event with the labels of another type: g",
        "1 Place with the labels of another type: g",
        "1 Event.name: a value is required: c",
        "1 Event.name: expected String: d (a number)",
        "1 Event.at: expected a DateTime like 2026-01-31T08:00:00Z: e (\"yesterday\")",
        "1 Event.day: a value of the kind DURATION NOT NULL is no Date: f",
        "1 VISITS.share: expected Float: a to p (a string)",
        "1 pairs of nodes with several VISITS from Event to Place which nothing tells apart: a to p",
        "2 VISITS leading elsewhere than the ontology says: ",
    ] {
        assert!(ended.out.contains(told), "{told}: {ended:?}");
    }
    assert!(ended.err.contains("do not fit the ontology, so nothing is adopted"), "{ended:?}");
    let ended = quipu.run(&["status"]);
    assert_eq!(ended.out.matches("in step").count(), 2, "{ended:?}");
    assert!(foreign.texts("MATCH (q:_Quipu) WHERE q.position > 0 RETURN 'x' AS text").await.is_empty());
}

/// Where tenants share a database, what is nobody's becomes the tenant's; whoever is interrupted goes on.
#[tokio::test(flavor = "multi_thread")]
async fn adopting_goes_on_after_a_kill() {
    let Some(foreign) = Foreign::empty("servers::adopt::adopting_goes_on_after_a_kill").await else { return };
    let shared = "tenancy = \"property\"\n[limits]\nchange_ops = 100\n";
    let quipu = Quipu::empty();
    quipu.file(
        "quipu.toml",
        format!(
            "[auth]\nsecret_file = \"secret\"\n[embedding]\nmodel = \"none\"\n[graph.tenants.theirs]\nurl = \"{0}\"\n{shared}\
             [graph.tenants.ours]\nurl = \"{0}\"\ntenancy = \"property\"\n",
            foreign.url
        ),
    );
    quipu.file("events.graphql", EVENTS);
    for tenant in ["theirs", "ours"] {
        let ended = quipu.run(&["ontology", "publish", "--tenant", tenant, "events.graphql"]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }
    let own = json!({"node": "Event", "id": "e1", "properties": {"name": "ours"}});
    assert_eq!(quipu.run_reading(&["import", "--tenant", "ours", "-"], &own.to_string()).code, Some(0));
    foreign
        .run(
            "UNWIND range(1, 3000) AS i CREATE (e:Event {id: 'e' + i, name: 'n' + i, score: i, \
             at: datetime('2024-01-01T00:00:00+01:00') + duration({minutes: i})}) \
             CREATE (e)-[:VISITS {since: datetime('2024-01-01T00:00:00Z'), share: 1}]->(:Place {id: 'p' + i, name: 'p'})",
        )
        .await;
    let marked = |more: usize| {
        let text =
            format!("MATCH (n:Event {{_tenant: 'theirs'}}) WITH count(*) AS c WHERE c > {more} RETURN 'x' AS text");
        let foreign = &foreign;
        move |_: &Path| block_in_place(|| Handle::current().block_on(foreign.texts(&text))).len() == 1
    };
    quipu.kill_when(&["adopt", "--tenant", "theirs", "--no-embed", "--yes"], marked(300));
    // As if it had been killed when a portion was marked, and not accepted.
    foreign.run("MATCH (n:Event) WHERE n.id STARTS WITH 'e29' AND n._tenant IS NULL SET n._tenant = 'theirs'").await;
    // What is adopted can be changed at once, and going on does not take it back.
    let running = quipu.start(&SERVE);
    let token = quipu.token("theirs", &["--subject", "ada"]);
    let adopted = "MATCH (n:Event {_tenant: 'theirs'}) WHERE n.at IS :: STRING RETURN n.id AS text LIMIT 1";
    let adopted = foreign.texts(adopted).await.pop().expect("some are adopted");
    let update = format!(
        r#"mutation {{ updateEvents(where: {{ id: {{ eq: "{adopted}" }} }}, update: {{ name: {{ set: "changed" }}, score: {{ set: 0.5 }} }})
        {{ events {{ name }} }} }}"#
    );
    let changed = data(&running, &token, &update).await;
    assert_eq!(changed["updateEvents"]["events"], json!([{"name": "changed"}]));
    let ended = adopt(&quipu, &["--yes"]);
    assert!(ended.code == Some(0) && ended.out.contains("of 6000 nodes, with 3000 relationships"), "{ended:?}");
    assert!(!ended.out.contains("adopted 6000 of"), "what was registered before is not again: {ended:?}");
    let read = format!(
        r#"{{ event(id: "{adopted}") {{ name score visitsConnection {{ edges {{ properties {{ since share }} node {{ id }} }} }} }}
        eventsConnection {{ totalCount }} relationshipsConnection {{ totalCount }} }}"#
    );
    let place = adopted.replace('e', "p");
    let edges = json!([{"properties": {"since": "2024-01-01T00:00:00.000Z", "share": 1.0}, "node": {"id": place}}]);
    assert_eq!(
        data(&running, &token, &read).await,
        json!({"event": {"name": "changed", "score": 0.5, "visitsConnection": {"edges": edges}},
               "eventsConnection": {"totalCount": 3000}, "relationshipsConnection": {"totalCount": 3000}})
    );
    let other = quipu.token("ours", &["--subject", "ada"]);
    let ours = data(&running, &other, "{ events { id name } relationshipsConnection { totalCount } }").await;
    assert_eq!(ours, json!({"events": [{"id": "e1", "name": "ours"}], "relationshipsConnection": {"totalCount": 0}}));
    assert_eq!(running.stop().code, Some(0));
    equal(&quipu);
    let ended = quipu.run(&["rebuild", "--store", "graph", "--tenant", "theirs"]);
    assert!(ended.code == Some(0) && ended.out.contains("is equal to its log"), "{ended:?}");
    let left = foreign.texts("MATCH (n:Event) WHERE n._tenant IS NULL RETURN 'x' AS text").await;
    assert_eq!(left.len(), 0);
}

/// The graph of a file has nobody else's records in it.
#[test]
fn a_graph_in_the_file_is_not_adopted() {
    let quipu = Quipu::with_farm();
    let ended = quipu.run(&["adopt", "--tenant", "farm"]);
    assert!(ended.code == Some(1) && ended.err.contains("[graph.tenants.farm]"), "{ended:?}");
}
