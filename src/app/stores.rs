//! The stores that the configuration names: one arm per technology.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use futures_util::future::try_join_all;
use quipu_resolvers::guard::TenantId;
use quipu_resolvers::ports::{Graph, Metadata, Vectors};

use crate::app::AppError;
use crate::audit::Trail;
use crate::auth;
use crate::config::{Config, ConfigError, GraphUrl, MetadataUrl, Secret, Tenancy, TenantGraph, VectorsUrl};
use crate::ingest::embed::ModelConfig;
use crate::stores::apart;
use crate::stores::migrations::Plan;
use crate::stores::neo4j::{self, Gathering, Neo4j, TenancyMode};
use crate::stores::postgres::{self, Postgres};
use crate::stores::qdrant::{self, Qdrant};
use crate::stores::routed::RoutedGraph;
use crate::stores::sqlite::{self, Embedded, OpenError, Options};

/// Everything that is open.
pub struct Stores {
    /// Nodes and relationships.
    pub graph: Arc<dyn Graph>,
    /// Rows, registry, log and ontologies.
    pub metadata: Arc<dyn Metadata>,
    /// The audit trail, beside the log.
    pub trail: Arc<dyn Trail>,
    /// Keys, beside the rows.
    pub credentials: Arc<dyn auth::Credentials>,
    /// Vectors.
    pub vectors: Arc<dyn Vectors>,
    /// The Neo4j server that `graph.url` names.
    pub(super) neo4j: Option<Neo4j>,
    /// Those of tenants that have their own.
    pub(super) of_tenants: BTreeMap<TenantId, Neo4j>,
    embedded: Option<Arc<Embedded>>,
    pub(super) postgres: Option<Postgres>,
    pub(super) qdrant: Option<Qdrant>,
}

/// How the servers are to be reached, passwords of files included.
pub(super) struct Wanted {
    pub neo4j: Option<neo4j::Options>,
    pub of_tenants: Vec<(TenantId, neo4j::Options)>,
    pub postgres: Option<postgres::Options>,
    pub qdrant: Option<qdrant::Options>,
}

impl Wanted {
    /// What the settings say, and the files that they name hold now.
    ///
    /// # Errors
    /// When they contradict each other, or a file cannot be read.
    pub fn of(config: &Config) -> Result<Self, ConfigError> {
        let of_tenants = config.graph_tenants.iter();
        let of_tenants = of_tenants.map(|(tenant, graph)| Ok((tenant.clone(), options_of(config, tenant, graph)?)));
        Ok(Self {
            neo4j: neo4j_options(config)?,
            of_tenants: of_tenants.collect::<Result<_, ConfigError>>()?,
            postgres: postgres_options(config)?,
            qdrant: qdrant_options(config)?,
        })
    }
}

impl Stores {
    /// Opens what is configured, and looks whether it can be used. The file is made only where something is in it.
    ///
    /// # Errors
    /// When a store cannot be used as configured.
    pub async fn open(config: &Config) -> Result<Self, AppError> {
        // Servers first: what is wrong with them is told before a file is made.
        let (neo4j, of_tenants, postgres, qdrant) =
            tokio::try_join!(open_neo4j(config), open_of_tenants(config), open_postgres(config), open_qdrant(config))?;
        let mut embedded = None;
        let (metadata, trail, credentials): (Arc<dyn Metadata>, Arc<dyn Trail>, Arc<dyn auth::Credentials>) =
            match &postgres {
                Some(postgres) => (Arc::new(postgres.clone()), Arc::new(postgres.clone()), Arc::new(postgres.clone())),
                None => {
                    let metadata = Arc::new(file(&mut embedded, config).await?.metadata());
                    (metadata.clone(), metadata.clone(), metadata)
                }
            };
        let neo4j = neo4j.map(|neo4j| neo4j.with_rows(metadata.clone()));
        let of_tenants: BTreeMap<TenantId, Neo4j> =
            of_tenants.into_iter().map(|(tenant, neo4j)| (tenant, neo4j.with_rows(metadata.clone()))).collect();
        let usual: Arc<dyn Graph> = match &neo4j {
            Some(neo4j) => Arc::new(neo4j.clone()),
            None => Arc::new(file(&mut embedded, config).await?.graph()),
        };
        if let Some(file) = &embedded {
            file.without_graphs_of(of_tenants.keys().cloned());
        }
        let graph = routed(usual, &of_tenants);
        let in_file = neo4j.is_none() && of_tenants.is_empty() && postgres.is_none();
        let vectors: Arc<dyn Vectors> = match &qdrant {
            Some(qdrant) => apart::over(Arc::new(qdrant.clone()), graph.clone(), metadata.clone()),
            None if in_file => Arc::new(file(&mut embedded, config).await?.vectors()),
            None => {
                let vectors = file(&mut embedded, config).await?.vectors();
                apart::over(Arc::new(vectors), graph.clone(), metadata.clone())
            }
        };
        Ok(Self { graph, metadata, trail, credentials, vectors, neo4j, of_tenants, embedded, postgres, qdrant })
    }

