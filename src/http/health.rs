//! What whoever runs the gateway asks: does it live, is it ready, what has it counted.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, json};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::gateway::{Condition, Probe, Readiness};
use super::reply::Refusal;
use super::state::AppState;

/// A store that does not answer in this time counts as down.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long an answer of the parts is good for: anyone may ask, so asking must not be work each time.
const FRESH: Duration = Duration::from_millis(500);

/// What the parts said last, and when. One asks, others wait for its answer.
#[derive(Default)]
pub(super) struct Probed(Mutex<Option<(Instant, Vec<Probe>)>>);

impl Probed {
    async fn get(&self, readiness: &dyn Readiness) -> Vec<Probe> {
        let mut last = self.0.lock().await;
        match &*last {
            Some((at, probes)) if at.elapsed() < FRESH => probes.clone(),
            _ => {
                let probes = readiness.probe().await;
                *last = Some((Instant::now(), probes.clone()));
                probes
            }
        }
    }
}

/// `GET /healthz`: 200 while the process lives.
pub(super) async fn alive() -> Response {
    Json(json!({"status": "alive"})).into_response()
}

/// `GET /readyz`: 200 `ready`, 200 `degraded` when something is missing that requests can do without, else 503 `unavailable`.
pub(super) async fn ready(State(state): State<Arc<AppState>>) -> Response {
    let Ok(mut probes) = timeout(PATIENCE, state.probed.get(&*state.readiness)).await else {
        return (StatusCode::SERVICE_UNAVAILABLE, Json(json!({"status": "unavailable", "parts": {}}))).into_response();
    };
    // Tokens of the others are taken without it, and its own by the keys that are known.
    probes.extend(state.authenticator.issuers().map(|(name, is_well)| Probe {
        part: format!("auth.{name}").into(),
        condition: Condition::of(is_well),
        essential: false,
    }));
    // Keys that cannot be used leave those before in place.
    probes.extend(state.authenticator.own_is_well().map(|is_well| Probe {
        part: "auth".into(),
        condition: Condition::of(is_well),
        essential: false,
    }));
    // A certificate that cannot be used leaves the one before in place.
    probes.extend(state.tls.iter().map(|tls| Probe {
        part: "tls".into(),
        condition: Condition::of(tls.is_well()),
        essential: false,
    }));
    let stopping = *state.stopping.borrow();
    let is_down = |probe: &&Probe| probe.condition == Condition::Down;
    let unavailable = stopping || probes.iter().filter(is_down).any(|probe| probe.essential);
    let (status, word) = match probes.iter().any(|probe| is_down(&probe)) {
        _ if unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        false => (StatusCode::OK, "ready"),
        true => (StatusCode::OK, "degraded"),
    };
    let parts: Map<_, _> =
        probes.iter().map(|probe| (probe.part.clone().into_owned(), probe.condition.as_str().into())).collect();
    (status, Json(json!({"status": word, "parts": parts}))).into_response()
}

/// `GET /metrics`: Prometheus' text format.
pub(super) async fn metrics(State(state): State<Arc<AppState>>) -> Response {
    match state.metrics.text() {
        Ok(text) => ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "cannot write metrics");
            Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", "the metrics cannot be written").into_response()
        }
    }
}
