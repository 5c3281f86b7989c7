//! A load over HTTP/1.1 with connections that are kept: as many as there are clients, each asking again as soon as it is answered.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What a load measured.
pub struct Load {
    /// Answers per second.
    pub rate: f64,
    /// Median, in milliseconds.
    pub p50: f64,
    /// In milliseconds.
    pub p99: f64,
}

/// A request's bytes: `POST path` with a JSON body.
pub fn request(path: &str, token: Option<&str>, body: &str) -> Vec<u8> {
    let authorization = token.map_or_else(String::new, |token| format!("authorization: Bearer {token}\r\n"));
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\n{authorization}content-type: application/json\r\n\
         accept: application/graphql-response+json, application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// Puts a load on a server; the clients go through the requests in turn.
pub async fn run(server: SocketAddr, requests: &[Vec<u8>], clients: usize, span: Duration) -> Load {
    let until = Instant::now() + span;
    let begun = Instant::now();
    let work = (0..clients).map(|first| client(server, requests, first, until));
    let times: Vec<Duration> = futures_util::future::join_all(work).await.concat();
    Load::of(times, begun.elapsed())
}

impl Load {
    /// What times of answers within a span come to.
    pub fn of(mut times: Vec<Duration>, span: Duration) -> Self {
        times.sort_unstable();
        let rate = times.len() as f64 / span.as_secs_f64();
        Self { rate, p50: percentile(&times, 50), p99: percentile(&times, 99) }
    }
}

async fn client(server: SocketAddr, requests: &[Vec<u8>], first: usize, until: Instant) -> Vec<Duration> {
    let mut connection = Connection::open(server).await;
    let mut times = Vec::new();
    for request in requests.iter().cycle().skip(first) {
        let begun = Instant::now();
        if begun >= until {
            break;
        }
        let status = connection.ask(request).await;
        assert_eq!(status, 200, "the server refused: {}", String::from_utf8_lossy(&connection.body));
        times.push(begun.elapsed());
    }
    times
}

/// One answer's body.
pub async fn ask(server: SocketAddr, request: &[u8]) -> Vec<u8> {
    let mut connection = Connection::open(server).await;
    connection.ask(request).await;
    connection.body
}

/// A percentile of sorted times, in milliseconds.
pub fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    let at = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(at).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
}

/// A connection that is kept.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    body: Vec<u8>,
}

impl Connection {
    /// Connects to a server.
    pub async fn open(server: SocketAddr) -> Self {
        let stream = TcpStream::connect(server).await.expect("the server listens");
        stream.set_nodelay(true).expect("a TCP socket");
        Self { stream, buffer: Vec::with_capacity(64 * 1024), body: Vec::new() }
    }

    /// Sends a request, reads the answer's body and gives its status.
    pub async fn ask(&mut self, request: &[u8]) -> u16 {
        self.stream.write_all(request).await.expect("it can be sent");
        self.buffer.clear();
        let head = loop {
            self.more().await;
            if let Some(at) = self.buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break at + 4;
            }
        };
        let text = std::str::from_utf8(&self.buffer[..head]).expect("headers are text");
        let status = text.get(9..12).and_then(|status| status.parse().ok()).expect("a status");
        let length =
            text.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        let end: usize = head + length.unwrap_or(0_usize);
        while self.buffer.len() < end {
            self.more().await;
        }
        self.body.clear();
        self.body.extend_from_slice(&self.buffer[head..end]);
        status
    }

    async fn more(&mut self) {
        let read = self.stream.read_buf(&mut self.buffer).await.expect("it can be read");
        assert!(read > 0, "the server closed the connection");
    }
}
