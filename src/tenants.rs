//! The served tenants: what is published, compiled and bound; kept in step while the server runs.
//!
//! Requests in flight finish on the version they began with: they hold it, and the map that is swapped only names the newest one.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, FuturesUnordered, StreamExt};
use quipu_resolvers::fault::{Code, Fault};
use quipu_resolvers::guard::{Principal, TenantId};
use quipu_resolvers::ports::{Served, TenantState};
use quipu_resolvers::{Answer, Ask, Bound, Engine, Ports, TextHash};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::config::OwnPlan;
use crate::http::{Absent, Gateway, TenantApi};
use crate::trusted::Trusted;

/// How often it is asked what is published.
const POLL: Duration = Duration::from_millis(300);

/// Longest wait for a first answer of a tenant's graph.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long after a failure it is tried again to serve a tenant.
const AGAIN: Duration = Duration::from_secs(1);

/// Tenants that are made ready at the same time.
const BESIDE: usize = 8;

/// Tenants by name, each with the API of its newest ontology that compiles; without one while nothing could be made ready for it.
type Published = HashMap<TenantId, Option<Arc<Serving>>>;

/// Plans of tenants: as they are kept, and as they are meant.
type Plans = HashMap<TenantId, (String, Arc<OwnPlan>)>;

/// The tenants that are published, and what they are served by.
pub struct Tenants {
    engine: Arc<Engine>,
    ports: Ports,
    served: ArcSwap<Published>,
    /// Those that are suspended, whether they could be served or not.
    suspended: ArcSwap<HashSet<TenantId>>,
    /// What tenants may use, where that was set for them alone, as it is kept and as it is meant.
    plans: ArcSwap<Plans>,
    /// Told when tenants were suspended or went.
    departures: watch::Sender<u64>,
    /// Versions that do not compile, so that each is told of once.
    refused: Mutex<HashMap<TenantId, u64>>,
}

/// One tenant, one version.
struct Serving {
    engine: Arc<Engine>,
    bound: Arc<Bound>,
    /// The documents that are published for it, and how often they were changed.
    trusted: Trusted,
    documents: u64,
}

impl Tenants {
    /// Knows of no tenant yet; see [`Tenants::refresh`].
    pub fn new(engine: Arc<Engine>, ports: Ports) -> Arc<Self> {
        Arc::new(Self {
            engine,
            ports,
            served: ArcSwap::default(),
            suspended: ArcSwap::default(),
            plans: ArcSwap::default(),
            departures: watch::Sender::new(0),
            refused: Mutex::default(),
        })
    }

    /// The tenants that are served, or would be if they were not suspended: their stores are kept in step.
    pub fn names(&self) -> Vec<TenantId> {
        let served = self.served.load();
        served.iter().filter(|(_, serving)| serving.is_some()).map(|(tenant, _)| tenant.clone()).collect()
    }

    /// What a tenant is served by now.
    pub fn bound(&self, tenant: &TenantId) -> Option<Arc<Bound>> {
        self.served.load().get(tenant)?.as_ref().map(|serving| serving.bound.clone())
    }

    /// Looks what is published and serves it. An ontology that does not compile any more leaves the one before it in place, and so does
    /// one whose graph cannot be made ready for it.
    ///
    /// # Errors
    /// The first of what failed. When it is the store that says what is published, everything is served as before; else it is about one
    /// tenant, and all others are served.
    pub async fn refresh(&self) -> Result<(), Fault> {
        self.renewed().await?.into_iter().next().map_or(Ok(()), |(_, fault)| Err(fault))
    }

    /// The same; what failed for one tenant comes back with its name.
    ///
    /// # Errors
    /// When the store that says what is published fails; everything is served as before.
    pub async fn renewed(&self) -> Result<Vec<(TenantId, Fault)>, Fault> {
        let outdated = self.outdated().await?;
        let renewed = stream::iter(outdated).map(|tenant| self.renew(tenant)).buffer_unordered(BESIDE);
        Ok(renewed.filter_map(async |(tenant, renewed)| Some((tenant, renewed.err()?))).collect().await)
    }

