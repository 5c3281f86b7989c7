//! Who asks, and which API that is.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts as Head;
use quipu_resolvers::fault::{Code, Fault};
use quipu_resolvers::guard::{Principal, TenantId};
use tokio::time::{Instant, sleep};

use super::cookies::{self, Kind};
use super::gateway::{Absent, TenantApi};
use super::origin;
use super::reply::Refusal;
use super::state::AppState;
use crate::auth::{self, Denied, Proof, Source, Verified};
use crate::config::Plan;

/// How long a stream goes on whose credentials cannot be looked up again, because their store is away; and the pause before it is tried
/// again.
const FORGIVEN: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_secs(1);

/// A caller whose credentials were verified.
#[derive(Clone)]
pub(super) struct Caller {
    pub principal: Arc<Principal>,
    pub api: Arc<dyn TenantApi>,
    /// Until when the credentials hold.
    pub expires_ms: i64,
    /// What they are.
    pub source: Source,
}

impl AppState {
    /// Who sends a request: by its `Authorization`, or without one by the cookie of a session, which only pages that may can use.
    pub(super) async fn caller_of(&self, head: &Head) -> Result<Caller, Refusal> {
        let proof = self.proof(head);
        if let Ok(Proof::Cookie(_)) = proof {
            origin::check(head, &self.config)?;
        }
        self.caller(proof).await
    }

