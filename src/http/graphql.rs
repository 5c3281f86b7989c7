//! `/graphql` over POST and GET (GraphQL over HTTP): from the request to the engine and back.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::request::Parts as Head;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::future::join_all;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use quipu_resolvers::fault::{Code, Fault};
use quipu_resolvers::ports::Trace;
use quipu_resolvers::{Answer, Ask, Pricing, Toll};
use tokio::time::{Instant, timeout_at};

use super::admission::{Place, Wish};
use super::caller::Caller;
use super::kind::{Kind, kind_of};
use super::layers::RequestId;
use super::meter::{self, Meter};
use super::negotiate::{self, Reply};
use super::operation::{self, Bounds, Operation, Payload};
use super::reply::Refusal;
use super::state::AppState;
use super::{events, live, socket};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Asks for the price of what is asked, like `extensions.cost`.
const COST: HeaderName = HeaderName::from_static("quipu-cost");
const LONGEST_KEY: usize = 255;
/// Where a mutation's answer says how far the log has come, and where a later request brings it back.
const POSITION: HeaderName = HeaderName::from_static("quipu-position");
/// What the engine gets after its deadline, so that its own answer about it arrives.
const GRACE: Duration = Duration::from_millis(100);

/// `POST /graphql`.
pub(super) async fn post(State(state): State<Arc<AppState>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let reply = match negotiate::reply(&head.headers) {
        Ok(reply) => reply,
        Err(refusal) => return refused(&state, refusal, Reply::Any),
    };
    answer_post(&state, &head, body, reply).await.unwrap_or_else(|refusal| refused(&state, refusal, reply))
}

/// `GET /graphql`: a query in the URL, a stream of events, or the beginning of a WebSocket.
pub(super) async fn get(State(state): State<Arc<AppState>>, mut request: Request) -> Response {
    if socket::is_upgrade(request.headers()) {
        return socket::upgrade(state, request).await;
    }
    let reply = match negotiate::reply(request.headers()) {
        Ok(reply) => reply,
        Err(refusal) => return refused(&state, refusal, Reply::Any),
    };
    // a query over GET writes nothing, so a key for writing means nothing
    request.headers_mut().remove(IDEMPOTENCY_KEY);
    let (head, _) = request.into_parts();
    answer_get(&state, &head, reply).await.unwrap_or_else(|refusal| refused(&state, refusal, reply))
}

fn refused(state: &AppState, refusal: Refusal, reply: Reply) -> Response {
    if refusal.status != StatusCode::UNAUTHORIZED {
        // those are counted where they are found
        state.metrics.refused(refusal.code);
    }
    refusal.into_response_as(reply.media_type())
}

async fn answer_post(state: &Arc<AppState>, head: &Head, body: Body, reply: Reply) -> Result<Response, Refusal> {
    let deadline = Instant::now() + state.config.server.request_timeout;
    negotiate::check_body(&head.headers)?;
    let caller = state.caller_of(head).await?;
    let key = idempotency_key(&head.headers)?;
    let body = read_body(body, state.config.server.body_bytes.0, deadline).await?;
    let payload = operation::from_body(&body, bounds(state))?;
    match with_headers(payload, &head.headers)? {
        Payload::One(operation) if reply == Reply::Events => {
            events::stream(state, request_id(head), caller, operation, Some(key)).await
        }
        Payload::One(operation) => {
            let meter = state.meter(&caller.principal.tenant);
            let operation = state.with_document(&caller, operation)?;
            answer_one(state, &caller, operation, Asking { may_write: true, key, deadline, meter }, reply).await
        }
        Payload::Batch(_) if reply == Reply::Events => {
            Err(Refusal::bad_request("a batch cannot be answered as a stream of events"))
        }
        Payload::Batch(_) if key.is_some() => {
            Err(Refusal::bad_request("an Idempotency-Key belongs to one operation, not to a batch"))
        }
        Payload::Batch(operations) => {
            let meter = state.meter(&caller.principal.tenant);
            let asking = Asking { may_write: true, key: None, deadline, meter };
            answer_batch(state, &caller, operations, asking, reply).await
        }
    }
}