    /// Migrates what is not migrated when it is opened.
    ///
    /// # Errors
    /// When a store cannot be asked.
    pub async fn migrate(&self) -> Result<(), AppError> {
        for neo4j in self.neo4j.iter().chain(self.of_tenants.values()) {
            neo4j.look().await?;
            neo4j.migrate().await?;
        }
        Ok(())
    }

    /// The Neo4j server that has the graph of a tenant; nothing when it is in the file.
    pub fn neo4j(&self, tenant: &TenantId) -> Option<&Neo4j> {
        self.of_tenants.get(tenant).or(self.neo4j.as_ref())
    }

    /// Closes all of them; nothing can be asked any more.
    pub async fn close(&self) {
        if let Some(embedded) = &self.embedded {
            embedded.close().await;
        }
        if let Some(postgres) = &self.postgres {
            postgres.close().await;
        }
    }
}

/// The file, which is opened when it is asked for first.
async fn file(open: &mut Option<Arc<Embedded>>, config: &Config) -> Result<Arc<Embedded>, OpenError> {
    if let Some(file) = open {
        return Ok(file.clone());
    }
    Ok(open.insert(Embedded::open(&config.store.path, Options::default()).await?).clone())
}

/// One graph for all tenants, or a choice by tenant.
fn routed(usual: Arc<dyn Graph>, of_tenants: &BTreeMap<TenantId, Neo4j>) -> Arc<dyn Graph> {
    if of_tenants.is_empty() {
        return usual;
    }
    let named = of_tenants.iter().map(|(tenant, neo4j)| (tenant.clone(), Arc::new(neo4j.clone()) as Arc<dyn Graph>));
    Arc::new(RoutedGraph::new(usual, named.collect::<HashMap<_, _>>()))
}

/// What migrating would run on the stores that have something to be migrated. Nothing is written, and no file is made.
///
/// # Errors
/// When a store cannot be asked.
pub async fn plans(config: &Config) -> Result<Vec<Plan>, AppError> {
    let mut plans: Vec<Plan> = Vec::new();
    let usual = neo4j_options(config)?;
    let of_tenants = config.graph_tenants.iter().map(|(tenant, graph)| options_of(config, tenant, graph));
    let of_tenants: Vec<neo4j::Options> = of_tenants.collect::<Result<_, _>>()?;
    let postgres = postgres_options(config)?;
    let elsewhere = usual.is_some() && postgres.is_some() && config.vectors.url != VectorsUrl::Embedded;
    for options in usual.iter().chain(&of_tenants) {
        let plan = Neo4j::plan(options).await?;
        if !plans.iter().any(|other| other.place == plan.place) {
            plans.push(plan);
        }
    }
    if let Some(options) = postgres {
        plans.push(postgres::plan(&options).await?);
    }
    if !elsewhere {
        plans.push(sqlite::plan(&config.store.path).await?);
    }
    Ok(plans)
}

