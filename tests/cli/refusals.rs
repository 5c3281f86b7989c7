//! What refusing costs: the processor time of the whole process, for each attack over each transport. The server is a process of its own, so that
//! nothing of the client's is counted.

use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::header::ACCEPT;
use serde_json::{Value as Json, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::quipu::{Quipu, Running};
use crate::http::attacks::{Attack, attacks, fits_a_url};

/// Most processor time of a refusal. Builds without optimisation take about ten times as long.
const MOST: Duration = Duration::from_millis(if cfg!(debug_assertions) { 500 } else { 50 });

/// Ways to ask.
const TRANSPORTS: [&str; 6] = ["POST", "GET", "events by POST", "events by GET", "WebSocket", "a batch"];

/// Processor time that a process has used so far; `None` where the system does not say.
fn used(process: u32) -> Option<Duration> {
    let mut nanoseconds = 0;
    for task in std::fs::read_dir(format!("/proc/{process}/task")).ok()?.flatten() {
        let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        nanoseconds += text.split(' ').next()?.parse::<u64>().ok()?;
    }
    Some(Duration::from_nanos(nanoseconds))
}

struct Asking {
    running: Running,
    token: String,
    client: reqwest::Client,
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

impl Asking {
    fn url(&self) -> String {
        format!("http://{}/graphql", self.running.address)
    }

    async fn socket(&self) -> Socket {
        let mut request = format!("ws://{}/graphql", self.running.address).into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", "graphql-transport-ws".parse().unwrap());
        let (mut socket, _) = tokio_tungstenite::connect_async(request).await.unwrap();
        let init = json!({"type": "connection_init", "payload": {"authorization": format!("Bearer {}", self.token)}});
        socket.send(Message::text(init.to_string())).await.unwrap();
        assert!(matches!(socket.next().await, Some(Ok(Message::Text(_)))));
        socket
    }

    /// The response to an attack, as the one object that it is or is in, with its status.
    async fn ask(&self, transport: &str, attack: &Attack, socket: &mut Socket) -> (u16, Json) {
        let operation = json!({"query": attack.query, "variables": attack.variables});
        let post = || self.client.post(self.url()).bearer_auth(&self.token);
        let get = || {
            let mut url = reqwest::Url::parse(&self.url()).unwrap();
            let variables = attack.variables.to_string();
            url.query_pairs_mut().append_pair("query", &attack.query).append_pair("variables", &variables);
            self.client.get(url).bearer_auth(&self.token)
        };
        let request = match transport {
            "POST" => post().json(&operation),
            "GET" => get(),
            "events by POST" => post().header(ACCEPT, "text/event-stream").json(&operation),
            "events by GET" => get().header(ACCEPT, "text/event-stream"),
            "a batch" => post().json(&json!([operation])),
            _ => {
                let message = json!({"type": "subscribe", "id": "1", "payload": operation});
                socket.send(Message::text(message.to_string())).await.unwrap();
                loop {
                    let Some(Ok(Message::Text(text))) = socket.next().await else { continue };
                    let answer: Json = serde_json::from_str(&text).unwrap();
                    assert_eq!(answer["type"], "error", "{}: {answer}", attack.name);
                    return (400, json!({"errors": answer["payload"]}));
                }
            }
        };
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        let data = text.lines().find_map(|line| line.strip_prefix("data: ")).unwrap_or(&text);
        let body: Json = serde_json::from_str(data).unwrap_or_else(|_| panic!("{}: {text}", attack.name));
        (status, if transport == "a batch" { body[0].clone() } else { body })
    }
}

/// The right status for the transport: streams of events and batches are answers with refusals in them.
fn status(transport: &str, attack: &Attack) -> u16 {
    match transport {
        "events by POST" | "events by GET" | "a batch" => 200,
        "WebSocket" => 400,
        _ => attack.status(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_1_to_16_each_refusal_costs_little_over_every_transport() {
    let quipu = Quipu::empty();
    let settings = "[server]\nmode = \"production\"\nbody_bytes = \"4MiB\"\n[auth]\nsecret_file = \"secret\"\n\
                    [embedding]\nmodel = \"none\"\n[logs]\nlevel = \"warn\"\n";
    quipu.file("quipu.toml", settings);
    quipu.file("farm.graphql", include_str!("../spec/farm.graphql"));
    let ended = quipu.run(&["ontology", "publish", "--tenant", "farm", "farm.graphql"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let token = quipu.token("farm", &["--role", "admin"]);
    let running = quipu.start(&["serve", "--listen", "127.0.0.1:0"]);
    let asking = Asking { running, token, client: reqwest::Client::new() };
    let mut socket = asking.socket().await;
    let (mut dearest, mut asked) = ((Duration::ZERO, String::new()), 0);
    for attack in attacks() {
        for transport in TRANSPORTS {
            if transport.contains("GET") && !fits_a_url(&attack) {
                continue;
            }
            let mut least = Duration::MAX;
            // What goes on in the background is counted as well, so the least of a few counts.
            for _ in 0..3 {
                let (before, began) = (used(asking.running.process()), Instant::now());
                let (found, body) = asking.ask(transport, &attack, &mut socket).await;
                asked += 1;
                assert_eq!(found, status(transport, &attack), "{} over {transport}: {body}", attack.name);
                attack.check(transport, &body);
                assert!(began.elapsed() < Duration::from_secs(20), "{} over {transport}", attack.name);
                let after = used(asking.running.process());
                least = least.min(before.zip(after).map_or(Duration::ZERO, |(before, after)| after - before));
                if least < MOST {
                    break;
                }
            }
            assert!(least < MOST, "{} over {transport} took {least:?} of the processor", attack.name);
            if least > dearest.0 {
                dearest = (least, format!("{} over {transport}", attack.name));
            }
            let next = asking.running.ask(&asking.token, "{ __typename }").await;
            assert_eq!(next, json!({"data": {"__typename": "Query"}}), "after {} over {transport}", attack.name);
        }
    }
    println!("{asked} refusals; the dearest took {:?}: {}", dearest.0, dearest.1);
    assert!(asked > 120, "{asked} were asked");
    let ended = asking.running.stop();
    assert!(ended.code == Some(0) && !ended.err.contains("panicked"), "{ended:?}");
}