async fn answer_get(state: &Arc<AppState>, head: &Head, reply: Reply) -> Result<Response, Refusal> {
    let deadline = Instant::now() + state.config.server.request_timeout;
    let caller = state.caller_of(head).await?;
    let mut operation = operation::from_uri(&head.uri, bounds(state))?;
    operation.position = operation.position.or_else(|| position(&head.headers));
    operation.cost |= asks_for_cost(&head.headers)?;
    if reply == Reply::Events {
        return events::stream(state, request_id(head), caller, operation, None).await;
    }
    let operation = state.with_document(&caller, operation)?;
    refuse_mutation(&operation)?;
    let meter = state.meter(&caller.principal.tenant);
    answer_one(state, &caller, operation, Asking { may_write: false, key: None, deadline, meter }, reply).await
}

/// # Errors
/// 405 for a mutation, which needs POST.
pub(super) fn refuse_mutation(operation: &Operation) -> Result<(), Refusal> {
    if kind_of(&operation.query, operation.name.as_deref()) != Kind::Mutation {
        return Ok(());
    }
    Err(Refusal { message: "a mutation must be sent by POST".into(), ..Refusal::method("POST") })
}

fn request_id(head: &Head) -> Arc<str> {
    head.extensions.get::<RequestId>().map_or_else(|| "".into(), |RequestId(id)| id.clone())
}

/// The limits of what is read from bodies, URLs and messages.
pub(super) fn bounds(state: &AppState) -> Bounds {
    Bounds { nesting: state.config.limits.json_nesting, batch: state.config.server.batch.get() }
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let key = value.to_str().unwrap_or_default();
    let fits = !key.is_empty() && key.len() <= LONGEST_KEY && key.bytes().all(|byte| byte.is_ascii_graphic());
    if !fits || values.next().is_some() {
        let message = "the Idempotency-Key must be one, of 1 to 255 visible ASCII characters";
        return Err(Refusal::bad_request(message));
    }
    Ok(Some(key.into()))
}

/// The position in the headers, if there is one. What cannot be one becomes a text that is none, which the engine refuses.
fn position(headers: &HeaderMap) -> Option<String> {
    let mut values = headers.get_all(POSITION).iter();
    let value = values.next()?;
    Some(if values.next().is_some() { "" } else { value.to_str().unwrap_or_default() }.to_owned())
}

/// Whether the headers ask for the price.
fn asks_for_cost(headers: &HeaderMap) -> Result<bool, Refusal> {
    match headers.get(COST).map(HeaderValue::as_bytes) {
        None | Some(b"false" | b"0") => Ok(false),
        Some(b"true" | b"1") => Ok(true),
        Some(_) => Err(Refusal::bad_request("the header Quipu-Cost must be true or false")),
    }
}

/// The operations with what the headers say of all of them: the position, where they bring none of their own, and whether the price is asked
/// for.
fn with_headers(mut payload: Payload, headers: &HeaderMap) -> Result<Payload, Refusal> {
    let (position, cost) = (position(headers), asks_for_cost(headers)?);
    let operations = match &mut payload {
        Payload::One(operation) => std::slice::from_mut(operation),
        Payload::Batch(operations) => operations,
    };
    for operation in operations {
        operation.position = operation.position.take().or_else(|| position.clone());
        operation.cost |= cost;
    }
    Ok(payload)
}

/// Reads a body whole. One that says beforehand that it is too long is not read at all.
pub(super) async fn read_body(body: Body, limit: usize, deadline: Instant) -> Result<Bytes, Refusal> {
    match timeout_at(deadline, Limited::new(body, limit).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let message = format!("a body has at most {limit} bytes (server.body_bytes)");
            Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, Code::BodyTooLarge.as_str(), message))
        }
        Ok(Err(_)) => Err(Refusal::bad_request("the body ended too early")),
        Err(_) => {
            let message = "the body did not arrive in time (server.request_timeout)";
            Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, Code::Timeout.as_str(), message))
        }
    }
}

/// How an operation is asked for.
#[derive(Debug, Clone)]
pub(super) struct Asking {
    pub may_write: bool,
    /// The key under which a mutation is not run twice.
    pub key: Option<String>,
    pub deadline: Instant,
    /// Counts what it uses, where that is limited.
    pub meter: Option<Arc<Meter>>,
}

async fn answer_one(
    state: &AppState,
    caller: &Caller,
    operation: Operation,
    asking: Asking,
    reply: Reply,
) -> Result<Response, Refusal> {
    let meter = asking.meter.clone();
    let answered = async {
        state.count(caller, asking.meter.as_ref()).await?;
        let _place = state.enter(caller, 1, operation.most.is_none(), asking.deadline).await?;
        run(state, caller, operation, asking).await
    };
    let answer = answered.await.map_err(|fault| meter::refusal(meter.as_ref(), fault))?;
    let status = answer.refused.map_or(StatusCode::OK, |code| reply.status(code));
    let mut response = with_type(status, answer.body, reply, answer.position);
    meter::tell(meter.as_ref(), answer.refused, response.headers_mut());
    Ok(response)
}