async fn open_neo4j(config: &Config) -> Result<Option<Neo4j>, AppError> {
    match neo4j_options(config)? {
        Some(options) => Ok(Some(Neo4j::open(options).await?)),
        None => Ok(None),
    }
}

fn neo4j_options(config: &Config) -> Result<Option<neo4j::Options>, ConfigError> {
    let (graph, GraphUrl::Neo4j(url)) = (&config.graph, &config.graph.url) else { return Ok(None) };
    let database = Database {
        section: "graph".to_owned(),
        url,
        user: &graph.user,
        password: config.graph_password()?,
        database: graph.database.as_deref(),
        tenancy: graph.tenancy,
    };
    Ok(Some(database.options(config)?))
}

/// The databases of tenants that have their own, all at once: each takes its seconds to be found missing. Those that are away are opened
/// as well: the other tenants are served without them.
async fn open_of_tenants(config: &Config) -> Result<Vec<(TenantId, Neo4j)>, AppError> {
    try_join_all(config.graph_tenants.iter().map(|(tenant, graph)| open_of(config, tenant, graph))).await
}

async fn open_of(config: &Config, tenant: &TenantId, graph: &TenantGraph) -> Result<(TenantId, Neo4j), AppError> {
    Ok((tenant.clone(), Neo4j::open_later(options_of(config, tenant, graph)?).await?))
}

fn options_of(config: &Config, tenant: &TenantId, graph: &TenantGraph) -> Result<neo4j::Options, ConfigError> {
    let section = format!("graph.tenants.{tenant}");
    let GraphUrl::Neo4j(url) = &graph.url else {
        return Err(ConfigError::one(format!("`{section}.url` is not the URL of a server")));
    };
    let database = Database {
        section,
        url,
        user: &graph.user,
        password: graph.password(tenant)?,
        database: graph.database.as_deref(),
        tenancy: graph.tenancy,
    };
    database.options(config)
}

/// What the settings say of one database.
struct Database<'a> {
    section: String,
    url: &'a Secret,
    user: &'a str,
    password: Option<String>,
    database: Option<&'a str>,
    tenancy: Tenancy,
}

impl Database<'_> {
    fn options(self, config: &Config) -> Result<neo4j::Options, ConfigError> {
        let given = Credentials::of(self.url.text());
        let password = match (given.password, self.password) {
            (Some(_), Some(_)) => {
                return Err(twice(&format!("{}.password", self.section), &format!("{}.url", self.section)));
            }
            (Some(password), None) | (None, Some(password)) => password,
            (None, None) => String::new(),
        };
        let graph = &config.graph;
        Ok(neo4j::Options {
            url: given.url,
            user: given.user.unwrap_or_else(|| self.user.to_owned()),
            password,
            database: self.database.map(str::to_owned),
            pool: graph.connections.get(),
            wait: graph.wait,
            gathering: if graph.gather { Gathering::default() } else { Gathering::Never },
            tenancy: match self.tenancy {
                Tenancy::Property => TenancyMode::Property,
                Tenancy::Database => TenancyMode::Database,
            },
            namespace: graph.prefix.clone().map(|prefix| format!("{prefix}/")).unwrap_or_default(),
            section: self.section,
        })
    }
}

async fn open_postgres(config: &Config) -> Result<Option<Postgres>, AppError> {
    match postgres_options(config)? {
        Some(options) => Ok(Some(Postgres::open(options).await?)),
        None => Ok(None),
    }
}

