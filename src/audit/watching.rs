//! Sees every operation on its way through the gateway, whichever the transport, and hands those that are to be kept to the scribe.

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::stream::{self, BoxStream, StreamExt};
use quipu_resolvers::fault::Code;
use quipu_resolvers::guard::{Principal, TenantId};
use quipu_resolvers::ports::{Clock, Trace};
use quipu_resolvers::value::scalar;
use quipu_resolvers::{Answer, Ask, TextHash};
use serde_json::{Map, Value as Json};
use tokio::sync::watch;

use super::{Decision, Record, Scribe, Whose, chain};
use crate::auth::{Ear, Event};
use crate::config::{AuditKinds, AuditVariables, OwnPlan};
use crate::http::{Absent, Gateway, TenantApi, current_request};

/// What is kept, and how.
#[derive(Clone)]
pub struct Watching {
    /// Takes the records.
    pub scribe: Scribe,
    /// Which operations.
    pub kinds: AuditKinds,
    /// What of their variables.
    pub variables: AuditVariables,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// Something that is done to a tenant or to the gateway itself.
#[derive(Debug, Clone)]
pub struct Act {
    /// What, like `ontology.publish`.
    pub action: &'static str,
    /// What it is about: names and numbers, no secrets.
    pub about: Map<String, Json>,
}

impl Watching {
    /// Credentials that were refused.
    pub fn credentials_refused(&self, why: &str) {
        if !self.kinds.refusals {
            return;
        }
        let record = Record {
            codes: vec![Code::Unauthenticated.as_str().to_owned(), why.to_owned()],
            decision: Decision::Refused,
            ..self.record("credentials", None)
        };
        self.scribe.note(Whose::Gateway, record);
    }

    /// Something that was done to a tenant or to the gateway itself, kept before it is told to have been done; or was refused.
    pub async fn administered(&self, whose: Whose, who: &Principal, act: Act, refused: Option<&str>) {
        if !self.kinds.administration {
            return;
        }
        let record = Record {
            variables: act.about,
            decision: if refused.is_none() { Decision::Allowed } else { Decision::Refused },
            codes: refused.map(str::to_owned).into_iter().collect(),
            ..self.record(act.action, Some(who))
        };
        if refused.is_some() {
            self.scribe.note(whose, record);
        } else if !self.scribe.keep(whose.clone(), record).await {
            tracing::error!(%whose, action = act.action, "not in the audit trail yet");
        }
    }

    /// A request of a known caller that was refused before its document was looked at.
    pub fn refused(&self, who: &Principal, code: Code) {
        if !self.kinds.refusals {
            return;
        }
        let record = Record {
            decision: Decision::Refused,
            codes: vec![code.as_str().to_owned()],
            ..self.record("operation", Some(who))
        };
        self.scribe.note(Whose::Tenant(who.tenant.clone()), record);
    }

    fn record(&self, action: &str, principal: Option<&Principal>) -> Record {
        let roles = principal.and_then(|who| who.claims.get("roles")).and_then(Json::as_array);
        Record {
            who: principal.and_then(|who| who.subject.clone()),
            roles: roles.into_iter().flatten().filter_map(|role| role.as_str().map(str::to_owned)).collect(),
            request: current_request().map(|id| id.to_string()),
            ..Record::new(scalar::stamp_ms(self.clock.now_ms()), action)
        }
    }

    /// Hands over a record. What was written is told when it is known who wrote it; nobody waits for a record of anything else.
    async fn hand(&self, tenant: &TenantId, record: Record) {
        let whose = Whose::Tenant(tenant.clone());
        if record.action != "mutation" || record.decision == Decision::Refused {
            self.scribe.note(whose, record);
        } else if !self.scribe.keep(whose, record).await {
            tracing::error!(%tenant, "a mutation is not in the audit trail yet");
        }
    }

    /// What has to be remembered of a request, since the engine takes it.
    fn begin<'p>(self: &Arc<Self>, who: Cow<'p, Principal>, ask: &Ask) -> Begun<'p> {
        ask.trace.tell_about();
        Begun {
            watching: self.clone(),
            who,
            name: ask.operation_name.clone(),
            variables: self.variables.of(&ask.variables),
            trace: ask.trace.clone(),
            silent: true,
        }
    }
}

