//! Places for streams: how many subscriptions each tenant has open.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use quipu_resolvers::fault::Fault;
use quipu_resolvers::guard::TenantId;

use super::admission::overloaded;

/// Places for streams, counted per tenant.
#[derive(Debug)]
pub(super) struct Streams {
    open: Arc<Mutex<HashMap<TenantId, usize>>>,
    per_tenant: usize,
}

impl Streams {
    pub fn new(per_tenant: usize) -> Self {
        Self { open: Arc::default(), per_tenant }
    }

    /// A place for one more stream of the tenant. Fails with `OVERLOADED` when it has as many as it may have.
    pub fn enter(&self, tenant: &TenantId) -> Result<StreamPlace, Fault> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.get(tenant).copied().unwrap_or(0);
        if count >= self.per_tenant {
            return Err(overloaded("the tenant has too many subscriptions (live.per_tenant)"));
        }
        open.insert(tenant.clone(), count + 1);
        Ok(StreamPlace { open: self.open.clone(), tenant: tenant.clone() })
    }
}

/// The place of one stream, until it is dropped.
#[derive(Debug)]
pub(super) struct StreamPlace {
    open: Arc<Mutex<HashMap<TenantId, usize>>>,
    tenant: TenantId,
}

impl Drop for StreamPlace {
    fn drop(&mut self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.tenant) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.tenant);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use quipu_resolvers::fault::Code;

    use super::*;

    #[test]
    fn hostile_35_streams_are_capped_per_tenant() {
        let streams = Streams::new(1);
        let (a, b) = (TenantId::parse("a").unwrap(), TenantId::parse("b").unwrap());
        let place = streams.enter(&a).unwrap();
        assert_eq!(streams.enter(&a).unwrap_err().code(), Code::Overloaded);
        let _other = streams.enter(&b).unwrap();
        drop(place);
        drop(streams.enter(&a).unwrap());
        assert_eq!(streams.open.lock().unwrap().len(), 1, "nothing is kept of tenants without streams");
    }
}
