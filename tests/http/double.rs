//! An engine's double: it answers by words in the document, and notes what it was asked for.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::{self, BoxStream, StreamExt};
use quipu::http::{Absent, Condition, Gateway, Probe, Readiness, TenantApi};
use quipu_resolvers::fault::Code;
use quipu_resolvers::guard::{Principal, TenantId};
use quipu_resolvers::ports::{Clock, StoreName};
use quipu_resolvers::{Answer, Ask, TextHash};
use serde_json::{Value, json};

/// Serves the tenants `library` and `cryox`.
#[derive(Default)]
pub struct Double(Arc<Notes>);

/// What the double was asked for.
#[derive(Default)]
pub struct Notes {
    /// Asks, as JSON.
    pub asked: Mutex<Vec<Value>>,
    /// Work that has begun and is neither done nor dropped.
    pub working: AtomicUsize,
    /// Events that were taken from endless subscriptions.
    pub taken: AtomicUsize,
}

struct Working(Arc<Notes>);

impl Drop for Working {
    fn drop(&mut self) {
        self.0.working.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Double {
    pub fn notes(&self) -> Arc<Notes> {
        self.0.clone()
    }
}

impl Gateway for Double {
    fn api(&self, tenant: &TenantId) -> Result<Arc<dyn TenantApi>, Absent> {
        match tenant.as_str() {
            "library" | "cryox" => Ok(Arc::new(Double(self.0.clone()))),
            "waiting" => Err(Absent::NotReady),
            _ => Err(Absent::Unknown),
        }
    }
}

fn answer(data: Value, operation: &'static str) -> Answer {
    Answer {
        body: json!({"data": data}).to_string().into(),
        refused: None,
        errors: 0,
        codes: Vec::new(),
        operation: Some(operation),
        position: None,
    }
}

fn refused(code: Code, message: &str) -> Answer {
    let body = json!({"errors": [{"message": message, "extensions": {"code": code.as_str()}}]});
    Answer {
        body: body.to_string().into(),
        refused: Some(code),
        errors: 1,
        codes: vec![code],
        operation: None,
        position: None,
    }
}

fn refusal_in(query: &str) -> Option<Answer> {
    let all = [
        Code::GraphqlParseFailed,
        Code::GraphqlValidationFailed,
        Code::BadUserInput,
        Code::TooExpensive,
        Code::Forbidden,
        Code::EmbeddingUnavailable,
        Code::StoreUnavailable,
        Code::Internal,
        Code::Timeout,
    ];
    all.into_iter().find(|code| query.contains(code.as_str())).map(|code| refused(code, "as asked"))
}

#[async_trait]
impl TenantApi for Double {
    async fn answer(&self, principal: &Principal, ask: Ask) -> Answer {
        self.0.working.fetch_add(1, Ordering::SeqCst);
        let _working = Working(self.0.clone());
        self.0.asked.lock().unwrap().push(json!({
            "query": ask.query, "operationName": ask.operation_name, "variables": ask.variables,
            "key": ask.idempotency_key, "mayWrite": ask.may_write, "tenant": principal.tenant.as_str(),
        }));
        ask.trace.ran(StoreName::Graph, Duration::ZERO, || unreachable!("nothing is kept"));
        let query = ask.query.as_str();
        if let Some(answer) = refusal_in(query) {
            return answer;
        }
        match query {
            _ if query.contains("panic") => panic!("a secret of the inside"),
            _ if query.contains("sleep") => std::future::pending().await,
            _ if query.contains("nap") => tokio::time::sleep(Duration::from_millis(50)).await,
            _ => {}
        }
        if query.starts_with("mutation") && !ask.may_write {
            return refused(Code::BadRequest, "a mutation must be sent by POST");
        }
        if query.contains("partial") {
            let body = json!({"data": {"a": null}, "errors": [{"message": "a failed", "path": ["a"]}]}).to_string();
            return Answer {
                body: body.into(),
                refused: None,
                errors: 1,
                codes: Vec::new(),
                operation: Some("query"),
                position: None,
            };
        }
        let operation = if query.starts_with("mutation") { "mutation" } else { "query" };
        answer(json!({"tenant": principal.tenant.as_str(), "roles": principal.claims["roles"]}), operation)
    }

    fn watch(&self, principal: Principal, ask: Ask) -> BoxStream<'static, Answer> {
        let notes = self.0.clone();
        if !ask.query.starts_with("subscription") {
            let this = Double(notes);
            return stream::once(async move { this.answer(&principal, ask).await }).boxed();
        }
        notes.working.fetch_add(1, Ordering::SeqCst);
        let working = Working(notes.clone());
        let tenant = principal.tenant;
        let tick = move |n: usize| answer(json!({"tick": n, "tenant": tenant.as_str()}), "subscription");
        let held = move |answer: Answer| {
            let _ = &working;
            answer
        };
        match ask.query.as_str() {
            query if refusal_in(query).is_some() => stream::iter(refusal_in(query)).map(held).boxed(),
            query if query.contains("panic") => {
                stream::iter(0..3).map(move |n| if n == 1 { panic!("a secret") } else { tick(n) }).map(held).boxed()
            }
            query if query.contains("flood") => stream::iter(0..)
                .map(move |n: usize| {
                    notes.taken.store(n, Ordering::SeqCst);
                    answer(json!({"flood": "x".repeat(10_000), "n": n}), "subscription")
                })
                .map(held)
                .boxed(),
            query if query.contains("forever") => {
                stream::iter(0..1).map(tick).chain(stream::pending()).map(held).boxed()
            }
            _ => stream::iter(0..3).map(tick).map(held).boxed(),
        }
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

/// Parts of the process that are up, or not.
pub struct Health {
    pub store_down: bool,
    pub model: Condition,
    pub hangs: bool,
    /// How often the parts were asked.
    pub asked: Arc<AtomicUsize>,
}

impl Default for Health {
    fn default() -> Self {
        Self { store_down: false, model: Condition::Up, hangs: false, asked: Arc::default() }
    }
}

#[async_trait]
impl Readiness for Health {
    async fn probe(&self) -> Vec<Probe> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if self.hangs {
            std::future::pending::<()>().await;
        }
        vec![
            Probe { part: "graph".into(), condition: Condition::of(!self.store_down), essential: true },
            Probe { part: "embedding".into(), condition: self.model, essential: false },
        ]
    }
}

/// The system's time.
pub struct Wall;

impl Clock for Wall {
    fn now_ms(&self) -> i64 {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        i64::try_from(since.as_millis()).unwrap()
    }
}
