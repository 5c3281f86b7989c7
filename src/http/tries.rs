//! How often somebody may try: tries are counted before anything is looked at, over all instances that share the counters.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use quipu_resolvers::guard::TenantId;
use quipu_resolvers::ports::{CacheKey, Counters, KeyKind};

use crate::config::Passwords;

/// Counts tries to sign in.
pub(super) struct Tries {
    counters: Arc<dyn Counters>,
    per_account: u64,
    per_address: u64,
    /// How long tries are counted together.
    pub window: Duration,
}

impl Tries {
    pub fn new(settings: &Passwords, counters: Arc<dyn Counters>) -> Self {
        let Passwords { account_tries: per_account, address_tries: per_address, window, .. } = *settings;
        Self { counters, per_account, per_address, window }
    }

    /// Whether one more try from an address is within bounds.
    pub async fn by_address(&self, address: IpAddr) -> bool {
        // Addresses belong to no tenant; the parts keep them apart from whatever one of this name counts.
        let Some(none) = TenantId::parse("sign-in") else { return false };
        self.take(&none, "address", network(address).as_bytes(), self.per_address).await
    }

    /// Whether one more try for an account is within bounds, whoever tries, and whether there is such an account or not.
    pub async fn by_account(&self, tenant: &TenantId, user: &str) -> bool {
        self.take(tenant, "account", user.as_bytes(), self.per_account).await
    }

    async fn take(&self, tenant: &TenantId, what: &str, who: &[u8], most: u64) -> bool {
        let key = CacheKey::of(tenant, KeyKind::Count, &[b"sign-in", what.as_bytes(), who]);
        self.counters.take(&key, 1, most, self.window).await.granted
    }
}

/// What counts as one place: an address, or the network of 64 bits that whoever has an IPv6 address is mostly given as a whole.
fn network(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_network_count_together() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("10.0.0.1"), of("::ffff:10.0.0.1"));
        assert_ne!(of("10.0.0.1"), of("10.0.0.2"));
        assert_eq!(of("2001:db8:1:2:3::4"), of("2001:db8:1:2::"));
        assert_ne!(of("2001:db8:1:2::"), of("2001:db8:1:3::"));
    }
}