impl Ear for Watching {
    fn hear(&self, tenant: &TenantId, event: Event<'_>) {
        let wanted = if event.refusal().is_some() { self.kinds.refusals } else { self.kinds.administration };
        if wanted {
            let record = Record::of(scalar::stamp_ms(self.clock.now_ms()), event);
            let request = current_request().map(|id| id.to_string());
            self.scribe.note(Whose::Tenant(tenant.clone()), Record { request, ..record });
        }
    }
}

/// An operation that is watched, until there is nothing more to come of it.
struct Begun<'p> {
    watching: Arc<Watching>,
    who: Cow<'p, Principal>,
    name: Option<String>,
    variables: Map<String, Json>,
    trace: Arc<Trace>,
    /// Nothing was noted of it yet.
    silent: bool,
}

impl Begun<'_> {
    /// Of a stream, its first response is noted, and a later one that ends it by a refusal.
    async fn saw(&mut self, answer: &Answer) {
        let first = std::mem::take(&mut self.silent);
        if (first || answer.refused.is_some())
            && let Some(record) = self.record(answer.refused, &answer.codes)
        {
            self.watching.hand(&self.who.tenant, record).await;
        }
    }

    /// The record of a response, if it is to be kept.
    fn record(&self, refusal: Option<Code>, codes: &[Code]) -> Option<Record> {
        let kinds = self.watching.kinds;
        let about = self.trace.told().unwrap_or_default();
        let denied = |code: &Code| matches!(code, Code::Forbidden | Code::Unauthenticated);
        let refused = refusal.is_some() || codes.iter().any(denied);
        let action = about.operation.unwrap_or("operation");
        let wanted = match action {
            "mutation" => kinds.writes,
            "subscription" => kinds.subscriptions,
            _ => kinds.reads,
        };
        if !(wanted || refused && kinds.refusals) {
            return None;
        }
        let decision = match (refusal, refused) {
            (Some(_), _) => Decision::Refused,
            (None, true) => Decision::Partly,
            (None, false) => Decision::Allowed,
        };
        Some(Record {
            operation: self.name.clone(),
            document: about.document.map(|hash| chain::shown(&hash)),
            variables: self.variables.clone(),
            types: about.types,
            records: about.records,
            decision,
            codes: codes.iter().map(|code| code.as_str().to_owned()).collect(),
            ..self.watching.record(action, Some(&self.who))
        })
    }
}

impl Drop for Begun<'_> {
    /// Whoever goes away before there is an answer has asked all the same: a mutation may be in the log by then.
    fn drop(&mut self) {
        if self.silent
            && let Some(record) = self.record(None, &[])
        {
            self.watching.scribe.note(Whose::Tenant(self.who.tenant.clone()), record);
        }
    }
}

/// A gateway whose operations are watched.
pub struct Watched {
    inner: Arc<dyn Gateway>,
    watching: Arc<Watching>,
}

impl Watched {
    /// Watches another gateway.
    pub fn over(inner: Arc<dyn Gateway>, watching: Watching) -> Self {
        Self { inner, watching: Arc::new(watching) }
    }
}

impl Gateway for Watched {
    fn api(&self, tenant: &TenantId) -> Result<Arc<dyn TenantApi>, Absent> {
        let inner = self.inner.api(tenant)?;
        Ok(Arc::new(WatchedApi { inner, watching: self.watching.clone() }))
    }

    fn own_plan(&self, tenant: &TenantId) -> Option<Arc<OwnPlan>> {
        self.inner.own_plan(tenant)
    }

    fn departures(&self) -> watch::Receiver<u64> {
        self.inner.departures()
    }
}

struct WatchedApi {
    inner: Arc<dyn TenantApi>,
    watching: Arc<Watching>,
}

#[async_trait]
impl TenantApi for WatchedApi {
    async fn answer(&self, principal: &Principal, ask: Ask) -> Answer {
        let mut begun = self.watching.begin(Cow::Borrowed(principal), &ask);
        let answer = self.inner.answer(principal, ask).await;
        begun.saw(&answer).await;
        answer
    }

