//! Server-sent events: one operation per request (the distinct connections mode of GraphQL over SSE).

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::future::BoxFuture;
use futures_util::stream::unfold;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::sleep;
use tracing::Instrument;

use super::caller::{Caller, Over};
use super::graphql::refuse_mutation;
use super::live::{Channel, Live, Place, operate, refused};
use super::meter;
use super::operation::Operation;
use super::outbox::{NotTaken, Outbox, Queued};
use super::reply::Refusal;
use super::state::{AppState, stopped};

/// A line that means nothing: it shows that the stream lives.
const SIGN_OF_LIFE: &[u8] = b":\n\n";
/// The empty `data` is there because browsers do not hand out events without any.
const COMPLETE: &[u8] = b"event: complete\ndata:\n\n";

/// Answers with a stream of events. `write` is `None` where mutations are not let through, else the key under which one is not run
/// twice. What is wrong with the operation itself comes as an event; only a missing place is a refusal.
pub(super) async fn stream(
    state: &Arc<AppState>,
    request_id: Arc<str>,
    caller: Caller,
    operation: Operation,
    write: Option<Option<String>>,
) -> Result<Response, Refusal> {
    let operation = match state.with_document(&caller, operation) {
        Ok(operation) => operation,
        Err(fault) => return Ok(events(Body::from(last_event(&refused(state, fault))))),
    };
    if write.is_none() {
        refuse_mutation(&operation)?;
    }
    let meter = state.meter(&caller.principal.tenant);
    let tenant = caller.principal.tenant.clone();
    let over = Box::pin(state.clone().over(tenant, caller.source.clone(), caller.expires_ms));
    let operation = Live { caller, operation, write, request_id, meter: meter.clone() };
    let place = Place::enter(state, &operation, "sse").await.map_err(|fault| meter::refusal(meter.as_ref(), fault))?;
    let live = &state.config.live;
    let (outbox, inbox) = Outbox::new(live.buffer.0, live.patience);
    let work = tokio::spawn({
        let state = state.clone();
        async move { operate(&state, operation, place, Events(outbox)).await }.in_current_span()
    });
    let sending = Sending {
        inbox,
        held: None,
        greeted: false,
        ended: false,
        over,
        keep_alive: live.keep_alive,
        stopping: state.stopping.subscribe(),
        _work: Work(work.abort_handle()),
    };
    let body = Body::from_stream(unfold(sending, Sending::next));
    let mut response = events(body);
    meter::tell(meter.as_ref(), None, response.headers_mut());
    Ok(response)
}

fn events(body: Body) -> Response {
    let headers = [(CONTENT_TYPE, "text/event-stream; charset=utf-8")];
    // proxies that collect answers before they pass them on would hold events back
    (headers, [("x-accel-buffering", "no")], body).into_response()
}

/// The work behind a stream; it ends with the stream.
struct Work(AbortHandle);

impl Drop for Work {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The end of the stream that the client reads from.
struct Sending {
    inbox: UnboundedReceiver<Queued<Bytes>>,
    /// What was handed out last; its room is free when more is asked for.
    held: Option<Queued<Bytes>>,
    greeted: bool,
    ended: bool,
    over: BoxFuture<'static, Over>,
    keep_alive: Duration,
    stopping: watch::Receiver<bool>,
    _work: Work,
}

impl Sending {
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        self.held = None;
        if self.ended {
            return None;
        }
        if !self.greeted {
            self.greeted = true;
            return Some((Ok(Bytes::from_static(SIGN_OF_LIFE)), self));
        }
        let part = tokio::select! {
            queued = self.inbox.recv() => {
                let part = queued.as_ref()?.message.clone();
                self.held = queued;
                part
            }
            over = &mut self.over => {
                self.ended = true;
                last_event(over.refusal().body().as_bytes())
            }
            // the client connects again, to another instance
            () = stopped(&mut self.stopping) => return None,
            () = sleep(self.keep_alive) => Bytes::from_static(SIGN_OF_LIFE),
        };
        Some((Ok(part), self))
    }
}

/// The end of the stream that the engine's responses are put into.
struct Events(Outbox<Bytes>);

impl Channel for Events {
    async fn next(&self, body: Bytes) -> Result<(), NotTaken> {
        let event = next_event(&body);
        let bytes = event.len();
        self.0.send(event.freeze(), bytes).await
    }

    fn fail(&self, body: Bytes) {
        self.0.send_last(last_event(&body));
    }

    fn complete(&self) {
        self.0.send_last(Bytes::from_static(COMPLETE));
    }
}

/// An event after which the stream is over.
fn last_event(body: &[u8]) -> Bytes {
    let mut last = next_event(body);
    last.put(COMPLETE);
    last.freeze()
}

fn next_event(body: &[u8]) -> BytesMut {
    let mut event = BytesMut::with_capacity(body.len() + 24);
    event.put(&b"event: next\n"[..]);
    for line in body.split(|byte| *byte == b'\n') {
        event.put(&b"data: "[..]);
        event.put(line);
        event.put_u8(b'\n');
    }
    event.put_u8(b'\n');
    event
}
