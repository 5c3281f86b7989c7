//! Who asks, and which API that is.

use std::sync::Arc;
use std::time::Duration;

use quipu_resolvers::guard::Principal;

use super::gateway::TenantApi;
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
        let verified = match token {
            Ok(token) => self.authenticator.authenticate(token).await,
            Err(denied) => Err(denied),
        };
        let found = verified.and_then(|verified| {
            let Verified { principal, expires_ms } = verified;
            match self.gateway.api(&principal.tenant) {
                Some(api) => {
                    tracing::Span::current().record("tenant", principal.tenant.as_str());
                    Ok(Caller { principal, api, expires_ms })
                }
                None => Err(Denied::UnknownTenant(principal.tenant.to_string())),
            }
        });
        found.map_err(|reason| {
            tracing::info!(%reason, "credentials refused");
            let refusal = Refusal::unauthenticated();
            self.metrics.refused(refusal.code);
            refusal
        })
    }

    /// How long credentials still hold.
    pub(super) fn remaining(&self, caller: &Caller) -> Duration {
        let left = caller.expires_ms.saturating_sub(self.clock.now_ms());
        Duration::from_millis(u64::try_from(left).unwrap_or(0))
    }
}