    fn watch(&self, principal: Principal, ask: Ask) -> BoxStream<'static, Answer> {
        let begun = self.watching.begin(Cow::Owned(principal.clone()), &ask);
        let answers = self.inner.watch(principal, ask);
        let next = async |(mut answers, mut begun): (BoxStream<'static, Answer>, Begun<'static>)| {
            let answer = answers.next().await?;
            begun.saw(&answer).await;
            Some((answer, (answers, begun)))
        };
        stream::unfold((answers, begun), next).boxed()
    }

    fn published(&self, id: &str) -> Option<Arc<str>> {
        self.inner.published(id)
    }

    fn is_published(&self, text: &str) -> bool {
        self.inner.is_published(text)
    }

    fn kept(&self, hash: &TextHash) -> Option<Arc<str>> {
        self.inner.kept(hash)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::{Duration, Instant};

    use futures_util::FutureExt;
    use quipu_resolvers::fault::Fault;
    use serde_json::json;

    use super::*;
    use crate::audit::{Anchor, Kept, Trail};
    use crate::stores::clock::SystemClock;

    /// A trail in memory that is only appended to.
    #[derive(Default)]
    struct Texts(Mutex<Vec<String>>);

    #[async_trait]
    impl Trail for Texts {
        async fn append(&self, _whose: &Whose, texts: &[String]) -> Result<u64, Fault> {
            let mut all = self.0.lock().expect("not poisoned");
            all.extend_from_slice(texts);
            Ok(all.len() as u64)
        }

        async fn kept(&self, _whose: &Whose, _after: u64, _limit: u32) -> Result<Vec<Kept>, Fault> {
            Ok(Vec::new())
        }

        async fn anchor(&self, _whose: &Whose) -> Result<Anchor, Fault> {
            Ok(Anchor::NONE)
        }

        async fn prune(&self, _whose: &Whose, _upto: u64) -> Result<u64, Fault> {
            Ok(0)
        }
    }

    /// Understands what it is asked, and never answers.
    struct Silent(&'static str);

    #[async_trait]
    impl TenantApi for Silent {
        async fn answer(&self, _principal: &Principal, ask: Ask) -> Answer {
            ask.trace.about(|about| about.operation = Some(self.0));
            std::future::pending().await
        }

        fn watch(&self, _principal: Principal, ask: Ask) -> BoxStream<'static, Answer> {
            ask.trace.about(|about| about.operation = Some(self.0));
            stream::pending().boxed()
        }

        fn published(&self, _id: &str) -> Option<Arc<str>> {
            None
        }

        fn is_published(&self, _text: &str) -> bool {
            false
        }

        fn kept(&self, _hash: &TextHash) -> Option<Arc<str>> {
            None
        }
    }

    fn ask() -> Ask {
        Ask {
            query: "{ a }".to_owned(),
            operation_name: None,
            variables: Map::new(),
            may_write: true,
            idempotency_key: None,
            position: None,
            deadline: Instant::now() + Duration::from_secs(9),
            trace: Arc::default(),
            pricing: Default::default(),
        }
    }

    #[tokio::test]
    async fn hostile_64_who_goes_away_before_the_answer_has_asked_all_the_same() {
        let tenant = TenantId::parse("acme").expect("a name");
        let claims = json!({ "roles": ["editor"] });
        let who = Principal { tenant, subject: Some("eva".to_owned()), claims, operator: false };
        let texts = Arc::new(Texts::default());
        let (scribe, writing) = Scribe::new(texts.clone());
        let written = tokio::spawn(writing.run());
        let kinds = AuditKinds { subscriptions: true, ..AuditKinds::default() };
        let (variables, clock) = (AuditVariables::Names, Arc::new(SystemClock));
        let watching = Arc::new(Watching { scribe: scribe.clone(), kinds, variables, clock });
        for action in ["mutation", "query"] {
            let api = WatchedApi { inner: Arc::new(Silent(action)), watching: watching.clone() };
            assert!(api.answer(&who, ask()).now_or_never().is_none(), "it is still at work, and is dropped");
        }
        let api = WatchedApi { inner: Arc::new(Silent("subscription")), watching };
        assert!(api.watch(who, ask()).next().now_or_never().is_none());
        assert!(scribe.settled().await);
        let told: Vec<Record> = texts
            .0
            .lock()
            .expect("not poisoned")
            .iter()
            .map(|text| serde_json::from_str(text).expect("a record"))
            .collect();
        let told: Vec<_> = told.iter().map(|record| (record.action.as_str(), record.who.as_deref())).collect();
        assert_eq!(told, [("mutation", Some("eva")), ("subscription", Some("eva"))], "reads are not kept");
        written.abort();
    }
}
