//! The query packs of front ends: the playground's examples for the tenants `insights`, `emma` and `supertrack`, over the demo's records and with
//! the model that ships, each with its answer in `tests/golden/TENANT`. A store set is added by one line of `pack!`, and
//! answers the same, but for ranks of words where tenants share an index of texts.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use quipu::demo;
use quipu::ingest::chunk::{self, Words};
use quipu::ingest::embed::LazyEmbedder;
use quipu::ingest::import::{Importer, Listener, Summary};
use quipu::ingest::records::Record;
use quipu::ingest::relay::{Relay, Step, Turn};
use quipu::ingest::source::{Problem, Source};
use quipu::stores::bus::LocalBus;
use quipu::stores::cache::LocalCache;
use quipu::stores::clock::SystemClock;
use quipu_resolvers::guard::{Principal, TenantId};
use quipu_resolvers::ports::{Served, Trace};
use quipu_resolvers::{Ask, Bound, Engine, Ports, Settings};
use quipu_schema::api::Api;
use serde_json::{Value as Json, json};

use crate::contract::Stores;

mod answers;
mod rights;

/// A tenant of the demo whose examples are asked, and those who ask them.
struct Domain {
    tenant: &'static str,
    sdl: &'static str,
    records: fn() -> Box<dyn Iterator<Item = Record> + Send>,
    cast: &'static [Caller],
}