fn postgres_options(config: &Config) -> Result<Option<postgres::Options>, ConfigError> {
    let (metadata, MetadataUrl::Postgres(url)) = (&config.metadata, &config.metadata.url) else { return Ok(None) };
    let [password, owner_password] = config.metadata_passwords()?;
    let owner = metadata.owner_url.as_ref();
    for (url, password, name) in
        [(Some(url), &password, "metadata.password"), (owner, &owner_password, "metadata.owner_password")]
    {
        if password.is_some() && url.is_some_and(|url| Credentials::of(url.text()).password.is_some()) {
            return Err(twice(name, "the URL"));
        }
    }
    Ok(Some(postgres::Options {
        url: url.text().to_owned(),
        password,
        owner_url: owner.map(|url| url.text().to_owned()),
        owner_password,
        schema: metadata.schema.clone(),
        connections: u32::try_from(metadata.connections.get()).unwrap_or(u32::MAX),
        wait: metadata.wait,
        tables: metadata.tables.0.clone(),
        root_certificate: metadata.root_certificate.clone(),
        ..postgres::Options::default()
    }))
}

async fn open_qdrant(config: &Config) -> Result<Option<Qdrant>, AppError> {
    match qdrant_options(config)? {
        Some(options) => Ok(Some(Qdrant::open(options).await?)),
        None => Ok(None),
    }
}

fn qdrant_options(config: &Config) -> Result<Option<qdrant::Options>, ConfigError> {
    let (vectors, VectorsUrl::Qdrant(url)) = (&config.vectors, &config.vectors.url) else { return Ok(None) };
    let given = Credentials::of(url.text());
    let key = match (given.password.or(given.user), config.vectors_key()?) {
        (Some(_), Some(_)) => return Err(twice("vectors.key", "vectors.url")),
        (in_url, set) => in_url.or(set),
    };
    // Collections are named by the model: vectors of another cannot be compared with these.
    let model = ModelConfig::read(&config.embedding.model)
        .map_err(|error| ConfigError::one(format!("`vectors.url` is a server, which needs the model: {error}")))?;
    Ok(Some(qdrant::Options {
        url: given.url,
        key,
        prefix: vectors.prefix.clone(),
        model: model.name,
        dimension: model.dimensions,
        connections: vectors.connections.get(),
        wait: vectors.wait,
        ..qdrant::Options::default()
    }))
}

pub(super) fn twice(name: &str, place: &str) -> ConfigError {
    ConfigError::one(format!("`{name}` is set, and {place} has a password as well\nhelp: leave one of them out"))
}

/// A URL taken apart. Credentials in it may be percent-encoded.
#[derive(Debug, PartialEq)]
pub(super) struct Credentials {
    url: String,
    user: Option<String>,
    pub password: Option<String>,
}

impl Credentials {
    pub fn of(url: &str) -> Self {
        let none = Self { url: url.to_owned(), user: None, password: None };
        let Some((scheme, rest)) = url.split_once("://") else { return none };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let Some((credentials, _)) = rest.split_at(end).0.rsplit_once('@') else { return none };
        let (user, password) = match credentials.split_once(':') {
            Some((user, password)) => (user, Some(password)),
            None => (credentials, None),
        };
        let decoded = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
        Self {
            url: format!("{scheme}://{}", &rest[credentials.len() + 1..]),
            user: Some(user).filter(|user| !user.is_empty()).map(decoded),
            password: password.map(decoded),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_taken_out_of_urls() {
        let parts = |url| {
            let Credentials { url, user, password } = Credentials::of(url);
            (url, user.unwrap_or_default(), password.unwrap_or_default())
        };
        let all = |url: &str, user: &str, password: &str| (url.to_owned(), user.to_owned(), password.to_owned());
        assert_eq!(parts("neo4j://h:1"), all("neo4j://h:1", "", ""));
        assert_eq!(parts("neo4j://neo:s3@h:1/x?y=a@b"), all("neo4j://h:1/x?y=a@b", "neo", "s3"));
        assert_eq!(parts("neo4j+s://neo@h"), all("neo4j+s://h", "neo", ""));
        assert_eq!(parts("bolt://a:p%40%3a:q@h"), all("bolt://h", "a", "p@::q"));
        assert_eq!(parts("bolt://:p@h"), all("bolt://h", "", "p"));
        assert_eq!(parts("h"), all("h", "", ""));
    }
}