    /// Refreshes for ever. No tenant waits for another: one whose graph does not answer is tried again beside the others.
    pub async fn follow(&self) {
        let mut poll = interval(POLL);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut renewing: FuturesUnordered<BoxFuture<'_, (TenantId, bool)>> = FuturesUnordered::new();
        let mut busy = HashSet::new();
        let (mut failing, mut blind) = (HashSet::new(), false);
        loop {
            tokio::select! {
                Some((tenant, failed)) = renewing.next() => {
                    busy.remove(&tenant);
                    if !failed {
                        failing.remove(&tenant);
                    }
                }
                _ = poll.tick() => match self.outdated().await {
                    Ok(outdated) => {
                        blind = false;
                        for tenant in outdated.into_iter().filter(|tenant| busy.insert(tenant.clone())) {
                            let is_new = failing.insert(tenant.clone());
                            renewing.push(Box::pin(self.renew_or_wait(tenant, is_new)));
                        }
                    }
                    Err(fault) if !blind => {
                        tracing::warn!(%fault, "cannot tell what is published; tenants are served as before");
                        blind = true;
                    }
                    Err(_) => {}
                },
            }
        }
    }

    /// Serves what is newest of a tenant; a failure comes back after a while, so that it is not tried again at once. True when it failed.
    async fn renew_or_wait(&self, tenant: TenantId, is_new: bool) -> (TenantId, bool) {
        let (tenant, renewed) = self.renew(tenant).await;
        let Err(fault) = renewed else { return (tenant, false) };
        if is_new {
            tracing::warn!(%tenant, %fault, "cannot serve what is published; the tenant is served as before, and it is tried again");
        }
        sleep(AGAIN).await;
        (tenant, true)
    }

    /// The tenants whose newest version is not served, and was not refused. Those that are published no more are served no more.
    async fn outdated(&self) -> Result<Vec<TenantId>, Fault> {
        let mut published = self.ports.metadata.tenants().await?;
        published.retain(|state| state.version > 0 && state.life.is_there());
        let served = self.served.load();
        let names: HashSet<&TenantId> = published.iter().map(|state| &state.tenant).collect();
        let gone: Vec<TenantId> = served.keys().filter(|tenant| !names.contains(tenant)).cloned().collect();
        if !gone.is_empty() {
            self.served.rcu(|served| {
                let mut served = Published::clone(served);
                served.retain(|tenant, _| names.contains(tenant));
                served
            });
        }
        let suspended = published.iter().filter(|state| state.life.is_suspended());
        let suspended: HashSet<TenantId> = suspended.map(|state| state.tenant.clone()).collect();
        self.depart(suspended, &gone);
        self.plan(&published);
        for tenant in gone {
            self.ports.bus.forget(&tenant);
            let cache = self.ports.cache.clone();
            // Nobody waits for it: what is kept is under versions that do not come back.
            tokio::spawn(async move { cache.forget(&tenant).await });
        }
        let in_step = |state: &TenantState| {
            let serving = served.get(&state.tenant).and_then(Option::as_ref);
            serving.is_some_and(|serving| {
                serving.bound.served().version == state.version && serving.documents == state.documents
            })
        };
        let outdated =
            published.into_iter().filter(|state| !in_step(state) && !self.is_refused(&state.tenant, state.version));
        Ok(outdated.map(|state| state.tenant).collect())
    }