/// Somebody who asks: subject, roles, scopes, and whether they ask everything or only what is a question of one's own.
struct Caller(&'static str, &'static [&'static str], &'static [&'static str], Asks);

#[derive(Clone, Copy, PartialEq)]
enum Asks {
    Everything,
    Queries,
    Own,
}

const INSIGHTS: Domain = Domain {
    tenant: "insights",
    sdl: demo::INSIGHTS_ONTOLOGY,
    records: || Box::new(demo::insights(demo::SEED).unwrap()),
    cast: &[
        Caller("ada", &["editor"], &[], Asks::Everything),
        Caller("ben", &[], &[], Asks::Own),
        Caller("root", &["admin"], &[], Asks::Own),
    ],
};

const EMMA: Domain = Domain {
    tenant: "emma",
    sdl: demo::EMMA_ONTOLOGY,
    records: || Box::new(demo::emma(demo::SEED).unwrap()),
    cast: &[
        Caller("ines", &["underwriter"], &["/global/mortgage/harbour"], Asks::Everything),
        Caller("omar", &["underwriter"], &["/global/mortgage/northgate"], Asks::Queries),
    ],
};

const SUPERTRACK: Domain = Domain {
    tenant: "supertrack",
    sdl: demo::SUPERTRACK_ONTOLOGY,
    records: || Box::new(demo::supertrack(demo::SEED)),
    cast: &[Caller("mats", &["marketer"], &[], Asks::Everything), Caller("noa", &["admin"], &[], Asks::Own)],
};

/// Runs a pack on the stores that a function opens.
macro_rules! pack {
    ($name:ident, $domain:ident, $among:ident, $open:path $(, $rights:path)?) => {
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            // A set that cannot be had says so by itself.
            if let Some(stores) = $open(concat!(module_path!(), "::", stringify!($name))).await {
                let newsroom = Newsroom::filled(stores, &$domain).await;
                answers::as_recorded(&newsroom, &$domain, answers::Among::$among).await;
                $($rights(&newsroom).await;)?
            }
        }
    };
}

pack!(on_embedded, INSIGHTS, Own, crate::contract::embedded::opened, rights::kept);
pack!(on_servers, INSIGHTS, All, crate::contract::servers::with_model, rights::kept);
pack!(emma_on_embedded, EMMA, Own, crate::contract::embedded::opened);
pack!(emma_on_servers, EMMA, All, crate::contract::servers::with_model);
pack!(supertrack_on_embedded, SUPERTRACK, Own, crate::contract::embedded::opened);
pack!(supertrack_on_servers, SUPERTRACK, All, crate::contract::servers::with_model);
pack!(supertrack_in_a_database_of_its_own, SUPERTRACK, Own, crate::contract::own::of_supertrack);

/// A tenant of the demo, embedded, behind a real engine.
struct Newsroom {
    engine: Arc<Engine>,
    bound: Arc<Bound>,
    _stores: Stores,
}

/// Refuses to be told of problems.
struct Strict;

impl Listener for Strict {
    fn progress(&mut self, _: &Summary) {}

    fn problem(&mut self, problem: Problem) {
        panic!("{problem:?}");
    }
}

/// Somebody of the tenant `insights` with roles.
fn caller(subject: &str, roles: &[&str]) -> Principal {
    somebody(&INSIGHTS, subject, roles, &[])
}

fn somebody(domain: &Domain, subject: &str, roles: &[&str], scopes: &[&str]) -> Principal {
    Principal {
        tenant: TenantId::parse(domain.tenant).unwrap(),
        subject: Some(subject.to_owned()),
        claims: json!({ "sub": subject, "roles": roles, "scopes": scopes }),
        operator: false,
    }
}

fn embedder() -> LazyEmbedder {
    let dylib = std::env::var_os("ORT_DYLIB_PATH").map(PathBuf::from).filter(|path| path.is_file());
    let dylib = dylib.expect(
        "this test needs the ONNX Runtime library: run `make setup`, then set ORT_DYLIB_PATH to the file it prints",
    );
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/all-MiniLM-L6-v2");
    LazyEmbedder::new(model, Some(dylib), 2)
}

impl Newsroom {
    async fn filled(stores: Stores, domain: &Domain) -> Self {
        let ports = Ports {
            graph: stores.graph.clone(),
            metadata: stores.metadata.clone(),
            vectors: stores.vectors.clone(),
            embedder: Arc::new(embedder()),
            cache: Arc::new(LocalCache::new(64 << 20, 1 << 20, Arc::new(SystemClock))),
            bus: Arc::new(LocalBus::default()),
            clock: Arc::new(SystemClock),
        };
        let cursor_secret = b"a secret of the tests, 32 bytes!".to_vec();
        let settings = Settings { limits: Default::default(), introspection: true, cursor_secret };
        let engine = Engine::new(ports.clone(), settings);
        let tenant = TenantId::parse(domain.tenant).unwrap();
        let sdl = domain.sdl;
        let ontology = quipu_schema::compile(sdl).unwrap_or_else(|problems| panic!("{problems}"));
        let version = ports.metadata.publish(&tenant, sdl, &ontology, "2026-11-21T10:00:00.000Z").await.unwrap();
        ports.graph.prepare(&tenant, &ontology).await.unwrap();
        let api = Api::of(&ontology);
        let bound = engine.bind(Served { tenant: tenant.clone(), version, ontology, api });
        let importer = Importer {
            engine: engine.clone(),
            ports: ports.clone(),
            bound: bound.clone(),
            principal: Principal::operator(&tenant, Some("import")),
            splitter: Arc::new(|text: &str| chunk::split(text, &Words, 256, 32)),
            once: None,
        };
        let records = Source::records(domain.tenant, (domain.records)());
        let summary = importer.run(vec![records], &mut Strict).await.unwrap();
        assert_eq!(summary.refused, 0);
        engine.catch_up(&tenant).await.unwrap();
        let relay = Relay::new(&ports, Turn::default());
        while relay.step(&tenant, &bound.served().ontology, &mut |_| {}).await.unwrap() != Step::InStep {}
        Self { engine, bound, _stores: stores }
    }

    /// The response to a request.
    async fn ask(&self, caller: &Principal, query: &str, variables: Json) -> Json {
        let ask = Ask {
            query: query.to_owned(),
            operation_name: None,
            variables: variables.as_object().cloned().unwrap_or_default(),
            may_write: true,
            idempotency_key: None,
            position: None,
            deadline: Instant::now() + Duration::from_secs(60),
            trace: Arc::new(Trace::default()),
            pricing: Default::default(),
        };
        let answer = self.engine.answer(&self.bound, caller, ask).await;
        serde_json::from_slice(&answer.body).unwrap()
    }
}
