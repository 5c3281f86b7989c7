//! Announcements within one process, over tokio's watch channels.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use quipu_resolvers::guard::TenantId;
use quipu_resolvers::ports::Bus;
use tokio::sync::watch;

/// The bus of a process that runs alone. Other processes that write into the same file are noticed by the relay, which announces
/// what they wrote.
#[derive(Debug, Default)]
pub struct LocalBus {
    channels: Mutex<HashMap<TenantId, watch::Sender<u64>>>,
}

impl LocalBus {
    fn with_channel<T>(&self, tenant: &TenantId, act: impl FnOnce(&watch::Sender<u64>) -> T) -> T {
        // A poisoned map is still a map: nothing is done under the lock that could leave it half-changed.
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(channel) = channels.get(tenant) {
            return act(channel);
        }
        act(channels.entry(tenant.clone()).or_insert_with(|| watch::channel(0).0))
    }
}

#[async_trait]
impl Bus for LocalBus {
    /// Positions only grow: a late announcement of an older one wakes nobody.
    async fn announce(&self, tenant: &TenantId, seq: u64) {
        self.with_channel(tenant, |channel| {
            channel.send_if_modified(|known| {
                let grew = seq > *known;
                *known = seq.max(*known);
                grew
            });
        });
    }

    fn listen(&self, tenant: &TenantId) -> watch::Receiver<u64> {
        self.with_channel(tenant, watch::Sender::subscribe)
    }

    fn forget(&self, tenant: &TenantId) {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner).remove(tenant);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(name: &str) -> TenantId {
        TenantId::parse(name).expect("a tenant's name")
    }

    #[tokio::test]
    async fn wakes_the_listeners_of_one_tenant_and_only_forwards() {
        let bus = LocalBus::default();
        let (mut a, b) = (bus.listen(&tenant("a")), bus.listen(&tenant("b")));
        bus.announce(&tenant("a"), 7).await;
        a.changed().await.expect("the bus lives");
        assert_eq!(*a.borrow_and_update(), 7);
        bus.announce(&tenant("a"), 5).await;
        assert!(!a.has_changed().expect("the bus lives"));
        assert!(!b.has_changed().expect("the bus lives"));
        assert_eq!(*bus.listen(&tenant("a")).borrow(), 7);
    }
}
