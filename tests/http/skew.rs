//! Hostile 74 over HTTP: tokens hold within the leeway of a wrong clock, and what was begun lasts as long as was said then, however the time
//! of day jumps.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use quipu_resolvers::ports::Clock;
use reqwest::header::ACCEPT;
use serde_json::json;

use super::double::{Double, Health, Wall};
use super::server::{Server, refusal, start_by};

/// So many milliseconds away from the right time.
#[derive(Default)]
struct Off(AtomicI64);

impl Clock for Off {
    fn now_ms(&self) -> i64 {
        Wall.now_ms().saturating_add(self.0.load(Ordering::SeqCst))
    }
}

async fn server(leeway: Duration) -> (Server, Arc<Off>) {
    let off = Arc::new(Off::default());
    let change = |config: &mut quipu::config::Config| config.auth.leeway = leeway;
    (start_by(off.clone(), change, Health::default(), Arc::new(Double::default())).await, off)
}

#[tokio::test]
async fn hostile_74_tokens_hold_within_the_leeway_of_a_wrong_clock() {
    let hour = 3_600;
    let (server, off) = server(Duration::from_secs(2 * hour)).await;
    let token = server.token_for("library", Duration::from_secs(12 * hour));
    let ask = || server.client.post(server.url("/graphql")).bearer_auth(&token).json(&json!({"query": "{a}"})).send();
    for (hours, holds) in [(0, true), (-48, true), (13, true), (15, false), (14 * 365 * 24, false), (0, true)] {
        off.0.store(hours * 3_600_000, Ordering::SeqCst);
        let response = ask().await.unwrap();
        match holds {
            true => assert_eq!(response.status(), 200, "{hours} hours off"),
            false => assert_eq!(refusal(response).await, (401, "UNAUTHENTICATED".to_owned()), "{hours} hours off"),
        }
    }
}

#[tokio::test]
async fn hostile_74_a_stream_ends_with_its_token_although_the_clock_is_set_back() {
    let (server, off) = server(Duration::ZERO).await;
    let token = server.token_for("library", Duration::from_secs(10));
    let request = server.client.post(server.url("/graphql")).bearer_auth(token).header(ACCEPT, "text/event-stream");
    let begun = Instant::now();
    let stream = request.json(&json!({"query": "subscription {forever}"})).send().await.unwrap();
    assert_eq!(stream.status(), 200);
    off.0.store(-24 * 3_600_000, Ordering::SeqCst);
    let text = tokio::time::timeout(Duration::from_secs(60), stream.text()).await.expect("it ends").unwrap();
    assert!(text.contains("UNAUTHENTICATED") && begun.elapsed() < Duration::from_secs(60), "{text}");
}

/// How long a request may take is not a matter of the time of day.
#[tokio::test]
async fn hostile_74_deadlines_do_not_move_with_the_clock() {
    let off = Arc::new(Off::default());
    let server = async |limit: Duration| {
        let change = |config: &mut quipu::config::Config| config.server.request_timeout = limit;
        start_by(off.clone(), change, Health::default(), Arc::new(Double::default())).await
    };
    let brief = server(Duration::from_millis(700)).await;
    let request = brief.post().json(&json!({"query": "{sleep}"})).send();
    let (response, ()) = tokio::join!(request, async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        off.0.store(-24 * 3_600_000, Ordering::SeqCst);
    });
    assert_eq!(refusal(response.unwrap()).await, (504, "TIMEOUT".to_owned()));
    // Nor does a clock that runs ahead cut a request short.
    off.0.store(0, Ordering::SeqCst);
    let patient = server(Duration::from_secs(600)).await;
    let request = patient.post().json(&json!({"query": "{nap}"})).send();
    let (response, ()) = tokio::join!(request, async { off.0.store(24 * 3_600_000, Ordering::SeqCst) });
    assert!(matches!(response.unwrap().status().as_u16(), 200 | 401), "either before or after its token was read");
}
