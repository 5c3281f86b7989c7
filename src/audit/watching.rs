//! Sees every operation on its way through the gateway, whichever the transport, and hands those that are to be kept to the scribe.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::stream::{self, BoxStream, StreamExt};
use quipu_resolvers::fault::Code;
use quipu_resolvers::guard::{Principal, TenantId};
use quipu_resolvers::ports::{Clock, Trace};
use quipu_resolvers::value::scalar;
use quipu_resolvers::{Answer, Ask, TextHash};
use serde_json::{Map, Value as Json};
use sha2::{Digest, Sha256};

use super::{Decision, Record, Scribe, Whose};
use crate::config::{AuditKinds, AuditVariables};
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

    /// Something that was done to a tenant or the gateway itself: kept before it is told to have been done. `subject` is who did it.
    pub async fn administered(
        &self,
        whose: Whose,
        subject: &str,
        action: &str,
        about: Map<String, Json>,
        done: Result<(), &str>,
    ) {
        if !self.kinds.administration {
            return;
        }
        let record = Record {
            who: Some(subject.to_owned()),
            variables: about,
            decision: if done.is_ok() { Decision::Allowed } else { Decision::Refused },
            codes: done.err().map(str::to_owned).into_iter().collect(),
            ..self.record(action, None)
        };
        if !self.scribe.keep(whose.clone(), record).await {
            tracing::error!(%whose, action, "not in the audit trail yet");
        }
    }

    fn record(&self, action: &str, principal: Option<&Principal>) -> Record {
        let roles = principal.and_then(|who| who.claims.get("roles")).and_then(Json::as_array);
        Record {
            at: scalar::stamp_ms(self.clock.now_ms()),
            who: principal.and_then(|who| who.subject.clone()),
            roles: roles.into_iter().flatten().filter_map(|role| role.as_str().map(str::to_owned)).collect(),
            action: action.to_owned(),
            operation: None,
            document: None,
            variables: Map::new(),
            types: Default::default(),
            records: 0,
            decision: Decision::Allowed,
            codes: Vec::new(),
            request: current_request().map(|id| id.to_string()),
            times: 1,
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
    fn begin(&self, ask: &Ask) -> Begun {
        ask.trace.tell_about();
        Begun {
            name: ask.operation_name.clone(),
            document: hex(&Sha256::digest(ask.query.as_bytes())),
            variables: self.variables.of(&ask.variables),
            trace: ask.trace.clone(),
        }
    }

    /// Whether an answer is to be kept, and the record of it.
    fn of_answer(&self, principal: &Principal, begun: &Begun, answer: &Answer) -> Option<Record> {
        let about = begun.trace.told().unwrap_or_default();
        let denied = |code: &&Code| matches!(code, Code::Forbidden | Code::Unauthenticated);
        let refused = answer.refused.is_some() || answer.codes.iter().any(|code| denied(&code));
        let action = about.operation.or(answer.operation).unwrap_or("operation");
        let wanted = match action {
            "mutation" => self.kinds.writes,
            "subscription" => self.kinds.subscriptions,
            _ => self.kinds.reads,
        };
        if !(wanted || refused && self.kinds.refusals) {
            return None;
        }
        let decision = match (answer.refused, refused) {
            (Some(_), _) => Decision::Refused,
            (None, true) => Decision::Partly,
            (None, false) => Decision::Allowed,
        };
        Some(Record {
            operation: begun.name.clone(),
            document: Some(begun.document.clone()),
            variables: begun.variables.clone(),
            types: about.types,
            records: about.records,
            decision,
            codes: answer.codes.iter().map(|code| code.as_str().to_owned()).collect(),
            ..self.record(action, Some(principal))
        })
    }
}

struct Begun {
    name: Option<String>,
    document: String,
    variables: Map<String, Json>,
    trace: Arc<Trace>,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A gateway whose operations are watched.
pub struct Watched {
    inner: Arc<dyn Gateway>,
    watching: Watching,
}

impl Watched {
    /// Watches another gateway.
    pub fn over(inner: Arc<dyn Gateway>, watching: Watching) -> Self {
        Self { inner, watching }
    }
}

impl Gateway for Watched {
    fn api(&self, tenant: &TenantId) -> Result<Arc<dyn TenantApi>, Absent> {
        let inner = self.inner.api(tenant)?;
        Ok(Arc::new(WatchedApi { inner, watching: self.watching.clone() }))
    }
}

struct WatchedApi {
    inner: Arc<dyn TenantApi>,
    watching: Watching,
}

#[async_trait]
impl TenantApi for WatchedApi {
    async fn answer(&self, principal: &Principal, ask: Ask) -> Answer {
        let begun = self.watching.begin(&ask);
        let answer = self.inner.answer(principal, ask).await;
        if let Some(record) = self.watching.of_answer(principal, &begun, &answer) {
            self.watching.hand(&principal.tenant, record).await;
        }
        answer
    }

    /// Of a stream, its first response is noted, and its last one if that is a refusal.
    fn watch(&self, principal: Principal, ask: Ask) -> BoxStream<'static, Answer> {
        let begun = self.watching.begin(&ask);
        let (watching, who) = (self.watching.clone(), principal.clone());
        let answers = self.inner.watch(principal, ask);
        let watched = WatchedStream { watching, who, begun, silent: true };
        let next = async |(mut answers, mut watched): (BoxStream<'static, Answer>, WatchedStream)| {
            let answer = answers.next().await?;
            watched.saw(&answer).await;
            Some((answer, (answers, watched)))
        };
        stream::unfold((answers, watched), next).boxed()
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

/// A stream that is watched.
struct WatchedStream {
    watching: Watching,
    who: Principal,
    begun: Begun,
    /// Nothing was noted of it yet.
    silent: bool,
}

impl WatchedStream {
    async fn saw(&mut self, answer: &Answer) {
        let first = std::mem::take(&mut self.silent);
        if !(first || answer.refused.is_some()) {
            return;
        }
        if let Some(record) = self.watching.of_answer(&self.who, &self.begun, answer) {
            self.watching.hand(&self.who.tenant, record).await;
        }
    }
}

impl Drop for WatchedStream {
    /// A subscription that was ended before anything happened was one all the same.
    fn drop(&mut self) {
        let nothing = Answer {
            body: Default::default(),
            refused: None,
            errors: 0,
            codes: Vec::new(),
            operation: None,
            position: None,
        };
        if self.silent
            && let Some(record) = self.watching.of_answer(&self.who, &self.begun, &nothing)
        {
            self.watching.scribe.note(Whose::Tenant(self.who.tenant.clone()), record);
        }
    }
}