    /// Takes up plans that are others than before.
    fn plan(&self, published: &[TenantState]) {
        let before = self.plans.load_full();
        let kept = published.iter().filter_map(|state| Some((&state.tenant, state.plan.as_ref()?)));
        let plans: Plans = kept
            .map(|(tenant, text)| {
                let known = before.get(tenant).filter(|(held, _)| held == text).cloned();
                let plan = known.unwrap_or_else(|| {
                    tracing::info!(%tenant, plan = text, "a plan was set for the tenant");
                    // It was looked at before it was kept; another release may know other settings.
                    let read = OwnPlan::of_json(text);
                    let read = read.inspect_err(|problem| tracing::error!(%tenant, problem, "the plan cannot be read"));
                    (text.clone(), Arc::new(read.unwrap_or_default()))
                });
                (tenant.clone(), plan)
            })
            .collect();
        if *before != plans {
            self.plans.store(Arc::new(plans));
        }
    }

    /// Notes who is suspended, and ends the streams of those who are now, or who went.
    fn depart(&self, suspended: HashSet<TenantId>, gone: &[TenantId]) {
        let before = self.suspended.load_full();
        for tenant in suspended.difference(&before) {
            tracing::info!(%tenant, "suspended");
        }
        for tenant in before.difference(&suspended).filter(|tenant| !gone.contains(tenant)) {
            tracing::info!(%tenant, "not suspended any more");
        }
        for tenant in gone {
            tracing::info!(%tenant, "published no more");
        }
        let departed = !gone.is_empty() || !suspended.is_subset(&before);
        if *before != suspended {
            self.suspended.store(Arc::new(suspended));
        }
        if departed {
            self.departures.send_modify(|departures| *departures += 1);
        }
    }

    /// Serves what is newest of a tenant.
    async fn renew(&self, tenant: TenantId) -> (TenantId, Result<(), Fault>) {
        let (serving, renewed) = match self.load(&tenant).await {
            Ok(serving) => (serving, Ok(())),
            Err(fault) => (None, Err(fault)),
        };
        self.served.rcu(|served| {
            let mut served = Published::clone(served);
            let before = served.remove(&tenant).flatten();
            served.insert(tenant.clone(), serving.clone().or(before));
            served
        });
        (tenant, renewed)
    }

    async fn load(&self, tenant: &TenantId) -> Result<Option<Arc<Serving>>, Fault> {
        let Some((version, sdl)) = self.ports.metadata.ontology(tenant).await? else { return Ok(None) };
        let (documents, texts) = self.ports.metadata.documents(tenant).await?;
        let serving = |bound| {
            let trusted = texts.into_iter().collect();
            Ok(Some(Arc::new(Serving { engine: self.engine.clone(), bound, trusted, documents })))
        };
        if let Some(bound) = self.bound(tenant).filter(|bound| bound.served().version == version) {
            tracing::info!(%tenant, documents, "other documents are published");
            return serving(bound);
        }
        let (engine, name) = (self.engine.clone(), tenant.clone());
        // Large ontologies take tens of milliseconds, which no request should have to wait for.
        let compiled = tokio::task::spawn_blocking(move || compile(&engine, name, version, &sdl)).await;
        match compiled.map_err(|error| Fault::internal("tenants", error))? {
            Ok(bound) => {
                self.prepare(&bound).await?;
                self.check_vectors(&bound).await?;
                tracing::info!(%tenant, version, "serving");
                serving(bound)
            }
            Err(problems) => {
                tracing::error!(%tenant, version, problems, "the published ontology does not compile");
                self.refused().insert(tenant.clone(), version);
                Ok(None)
            }
        }
    }

