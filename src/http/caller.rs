//! Who asks, and which API that is.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use quipu_resolvers::fault::Code;
use quipu_resolvers::guard::Principal;

use super::gateway::{Absent, TenantApi};
use super::reply::Refusal;
use super::state::AppState;
use crate::auth::{Denied, Verified};

/// A caller whose credentials were verified.
#[derive(Clone)]
pub(super) struct Caller {
    pub principal: Arc<Principal>,
    pub api: Arc<dyn TenantApi>,
    /// Until when the credentials hold.
    pub expires_ms: i64,
}

impl AppState {
    /// Verifies a token and finds its tenant's API. The reason of a refusal is logged; the client learns none. Nothing is waited for
    /// but the keys of an issuer, where the token names one that is not known.
    pub(super) async fn caller(&self, token: Result<&str, Denied>) -> Result<Caller, Refusal> {
        let refused = |reason: Denied| {
            tracing::info!(%reason, "credentials refused");
            let refusal = Refusal::unauthenticated();
            self.metrics.refused(refusal.code);
            if let Some(watching) = &self.watching {
                watching.credentials_refused(&reason.to_string());
            }
            refusal
        };
        let verified = match token {
            Ok(token) => self.authenticator.authenticate(token).await,
            Err(denied) => Err(denied),
        };
        let Verified { principal, expires_ms } = verified.map_err(refused)?;
        match self.gateway.api(&principal.tenant) {
            Ok(api) => {
                tracing::Span::current().record("tenant", principal.tenant.as_str());
                Ok(Caller { principal, api, expires_ms })
            }
            Err(Absent::Unknown) => Err(refused(Denied::UnknownTenant(principal.tenant.to_string()))),
            Err(Absent::NotReady) => {
                let message =
                    "what is published for the tenant is not ready to be served; /readyz says which store is down";
                Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, Code::StoreUnavailable.as_str(), message))
            }
        }
    }

    /// How long credentials still hold.
    pub(super) fn remaining(&self, caller: &Caller) -> Duration {
        let left = caller.expires_ms.saturating_sub(self.clock.now_ms());
        Duration::from_millis(u64::try_from(left).unwrap_or(0))
    }
}