    /// What a request shows.
    pub(super) fn proof<'a>(&self, head: &'a Head) -> Result<Proof<&'a str>, Denied> {
        if !head.headers.contains_key(AUTHORIZATION)
            && let Some(token) = cookies::value(&head.headers, Kind::Access, &self.config.sessions)?
        {
            return Ok(Proof::Cookie(token));
        }
        auth::bearer_of(&head.headers).map(Proof::Bearer)
    }

    /// Verifies what is shown and finds the tenant's API. The reason of a refusal is logged; the client learns none. Nothing is waited for
    /// but the keys of an issuer, where the token names one that is not known, and what is kept of an API key.
    pub(super) async fn caller(&self, proof: Result<Proof<&str>, Denied>) -> Result<Caller, Refusal> {
        let verified = match proof {
            Ok(Proof::Bearer(token)) => self.verified(token).await,
            Ok(Proof::Cookie(token)) => self.authenticator.session(token).await,
            Err(denied) => Err(denied),
        };
        let verified = verified.map_err(|denied| self.refused(denied))?;
        let api = self.served(&verified.principal)?;
        let Verified { principal, expires_ms, source } = verified;
        tracing::Span::current().record("tenant", principal.tenant.as_str());
        Ok(Caller { principal, api, expires_ms, source })
    }

    /// What a client is told whose credentials are not taken.
    pub(super) fn refused(&self, denied: Denied) -> Refusal {
        match denied {
            Denied::Busy => {
                Fault::client(Code::Overloaded, "too many credentials wait to be looked up; try again").into()
            }
            Denied::Unavailable(cause) => {
                tracing::warn!(cause, "credentials cannot be looked up");
                let message = "what is kept of credentials cannot be asked for at the moment; try again";
                Fault::client(Code::StoreUnavailable, message).into()
            }
            Denied::Suspended => suspended().into(),
            reason => {
                tracing::info!(%reason, "credentials refused");
                let refusal = Refusal::unauthenticated();
                self.metrics.refused(refusal.code);
                if let Some(watching) = &self.watching {
                    watching.credentials_refused(&reason.to_string());
                }
                refusal
            }
        }
    }

    /// Tells the audit trail of a refusal of which no engine knows. A client that sends a hash instead of its document, and is asked for that, is
    /// refused nothing.
    pub(super) fn refused_of(&self, caller: &Caller, code: Code) {
        if let Some(watching) = self.watching.as_ref().filter(|_| code != Code::PersistedQueryNotFound) {
            watching.refused(&caller.principal, code);
        }
    }

    /// What a tenant may use: as the settings say, and over it what was set while the process runs.
    pub(super) fn plan(&self, tenant: &TenantId) -> Plan {
        let set = self.config.plan(tenant);
        match self.gateway.own_plan(tenant) {
            Some(own) => own.over(&set),
            None => set,
        }
    }

    /// Whether a tenant lets anybody in.
    ///
    /// # Errors
    /// When it is suspended.
    pub(super) fn open(&self, tenant: &TenantId) -> Result<(), Denied> {
        match self.gateway.api(tenant) {
            Err(Absent::Suspended) => Err(Denied::Suspended),
            _ => Ok(()),
        }
    }

    /// The API of the tenant of somebody whose credentials were verified.
    fn served(&self, who: &Principal) -> Result<Arc<dyn TenantApi>, Refusal> {
        let tenant = &who.tenant;
        match self.gateway.api(tenant) {
            Ok(api) => Ok(api),
            Err(Absent::Suspended) => {
                if let Some(watching) = &self.watching {
                    watching.refused(who, Code::TenantSuspended);
                }
                Err(suspended().into())
            }
            Err(Absent::Unknown) => Err(self.refused(Denied::UnknownTenant(tenant.to_string()))),
            Err(Absent::NotReady) => {
                let message =
                    "what is published for the tenant is not ready to be served; /readyz says which store is down";
                Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, Code::StoreUnavailable.as_str(), message))
            }
        }
    }

    /// Whom a token or a key lets in. A tenant that is not served has no keys that would have to be looked up, but that of the operators.
    pub(super) async fn verified(&self, token: &str) -> Result<Verified, Denied> {
        match self.authenticator.tenant_named(token) {
            Some(tenant)
                if self.config.admin.operators.as_ref() != Some(&tenant)
                    && matches!(self.gateway.api(&tenant), Err(Absent::Unknown)) =>
            {
                Err(Denied::UnknownTenant(tenant.to_string()))
            }
            _ => self.authenticator.authenticate(token).await,
        }
    }

    /// Done when a stream may not go on, with the reason: its credentials hold no longer, or its tenant is suspended or gone.
    pub(super) async fn over(self: Arc<Self>, tenant: TenantId, source: Source, expires_ms: i64) -> Over {
        tokio::select! {
            () = self.clone().ended(source, expires_ms) => Over::Expired,
            over = self.left(&tenant) => over,
        }
    }

    /// Done when a tenant is served no more.
    async fn left(&self, tenant: &TenantId) -> Over {
        let mut departures = self.gateway.departures();
        loop {
            match self.gateway.api(tenant) {
                Err(Absent::Suspended) => return Over::Suspended,
                Err(Absent::Unknown) => return Over::Expired,
                Ok(_) | Err(Absent::NotReady) => {}
            }
            if departures.changed().await.is_err() {
                // Where nobody says so, none goes.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Done when what let a caller in holds no longer: it ends, or was ended. What could have been ended is looked up again whenever
    /// it was believed for long enough.
    async fn ended(self: Arc<Self>, mut source: Source, mut expires_ms: i64) {
        let mut heard = Instant::now();
        loop {
            let left = milliseconds(expires_ms.saturating_sub(self.clock.now_ms()));
            let Some(standing) = source.standing() else { return sleep(left).await };
            let believed = milliseconds(standing.until_ms.saturating_sub(self.clock.steady_ms()));
            sleep(left.min(believed)).await;
            // A session may have been refreshed meanwhile.
            if left <= believed && !matches!(source, Source::Session(_)) {
                return;
            }
            match self.authenticator.again(&source).await {
                Ok(verified) => {
                    (source, expires_ms) = (verified.source, verified.expires_ms);
                    heard = Instant::now();
                }
                Err(Denied::Busy | Denied::Unavailable(_)) if heard.elapsed() < FORGIVEN => sleep(PAUSE).await,
                Err(reason) => {
                    tracing::info!(%reason, "the credentials of a stream hold no longer");
                    return;
                }
            }
        }
    }
}

/// Why a stream may not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    /// What let the caller in holds no longer.
    Expired,
    /// The tenant is suspended.
    Suspended,
}

impl Over {
    /// What is said to the client.
    pub fn refusal(self) -> Refusal {
        match self {
            Self::Expired => Refusal::unauthenticated(),
            Self::Suspended => suspended().into(),
        }
    }
}

/// What callers of a suspended tenant are told. Why it is suspended is for whoever runs the gateway.
fn suspended() -> Fault {
    Fault::client(Code::TenantSuspended, "the tenant is suspended; ask whoever runs this gateway")
}

/// A time that is left; none when it is over.
fn milliseconds(left: i64) -> Duration {
    Duration::from_millis(u64::try_from(left).unwrap_or(0))
}
