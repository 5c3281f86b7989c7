//! `/admin/v1`: what whoever runs the gateway does to tenants, ontologies, keys and plans, and what the audit trail tells.
//!
//! A call is one of a table ([`routes`]), each with the name under which the audit trail has it and with who may make it. One function ([`run`])
//! takes all of them: it asks for credentials, looks at rights, reads the body, has the work done, and notes in the audit trail what came of
//! it. No call is in nobody's reach but through it.
//!
//! An operator is a caller of the tenant that `admin.operators` names, with the role `operator`: an identity provider that speaks for another
//! tenant can hand out roles as it likes and makes no operators. Whoever has the role `tenant-admin` administers their own tenant. Everybody
//! else is refused in the same words, whether there is such a tenant or not.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Query, RawPathParams, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts as Head;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use quipu_resolvers::fault::{Code, Fault};
use quipu_resolvers::guard::{Principal, TenantId};
use quipu_resolvers::value::scalar;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};
use tokio::time::Instant;
use tracing::Instrument;

use super::graphql::{bounds, read_body};
use super::reply::{JSON, Refusal};
use super::state::AppState;
use super::{layers, negotiate, operation};
use crate::audit::watching::Act;
use crate::audit::{Trail, Whose};
use crate::auth::{self, Credentials};
use crate::tenancy::Publisher;

mod keys;
mod ontologies;
mod plans;
mod tenants;
mod trail;

/// The media type of JSON Lines.
const LINES: &str = "application/jsonl; charset=utf-8";
/// The role of whoever may administer all tenants.
const OPERATOR: &str = "operator";
/// The role of whoever may administer their own tenant.
const TENANT_ADMIN: &str = "tenant-admin";

/// What calls work on.
pub struct Administration {
    /// Publishes, and has the stores.
    pub publisher: Publisher,
    /// What is kept of keys.
    pub credentials: Arc<dyn Credentials>,
    /// The audit trail.
    pub trail: Arc<dyn Trail>,
}

/// Who may make a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum May {
    /// Operators.
    Operators,
    /// Operators, and whoever administers the tenant in the path; without one, any tenant.
    Admins,
}

/// A call that is allowed.
pub(super) struct Call {
    state: Arc<AppState>,
    admin: Arc<Administration>,
    /// What the path names, the tenant excepted.
    path: HashMap<String, String>,
    tenant: Option<TenantId>,
    query: HashMap<String, String>,
    body: Json,
}

/// What came of a call.
pub(super) struct Done {
    status: StatusCode,
    body: Content,
    /// What the audit trail is told besides what the path says.
    about: Map<String, Json>,
    /// In whose chain, where that is not the one of the tenant in the path.
    whose: Option<Whose>,
}

/// What is answered.
enum Content {
    Json(Json),
    /// JSON Lines, as they come.
    Lines(Body),
}

type Outcome = Result<Done, Refusal>;

impl Done {
    /// An answer, and nothing to be told about it.
    fn with(body: Json) -> Self {
        Self { status: StatusCode::OK, body: Content::Json(body), about: Map::new(), whose: None }
    }

    /// The same; something was made.
    fn created(body: Json) -> Self {
        Self { status: StatusCode::CREATED, ..Self::with(body) }
    }

    /// Lines that come by and by.
    fn lines(body: Body) -> Self {
        Self { body: Content::Lines(body), ..Self::with(Json::Null) }
    }

    /// It is told in the chain of a tenant that the path does not name.
    fn of(self, tenant: TenantId) -> Self {
        Self { whose: Some(Whose::Tenant(tenant)), ..self }
    }

    /// It is told in the gateway's own chain.
    fn of_gateway(self) -> Self {
        Self { whose: Some(Whose::Gateway), ..self }
    }

    /// The audit trail is told this as well.
    fn about(mut self, name: &str, value: impl Into<Json>) -> Self {
        self.about.insert(name.to_owned(), value.into());
        self
    }
}

impl Call {
    /// The tenant that it is about, which exists.
    ///
    /// # Errors
    /// When the path names none.
    fn tenant(&self) -> Result<&TenantId, Refusal> {
        self.tenant.as_ref().ok_or_else(Refusal::no_such_path)
    }

