//! One operation over every transport.

use reqwest::header::{ACCEPT, HeaderMap};
use serde_json::{Value, json};

use super::server::Server;
use super::socket::Client;

/// What came back over one transport.
pub struct Reply {
    /// Which one.
    pub over: &'static str,
    /// Its status; none over a socket.
    pub status: Option<u16>,
    /// Its headers; none over a socket.
    pub headers: HeaderMap,
    /// The response: of a batch the first one; of an `error` message, what it would be as a response.
    pub body: Value,
}

/// Sends an operation by POST, GET, in a batch of one, as server-sent events by POST and by GET, and over a socket.
pub async fn everywhere(server: &Server, token: &str, operation: &Value) -> Vec<Reply> {
    let mut replies = Vec::new();
    for over in ["POST", "GET", "a batch", "events", "events by GET", "a socket"] {
        replies.push(once(server, token, operation, over).await);
    }
    replies
}

/// Sends an operation over one of these.
pub async fn once(server: &Server, token: &str, operation: &Value, over: &'static str) -> Reply {
    if over == "a socket" {
        return socket(server, token, operation).await;
    }
    let request = match over {
        "GET" | "events by GET" => {
            let mut url = reqwest::Url::parse(&server.url("/graphql")).unwrap();
            for (name, value) in operation.as_object().unwrap() {
                let text = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
                url.query_pairs_mut().append_pair(name, &text);
            }
            server.client.get(url)
        }
        "a batch" => server.client.post(server.url("/graphql")).json(&json!([operation])),
        _ => server.client.post(server.url("/graphql")).json(operation),
    };
    let accept = if over.starts_with("events") { "text/event-stream" } else { "*/*" };
    let response = request.bearer_auth(token).header(ACCEPT, accept).send().await.unwrap();
    let (status, headers) = (Some(response.status().as_u16()), response.headers().clone());
    let text = response.text().await.unwrap();
    let text = text.lines().find_map(|line| line.strip_prefix("data: ")).unwrap_or(&text);
    let body: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{over}: {error}: {text}"));
    let body = body.get(0).cloned().unwrap_or(body);
    Reply { over, status, headers, body }
}

/// Sends an operation over a socket of its own.
async fn socket(server: &Server, token: &str, operation: &Value) -> Reply {
    let mut client = Client::plain(server).await;
    client.init(token).await;
    client.send(json!({"type": "subscribe", "id": "1", "payload": operation})).await;
    let answer = client.receive().await;
    let body = match answer["type"].as_str() {
        Some("error") => json!({"errors": answer["payload"]}),
        _ => answer["payload"].clone(),
    };
    Reply { over: "a socket", status: None, headers: HeaderMap::new(), body }
}
