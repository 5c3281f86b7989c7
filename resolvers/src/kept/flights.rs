//! Making something once for all who want it at the same time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Mutex as AsyncMutex;

use crate::ports::CacheKey;

/// Where something lands. Whoever holds the lock makes it; the others wait for the lock, in order, and find it there, or make it in turn
/// when the one before them failed or went away.
type Strip<T> = Arc<AsyncMutex<Option<T>>>;

/// What is being made, by key.
pub(crate) struct Flights<T>(Mutex<HashMap<CacheKey, Strip<T>>>);

/// A share in what is made under a key. When the last one is gone, it is forgotten.
pub(crate) struct Flight<'f, T> {
    flights: &'f Flights<T>,
    key: CacheKey,
    /// `None` only while it is dropped.
    strip: Option<Strip<T>>,
}

impl<T> Default for Flights<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Flights<T> {
    /// Takes part in what is made under a key.
    pub fn join(&self, key: &CacheKey) -> Flight<'_, T> {
        let strip = self.all().entry(key.clone()).or_default().clone();
        Flight { flights: self, key: key.clone(), strip: Some(strip) }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<CacheKey, Strip<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Flight<'_, T> {
    /// What has landed, once nobody else is at it; `None` for whoever is to make it, and put it there.
    pub async fn turn(&self) -> Option<tokio::sync::MutexGuard<'_, Option<T>>> {
        Some(self.strip.as_ref()?.lock().await)
    }
}

impl<T> Drop for Flight<'_, T> {
    fn drop(&mut self) {
        let mut all = self.flights.all();
        drop(self.strip.take());
        // Shares are taken and given back under the lock, so that the last one is known to be the last.
        if all.get(&self.key).is_some_and(|strip| Arc::strong_count(strip) == 1) {
            all.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::poll;

    use super::*;
    use crate::guard::TenantId;
    use crate::ports::KeyKind;

    #[tokio::test]
    async fn what_landed_is_there_for_those_who_wait_and_forgotten_after_them() {
        let tenant = TenantId::parse("t").expect("a name");
        let [one, other] = [b"1", b"2"].map(|part| CacheKey::of(&tenant, KeyKind::Result, &[part]));
        let flights = Flights::default();
        let (first, second, apart) = (flights.join(&one), flights.join(&one), flights.join(&other));
        let mut turn = first.turn().await.expect("a turn");
        let mut waiting = Box::pin(second.turn());
        assert!(poll!(waiting.as_mut()).is_pending());
        assert!(apart.turn().await.is_some_and(|landed| landed.is_none()), "another key waits for nobody");
        *turn = Some(7);
        drop(turn);
        drop(first);
        assert_eq!(waiting.await.as_deref(), Some(&Some(7)));
        assert!(flights.join(&one).turn().await.is_some_and(|landed| *landed == Some(7)), "while somebody is at it");
        drop(second);
        assert!(!flights.all().contains_key(&one));
        drop(apart);
        assert!(flights.all().is_empty());
    }
}