    fn path(&self, name: &str) -> &str {
        self.path.get(name).map_or("", String::as_str)
    }

    /// The body in the form that the call expects.
    ///
    /// # Errors
    /// What is wrong with it.
    fn body<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        T::deserialize(&self.body).map_err(|error| Refusal::bad_request(format!("the body: {error}")))
    }

    /// A parameter of the URL, if it is there.
    ///
    /// # Errors
    /// When it has another form.
    fn parameter<T: std::str::FromStr>(&self, name: &str, expected: &str) -> Result<Option<T>, Refusal> {
        let Some(text) = self.query.get(name) else { return Ok(None) };
        let wrong = |_| Refusal::bad_request(format!("the parameter `{name}` must be {expected}"));
        text.parse().map(Some).map_err(wrong)
    }

    /// Refuses parameters of the URL that mean nothing here: one with a typing error would be ignored otherwise.
    ///
    /// # Errors
    /// When there is one.
    fn knows(&self, parameters: &[&str]) -> Result<(), Refusal> {
        match self.query.keys().find(|name| !parameters.contains(&name.as_str())) {
            None => Ok(()),
            Some(_) if parameters.is_empty() => Err(Refusal::bad_request("the call takes no parameters in its URL")),
            Some(name) => {
                let message = format!("there is no parameter {name:?} here; there are {}", parameters.join(", "));
                Err(Refusal::bad_request(message))
            }
        }
    }

    fn now_ms(&self) -> i64 {
        self.admin.publisher.ports.clock.now_ms()
    }
}

/// Something that is not there.
fn not_found(what: String) -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, Code::NotFound.as_str(), what)
}

/// A GraphQL request in which something is wrong is a bad one whatever that is; here paths name what is not there, or in the way.
fn of_resources(refusal: Refusal) -> Refusal {
    let status = match refusal.code {
        code if code == Code::NotFound.as_str() => StatusCode::NOT_FOUND,
        code if code == Code::Conflict.as_str() => StatusCode::CONFLICT,
        _ => refusal.status,
    };
    Refusal { status, ..refusal }
}

/// A time, where there is one.
fn stamp(at_ms: Option<i64>) -> Json {
    at_ms.map_or(Json::Null, |at| scalar::stamp_ms(at).into())
}

/// All calls.
pub(super) fn routes(state: &Arc<AppState>) -> Router {
    use May::{Admins, Operators};
    let gets = async || Refusal::method("GET, HEAD");
    let posts = async || Refusal::method("POST");
    let both = async || Refusal::method("GET, HEAD, POST");
    let deletes = async || Refusal::method("DELETE");
    let goes = async || Refusal::method("GET, HEAD, DELETE");
    let plan = async || Refusal::method("GET, HEAD, PUT, DELETE");
    let tenant = Router::new()
        .route("/suspend", post(call("tenant.suspend", Operators, tenants::suspend)).fallback(posts))
        .route("/resume", post(call("tenant.resume", Operators, tenants::resume)).fallback(posts))
        .route("/export", get(call("tenant.export", Admins, tenants::export)).fallback(gets))
        .route(
            "/plan",
            get(call("plan.show", Admins, plans::show))
                .put(call("plan.set", Operators, plans::set))
                .delete(call("plan.reset", Operators, plans::reset))
                .fallback(plan),
        )
        .route(
            "/ontology",
            get(call("ontology.show", Admins, ontologies::show))
                .post(call("ontology.publish", Admins, ontologies::publish))
                .fallback(both),
        )
        .route("/ontology/diff", post(call("ontology.diff", Admins, ontologies::compare)).fallback(posts))
        .route("/ontology/versions", get(call("ontology.history", Admins, ontologies::history)).fallback(gets))
        .route("/ontology/versions/{version}", get(call("ontology.show", Admins, ontologies::version)).fallback(gets))
        .route("/ontology/rollback", post(call("ontology.rollback", Admins, ontologies::roll_back)).fallback(posts))
        .route(
            "/keys",
            get(call("key.list", Admins, keys::list)).post(call("key.create", Admins, keys::create)).fallback(both),
        )
        .route("/keys/{key}", delete(call("key.revoke", Admins, keys::revoke)).fallback(deletes))
        .route("/audit", get(call("audit.list", Admins, trail::list)).fallback(gets))
        .route("/audit/verify", get(call("audit.verify", Admins, trail::verify)).fallback(gets));
    let all = Router::new()
        .route("/ontology/check", post(call("ontology.check", Admins, ontologies::check)).fallback(posts))
        .route("/audit", get(call("audit.list", Operators, trail::list)).fallback(gets))
        .route("/audit/verify", get(call("audit.verify", Operators, trail::verify)).fallback(gets))
        .route(
            "/tenants",
            get(call("tenant.list", Operators, tenants::list))
                .post(call("tenant.create", Operators, tenants::create))
                .fallback(both),
        )
        .route(
            "/tenants/{tenant}",
            get(call("tenant.show", Admins, tenants::show))
                .delete(call("tenant.delete", Operators, tenants::delete))
                .fallback(goes),
        )
        .nest("/tenants/{tenant}", tenant);
    Router::new().nest("/admin/v1", all).with_state(state.clone())
}

