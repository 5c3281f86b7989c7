//! Reading through the cache: results of root fields of types with `@cache`, and vectors of queries.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use super::run::Work;
use crate::fault::Fault;
use crate::fields::Plan;
use crate::kept::{Kept, Made, Wanted, key};
use crate::ports::{CacheKey, KeyKind, Lookup};
use crate::value::Value;

/// How long the vector of a query is kept. It depends on nothing but the text and the model.
const VECTOR_TTL: Duration = Duration::from_secs(60 * 60);

impl Work<'_> {
    /// The outcome of a plan at the root, with its crossings loaded, which may be as old as `ttl` where data changes beside the log.
    pub(super) async fn plan_kept(&self, plan: &Plan, ttl: Duration) -> Result<Value, Fault> {
        let run = &self.run;
        let (keeping, ports, trace) = (&run.engine.keeping, &run.engine.ports, run.call.trace);
        // Where the log stands is asked first: what is read from here on is not older than that.
        let known = match trace.is_keeping() {
            // Whoever wants to see the statements wants them run.
            true => None,
            false => {
                let announced = *ports.bus.listen(&run.principal.tenant).borrow();
                // Every write of this process is announced before it is answered, so it is in what is read at this position.
                run.engine.appliers.standing(&run.principal.tenant, announced.max(self.least)).await
            }
        };
        let key = known.and_then(|standing| key(run.principal, run.bound.served(), standing, plan));
        let Some(key) = key else {
            trace.looked_up(KeyKind::Result, Lookup::Passed);
            return self.plan(plan).await;
        };
        let wanted = Wanted { kind: KeyKind::Result, key, ttl, flights: &keeping.results };
        let read = |bytes: &[u8]| Kept::unpacked(bytes, plan).map(Arc::new);
        let kept = wanted.found_or_made(ports.cache.as_ref(), trace, read, self.made(plan)).await?;
        let kept = Arc::try_unwrap(kept).unwrap_or_else(|shared| shared.as_ref().clone());
        Ok(kept.unfolded(plan, &mut self.loaded.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    async fn made(&self, plan: &Plan) -> Result<Made<Arc<Kept>>, Fault> {
        let outcome = self.plan(plan).await?;
        let loaded = Kept::brought(plan, &self.loaded.lock().unwrap_or_else(PoisonError::into_inner));
        let whole = loaded.is_some();
        let kept = Kept { outcome, loaded: loaded.unwrap_or_default() };
        let bytes = if whole { kept.packed(self.run.engine.ports.cache.largest()) } else { None };
        Ok(Made { value: Arc::new(kept), whole, bytes })
    }

    /// The vector of a query's text.
    pub(super) async fn embedded(&self, text: &str) -> Result<Vec<f32>, Fault> {
        let run = &self.run;
        let ports = &run.engine.ports;
        let dimensions = ports.embedder.dimensions();
        let Some(model) = ports.embedder.model() else { return self.embed(text).await };
        // By tenant, though the vector is the same for all: how fast an answer comes must not tell what others have asked.
        let key = CacheKey::of(&run.principal.tenant, KeyKind::Embedding, &[model.as_bytes(), text.as_bytes()]);
        let flights = &run.engine.keeping.vectors;
        let wanted = Wanted { kind: KeyKind::Embedding, key, ttl: VECTOR_TTL, flights };
        let read = |bytes: &[u8]| of_bytes(bytes, dimensions);
        let make = async {
            let vector: Arc<[f32]> = self.embed(text).await?.into();
            let bytes = Some(Bytes::from_iter(vector.iter().flat_map(|x| x.to_le_bytes())));
            Ok(Made { value: vector, whole: true, bytes })
        };
        wanted.found_or_made(ports.cache.as_ref(), run.call.trace, read, make).await.map(|vector| vector.to_vec())
    }

    async fn embed(&self, text: &str) -> Result<Vec<f32>, Fault> {
        let vectors = self.run.engine.ports.embedder.embed(vec![text.to_owned()]).await?;
        vectors.into_iter().next().ok_or_else(|| Fault::internal("embedder", "no vector for a text"))
    }
}

/// A vector of that many numbers, little-endian.
fn of_bytes(bytes: &[u8], dimensions: usize) -> Option<Arc<[f32]>> {
    let (numbers, rest) = bytes.as_chunks::<4>();
    (rest.is_empty() && numbers.len() == dimensions)
        .then(|| numbers.iter().map(|number| f32::from_le_bytes(*number)).collect())
}