impl AppState {
    /// Counts an operation before anything is done for it.
    pub(super) async fn count(&self, caller: &Caller, meter: Option<&Arc<Meter>>) -> Result<(), Fault> {
        let Some(meter) = meter else { return Ok(()) };
        meter.operation().await.inspect_err(|fault| self.refused_of(caller, fault.code()))
    }

    /// Places among those at work, as soon as it is the caller's turn; with `first` before those of the tenant's operations that have
    /// none.
    pub(super) async fn enter(
        &self,
        caller: &Caller,
        operations: usize,
        first: bool,
        deadline: Instant,
    ) -> Result<Place, Fault> {
        let tenant = &caller.principal.tenant;
        let most = self.plan(tenant).concurrency.get();
        self.admission.enter(tenant, Wish { most, operations, first, known: true }, deadline).await
    }
}

/// Queries of a batch run side by side; with a mutation among them, one runs after another.
async fn answer_batch(
    state: &AppState,
    caller: &Caller,
    operations: Vec<Operation>,
    asking: Asking,
    reply: Reply,
) -> Result<Response, Refusal> {
    state.metrics.batch(operations.len());
    let _places = state
        .enter(caller, operations.len(), true, asking.deadline)
        .await
        .map_err(|fault| meter::refusal(asking.meter.as_ref(), fault))?;
    let operations: Vec<_> = operations.into_iter().map(|one| state.with_document(caller, one)).collect();
    let in_order = operations.iter().flatten().any(|one| kind_of(&one.query, one.name.as_deref()) != Kind::Query);
    let runs = operations.into_iter().map(async |operation| {
        state.count(caller, asking.meter.as_ref()).await?;
        run(state, caller, operation?, asking.clone()).await
    });
    let answers = if in_order {
        let mut answers = Vec::new();
        for run in runs {
            answers.push(run.await);
        }
        answers
    } else {
        join_all(runs).await
    };
    let mut body = BytesMut::from(&b"["[..]);
    let mut position = None;
    for (at, answer) in answers.into_iter().enumerate() {
        if at > 0 {
            body.put_u8(b',');
        }
        match answer {
            Ok(answer) => {
                body.put(answer.body);
                // Mutations ran in order, so that the last one's is the furthest.
                position = answer.position.or(position);
            }
            Err(fault) => body.put(live::refused(state, fault)),
        }
    }
    body.put_u8(b']');
    let mut response = with_type(StatusCode::OK, body.freeze(), reply, position);
    meter::tell(asking.meter.as_ref(), None, response.headers_mut());
    Ok(response)
}

/// Has the engine answer, within the deadline.
async fn run(state: &AppState, caller: &Caller, operation: Operation, asking: Asking) -> Result<Answer, Fault> {
    let began = Instant::now();
    let _working = state.metrics.working();
    let traced = state.metrics.tracing();
    let deadline = asking.deadline;
    let ask = ask(operation, asking, traced.trace());
    let answer = timeout_at(deadline + GRACE, caller.api.answer(&caller.principal, ask));
    let answer = answer.await.map_err(|_| too_late())?;
    state.metrics.answered(&answer, Some(began.elapsed()));
    Ok(answer)
}

/// What a client is told whose answer did not come in time.
pub(super) fn too_late() -> Fault {
    Fault::client(Code::Timeout, "the answer took too long (server.request_timeout)")
}

/// An operation as the engine takes it.
pub(super) fn ask(operation: Operation, asking: Asking, trace: Arc<Trace>) -> Ask {
    let Operation { query, name, variables, position, cost, most, named: _ } = operation;
    let Asking { may_write, key, deadline, meter } = asking;
    let toll = meter.map(|meter| meter as Arc<dyn Toll>);
    Ask {
        query,
        operation_name: name,
        variables,
        may_write,
        idempotency_key: key,
        position,
        deadline: deadline.into_std(),
        trace,
        pricing: Pricing { shown: cost, toll, most },
    }
}

fn with_type(status: StatusCode, body: Bytes, reply: Reply, position: Option<String>) -> Response {
    let mut response = (status, [(CONTENT_TYPE, HeaderValue::from_static(reply.media_type()))], body).into_response();
    let headers = response.headers_mut();
    if let Some(Ok(position)) = position.map(HeaderValue::try_from) {
        headers.insert(POSITION, position);
    }
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}
