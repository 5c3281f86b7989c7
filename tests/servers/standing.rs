//! A graph that others wrote, with the values that they use, served as it stands.

use serde_json::{Value as Json, json};

use super::foreign::Foreign;
use crate::cli::quipu::{Quipu, Running};

/// What is in the graph, as far as it is served.
pub const EVENTS: &str = r#"
type Event @node {
  id: ID!
  name: String! @unique
  about: String @embed
  at: DateTime
  day: Date
  times: [DateTime!]
  score: Float
  visits: [Place!]! @relationship(type: "VISITS", direction: OUT, properties: "Visit")
  notes: [Note!]! @join(on: "event_id")
}
type Place @node { id: ID!  name: String!  opened: Date }
type Visit @relationshipProperties { since: DateTime  share: Float }
type Note @table(name: "notes") { id: ID!  text: String!  event: Event @join(by: "event_id") }
"#;

/// Six events on 2024-05-01, a quarter of an hour apart, each held in another way; the last has no instant. One id is a number.
pub const WRITTEN: &str = "
CREATE (a:Event:Special {id: 'a', name: 'one', about: 'a market in the harbour', score: 3, took: duration('PT2H'), \
          at: datetime('2024-05-01T12:00:00.1239+02:00'), day: date('2024-05-01'), times: [datetime('2024-05-01T00:00:00Z')]})
CREATE (b:Event {id: 'b', name: 'two', score: 2.5, at: localdatetime('2024-05-01T10:15:00'), day: date('2024-04-30')})
CREATE (c:Event {id: 'c', name: 'three', score: 1, at: '2024-05-01T10:30:00.000Z', day: '2024-05-02', \
          times: ['2024-05-01T00:00:00.000Z', '2024-06-01T00:00:00.000Z']})
CREATE (d:Event {id: 7, name: 'four', at: datetime('2024-05-01T06:45:00[America/New_York]'), spot: point({x: 1, y: 2})})
CREATE (e:Event {id: 'e', name: 'five', at: datetime('2024-05-01T11:00:00Z'), day: date('1969-12-31'), score: 2})
CREATE (f:Event {id: 'f', name: 'six'})
CREATE (:Event {name: 'no id'}), (x:Place:_Hidden {id: 'x', name: 'X', opened: date('1999-01-02')}), (y:Place {id: 'y', name: 'Y'})
CREATE (a)-[:VISITS {since: datetime('2024-05-02T00:00:00+01:00'), share: 1}]->(x)
CREATE (a)-[:VISITS {since: localdatetime('2024-05-01T00:00:00'), share: 0.5}]->(y)
CREATE (d)-[:VISITS {since: datetime('2024-05-03T00:00:00Z')}]->(x)";

/// A gateway whose tenant `theirs` has that graph.
pub async fn gateway(foreign: &Foreign, more: &str) -> Quipu {
    published(foreign, more, EVENTS)
}

