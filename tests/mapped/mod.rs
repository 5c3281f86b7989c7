//! Tables that belong to others, shown by an ontology, in a real Postgres: the same questions are answered as over rows of our own.
//!
//! Without a server (see `contract::postgres`) these cases are skipped, each by its name.

use std::time::Duration;

use quipu::stores::open_tables::OpenTable;
use quipu::stores::postgres::{Options, Postgres};
use serde_json::{Map, Value as Json, json};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Executor, query, raw_sql};

use crate::contract::postgres::{Server, beside, plain, server};
use crate::spec::world::{TENANTS, World, admin};

mod answers;
mod apart;
mod changes;
mod publishing;
mod running;
mod statements;
mod writing;

/// Tables that others made, in a schema of their own, and options for a gateway that may show them.
pub struct Shop {
    pub server: Server,
    pub schema: String,
    pub options: Options,
    /// Whoever owns the tables.
    pub owner: PgConnection,
}

/// Runs statements about the tables of a schema.
async fn execute(connection: &mut PgConnection, schema: &str, text: &str) {
    let text = named(text, schema);
    connection.execute(AssertSqlSafe(text.clone())).await.unwrap_or_else(|error| panic!("{error}: {text}"));
}

/// What an ontology calls the tables by.
const TABLES: [(&str, &str); 3] = [("Order", "Orders \"2026\""), ("Customer", "customers"), ("Item", "items")];

impl Shop {
    /// Empty tables. Orders and items name the tenant in a column; so do customers, until a test says otherwise.
    pub async fn empty(case: &str) -> Option<Self> {
        Self::made(case, "shop", include_str!("shop.sql"), "by tenant").await
    }

    /// Tables that statements make, in a schema with that in its name, open as is said.
    async fn made(case: &str, name: &str, tables: &str, open: &str) -> Option<Self> {
        let server = server(case)?;
        let mut options = patient(&server);
        let schema = options.schema.replace("case", name);
        let mut owner = plain(&server.owner, &options).await;
        raw_sql(AssertSqlSafe(named(tables, &schema))).execute(&mut owner).await.unwrap();
        options.tables = opened(&[&format!("{schema}.* {open}")]);
        Some(Self { server, schema, options, owner })
    }

    /// The ontology over the tables.
    pub fn mapped(&self) -> String {
        include_str!("shop.graphql").replace("\"SCHEMA\"", &format!("\"{}\"", self.schema))
    }

    /// The same ontology over rows of our own.
    pub fn own(&self) -> String {
        let text = self.mapped().replace(&format!(", schema: \"{}\"", self.schema), "");
        let text =
            text.replace("id: ID! @column(name: \"order_no\")", "id: ID!").replace("Orders \\\"2026\\\"", "orders");
        text.replace("@column(name: \"Pieces; DROP TABLE x\")", "@alias(property: \"pieces_in_store\")")
            .replace("@column(name: \"full name\")", "@alias(property: \"full name\")")
    }

    /// Runs statements as whoever owns the tables.
    pub async fn run(&mut self, text: &str) {
        execute(&mut self.owner, &self.schema, text).await;
    }

    /// Fills the tables: the same ids for both tenants, with other contents.
    pub async fn filled(case: &str) -> Option<Self> {
        let mut shop = Self::empty(case).await?;
        for who in TENANTS {
            for (of, table) in TABLES {
                let rows: Vec<Json> = records(who, of).iter().map(|record| row(who, of, record)).collect();
                let name = format!("{}.\"{}\"", shop.schema, table.replace('"', "\"\""));
                let text =
                    format!("INSERT INTO {name} SELECT * FROM jsonb_populate_recordset(NULL::{name}, $1::jsonb)");
                query(AssertSqlSafe(text)).bind(Json::from(rows).to_string()).execute(&mut shop.owner).await.unwrap();
            }
        }
        Some(shop)
    }

    /// An engine over the tables, with sites in its graph.
    pub async fn world(&self) -> World {
        let world = self.world_of(&self.mapped()).await;
        for who in TENANTS {
            create(&world, who, "Site").await;
        }
        world
    }

    /// An engine that serves an ontology under these options.
    pub async fn world_of(&self, sdl: &str) -> World {
        let metadata =
            Postgres::open(self.options.clone()).await.unwrap_or_else(|error| panic!("{error}: {}", error.help));
        World::over(beside(metadata).await, sdl).await
    }

    /// An engine over the same records as rows of our own.
    pub async fn own_world(&self) -> World {
        let options = patient(&self.server);
        let world = World::over(beside(Postgres::open(options).await.unwrap()).await, &self.own()).await;
        for who in TENANTS {
            for of in ["Site", "Customer", "Order", "Item"] {
                create(&world, who, of).await;
            }
        }
        world
    }
}

/// Statements with the name of the schema.
fn named(text: &str, schema: &str) -> String {
    text.replace("SCHEMA.", &format!("{schema}.")).replace("SCHEMA SCHEMA", &format!("SCHEMA {schema}"))
}

/// Options under which requests wait for a connection as long as a busy machine needs.
fn patient(server: &Server) -> Options {
    Options { wait: Duration::from_secs(60), ..server.fresh() }
}

