//! A client for WebSockets.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::server::Server;

/// A client of `graphql-transport-ws` that sees every message.
pub struct Client(pub WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Client {
    pub async fn open(server: &Server, subprotocol: Option<&str>, token: Option<&str>) -> Self {
        Self::at(server.address, subprotocol, token).await
    }

    /// A socket to whatever listens there.
    pub async fn at(address: SocketAddr, subprotocol: Option<&str>, token: Option<&str>) -> Self {
        let mut request = format!("ws://{address}/graphql").into_client_request().unwrap();
        if let Some(name) = subprotocol {
            request.headers_mut().insert("sec-websocket-protocol", name.parse().unwrap());
        }
        if let Some(token) = token {
            request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        }
        Self(connect_async(request).await.unwrap().0)
    }

    pub async fn plain(server: &Server) -> Self {
        Self::open(server, Some("graphql-transport-ws"), None).await
    }

    /// A socket that was acknowledged, of tenant `library`.
    pub async fn ready(server: &Server) -> Self {
        let mut client = Self::plain(server).await;
        client.init(&server.token("library")).await;
        client
    }

    pub async fn init(&mut self, token: &str) {
        let payload = json!({"authorization": format!("Bearer {token}")});
        self.send(json!({"type": "connection_init", "payload": payload})).await;
        assert_eq!(self.receive().await, json!({"type": "connection_ack"}));
    }

    pub async fn send(&mut self, message: Value) {
        self.say(&message.to_string()).await;
    }

    pub async fn say(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.unwrap();
    }

    pub async fn subscribe(&mut self, id: &str, query: &str) {
        self.send(json!({"type": "subscribe", "id": id, "payload": {"query": query}})).await;
    }

    pub async fn next(&mut self) -> Option<Message> {
        let next = tokio::time::timeout(Duration::from_secs(30), self.0.next());
        next.await.expect("something is received in time").and_then(Result::ok)
    }

    /// The next message, pings aside.
    pub async fn receive(&mut self) -> Value {
        loop {
            match self.next().await {
                Some(Message::Text(text)) => return serde_json::from_str(&text).unwrap(),
                Some(Message::Ping(_) | Message::Pong(_)) => {}
                other => panic!("a message was expected, and not {other:?}"),
            }
        }
    }

    /// The code that the socket is closed with; messages before that are passed over.
    pub async fn closed(mut self) -> (u16, String) {
        loop {
            match self.next().await {
                Some(Message::Close(Some(frame))) => return (frame.code.into(), frame.reason.to_string()),
                Some(Message::Close(None)) | None => panic!("the socket was closed without a code"),
                Some(_) => {}
            }
        }
    }
}
