//! WebSockets at `/graphql`, with the subprotocol `graphql-transport-ws`. One task for each socket reads and writes it; each operation
//! runs in a task of its own and puts its responses into the socket's outbox.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::extract::{FromRequestParts, Request};
use axum::http::header::UPGRADE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use quipu_resolvers::fault::{Code, Fault};
use serde_json::{Map, Value};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, sleep_until};
use tracing::Instrument;

use super::accept::Connection;
use super::caller::{Caller, Over};
use super::gateway::Absent;
use super::graphql::bounds;
use super::layers::fresh_id;
use super::live::{Channel, Live, Place, operate, refused};
use super::operation::Operation;
use super::origin;
use super::outbox::{NotTaken, Outbox, Queued};
use super::protocol::{self, Close, Incoming, SUBPROTOCOL};
use super::reply::Refusal;
use super::state::{AppState, stopped};
use crate::auth::{self, Denied, Proof};

/// How long a client may take to answer a close.
const FAREWELL: Duration = Duration::from_secs(1);

/// Whether a request asks for a WebSocket.
pub(super) fn is_upgrade(headers: &HeaderMap) -> bool {
    headers.get(UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Makes a WebSocket of a request. Credentials may be in its headers or come with `connection_init`.
pub(super) async fn upgrade(state: Arc<AppState>, request: Request) -> Response {
    let (mut head, _) = request.into_parts();
    // A browser sends cookies along whichever page asks, and lets no page set a header here: so the page's origin decides.
    let proof = match state.proof(&head) {
        Ok(Proof::Cookie(_)) if !origin::is_of_an_allowed_page(&head, &state.config) => Err(Denied::Origin),
        Ok(Proof::Cookie(token)) => Ok(Proof::Cookie(token.to_owned())),
        Ok(Proof::Bearer(token)) => Ok(Proof::Bearer(token.to_owned())),
        Err(denied) => Err(denied),
    };
    let connection = head.extensions.get::<Connection>().cloned();
    let upgrade = match WebSocketUpgrade::from_request_parts(&mut head, &()).await {
        Ok(upgrade) => upgrade,
        Err(_) => return Refusal::bad_request("the request for a WebSocket is not well-formed").into_response(),
    };
    let limit = state.config.server.body_bytes.0;
    // twice the limit, so that a message that is a little too long is told so
    let upgrade = upgrade.protocols([SUBPROTOCOL]).max_message_size(limit * 2).max_frame_size(limit * 2);
    let span = tracing::Span::current();
    upgrade.on_upgrade(move |socket| {
        async move {
            // held for as long as the socket lives, for it counts as a connection
            let _connection = connection;
            serve(state, socket, proof).await;
        }
        .instrument(span)
    })
}

async fn serve(state: Arc<AppState>, socket: WebSocket, proof: Result<Proof<String>, Denied>) {
    let live = &state.config.live;
    let (outbox, inbox) = Outbox::new(live.buffer.0, live.patience);
    let offered = socket.protocol().is_some_and(|protocol| protocol == SUBPROTOCOL);
    let mut session = Session {
        state: state.clone(),
        socket,
        proof,
        caller: None,
        outbox,
        running: HashMap::new(),
        tasks: JoinSet::new(),
        started: 0,
        heard: Instant::now(),
    };
    let ended = if offered { session.run(inbox).await } else { End::Close(Close::subprotocol()) };
    match ended {
        End::Close(close) => {
            tracing::debug!(code = close.code, reason = close.reason, "socket closed");
            session.leave(Some(close)).await;
        }
        End::Closed => session.leave(None).await,
        End::Gone => {}
    }
}

/// How a session ends.
enum End {
    /// We close the socket.
    Close(Close),
    /// The client closed the socket.
    Closed,
    /// The client is gone.
    Gone,
}

impl From<Close> for End {
    fn from(close: Close) -> Self {
        Self::Close(close)
    }
}

impl From<axum::Error> for End {
    fn from(_: axum::Error) -> Self {
        Self::Gone
    }
}

/// An operation that runs.
struct Running {
    /// Which start this is: an id may be used again.
    start: u64,
    work: AbortHandle,
}

/// A message of an operation on its way to the client.
struct Frame {
    start: u64,
    id: Arc<str>,
    text: String,
    last: bool,
}

/// One socket. Dropping it ends all its operations.
struct Session {
    state: Arc<AppState>,
    socket: WebSocket,
    /// What the headers of the request show.
    proof: Result<Proof<String>, Denied>,
    /// Who it is, once `connection_init` was acknowledged.
    caller: Option<Caller>,
    outbox: Outbox<Frame>,
    running: HashMap<Arc<str>, Running>,
    tasks: JoinSet<()>,
    started: u64,
    heard: Instant,
}

impl Session {
    async fn run(&mut self, mut inbox: UnboundedReceiver<Queued<Frame>>) -> End {
        let live = self.state.config.live.clone();
        let mut stopping = self.state.stopping.subscribe();
        let mut ticks = interval_at(Instant::now() + live.keep_alive, live.keep_alive);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // until the acknowledgement this is the time for it, then the end of the credentials
        let mut until: BoxFuture<'static, Close> = Box::pin(sleep(live.init_timeout).map(|()| Close::init_timeout()));
        loop {
            let known = self.caller.is_some();
            let step = tokio::select! {
                received = self.socket.recv() => self.received(received).await,
                Some(queued) = inbox.recv() => self.deliver(queued.message).await,
                _ = ticks.tick() => self.beat(live.keep_alive).await,
                close = &mut until => Err(close.into()),
                () = stopped(&mut stopping) => Err(Close::going_away().into()),
            };
            if let Err(end) = step {
                return end;
            }
            if let (false, Some(caller)) = (known, &self.caller) {
                let tenant = caller.principal.tenant.clone();
                let over = self.state.clone().over(tenant, caller.source.clone(), caller.expires_ms);
                until = Box::pin(over.map(|over| match over {
                    Over::Expired => Close::expired(),
                    Over::Suspended => Close::suspended(),
                }));
            }
        }
    }

    async fn received(&mut self, received: Option<Result<Message, axum::Error>>) -> Result<(), End> {
        self.heard = Instant::now();
        let limit = self.state.config.server.body_bytes.0;
        match received {
            None => Err(End::Gone),
            Some(Ok(Message::Close(_))) => Err(End::Closed),
            Some(Err(_)) => Err(Close::malformed().into()),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(()),
            Some(Ok(Message::Binary(_))) => Err(Close::bad_message("messages must be text").into()),
            Some(Ok(Message::Text(text))) if text.len() > limit => Err(Close::too_long(limit).into()),
            Some(Ok(Message::Text(text))) => match protocol::read(text.as_bytes(), bounds(&self.state))? {
                Incoming::Init(params) => self.init(&params).await,
                Incoming::Ping(payload) => self.send(protocol::pong(payload)).await,
                Incoming::Pong => Ok(()),
                Incoming::Subscribe(id, operation) => self.subscribe(id, operation).await,
                Incoming::Complete(id) => {
                    if let Some(running) = self.running.remove(id.as_str()) {
                        running.work.abort();
                    }
                    Ok(())
                }
            },
        }
    }

    async fn init(&mut self, params: &Map<String, Value>) -> Result<(), End> {
        if self.caller.is_some() {
            return Err(Close::second_init().into());
        }
        let given = authorization(params);
        let proof = match &given {
            Ok(Some(value)) => auth::bearer(value).map(Proof::Bearer),
            Ok(None) => self.proof.as_ref().map(Proof::as_str).map_err(Clone::clone),
            Err(denied) => Err(denied.clone()),
        };
        let caller = self.state.caller(proof).await.map_err(|refusal| match refusal.status {
            StatusCode::SERVICE_UNAVAILABLE => Close::not_ready(),
            _ if refusal.code == Code::TenantSuspended.as_str() => Close::suspended(),
            _ => Close::forbidden(),
        })?;
        self.caller = Some(caller);
        self.send(protocol::ack()).await
    }

    async fn subscribe(&mut self, id: String, operation: Operation) -> Result<(), End> {
        let Some(known) = &self.caller else { return Err(Close::unauthorized().into()) };
        if self.running.contains_key(id.as_str()) {
            return Err(Close::exists(&id).into());
        }
        // a newer ontology may be served by now
        let api = self.state.gateway.api(&known.principal.tenant).map_err(|absent| match absent {
            Absent::Unknown => Close::forbidden(),
            Absent::NotReady => Close::not_ready(),
            Absent::Suspended => Close::suspended(),
        })?;
        if self.running.len() >= self.state.config.live.per_connection {
            let message = "too many operations over this socket (live.per_connection)";
            let body = refused(&self.state, Fault::client(Code::Overloaded, message));
            return self.send(protocol::error(&id, &body)).await;
        }
        let caller = Caller { api, ..known.clone() };
        let operation = match self.state.with_document(&caller, operation) {
            Ok(operation) => operation,
            Err(fault) => {
                let body = refused(&self.state, fault);
                return self.send(protocol::error(&id, &body)).await;
            }
        };
        self.start(id.into(), caller, operation);
        Ok(())
    }

    fn start(&mut self, id: Arc<str>, caller: Caller, operation: Operation) {
        self.started += 1;
        let channel = Subscriber { start: self.started, id: id.clone(), outbox: self.outbox.clone() };
        let request_id = fresh_id(&self.state);
        let span = tracing::info_span!("operation", id = &*request_id, tenant = caller.principal.tenant.as_str());
        let state = self.state.clone();
        let work = async move {
            let meter = state.meter(&caller.principal.tenant);
            let live = Live { caller, operation, write: Some(None), request_id, meter };
            match Place::enter(&state, &live, "websocket").await {
                Ok(place) => operate(&state, live, place, channel).await,
                Err(fault) => channel.fail(refused(&state, fault)),
            }
        };
        while self.tasks.try_join_next().is_some() {}
        let work = self.tasks.spawn(work.instrument(span));
        self.running.insert(id, Running { start: self.started, work });
    }

    /// Sends a message of an operation, unless the client has completed that meanwhile.
    async fn deliver(&mut self, frame: Frame) -> Result<(), End> {
        if self.running.get(&frame.id).is_none_or(|running| running.start != frame.start) {
            return Ok(());
        }
        if frame.last {
            self.running.remove(&frame.id);
        }
        self.send(frame.text).await
    }

    /// Asks for a sign of life, and gives up on a client that has not given one for two rounds.
    async fn beat(&mut self, keep_alive: Duration) -> Result<(), End> {
        if self.heard.elapsed() > keep_alive * 2 {
            return Err(End::Gone);
        }
        Ok(self.socket.send(Message::Ping(Bytes::new())).await?)
    }

    async fn send(&mut self, text: String) -> Result<(), End> {
        Ok(self.socket.send(Message::Text(text.into())).await?)
    }

    /// Takes leave: sends our reason, or the answer to the client's, and waits a little for the connection to end. Dropping it at once
    /// could lose what is on its way.
    async fn leave(mut self, close: Option<Close>) {
        self.tasks.abort_all();
        let until = Instant::now() + FAREWELL;
        let farewell = async {
            if let Some(Close { code, reason }) = close {
                let frame = CloseFrame { code, reason: Utf8Bytes::from(reason) };
                if self.socket.send(Message::Close(Some(frame))).await.is_err() {
                    return;
                }
            }
            // reading also sends the answer to a close
            while let Some(Ok(_)) = self.socket.recv().await {}
        };
        tokio::select! {
            () = farewell => {}
            () = sleep_until(until) => {}
        }
    }
}

/// The `authorization` among the parameters of `connection_init`, however it is written. Nothing else in them is believed.
fn authorization(params: &Map<String, Value>) -> Result<Option<&str>, Denied> {
    let mut given = params.iter().filter(|(name, _)| name.eq_ignore_ascii_case("authorization"));
    match (given.next(), given.next()) {
        (None, _) => Ok(None),
        (Some((_, Value::String(value))), None) => Ok(Some(value)),
        _ => Err(Denied::NotBearer),
    }
}

/// Where the responses of one operation go.
struct Subscriber {
    start: u64,
    id: Arc<str>,
    outbox: Outbox<Frame>,
}

impl Subscriber {
    fn frame(&self, text: String, last: bool) -> Frame {
        Frame { start: self.start, id: self.id.clone(), text, last }
    }
}

impl Channel for Subscriber {
    async fn next(&self, body: Bytes) -> Result<(), NotTaken> {
        let text = protocol::next(&self.id, &body);
        let bytes = text.len();
        self.outbox.send(self.frame(text, false), bytes).await
    }

    fn fail(&self, body: Bytes) {
        self.outbox.send_last(self.frame(protocol::error(&self.id, &body), true));
    }

    fn complete(&self) {
        self.outbox.send_last(self.frame(protocol::complete(&self.id), true));
    }
}