/// A gateway whose tenant `theirs` has the database, by an ontology.
pub fn published(foreign: &Foreign, more: &str, sdl: &str) -> Quipu {
    let quipu = Quipu::empty();
    quipu.file(
        "quipu.toml",
        format!(
            "[auth]\nsecret_file = \"secret\"\n[embedding]\nmodel = \"none\"\n[graph.tenants.theirs]\nurl = \"{}\"\n{more}",
            foreign.url
        ),
    );
    quipu.file("theirs.graphql", sdl);
    let ended = quipu.run(&["ontology", "publish", "--tenant", "theirs", "theirs.graphql"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    quipu
}

/// Asks; the data, when nothing went wrong.
pub async fn data(running: &Running, token: &str, query: &str) -> Json {
    let answer = running.ask(token, query).await;
    assert!(answer.get("errors").is_none(), "{query}: {answer}");
    answer["data"].clone()
}

/// Ids of events in the order of an argument, page by page, forwards and backwards.
async fn pages(running: &Running, token: &str, sort: &str) -> [Vec<String>; 2] {
    let mut both = [Vec::new(), Vec::new()];
    for (way, all) in [("first", "after"), ("last", "before")].into_iter().zip(&mut both) {
        let mut more = String::new();
        loop {
            let (count, beyond) = way;
            let query = format!(
                "{{ eventsConnection({count}: 2{more}, sort: [{{{sort}}}]) {{ edges {{ cursor node {{ id }} }} }} }}"
            );
            let answer = data(running, token, &query).await;
            let mut edges = answer["eventsConnection"]["edges"].as_array().expect("edges").clone();
            if count == "last" {
                edges.reverse();
            }
            let Some(last) = edges.last() else { break };
            more = format!(", {beyond}: {}", last["cursor"]);
            all.extend(edges.iter().map(|edge| edge["node"]["id"].as_str().expect("an id").to_owned()));
        }
    }
    both
}

fn ids(answer: &Json) -> Vec<&str> {
    answer["events"].as_array().expect("events").iter().map(|event| event["id"].as_str().expect("an id")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn values_of_others_are_read_filtered_sorted_and_paged() {
    let Some(foreign) = Foreign::empty("servers::standing::values_of_others_are_read_filtered_sorted_and_paged").await
    else {
        return;
    };
    foreign.run(WRITTEN).await;
    // Relationships that are none of the ontology's, since one end is none of its records.
    foreign.run("MATCH (e:Event {name: 'no id'}), (x:Place {id: 'x'}) CREATE (e)-[:VISITS]->(x)").await;
    foreign.run("MATCH (e:Event {id: 'a'}), (x:_Hidden) CREATE (e)-[:VISITS]->(:Elsewhere {id: 'q'}), (:Elsewhere)-[:VISITS]->(x)").await;
    let (events, places) = (foreign.nodes("Event").await, foreign.nodes("Place").await);
    let quipu = gateway(&foreign, "").await;
    let note = json!({"row": "Note", "id": "n", "properties": {"text": "T", "event_id": "7"}});
    assert_eq!(quipu.run_reading(&["import", "--tenant", "theirs", "-"], &note.to_string()).code, Some(0));
    let running = quipu.start(&["serve", "--listen", "127.0.0.1:0"]);
    let token = quipu.token("theirs", &["--subject", "ada"]);
    let ask = async |query: &str| data(&running, &token, query).await;

    let read = ask("{ events(sort: [{ at: ASC }]) { id at day times score } eventsConnection { totalCount } }").await;
    assert_eq!(
        read,
        json!({"eventsConnection": {"totalCount": 6}, "events": [
            {"id": "a", "at": "2024-05-01T10:00:00.123Z", "day": "2024-05-01", "times": ["2024-05-01T00:00:00.000Z"], "score": 3},
            {"id": "b", "at": "2024-05-01T10:15:00.000Z", "day": "2024-04-30", "times": null, "score": 2.5},
            {"id": "c", "at": "2024-05-01T10:30:00.000Z", "day": "2024-05-02",
             "times": ["2024-05-01T00:00:00.000Z", "2024-06-01T00:00:00.000Z"], "score": 1},
            {"id": "7", "at": "2024-05-01T10:45:00.000Z", "day": null, "times": null, "score": null},
            {"id": "e", "at": "2024-05-01T11:00:00.000Z", "day": "1969-12-31", "times": null, "score": 2},
            {"id": "f", "at": null, "day": null, "times": null, "score": null},
        ]})
    );
    for (sort, mut order) in [
        ("at: ASC", ["a", "b", "c", "7", "e", "f"]),
        ("at: DESC", ["f", "e", "7", "c", "b", "a"]),
        ("day: ASC", ["e", "b", "a", "c", "7", "f"]),
        ("score: ASC", ["c", "e", "b", "a", "7", "f"]),
        ("id: ASC", ["7", "a", "b", "c", "e", "f"]),
    ] {
        let [forwards, backwards] = pages(&running, &token, sort).await;
        assert_eq!(forwards, order, "{sort}");
        order.reverse();
        assert_eq!(backwards, order, "{sort}, backwards");
    }
    for (condition, found) in [
        (r#"at: { eq: "2024-05-01T12:00:00.123+02:00" }"#, vec!["a"]),
        (r#"at: { gt: "2024-05-01T10:15:00Z" }"#, vec!["7", "c", "e"]),
        (r#"at: { lte: "2024-05-01T10:15:00Z" }"#, vec!["a", "b"]),
        (
            r#"at: { in: ["2024-05-01T10:15:00Z", "2024-05-01T10:45:00Z", "2024-05-01T10:30:00Z"] }"#,
            vec!["7", "b", "c"],
        ),
        (r#"at: { eq: null }"#, vec!["f"]),
        (r#"NOT: { at: { gt: "2024-05-01T10:15:00Z" } }"#, vec!["a", "b"]),
        (r#"day: { gte: "2024-05-01" }"#, vec!["a", "c"]),
        (r#"day: { lt: "1970-01-01" }"#, vec!["e"]),
        (r#"times: { includes: "2024-05-01T00:00:00Z" }"#, vec!["a", "c"]),
        (r#"score: { gt: 2 }"#, vec!["a", "b"]),
        (r#"id: { in: ["7", "a", "007"] }"#, vec!["7", "a"]),
        (r#"visits: { some: { name: { eq: "X" } } }"#, vec!["7", "a"]),
        (r#"visitsConnection: { some: { edge: { since: { gt: "2024-05-02T12:00:00Z" } } } }"#, vec!["7"]),
        (r#"notes: { some: { text: { eq: "T" } } }"#, vec!["7"]),
    ] {
        let answer = ask(&format!("{{ events(where: {{ {condition} }}, sort: [{{ id: ASC }}]) {{ id }} }}")).await;
        assert_eq!(ids(&answer), found, "{condition}");
    }
    let nested = r#"{ event(id: "a") { visitsConnection(sort: [{ edge: { since: ASC } }]) { edges {
        properties { since share } node { id opened } } } } }"#;
    assert_eq!(
        ask(nested).await["event"]["visitsConnection"]["edges"],
        json!([
            {"properties": {"since": "2024-05-01T00:00:00.000Z", "share": 0.5}, "node": {"id": "y", "opened": null}},
            {"properties": {"since": "2024-05-01T23:00:00.000Z", "share": 1}, "node": {"id": "x", "opened": "1999-01-02"}},
        ])
    );
    let along = r#"{ event(id: "7") { name notes { text event { id } } } notes { event { name visits { name } } }
        eventsConnection { aggregate { node { at { min max } score { sum } } } } relationships(limit: 9) { id type } relationshipsConnection { totalCount } }"#;
    let answer = ask(along).await;
    assert_eq!(answer["event"], json!({"name": "four", "notes": [{"text": "T", "event": {"id": "7"}}]}));
    assert_eq!(answer["notes"], json!([{"event": {"name": "four", "visits": [{"name": "X"}]}}]));
    let bounds = json!({"min": "2024-05-01T10:00:00.123Z", "max": "2024-05-01T11:00:00.000Z"});
    assert_eq!(answer["eventsConnection"]["aggregate"]["node"], json!({"at": bounds, "score": {"sum": 8.5}}));
    assert_eq!(answer["relationshipsConnection"]["totalCount"], 3);
    let id = |at: usize| answer["relationships"][at]["id"].as_str().expect("an id").to_owned();
    assert_eq!(
        [id(0), id(1), id(2)],
        ["VISITS:Event:7:Place:x:", "VISITS:Event:a:Place:x:", "VISITS:Event:a:Place:y:"]
    );
    let one = ask(r#"{ relationships(where: { id: { eq: "VISITS:Event:7:Place:x:" } }) { properties } }"#).await;
    let since = one["relationships"][0]["properties"]["since"].as_str().expect("a text");
    assert!(since.starts_with("2024-05-03T00:00:00"), "{one}");
    assert_eq!(running.stop().code, Some(0));

    // To be read, nothing was written to what others have there, and what is ours is told by its label.
    assert_eq!((foreign.nodes("Event").await, foreign.nodes("Place").await), (events, places));
    let text =
        "MATCH (n) WHERE NOT n:Event|Place|Elsewhere UNWIND labels(n) AS text RETURN DISTINCT text ORDER BY text";
    assert_eq!(foreign.texts(text).await, ["_Quipu", "_QuipuMigration", "_QuipuText", "_Text"]);
    assert_eq!(
        foreign.texts("MATCH ()-[r]->() UNWIND keys(r) AS text RETURN DISTINCT text ORDER BY text").await,
        ["share", "since"]
    );
}