/// What the settings would say.
pub fn opened(texts: &[&str]) -> Vec<OpenTable> {
    texts.iter().map(|text| OpenTable::parse(text).unwrap_or_else(|| panic!("{text}"))).collect()
}

async fn create(world: &World, who: &str, of: &str) {
    let text = format!(
        "mutation M($input: [{of}UpsertInput!]!) {{ upsert{of}s(input: $input) {{ info {{ nodesCreated }} }} }}"
    );
    let (data, errors) = world.run(&admin(who), &text, json!({ "input": records(who, of) })).await;
    assert_eq!(errors, Json::Null, "{data}");
}

/// The id of an order.
pub fn uuid(number: usize) -> String {
    // In another order than their numbers.
    format!("00000000-0000-4{:03x}-8000-{number:012x}", number * 37 % 101)
}

const CODES: [&str; 12] =
    ["alpha", "Alpha", "Zeta", "it's \"x\"", "100% _\\", "Ünï", "ß", "aa", "å", "\u{1F600} smile", "", "ZZZ"];

/// Records of a type as they are given to the API: values, ties, and nothing in many places.
pub fn records(who: &str, of: &str) -> Vec<Json> {
    let some = |there: bool, value: Json| if there { value } else { Json::Null };
    let plus = usize::from(who == "beta");
    match of {
        "Site" => (0..5).map(|n| json!({"id": format!("s{n}"), "name": format!("{who} site {n}")})).collect(),
        "Customer" => (0..8)
            .map(|n| {
                json!({"id": (100 + n * 7).to_string(), "name": format!("{who} {}", CODES[(n + plus) % 12]),
                    "mail": some(n % 3 != 0, json!(format!("{n}@{who}"))), "hidden": n % 4 == 3})
            })
            .collect(),
        "Order" => (0..40)
            .map(|n| {
                let m = n + plus;
                json!({
                    "id": uuid(n),
                    "site_id": some(n % 7 != 0, json!(format!("s{}", m % 6))),
                    "customer_id": some(n % 5 != 0, json!((100 + (m % 10) * 7).to_string())),
                    "code": CODES[m % 12],
                    "note": some(n % 3 != 0, json!((["abc", "ABC", "b c", "é"][m % 4]))),
                    "state": (["OPEN", "SENT", "LOST"][m % 3]),
                    "stage": some(n % 4 != 1, json!((["NEW", "OLD"][m % 2]))),
                    "pieces": m % 9,
                    "small": some(n % 2 == 0, json!(m as i64 % 5 - 2)),
                    "whole": some(n % 6 != 0, json!(m % 4)),
                    "big": some(n % 5 != 2, json!((9_007_199_254_740_991_i64 - (m as i64 % 3)).to_string())),
                    "huge": some(n % 5 != 3, json!((m as i64 * 1_000_000_007).to_string())),
                    "price": some(n % 8 != 0, json!(([0.1, 0.2, 1e300, -2.5, 3.0, 1e-7, 123_456.789][m % 7]))),
                    "exact": some(n % 8 != 1, json!(([0.05, 19.99, 1234.5, -7.25][m % 4]))),
                    "loose": some(n % 8 != 2, json!(([0.3, 1e15, 2.0][m % 3]))),
                    "single": some(n % 8 != 3, json!(([0.1, 0.25, -3.5][m % 3]))),
                    "paid": some(n % 3 != 1, json!(m % 2 == 0)),
                    "day": some(n % 9 != 0, json!(format!("20{:02}-0{}-1{}", 10 + m % 5, 1 + m % 9, m % 10))),
                    "at": format!("2026-11-{:02}T10:00:{:02}.{:03}Z", 1 + m % 3, m % 7, (m % 4) * 250),
                    "coarse": some(n % 6 != 5, json!(format!("2026-01-01T00:00:00.00{}Z", m % 5))),
                    "extra": some(n % 4 != 0, json!({"size": [m, 2.5, null], "deep": {"a": who}})),
                    "tags": some(n % 5 != 4, json!(([[].as_slice(), &["cold"], &["cold", "it's"]][m % 3]))),
                    "counts": some(n % 4 != 3, json!([m % 3, 7])),
                    "days": some(n % 4 != 2, json!([format!("2020-01-0{}", 1 + m % 9)])),
                    "moments": some(n % 4 != 1, json!(["2020-01-01T00:00:00.250Z", "1969-12-31T23:59:59.999Z"])),
                })
            })
            .collect(),
        "Item" => (0..60)
            .map(|n| {
                json!({"id": format!("i{n}"), "order_no": some(n % 11 != 0, json!(uuid((n + plus) % 45))),
                    "label": format!("{who} {n}"), "amount": (n + plus) % 6})
            })
            .collect(),
        other => panic!("{other}"),
    }
}

/// A record as a row of its table.
fn row(who: &str, of: &str, record: &Json) -> Json {
    let column = |name: &str| match (of, name) {
        ("Order", "id") => "order_no".to_owned(),
        ("Order", "pieces") => "Pieces; DROP TABLE x".to_owned(),
        ("Customer", "name") => "full name".to_owned(),
        (_, other) => other.to_owned(),
    };
    let record = record.as_object().unwrap();
    let mut row: Map<String, Json> = record.iter().map(|(name, value)| (column(name), value.clone())).collect();
    row.insert("tenant".to_owned(), who.into());
    row.into()
}
