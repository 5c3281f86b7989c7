//! Passwords of stores, taken up anew when their files change.
//!
//! A new one is tried before it is used, so it does not matter whether the file or the server changes first: until the server takes it,
//! the connections that there are serve on.

use std::collections::HashMap;
use std::fmt::Display;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::stores::{Stores, Wanted};
use super::{AppError, Shared, redis_options};
use crate::config::{Config, Secret};
use crate::reload::Looks;

/// How long one that was refused is not tried again: servers lock out whoever tries too often.
const PAUSE: Duration = Duration::from_secs(60);

/// Follows the files that the settings name.
pub struct Rotation {
    config: Config,
    stores: Arc<Stores>,
    shared: Option<Shared>,
    /// What was refused last, and when.
    refused: Mutex<HashMap<String, (Secret, Instant)>>,
    is_well: AtomicBool,
}

impl Rotation {
    /// `None` where no password of a store is in a file.
    pub(super) fn of(config: &Config, stores: &Arc<Stores>, shared: Option<&Shared>) -> Option<Arc<Self>> {
        let Config { graph, metadata, vectors, cache, graph_tenants, .. } = config;
        let mut files = [&graph.password_file, &metadata.password_file, &vectors.key_file, &cache.password_file]
            .into_iter()
            .chain(graph_tenants.values().map(|graph| &graph.password_file));
        files.any(Option::is_some).then(|| {
            Arc::new(Self {
                config: config.clone(),
                stores: stores.clone(),
                shared: shared.cloned(),
                refused: Mutex::default(),
                is_well: AtomicBool::new(true),
            })
        })
    }

    /// Whether all that the files held when they were looked at last is used.
    pub(super) fn is_well(&self) -> bool {
        self.is_well.load(Ordering::Relaxed)
    }

    /// Looks at the files again and again; never ends.
    pub(super) async fn follow(self: Arc<Self>) {
        let mut looks = Looks::new(self.config.server.reload);
        loop {
            looks.next().await;
            let config = self.config.clone();
            // Files may be on a disk that hangs.
            let read =
                tokio::task::spawn_blocking(move || Ok::<_, AppError>((Wanted::of(&config)?, redis_options(&config)?)));
            let well = match read.await {
                Ok(Ok((wanted, cache))) => self.renewed(wanted, cache).await,
                Ok(Err(problem)) => {
                    if self.is_well() {
                        tracing::error!(%problem, "a new password cannot be read; those before are used on");
                    }
                    false
                }
                Err(error) => {
                    tracing::error!(%error, "looking at the passwords failed");
                    false
                }
            };
            self.is_well.store(well, Ordering::Relaxed);
        }
    }

    /// Has each store use what is wanted now; whether all do.
    async fn renewed(&self, wanted: Wanted, cache: Option<crate::stores::redis::Options>) -> bool {
        let mut well = true;
        if let (Some(neo4j), Some(options)) = (&self.stores.neo4j, wanted.neo4j) {
            well &= self.one("graph", Some(&options.password), neo4j.renew(&options)).await;
        }
        for (tenant, options) in wanted.of_tenants {
            if let Some(neo4j) = self.stores.of_tenants.get(&tenant) {
                let part = format!("graph.tenants.{tenant}");
                well &= self.one(&part, Some(&options.password), neo4j.renew(&options)).await;
            }
        }
        if let (Some(postgres), Some(options)) = (&self.stores.postgres, wanted.postgres) {
            well &= self.one("metadata", options.password.as_ref(), postgres.renew(&options)).await;
        }
        if let (Some(qdrant), Some(options)) = (&self.stores.qdrant, wanted.qdrant) {
            well &= self.one("vectors", options.key.as_ref(), qdrant.renew(&options)).await;
        }
        if let (Some(shared), Some(options)) = (&self.shared, cache) {
            well &= self.one("cache", options.password.as_ref(), shared.redis.renew(&options)).await;
        }
        well
    }

    /// Has one store use its password; whether it does.
    async fn one<E: Display>(
        &self,
        part: &str,
        password: Option<&String>,
        renewing: impl Future<Output = Result<bool, E>>,
    ) -> bool {
        let password = Secret::new(password.cloned().unwrap_or_default());
        let known = self.refused().get(part).cloned();
        if known.as_ref().is_some_and(|(refused, at)| *refused == password && at.elapsed() < PAUSE) {
            return false;
        }
        match renewing.await {
            Ok(is_new) => {
                self.refused().remove(part);
                if is_new {
                    tracing::info!(part, "the password has changed; connections that begin now use the new one");
                }
                true
            }
            Err(error) => {
                if known.is_none_or(|(refused, _)| refused != password) {
                    tracing::error!(part, %error, "the new password cannot be used; the one before is used on");
                }
                self.refused().insert(part.to_owned(), (password, Instant::now()));
                false
            }
        }
    }

    fn refused(&self) -> std::sync::MutexGuard<'_, HashMap<String, (Secret, Instant)>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