/// A call of the table: its name in the audit trail, who may make it, and what it does.
fn call<W, F>(
    action: &'static str,
    may: May,
    work: W,
) -> impl Fn(State<Arc<AppState>>, RawPathParams, Request) -> BoxFuture<'static, Response> + Clone + Send + Sync + 'static
where
    W: Fn(Call) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Outcome> + Send + 'static,
{
    move |State(state), path, request| {
        let work = work.clone();
        let path = path.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let (head, body) = request.into_parts();
        async move { answer(run(&state, (action, may), path, &head, body, work).await) }.boxed()
    }
}

fn answer(outcome: Outcome) -> Response {
    match outcome {
        Ok(Done { status, body: Content::Json(body), .. }) => {
            (status, [(CONTENT_TYPE, HeaderValue::from_static(JSON))], body.to_string()).into_response()
        }
        Ok(Done { status, body: Content::Lines(lines), .. }) => {
            (status, [(CONTENT_TYPE, HeaderValue::from_static(LINES))], lines).into_response()
        }
        Err(refusal) => refusal.into_response(),
    }
}

async fn run<W, F>(
    state: &Arc<AppState>,
    (action, may): (&'static str, May),
    mut path: HashMap<String, String>,
    head: &Head,
    body: Body,
    work: W,
) -> Outcome
where
    W: Fn(Call) -> F + Send + 'static,
    F: Future<Output = Outcome> + Send + 'static,
{
    let Some(admin) = &state.administration else { return Err(Refusal::no_such_path()) };
    let deadline = Instant::now() + state.config.server.request_timeout;
    let _place = state.admission.enter_unknown(deadline).await?;
    // No cookies: nothing that a page of somebody else could make a browser send.
    let verified = match auth::bearer_of(&head.headers) {
        Ok(token) => state.verified(token).await,
        Err(denied) => Err(denied),
    };
    let who = verified.map_err(|denied| state.refused(denied))?.principal;
    let named = path.remove("tenant");
    let about = path.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
    let mut made = Made { state: state.clone(), who, action, whose: Whose::Gateway, about };
    let rights = Rights::of(&made.who, state.config.admin.operators.as_ref());
    if !rights.suffice(may, &made.who.tenant, named.as_deref()) {
        // In the gateway's own chain: no stranger writes into that of a tenant, and there may be none of this name.
        made.about.extend(named.map(|tenant| ("tenant".to_owned(), tenant.into())));
        made.about.insert("callerTenant".to_owned(), made.who.tenant.as_str().into());
        return made.told(Err(forbidden())).await;
    }
    let prepared = async {
        if !rights.operator {
            state.open(&made.who.tenant).map_err(|denied| state.refused(denied))?;
        }
        let tenant = match named.as_deref() {
            Some(name) => Some(admin.tenant(name, action).await?),
            None => None,
        };
        if let Some(tenant) = &tenant {
            made.whose = Whose::Tenant(tenant.clone());
            if rights.operator {
                made.about.insert("callerTenant".to_owned(), made.who.tenant.as_str().into());
            }
        }
        let query = parameters(head)?;
        let body = content(state, head, body, deadline).await?;
        Ok(Call { state: state.clone(), admin: admin.clone(), path, tenant, query, body })
    };
    let prepared = prepared.await;
    // A task of its own: whoever goes away in the middle interrupts nothing, and the trail is told what came of it. In that, another
    // one: what panics is told as well.
    let working = async move {
        let worked = match prepared {
            Ok(call) => match tokio::spawn(work(call).in_current_span()).await {
                Ok(outcome) => outcome,
                Err(error) => Err(Fault::internal("admin", error).into()),
            },
            Err(refusal) => Err(refusal),
        };
        made.told(worked).await
    };
    let request = layers::current_request().unwrap_or_default();
    let done = tokio::spawn(layers::within(request, working).in_current_span()).await;
    done.map_err(|error| Fault::internal("admin", error))?
}

/// A call that was made by somebody who is known.
struct Made {
    state: Arc<AppState>,
    who: Arc<Principal>,
    action: &'static str,
    /// In whose chain it is told.
    whose: Whose,
    about: Map<String, Json>,
}

impl Made {
    /// Tells the audit trail what came of it.
    async fn told(self, outcome: Outcome) -> Outcome {
        let Self { state, who, action, mut whose, mut about } = self;
        let mut outcome = outcome.map_err(of_resources);
        match &mut outcome {
            Ok(done) => {
                about.append(&mut done.about);
                whose = done.whose.take().unwrap_or(whose);
            }
            Err(refusal) => state.metrics.refused(refusal.code),
        }
        if let Some(watching) = &state.watching {
            let refused = outcome.as_ref().err().map(|refusal| refusal.code);
            watching.administered(whose, &who, Act { action, about }, refused).await;
        }
        outcome
    }
}

/// What roles let somebody do.
struct Rights {
    operator: bool,
    /// Of their own tenant.
    admin: bool,
}

impl Rights {
    fn of(who: &Principal, operators: Option<&TenantId>) -> Self {
        let roles = who.claims["roles"].as_array();
        let has = |role: &str| roles.is_some_and(|roles| roles.iter().any(|one| one == role));
        let of_operators = operators == Some(&who.tenant);
        // Whoever administers the tenant of the operators could make themselves one.
        Self { operator: of_operators && has(OPERATOR), admin: !of_operators && has(TENANT_ADMIN) }
    }

    fn suffice(&self, may: May, own: &TenantId, tenant: Option<&str>) -> bool {
        self.operator || (may == May::Admins && self.admin && tenant.is_none_or(|tenant| tenant == own.as_str()))
    }
}

/// The one answer to whoever may not.
fn forbidden() -> Refusal {
    let message = "only operators may do this, and with the role tenant-admin whoever administers the tenant";
    Fault::client(Code::Forbidden, message).into()
}

impl Administration {
    /// The tenant of a name. Of one that was deleted there is its trail alone, and deleting it once more.
    ///
    /// # Errors
    /// When there is none.
    async fn tenant(&self, name: &str, action: &str) -> Result<TenantId, Refusal> {
        let tenants = self.publisher.ports.metadata.tenants().await?;
        let found = tenants.into_iter().find(|state| state.tenant.as_str() == name);
        let after = action == "tenant.delete" || action == "tenant.show" || action.starts_with("audit.");
        let found = found.filter(|state| state.life.is_there() || after);
        found.map(|state| state.tenant).ok_or_else(|| not_found(format!("there is no tenant {name:?}")))
    }
}

fn parameters(head: &Head) -> Result<HashMap<String, String>, Refusal> {
    let unreadable = |_| Refusal::bad_request("the query of the URL cannot be read");
    let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(&head.uri).map_err(unreadable)?;
    let count = pairs.len();
    let parameters: HashMap<_, _> = pairs.into_iter().collect();
    if parameters.len() < count {
        return Err(Refusal::bad_request("a parameter of the URL occurs twice"));
    }
    Ok(parameters)
}

/// The body as JSON; null where there is none to be.
async fn content(state: &AppState, head: &Head, body: Body, deadline: Instant) -> Result<Json, Refusal> {
    if !matches!(head.method, Method::POST | Method::PUT) {
        return Ok(Json::Null);
    }
    let body = read_body(body, state.config.server.body_bytes.0, deadline).await?;
    if body.is_empty() {
        return Ok(Json::Null);
    }
    negotiate::check_body(&head.headers)?;
    operation::read(&body, bounds(state))
}
