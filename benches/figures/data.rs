//! What the benchmarks read, written in bulk straight into the file's tables: the change path is measured by the import alone.

use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqlitePool, SqlitePoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, query, query_scalar};

use super::world::{TENANT, World};

/// Facilities, devices for each, alerts for each device.
pub const FACILITIES: u64 = 2_000;
const DEVICES: u64 = FACILITIES * 10;
const ALERTS: u64 = DEVICES * 5;
/// Regions that the facilities are spread over.
pub const REGIONS: u64 = 8;

/// The store's own numbers for a tenant and a type.
pub struct Keys {
    connection: SqliteConnection,
    /// Of the tenant.
    pub tenant: i64,
}

impl Keys {
    /// Opens the file beside the store.
    pub async fn open(file: &Path) -> Self {
        let options =
            SqliteConnectOptions::new().filename(file).pragma("synchronous", "off").pragma("cache_size", "-262144");
        let mut connection = options.connect().await.expect("the file opens");
        let tenant = query_scalar("SELECT key FROM tenant WHERE name = ?").bind(TENANT);
        let tenant = tenant.fetch_one(&mut connection).await.expect("the tenant is there");
        Self { connection, tenant }
    }

    /// The number of a type; `sort` is 0 for nodes, 2 for relationships.
    pub async fn kind(&mut self, sort: i64, name: &str) -> i64 {
        let found = query_scalar("SELECT key FROM kind WHERE tenant = ? AND sort = ? AND name = ?");
        let found = found.bind(self.tenant).bind(sort).bind(name).fetch_one(&mut self.connection).await;
        found.unwrap_or_else(|error| panic!("{name} is no type: {error}"))
    }

    async fn run(&mut self, text: String) {
        query(AssertSqlSafe(text)).execute(&mut self.connection).await.expect("the data is written");
    }

    async fn count(&mut self, table: &str) -> i64 {
        let text = format!("SELECT count(*) FROM {table}");
        query_scalar(AssertSqlSafe(text)).fetch_one(&mut self.connection).await.expect("it can be counted")
    }

    async fn close(self) {
        self.connection.close().await.expect("the file closes");
    }
}

/// Connections as somebody would open them who writes the statements by hand: as many and with the same settings as the store's.
pub async fn readers(file: &Path) -> SqlitePool {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .read_only(true)
        .statement_cache_capacity(500)
        .disable_statement_logging()
        .pragma("mmap_size", (1_u64 << 30).to_string())
        .pragma("cache_size", "-8192")
        .pragma("temp_store", "memory");
    let most = quipu::stores::sqlite::Options::default().readers as u32;
    SqlitePoolOptions::new().max_connections(most).connect_with(options).await.expect("the file opens")
}

/// The file with 122,000 nodes.
pub async fn chain(file: &Path) -> World {
    chain_of(file, include_str!("../chain.graphql")).await
}

/// The same nodes under another ontology of facilities, devices and alerts.
pub async fn chain_of(file: &Path, sdl: &str) -> World {
    let world = World::open(file, sdl).await;
    let mut keys = Keys::open(file).await;
    if keys.count("node").await == 0 {
        fill_chain(&mut keys).await;
    }
    assert_eq!(
        keys.count("node").await as u64,
        FACILITIES + DEVICES + ALERTS,
        "the file is of another size: remove it"
    );
    keys.close().await;
    world
}

