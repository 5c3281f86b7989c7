//! Queries that ask for too much, by their numbers: over POST, GET, in a batch, over WebSocket and as server-sent events alike.

use std::time::{Duration, Instant};

use reqwest::header::ACCEPT;
use serde_json::{Value, json};

use super::real::{admin, farm};
use super::server::{Server, code};
use super::socket::Client;

/// Longest URL that is tried; longer ones are refused by HTTP itself.
const URL: usize = 50_000;
/// Most wall time for a refusal, in a build without optimisation on a busy machine.
const SOON: Duration = Duration::from_secs(20);

/// A document that must be refused, and the codes that may name its limit.
struct Attack {
    name: &'static str,
    query: String,
    variables: Value,
    codes: &'static [&'static str],
}

fn attack(name: &'static str, query: impl Into<String>, codes: &'static [&'static str]) -> Attack {
    Attack { name, query: query.into(), variables: json!({}), codes }
}

fn nested_where(depth: usize) -> String {
    format!("{{ facilities(where: {}{}) {{ id }} }}", "{AND: ".repeat(depth), "}".repeat(depth))
}

fn nested_list(depth: usize) -> String {
    format!("{{ facilities(where: {{id: {{in: {}{}}}}}) {{ id }} }}", "[".repeat(depth), "]".repeat(depth))
}

/// Fragments that each spread the next one several times.
fn bomb(levels: usize, times: usize) -> String {
    let mut text = String::from("{ ...f0 }");
    for n in 0..levels {
        let spread = format!("...f{} ", n + 1);
        text += &format!(" fragment f{n} on Query {{ {} }}", spread.repeat(times));
    }
    text + &format!(" fragment f{levels} on Query {{ facilities {{ id }} }}")
}

fn repeated(count: usize, each: impl Fn(usize) -> String) -> String {
    format!("{{ {} }}", (0..count).map(each).collect::<Vec<_>>().join(" "))
}

const DEEP: &[&str] = &["NESTING_TOO_DEEP", "BODY_TOO_LARGE"];
const BROAD: &[&str] = &["TOO_BROAD", "TOO_MANY_TOKENS", "BODY_TOO_LARGE"];
const PAGE: &[&str] = &["PAGE_TOO_LARGE"];
const PRICEY: &[&str] = &["TOO_EXPENSIVE", "PAGE_TOO_LARGE", "TOO_BROAD"];

fn attacks() -> Vec<Attack> {
    let skips = "@skip(if: false) ".repeat(10_000);
    let few = "@skip(if: false) ".repeat(1_000);
    vec![
        attack("1 object literals nested 2,000 deep", nested_where(2_000), DEEP),
        attack("1 object literals nested 100,000 deep", nested_where(100_000), DEEP),
        attack("2 lists nested 10,000 deep", nested_list(10_000), DEEP),
        attack("3 selections 5,000 deep", "{ facilities ".repeat(5_000) + &"}".repeat(5_000), DEEP),
        attack("4 a fragment bomb of 2^31", bomb(31, 2), BROAD),
        attack("5 a wide bomb of 1,000^4", bomb(4, 1_000), BROAD),
        attack(
            "6 fragments in a circle",
            "{ ...a } fragment a on Query { ...b } fragment b on Query { ...a }",
            &["GRAPHQL_VALIDATION_FAILED"],
        ),
        attack("7 the same field 10,000 times", repeated(10_000, |_| "__typename".into()), BROAD),
        attack("7 the same field 3,000 times", repeated(3_000, |_| "__typename".into()), BROAD),
        attack("8 one record 5,000 times", repeated(5_000, |n| format!("x{n}: facility(id: \"f1\") {{ id }}")), BROAD),
        attack("9 10,000 aliases", repeated(10_000, |n| format!("x{n}: __typename")), BROAD),
        attack("10 10,000 directives on a field", format!("{{ facilities {skips} {{ id }} }}"), BROAD),
        attack("10 1,000 directives on a field", format!("{{ facilities {few} {{ id }} }}"), BROAD),
        attack(
            "10 1,000 directives on a spread",
            format!("{{ ...f {few} }} fragment f on Query {{ __typename }}"),
            BROAD,
        ),
        attack("10 1,000 directives on an inline fragment", format!("{{ ... {few} {{ __typename }} }}"), BROAD),
        attack(
            "11 10,000 variables",
            format!("query({}) {{ __typename }}", (0..10_000).map(|n| format!("$v{n}: Int ")).collect::<String>()),
            BROAD,
        ),
        attack(
            "12 2,000 operations",
            (0..2_000).map(|n| format!("query q{n} {{ __typename }} ")).collect::<String>(),
            BROAD,
        ),
        attack("13 a page of 99,999,999", "{ facilitiesConnection(first: 99999999) { totalCount } }", PAGE),
        Attack {
            variables: json!({"n": 99_999_999}),
            ..attack("13 a page of 99,999,999 by variable", "query($n: Int) { facilities(limit: $n) { id } }", PAGE)
        },
        attack(
            "13 a page of 99,999,999 below",
            "{ facilities(limit: 1) { alerts: devices(limit: 99999999) { id } } }",
            PAGE,
        ),
        attack("13 a page of 99,999,999 of hits", "{ search(query: \"a\", first: 99999999) { score } }", PAGE),
        attack(
            "13 a page of 99,999,999 beside others",
            "{ __typename devices { id } facilities(limit: 99999999) { id } }",
            PAGE,
        ),
        attack(
            "14 lists that multiply",
            "{ facilities(limit: 1000) { devices(limit: 1000) { alerts(limit: 1000) { device { alerts(limit: 1000) { id } } } } } }",
            PRICEY,
        ),
        attack(
            "15 introspection in a circle",
            "{ __schema { types { fields { type { fields { type { fields { type { fields { name } } } } } } } } } }",
            &["DEPTH_TOO_GREAT"],
        ),
    ]
}

fn check(attack: &Attack, transport: &str, body: &Value, took: Duration) {
    let name = attack.name;
    assert!(body.get("data").is_none(), "nothing was executed: {name} over {transport}: {body}");
    let error = &body["errors"][0];
    let code = error["extensions"]["code"].as_str().unwrap_or_default();
    assert!(attack.codes.contains(&code), "{name} over {transport}: {error}");
    let message = error["message"].as_str().unwrap();
    assert!(message.len() < 500 && !message.contains(".rs"), "{name} over {transport}: {message}");
    assert!(took < SOON, "{name} over {transport} took {took:?}");
}

#[tokio::test]
async fn hostile_1_to_15_over_post_and_get() {
    let server = farm(|config| config.server.body_bytes = quipu::config::ByteSize(4 << 20)).await;
    let token = admin(&server, "alpha");
    for attack in attacks() {
        let body = json!({"query": attack.query, "variables": attack.variables});
        let began = Instant::now();
        let post = server.client.post(server.url("/graphql")).bearer_auth(&token).json(&body).send().await.unwrap();
        let status = post.status().as_u16();
        let body: Value = post.json().await.unwrap();
        assert_eq!(status, expected_status(&attack), "{}: {body}", attack.name);
        check(&attack, "POST", &body, began.elapsed());
        if attack.query.len() > URL {
            continue;
        }
        let mut url = reqwest::Url::parse(&server.url("/graphql")).unwrap();
        let variables = attack.variables.to_string();
        url.query_pairs_mut().append_pair("query", &attack.query).append_pair("variables", &variables);
        if url.as_str().len() > URL {
            continue;
        }
        let began = Instant::now();
        let get = server.client.get(url).bearer_auth(&token).send().await.unwrap();
        let body: Value = get.json().await.unwrap();
        check(&attack, "GET", &body, began.elapsed());
    }
    alive(&server, &token).await;
}

/// A document that is too long is 413, all else is 400.
fn expected_status(attack: &Attack) -> u16 {
    if attack.query.len() > 128 * 1024 { 413 } else { 400 }
}

async fn alive(server: &Server, token: &str) {
    let request = server.client.post(server.url("/graphql")).bearer_auth(token);
    let answer = request.json(&json!({"query": "{ __typename }"})).send().await.unwrap();
    assert_eq!(answer.status(), 200, "the process lives");
}

#[tokio::test]
async fn hostile_31_the_same_limits_hold_in_batches_sockets_and_events() {
    let server = farm(|config| config.server.body_bytes = quipu::config::ByteSize(4 << 20)).await;
    let token = admin(&server, "alpha");
    let mut socket = Client::plain(&server).await;
    socket.init(&token).await;
    for (n, attack) in attacks().into_iter().enumerate() {
        let operation = json!({"query": attack.query, "variables": attack.variables});
        let post = || server.client.post(server.url("/graphql")).bearer_auth(&token);

        let began = Instant::now();
        let batch = post().json(&json!([operation, {"query": "{ __typename }"}])).send().await.unwrap();
        let batch: Value = batch.json().await.unwrap();
        assert_eq!(batch[1]["data"]["__typename"], "Query");
        check(&attack, "a batch", &batch[0], began.elapsed());

        let began = Instant::now();
        let id = n.to_string();
        socket.send(json!({"type": "subscribe", "id": id, "payload": operation})).await;
        let answer = socket.receive().await;
        assert_eq!(answer["id"], json!(id), "{}", attack.name);
        if answer["type"] == "next" {
            check(&attack, "WebSocket", &answer["payload"], began.elapsed());
            assert_eq!(socket.receive().await["type"], "complete");
        } else {
            check(&attack, "WebSocket", &json!({"errors": answer["payload"]}), began.elapsed());
        }

        let began = Instant::now();
        let events = post().header(ACCEPT, "text/event-stream").json(&operation).send().await.unwrap();
        let text = events.text().await.unwrap();
        let data = text.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
        let body: Value = serde_json::from_str(data).unwrap();
        check(&attack, "events", &body, began.elapsed());
    }
    alive(&server, &token).await;
}

#[tokio::test]
async fn hostile_16_errors_of_one_response_are_bounded() {
    let server = farm(|_| {}).await;
    let token = admin(&server, "alpha");
    // each item makes an error of its own
    let ids: Vec<String> = (0..1_000).map(|n| format!("x{n}: nothing{n}")).collect();
    let query = format!("{{ {} }}", ids.join(" "));
    let request = server.client.post(server.url("/graphql")).bearer_auth(&token).json(&json!({"query": query}));
    let body: Value = request.send().await.unwrap().json().await.unwrap();
    let errors = body["errors"].as_array().unwrap().len();
    assert!((1..=100).contains(&errors), "{errors} errors");
    assert!(!code(&body).is_empty());
}
