//! Running searches: hits first, by the stores' own indexes and under the guard; then their records, by id.

use std::collections::HashMap;

use futures_util::future::try_join_all;

use super::cross;
use super::run::Work;
use crate::fault::{Code, Fault};
use crate::fields::search::{Likeness, Search, Similar};
use crate::guard;
use crate::ports::{Hit, Matching, Nearest, VectorOf};
use crate::value::Value;

/// Constant of reciprocal-rank fusion (Cormack, Clarke, Buettcher 2009).
const RRF: f64 = 60.0;

/// Hits that each leg brings for fusion, at least.
const LEG: u32 = 50;

/// The place of a hit in one leg.
struct Ranked {
    leg: &'static str,
    rank: usize,
    score: f64,
}

impl Work<'_> {
    /// `xSimilar`: the records nearest by meaning, best first.
    pub(super) async fn similar(&self, similar: &Similar) -> Result<Value, Fault> {
        let (vector, itself) = match &similar.to {
            Likeness::Text(text) => (self.embedded(text).await?, None),
            Likeness::Vector(vector) => (self.unit(vector.clone())?, None),
            Likeness::Record(id) => (self.vector_of(similar, id).await?, Some(id)),
        };
        let nearest = Nearest {
            within: similar.within.clone(),
            property: similar.property.clone(),
            vector,
            limit: similar.first + u32::from(itself.is_some()),
        };
        let mut hits = self.nearest(vec![nearest]).await?.pop().unwrap_or_default();
        hits.retain(|hit| Some(&hit.id) != itself);
        hits.truncate(similar.first as usize);
        let found = hits.into_iter().map(|hit| (hit.score, Value::Null, hit)).collect();
        self.shown(&similar.plan, &[similar.within.of.as_str()], found).await
    }

    /// `search`: dense and full-text legs fused by reciprocal rank.
    pub(super) async fn search(&self, search: &Search) -> Result<Value, Fault> {
        let depth = search.first.max(LEG);
        let of: Vec<&str> = search.within.iter().map(|(within, _)| within.of.as_str()).collect();
        let (dense, text) = tokio::join!(self.dense(search, depth), self.words(search, depth));
        let mut fused: HashMap<(String, String), Vec<Ranked>> = HashMap::new();
        let mut note = |leg: &'static str, hits: Vec<Hit>| {
            for (at, hit) in hits.into_iter().enumerate() {
                fused.entry((hit.of, hit.id)).or_default().push(Ranked { leg, rank: at + 1, score: hit.score });
            }
        };
        note("DENSE", dense?);
        note("TEXT", text?);
        let mut found: Vec<(f64, Value, Hit)> = fused
            .into_iter()
            .map(|((of, id), legs)| {
                let score = legs.iter().map(|leg| 1.0 / (RRF + leg.rank as f64)).sum();
                (score, legs_value(&legs), Hit { of, id, score })
            })
            .collect();
        found.sort_by(|(a, _, x), (b, _, y)| b.total_cmp(a).then_with(|| (&x.of, &x.id).cmp(&(&y.of, &y.id))));
        found.truncate(search.first as usize);
        self.shown(&search.plan, &of, found).await
    }

    /// The rows of hits, each with its record. A hit whose record went in the meantime is left out.
    async fn shown(
        &self,
        plan: &crate::fields::Plan,
        of: &[&str],
        found: Vec<(f64, Value, Hit)>,
    ) -> Result<Value, Fault> {
        let keys: Vec<Value> = found.iter().map(|(_, _, hit)| Value::Text(hit.id.clone())).collect();
        let outcomes = if plan.read.targets.is_empty() { Vec::new() } else { self.plan_many(plan, &keys).await? };
        let several = plan.read.targets.len() > 1;
        let mut rows = Vec::with_capacity(found.len());
        for ((score, legs, hit), outcome) in found.into_iter().zip(outcomes) {
            let Value::List(mut records) = outcome else { continue };
            if several {
                let wanted = of.iter().position(|name| *name == hit.of).and_then(|at| i64::try_from(at).ok());
                records.retain(|row| row.as_list().and_then(|row| row.first()?.as_int()) == wanted);
            }
            if !records.is_empty() {
                rows.push(Value::List(vec![Value::Float(score), legs, Value::List(records)]));
            }
        }
        Ok(Value::List(rows))
    }

    async fn dense(&self, search: &Search, limit: u32) -> Result<Vec<Hit>, Fault> {
        if search.within.is_empty() {
            return Ok(Vec::new());
        }
        let vector = self.embedded(&search.text).await?;
        let mut best: HashMap<(String, String), Hit> = HashMap::new();
        let properties =
            search.within.iter().flat_map(|(within, properties)| properties.iter().map(move |of| (within, of)));
        let searches = properties.map(|(within, property)| {
            let (within, property, vector) = (within.clone(), property.clone(), vector.clone());
            Nearest { within, property, vector, limit }
        });
        for hit in self.nearest(searches.collect()).await?.into_iter().flatten() {
            let known = best.entry((hit.of.clone(), hit.id.clone())).or_insert_with(|| hit.clone());
            if hit.score > known.score {
                *known = hit;
            }
        }
        let mut hits: Vec<Hit> = best.into_values().collect();
        hits.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| (&a.of, &a.id).cmp(&(&b.of, &b.id))));
        hits.truncate(limit as usize);
        Ok(hits)
    }

    async fn words(&self, search: &Search, limit: u32) -> Result<Vec<Hit>, Fault> {
        if search.within.is_empty() {
            return Ok(Vec::new());
        }
        let within = search.within.iter().map(|(within, _)| within.clone()).collect();
        let matching = Matching { within, text: search.text.clone(), limit };
        let run = &self.run;
        let allowed = guard::matching(run.principal, &run.bound.served().ontology, matching)?;
        let allowed = cross::matching(run, allowed).await?;
        run.engine.ports.graph.matching(&allowed, run.call).await
    }

    /// The hits of each search. All searches of the request that come to this at the same time are run together.
    async fn nearest(&self, searches: Vec<Nearest>) -> Result<Vec<Vec<Hit>>, Fault> {
        let run = &self.run;
        let allowed = searches.into_iter().map(|nearest| async {
            let allowed = guard::nearest(run.principal, &run.bound.served().ontology, nearest)?;
            cross::nearest(run, allowed).await
        });
        self.loaders.nearest(try_join_all(allowed).await?).await
    }

    async fn vector_of(&self, similar: &Similar, id: &str) -> Result<Vec<f32>, Fault> {
        let run = &self.run;
        let within = crate::ports::Within { filter: crate::read::Predicate::True, ..similar.within.clone() };
        let wanted = VectorOf { within, property: similar.property.clone(), id: id.to_owned() };
        let allowed = guard::vector_of(run.principal, &run.bound.served().ontology, wanted)?;
        let found = run.engine.ports.vectors.vector(&allowed, run.call).await?;
        found.ok_or_else(|| {
            Fault::client(Code::NotFound, format!("{} has no record {id:?} with a vector", similar.within.of))
        })
    }

    fn unit(&self, mut vector: Vec<f32>) -> Result<Vec<f32>, Fault> {
        let wanted = self.run.engine.ports.embedder.dimensions();
        if vector.len() != wanted {
            let message = format!("the vector has {} numbers; the model's have {wanted}", vector.len());
            return Err(Fault::client(Code::BadUserInput, message));
        }
        let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
        if !length.is_finite() || length == 0.0 {
            return Err(Fault::client(Code::BadUserInput, "the vector has no direction"));
        }
        vector.iter_mut().for_each(|x| *x /= length);
        Ok(vector)
    }
}

fn legs_value(legs: &[Ranked]) -> Value {
    let row =
        |leg: &Ranked| Value::List(vec![Value::from(leg.leg), Value::Int(leg.rank as i64), Value::Float(leg.score)]);
    Value::List(legs.iter().map(row).collect())
}
