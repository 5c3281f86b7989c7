//! Conditions across stores: records of one store that must have related ones in another. The other store is asked for the keys of
//! the related ones first; the condition becomes a comparison with them. One statement per condition, whatever the data.

use std::collections::HashMap;

use futures_util::future::{BoxFuture, FutureExt};
use quipu_schema::policy::Quantifier;

use super::run::{Run, rows};
use crate::fault::{Code, Fault};
use crate::guard::Allowed;
use crate::ports::{Matching, Nearest};
use crate::read::{Field, Pick, Place, Predicate, Read, Related, Target, Via, Window};
use crate::value::{Key, Value};

/// The read with no condition left that crosses stores.
pub(super) async fn resolved(run: &Run<'_>, allowed: Allowed<Read>) -> Result<Allowed<Read>, Fault> {
    if !read_crosses(allowed.get()) {
        return Ok(allowed);
    }
    let resolver = Resolver { run, allowed: &|read| allowed.derived(read) };
    let mut read = allowed.get().clone();
    resolver.read(&mut read).await?;
    Ok(allowed.with_resolved(read))
}

/// The search with no condition left that crosses stores.
pub(super) async fn nearest(run: &Run<'_>, allowed: Allowed<Nearest>) -> Result<Allowed<Nearest>, Fault> {
    let mut nearest = allowed.get().clone();
    let place = if nearest.within.row { Place::Rows } else { Place::Nodes };
    let resolver = Resolver { run, allowed: &|read| allowed.deriving(read) };
    resolver.predicate(place, &mut nearest.within.filter).await?;
    resolver.predicate(place, &mut nearest.within.visible).await?;
    Ok(allowed.with_resolved(nearest))
}

/// The search with no condition left that crosses stores.
pub(super) async fn matching(run: &Run<'_>, allowed: Allowed<Matching>) -> Result<Allowed<Matching>, Fault> {
    let mut matching = allowed.get().clone();
    let resolver = Resolver { run, allowed: &|read| allowed.deriving(read) };
    for within in &mut matching.within {
        let place = if within.row { Place::Rows } else { Place::Nodes };
        resolver.predicate(place, &mut within.filter).await?;
        resolver.predicate(place, &mut within.visible).await?;
    }
    Ok(allowed.with_resolved(matching))
}

fn read_crosses(read: &Read) -> bool {
    read.targets.iter().any(|target| {
        crosses(read.place, &target.filter)
            || crosses(read.place, &target.visible)
            || target.picks.iter().any(|pick| match pick {
                Pick::Read(inner) => read_crosses(inner),
                Pick::Holds(predicate) | Pick::Masked { seen: predicate, .. } => crosses(read.place, predicate),
                Pick::Field(_) => false,
            })
    })
}

fn crosses(place: Place, predicate: &Predicate) -> bool {
    match predicate {
        Predicate::All(parts) | Predicate::Any(parts) => parts.iter().any(|part| crosses(place, part)),
        Predicate::Not(part) => crosses(place, part),
        Predicate::Related(related) => {
            !place.same_store(related.place)
                || related
                    .targets
                    .iter()
                    .any(|scope| crosses(related.place, &scope.filter) || crosses(related.place, &scope.visible))
        }
        _ => false,
    }
}

struct Resolver<'s, 'r> {
    run: &'s Run<'r>,
    /// Makes a question of conditions that the guard has already bound.
    allowed: &'s (dyn Fn(Read) -> Allowed<Read> + Sync),
}

impl Resolver<'_, '_> {
    fn read<'f>(&'f self, read: &'f mut Read) -> BoxFuture<'f, Result<(), Fault>> {
        async move {
            for target in &mut read.targets {
                self.predicate(read.place, &mut target.filter).await?;
                self.predicate(read.place, &mut target.visible).await?;
                for pick in &mut target.picks {
                    match pick {
                        Pick::Read(inner) => self.read(inner).await?,
                        Pick::Holds(predicate) | Pick::Masked { seen: predicate, .. } => {
                            self.predicate(read.place, predicate).await?;
                        }
                        Pick::Field(_) => {}
                    }
                }
            }
            Ok(())
        }
        .boxed()
    }

    fn predicate<'f>(&'f self, place: Place, predicate: &'f mut Predicate) -> BoxFuture<'f, Result<(), Fault>> {
        async move {
            match predicate {
                Predicate::All(parts) | Predicate::Any(parts) => {
                    for part in parts {
                        self.predicate(place, part).await?;
                    }
                }
                Predicate::Not(part) => self.predicate(place, part).await?,
                Predicate::Related(related) => {
                    for scope in &mut related.targets {
                        self.predicate(related.place, &mut scope.filter).await?;
                        self.predicate(related.place, &mut scope.visible).await?;
                    }
                    if !place.same_store(related.place) {
                        *predicate = self.keyed(related).await?;
                    }
                }
                _ => {}
            }
            Ok(())
        }
        .boxed()
    }

    /// The condition as a comparison with keys.
    async fn keyed(&self, related: &Related) -> Result<Predicate, Fault> {
        let Via::Key { local, remote } = &related.via else {
            return Err(Fault::internal("engine", "only joins lead from one store to another"));
        };
        let matching = self.keys(related, remote, false).await?;
        // As inside of one store, a record without a key has no related one, which is no unknown.
        let among = |keys: Vec<Key>| {
            let among = Predicate::one_of(local.clone(), keys.into_iter().map(Value::from).collect());
            if local.may_be_absent() { Predicate::Absent(local.clone()).negate().and(among) } else { among }
        };
        Ok(match related.quantifier {
            Quantifier::Some => among(matching.into_keys().collect()),
            Quantifier::Single => among(matching.into_iter().filter(|(_, n)| *n == 1).map(|(key, _)| key).collect()),
            Quantifier::None => among(matching.into_keys().collect()).negate(),
            Quantifier::All => {
                let others = self.keys(related, remote, true).await?;
                among(matching.into_keys().filter(|key| !others.contains_key(key)).collect())
            }
        })
    }

    /// The keys of the related records that meet the condition, or that do not, each with how many records hold it.
    async fn keys(&self, related: &Related, remote: &Field, failing: bool) -> Result<HashMap<Key, usize>, Fault> {
        let most = self.run.engine.settings.limits.filter_keys;
        let targets = related.targets.iter().map(|scope| Target {
            of: scope.of.clone(),
            filter: if failing { scope.filter.clone().negate() } else { scope.filter.clone() },
            visible: scope.visible.clone(),
            picks: vec![Pick::Field(remote.clone())],
        });
        let read = Read {
            place: related.place,
            via: Via::Root,
            targets: targets.collect(),
            sort: Vec::new(),
            window: Window { limit: Some(most.saturating_add(1)), ..Window::default() },
            rows: true,
            total: false,
            figures: Vec::new(),
        };
        let at = read.first_pick();
        let allowed = (self.allowed)(read);
        let outcome = self.run.reader(related.place).read(&allowed, self.run.call).await?;
        let found = rows(allowed.get(), &outcome);
        if found.len() > most as usize {
            let message =
                format!("a filter across stores matches more than {most} records (`limits.filter_keys`); narrow it");
            return Err(Fault::client(Code::FilterTooWide, message));
        }
        let mut keys = HashMap::with_capacity(found.len());
        for key in found.iter().filter_map(|row| row.as_list()?.get(at)?.key()) {
            *keys.entry(key).or_insert(0) += 1;
        }
        Ok(keys)
    }
}