async fn fill_chain(keys: &mut Keys) {
    let tenant = keys.tenant;
    let facility = keys.kind(0, "Facility").await;
    let device = keys.kind(0, "Device").await;
    let alert = keys.kind(0, "Alert").await;
    let (has, raised) = (keys.kind(2, "HAS_DEVICE").await, keys.kind(2, "RAISED").await);
    let numbers =
        |most: u64| format!("WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {most}) ");
    let time = |seconds: &str| format!("strftime('%Y-%m-%dT%H:%M:%S.000Z', {seconds}, 'unixepoch')");
    keys.run("BEGIN".into()).await;
    keys.run(format!(
        "{} INSERT INTO node (rid, tenant, kind, id, props) SELECT 1 + i, {tenant}, {facility}, 'f' || i, \
         jsonb_object('name', printf('Facility %05d', (i * 7919) % {FACILITIES}), 'region', 'region-' || (i % {REGIONS})) FROM n",
        numbers(FACILITIES)
    ))
    .await;
    keys.run(format!(
        "{} INSERT INTO node (rid, tenant, kind, id, props) SELECT 1000001 + i, {tenant}, {device}, 'd' || i, \
         jsonb_object('name', printf('Device %06d', (i * 7919) % {DEVICES}), 'status', \
         CASE i % 7 WHEN 0 THEN 'OFFLINE' WHEN 1 THEN 'DEGRADED' ELSE 'ONLINE' END, 'battery', (i * 31) % 101, \
         'firmware', printf('4.%d.%d', i % 9, i % 5)) FROM n",
        numbers(DEVICES)
    ))
    .await;
    keys.run(format!(
        "{} INSERT INTO node (rid, tenant, kind, id, props) SELECT 2000001 + i, {tenant}, {alert}, 'a' || i, \
         jsonb_object('severity', (i * 13) % 5, 'message', printf('temperature above %d degrees for %d minutes', i % 12, i % 90), \
         'raised', {}) FROM n",
        numbers(ALERTS),
        time("1700000000 + (i * 104729) % 60000000")
    ))
    .await;
    keys.run(format!(
        "{} INSERT INTO edge (tenant, kind, src, dst, key, props) SELECT {tenant}, {has}, 1 + i / 10, 1000001 + i, '', \
         jsonb_object('since', {}, 'slot', i % 10) FROM n",
        numbers(DEVICES),
        time("1600000000 + (i * 104729) % 90000000")
    ))
    .await;
    keys.run(format!(
        "{} INSERT INTO edge (tenant, kind, src, dst, key) SELECT {tenant}, {raised}, 1000001 + i / 5, 2000001 + i, '' FROM n",
        numbers(ALERTS)
    ))
    .await;
    keys.run("COMMIT".into()).await;
}

/// The file with that many relationships between a tenth as many nodes, as a function of the number: about ten from each node, some
/// none, some thirty.
pub async fn people(file: &Path, relationships: u64) -> World {
    let world = World::open(file, include_str!("../people.graphql")).await;
    let mut keys = Keys::open(file).await;
    if keys.count("node").await == 0 {
        fill_people(&mut keys, relationships).await;
    }
    keys.close().await;
    world
}

async fn fill_people(keys: &mut Keys, relationships: u64) {
    let tenant = keys.tenant;
    let (person, knows) = (keys.kind(0, "Person").await, keys.kind(2, "KNOWS").await);
    let people = relationships / 10;
    keys.run("BEGIN".into()).await;
    keys.run(format!(
        "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {people}) \
         INSERT INTO node (rid, tenant, kind, id, props) SELECT 1 + i, {tenant}, {person}, 'p' || i, \
         jsonb_object('name', printf('Person %07d', i)) FROM n"
    ))
    .await;
    // Squares modulo a prime spread both ends without order. A repeated pair is left out.
    let prime = 2_147_483_647_u64;
    let spread =
        |by: u64| format!("1 + (((i * {by} + 11) % {prime}) * ((i * {by} + 11) % {prime}) % {prime}) % {people}");
    keys.run(format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {relationships}) \
         INSERT OR IGNORE INTO edge (tenant, kind, src, dst, key) SELECT {tenant}, {knows}, a, b, '' FROM \
         (SELECT {} AS a, {} AS b FROM n ORDER BY a, b)",
        spread(48_271),
        spread(69_621)
    ))
    .await;
    keys.run("COMMIT".into()).await;
}

/// Passages in ten languages, without their vectors.
pub async fn passages(file: &Path, passages: usize) {
    let mut keys = Keys::open(file).await;
    let (tenant, passage) = (keys.tenant, keys.kind(0, "Passage").await);
    keys.run(format!(
        "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {passages}) \
         INSERT OR IGNORE INTO node (tenant, kind, id, props) SELECT {tenant}, {passage}, 'p' || i, \
         jsonb_object('text', printf('Passage %d tells of one thing and another, at some length.', i), 'language', 'language-' || (i % 10)) FROM n"
    ))
    .await;
    keys.close().await;
}