    /// Makes what the ontology needs of the graph, and lets it follow the log.
    ///
    /// # Errors
    /// A store's; the ontology cannot be served then. `CONFLICT` when the graph has followed another log: further than this one goes, so
    /// that it would pass over what is accepted.
    pub async fn prepare(&self, bound: &Bound) -> Result<(), Fault> {
        let served = bound.served();
        // Preparing may take long, and others wait for it; so it is begun only with a store that answers.
        let position = match timeout(PATIENCE, self.ports.graph.position(&served.tenant)).await {
            Ok(position) => position?,
            Err(_) => return Err(Fault::client(Code::Timeout, "the graph does not answer")),
        };
        let head = self.ports.metadata.head(&served.tenant).await?;
        if position > head {
            let tenant = &served.tenant;
            let message = format!(
                "the graph of {tenant} stands at {position}, and its log ends at {head}: one of them was restored or replaced. \
                 `quipu rebuild --store graph --tenant {tenant}` makes the graph anew from the log"
            );
            return Err(Fault::client(Code::Conflict, message));
        }
        if *self.ports.bus.listen(&served.tenant).borrow() > head {
            // It spoke of another tenant of the name, or of a log that was put back.
            self.ports.bus.forget(&served.tenant);
        }
        self.ports.metadata.prepare(&served.tenant, &served.ontology).await?;
        // First what the ontology says of labels and texts: the log is applied by it.
        self.ports.graph.prepare(&served.tenant, &served.ontology).await?;
        self.engine.catch_up(&served.tenant).await
    }

    /// # Errors
    /// `CONFLICT` when the vectors have followed another log, further than this one goes: what is accepted would get none.
    async fn check_vectors(&self, bound: &Bound) -> Result<(), Fault> {
        let tenant = &bound.served().tenant;
        // Before the head, which only grows. Searches alone need vectors, so a store that does not answer keeps nobody from serving.
        let Ok(position) = self.ports.vectors.position(tenant).await else { return Ok(()) };
        let head = self.ports.metadata.head(tenant).await?;
        if position > head {
            let message = format!(
                "the vectors of {tenant} stand at {position}, and its log ends at {head}: one of them was restored or replaced. \
                 `quipu rebuild --store vectors --tenant {tenant}` makes the vectors anew from the log"
            );
            return Err(Fault::client(Code::Conflict, message));
        }
        Ok(())
    }

    fn is_refused(&self, tenant: &TenantId, version: u64) -> bool {
        self.refused().get(tenant) == Some(&version)
    }

    fn refused(&self) -> std::sync::MutexGuard<'_, HashMap<TenantId, u64>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An ontology from its text to what requests are answered by.
///
/// # Errors
/// The problems of the text, as text.
pub fn compile(engine: &Engine, tenant: TenantId, version: u64, sdl: &str) -> Result<Arc<Bound>, String> {
    let (ontology, api) = quipu_schema::compile_with_api(sdl).map_err(|problems| problems.to_string())?;
    Ok(engine.bind(Served { tenant, version, ontology, api }))
}

impl Gateway for Tenants {
    fn api(&self, tenant: &TenantId) -> Result<Arc<dyn TenantApi>, Absent> {
        if self.suspended.load().contains(tenant) {
            return Err(Absent::Suspended);
        }
        match self.served.load().get(tenant) {
            Some(Some(serving)) => Ok(serving.clone()),
            Some(None) => Err(Absent::NotReady),
            None => Err(Absent::Unknown),
        }
    }

    fn own_plan(&self, tenant: &TenantId) -> Option<Arc<OwnPlan>> {
        self.plans.load().get(tenant).map(|(_, plan)| plan.clone())
    }

    fn departures(&self) -> watch::Receiver<u64> {
        self.departures.subscribe()
    }
}

#[async_trait]
impl TenantApi for Serving {
    async fn answer(&self, principal: &Principal, ask: Ask) -> Answer {
        self.engine.answer(&self.bound, principal, ask).await
    }

    fn watch(&self, principal: Principal, ask: Ask) -> BoxStream<'static, Answer> {
        self.engine.watch(self.bound.clone(), principal, ask)
    }

    fn published(&self, id: &str) -> Option<Arc<str>> {
        self.trusted.text(id).cloned()
    }

    fn is_published(&self, text: &str) -> bool {
        self.trusted.has(text)
    }

    fn kept(&self, hash: &TextHash) -> Option<Arc<str>> {
        self.engine.kept_text(&self.bound, hash)
    }
}
