//! One operation over a stream, whichever the transport: subscriptions as long as they last, queries and mutations once.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{FutureExt, StreamExt};
use quipu_resolvers::Answer;
use quipu_resolvers::fault::{Code, Fault};
use tokio::time::{Instant, timeout, timeout_at};

use super::admission::Place as WorkPlace;
use super::caller::Caller;
use super::graphql::{Asking, ask, too_late};
use super::kind::{Kind, kind_of};
use super::layers;
use super::meter::Meter;
use super::operation::Operation;
use super::outbox::NotTaken;
use super::reply::Refusal;
use super::state::AppState;
use super::streams::StreamPlace;
use crate::ops::{Counted, Traced};

/// How often the statements of a silent subscription are counted.
const COUNTED: Duration = Duration::from_secs(2);

/// Where the responses of one operation go.
pub(super) trait Channel {
    /// Sends a response, when the client keeps up.
    fn next(&self, body: Bytes) -> impl Future<Output = Result<(), NotTaken>> + Send;
    /// Ends with a response in which there are only errors.
    fn fail(&self, body: Bytes);
    /// Ends well.
    fn complete(&self);
}

/// An operation to be run over a stream.
pub(super) struct Live {
    pub caller: Caller,
    pub operation: Operation,
    /// Whether a mutation is let through, and the key under which it is not run twice.
    pub write: Option<Option<String>>,
    /// Names it in the log and to the client.
    pub request_id: Arc<str>,
    /// Counts what it uses, where that is limited.
    pub meter: Option<Arc<Meter>>,
}

/// The place of an operation that runs over a stream. A subscription waits most of its time, so it has a place among the streams and
/// none among those who work.
pub(super) struct Place {
    /// Until when the answer must be there; a subscription has no end.
    until: Option<Instant>,
    _stream: Option<StreamPlace>,
    _work: Option<WorkPlace>,
    _counted: Counted,
}

impl Place {
    /// Counts the operation and finds a place for it, or says that there is none. `transport` is for the metrics.
    pub async fn enter(state: &AppState, live: &Live, transport: &'static str) -> Result<Self, Fault> {
        let Live { caller, operation, meter, .. } = live;
        state.count(caller, meter.as_ref()).await?;
        if kind_of(&operation.query, operation.name.as_deref()) == Kind::Subscription {
            let stream = Some(state.streams.enter(&caller.principal.tenant)?);
            let counted = state.metrics.stream(transport);
            return Ok(Self { until: None, _stream: stream, _work: None, _counted: counted });
        }
        let deadline = Instant::now() + state.config.server.request_timeout;
        let work = Some(state.enter(caller, 1, operation.most.is_none(), deadline).await?);
        Ok(Self { until: Some(deadline), _stream: None, _work: work, _counted: state.metrics.working() })
    }
}

/// Runs an operation to its end; a panic ends this operation alone.
pub(super) async fn operate(state: &AppState, live: Live, place: Place, channel: impl Channel + Send + Sync) {
    let request_id = live.request_id.clone();
    let work = layers::within(request_id.clone(), relay(state, live, place, &channel));
    let ended = AssertUnwindSafe(work).catch_unwind().await;
    match ended {
        Ok(Ok(())) => channel.complete(),
        Ok(Err(Ended::Refused(body))) => channel.fail(body),
        Ok(Err(Ended::Fault(fault))) => channel.fail(refused(state, fault)),
        Ok(Err(Ended::Gone)) => {}
        Err(_) => channel.fail(Refusal::internal(&request_id).body().into()),
    }
}

/// Counts a fault and says what the client is told of it.
pub(super) fn refused(state: &AppState, fault: Fault) -> Bytes {
    state.metrics.refused(fault.code().as_str());
    Refusal::from(fault).body().into()
}

/// Why an operation ended before its stream.
enum Ended {
    /// Nothing was executed; the response says why.
    Refused(Bytes),
    Fault(Fault),
    Gone,
}

async fn relay(state: &AppState, live: Live, place: Place, channel: &(impl Channel + Sync)) -> Result<(), Ended> {
    let Live { caller, operation, write, meter, .. } = live;
    let soon = Instant::now() + state.config.server.request_timeout;
    let until = place.until;
    let mut traced = state.metrics.tracing();
    let (may_write, deadline) = (write.is_some(), until.unwrap_or(soon));
    let ask = ask(operation, Asking { may_write, key: write.flatten(), deadline, meter }, traced.trace());
    let mut answers = caller.api.watch(Arc::unwrap_or_clone(caller.principal), ask);
    loop {
        let began = Instant::now();
        let next = match until {
            None => event(&mut answers, &mut traced).await,
            Some(until) => timeout_at(until, answers.next()).await.map_err(|_| Ended::Fault(too_late()))?,
        };
        let Some(answer) = next else { return Ok(()) };
        traced.count();
        state.metrics.answered(&answer, until.map(|_| began.elapsed()));
        if answer.refused.is_some() {
            return Err(Ended::Refused(answer.body));
        }
        channel.next(answer.body).await.map_err(|reason| match reason {
            NotTaken::Slow => Ended::Fault(too_slow()),
            NotTaken::Gone => Ended::Gone,
        })?;
    }
}

/// The next event of a subscription. Events that the subscriber must not see cost statements, too, and no answer tells of them.
async fn event(answers: &mut BoxStream<'static, Answer>, traced: &mut Traced<'_>) -> Option<Answer> {
    loop {
        match timeout(COUNTED, answers.next()).await {
            Ok(next) => return next,
            Err(_) => traced.count(),
        }
    }
}

fn too_slow() -> Fault {
    let message = "the consumer is too slow: events waited for longer than live.patience; \
                   subscribe again, with `since` to miss none";
    Fault::client(Code::Overloaded, message)
}
