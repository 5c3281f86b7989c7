//! What publishing says of tables that do not fit, and what is generated for those that do.

use quipu::stores::postgres::Postgres;
use quipu::stores::sqlite;
use quipu_resolvers::guard::TenantId;
use quipu_resolvers::ports::Metadata;
use quipu_schema::api::Api;

use super::{Shop, opened};

macro_rules! snapshot {
    ($text:expr) => {
        insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!($text) })
    };
}

const AT: &str = "2026-11-21T10:00:00.000Z";

/// What publishing for a tenant says.
async fn published(metadata: &(impl Metadata + ?Sized), who: &str, sdl: &str) -> Result<u64, String> {
    let ontology = quipu_schema::compile(sdl).unwrap_or_else(|problems| panic!("{}", problems.render("shop", false)));
    let tenant = TenantId::parse(who).unwrap();
    metadata.publish(&tenant, sdl, &ontology, AT).await.map_err(|fault| fault.to_string())
}

impl Shop {
    pub async fn publish(&self, who: &str, sdl: &str) -> Result<u64, String> {
        let metadata =
            Postgres::open(self.options.clone()).await.unwrap_or_else(|error| panic!("{error}: {}", error.help));
        let outcome = published(&metadata, who, &sdl.replace("SCHEMA", &self.schema)).await;
        metadata.close().await;
        outcome
    }

    /// A refusal, without the names that differ from run to run.
    pub async fn refusal(&self, who: &str, sdl: &str) -> String {
        let refusal = self.publish(who, sdl).await.expect_err(sdl);
        refusal.replace(&self.schema, "shop").replace(&self.options.schema, "quipu")
    }

    /// A type over a table with some more columns.
    async fn with(&mut self, columns: &str) {
        self.run(&format!("CREATE TABLE SCHEMA.odd (tenant text, id uuid PRIMARY KEY, {columns}); GRANT SELECT ON SCHEMA.odd TO quipu_login"))
            .await;
    }
}

/// A type over the table `odd`.
fn odd(fields: &str) -> String {
    format!("type Odd @table(name: \"odd\", schema: \"SCHEMA\") {{ id: ID! {fields} }}")
}

/// Only what whoever runs the gateway opened can be shown, and whether anything else is there is not told.
#[tokio::test]
async fn only_open_tables() {
    let Some(mut shop) = Shop::empty("mapped::publishing::only_open_tables").await else { return };
    let schema = shop.schema.clone();
    shop.options.tables = opened(&[&format!("{schema}.customers for beta"), &format!("{schema}.items for alpha")]);
    let own = shop.options.schema.clone();
    let mut said = Vec::new();
    for (schema, table) in [
        ("SCHEMA", "customers"),
        ("SCHEMA", "CUSTOMERS"),
        ("SCHEMA", "customers\\\" --"),
        ("SCHEMA", "no such table"),
        ("pg_catalog", "pg_authid"),
        ("information_schema", "tables"),
        (own.as_str(), "record"),
        (own.as_str(), "log"),
        ("public", "x"),
    ] {
        let sdl = format!("type T @table(name: \"{table}\", schema: \"{schema}\") {{ id: ID! }}");
        said.push(shop.refusal("alpha", &sdl).await);
    }
    snapshot!(said.join("\n"));
    let items = "type Item @table(name: \"items\", schema: \"SCHEMA\") { id: ID! label: String! }";
    let not_unique = shop.refusal("alpha", items).await;
    assert!(not_unique.contains("CREATE UNIQUE INDEX"), "{not_unique}");
    shop.run("CREATE UNIQUE INDEX ON SCHEMA.items (id)").await;
    assert_eq!(shop.publish("alpha", items).await, Ok(1));
    assert!(shop.refusal("beta", items).await.contains("is not open to beta"));
    assert_eq!(shop.publish("beta", "type A { id: ID! }").await, Ok(1), "other ontologies do not mind");
    // The gateway's own tables, in which all tenants are, are opened by nobody.
    shop.options.tables = opened(&[&format!("{own}.* for alpha")]);
    let refused = Postgres::open(shop.options.clone()).await.expect_err("it must be refused");
    assert!(refused.message.contains("which is this gateway's own"), "{refused}");
}

/// Columns, their types, whether they may be null, what tells rows apart: each refusal says what is wrong, where, and what to do.
#[tokio::test]
async fn what_does_not_fit_is_told() {
    let Some(mut shop) = Shop::empty("mapped::publishing::what_does_not_fit_is_told").await else { return };
    shop.options.tables = opened(&[&format!("{}.odd for alpha", shop.schema)]);
    shop.run("CREATE TYPE SCHEMA.mood AS ENUM ('glad', 'it''s \"odd\"', 'SAD')").await;
    shop.with(
        "words text, many text[], short integer, long bigint, amount numeric(12, 2), yes boolean, day date, moment timestamptz, \
         local timestamp, padded char(3), cash money, doc jsonb, mood SCHEMA.mood, key uuid, name text NOT NULL, gone text, bits bytea, \
         address inet, span int4range",
    )
    .await;
    shop.run("ALTER TABLE SCHEMA.odd DROP COLUMN gone").await;
    let mut said = Vec::new();
    for fields in [
        "nothing: String",
        "gone: String",
        "Words: String @column(name: \"WORDS\")",
        "words: Int",
        "words: [String]",
        "many: String",
        "short: String",
        "long: Int",
        "long: Float",
        "amount: Int",
        "yes: String",
        "day: DateTime",
        "moment: Date",
        "local: DateTime",
        "padded: String",
        "cash: Float",
        "doc: String",
        "mood: Mood",
        "mood: Int",
        "key: Int",
        "bits: String",
        "address: String",
        "span: JSON",
        "words: String!",
        "x: String @column(name: \"tableoid\")",
        "x: String @column(name: \"words\\\"; DROP TABLE odd; --\")",
        "parent: Odd @join(by: \"parent_id\")",
        "children: [Odd!]! @join(on: \"bits\")",
        "a: Int @column(name: \"words\") b: String @column(name: \"none\") c: Boolean! @column(name: \"yes\")",
    ] {
        said.push(shop.refusal("alpha", &(odd(fields) + "enum Mood { GLAD SAD }")).await);
    }
    snapshot!(said.join("\n"));
    let fine = "words: String many: [String!] short: Int long: BigInt amount: Float yes: Boolean day: Date moment: DateTime doc: JSON \
                mood: String key: ID name: String!";
    assert_eq!(shop.publish("alpha", &odd(fine)).await, Ok(1));
    let ids =
        "text: ID @column(name: \"words\") number: ID @column(name: \"long\") children: [Odd!]! @join(on: \"short\")";
    assert_eq!(shop.publish("alpha", &odd(ids)).await, Ok(2));
}

/// What tells rows and tenants apart, and who may read.
#[tokio::test]
async fn rows_and_tenants_are_told_apart() {
    let Some(mut shop) = Shop::empty("mapped::publishing::rows_and_tenants_are_told_apart").await else { return };
    let schema = shop.schema.clone();
    let mut said = Vec::new();
    let with = |how: &str| opened(&[&format!("{schema}.odd {how}")]);
    shop.with("words text, number int, json jsonb, whole bigint").await;
    let sdl = odd("words: String");
    for how in ["by nobody", "by json", "by number", "by id", "by row security"] {
        shop.options.tables = with(how);
        said.push(shop.refusal("alpha", &sdl).await);
    }
    shop.options.tables = with("by row security");
    for step in [
        "ALTER TABLE SCHEMA.odd ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY everything ON SCHEMA.odd USING (true)",
        "ALTER POLICY everything ON SCHEMA.odd TO quipu_owner",
        "CREATE POLICY by_setting ON SCHEMA.odd FOR INSERT WITH CHECK (tenant = current_setting('quipu.tenant_name', true))",
    ] {
        shop.run(step).await;
        said.push(shop.refusal("alpha", &sdl).await);
    }
    shop.run(
        "CREATE POLICY theirs ON SCHEMA.odd FOR SELECT USING (tenant = current_setting('quipu.tenant_name', true))",
    )
    .await;
    assert_eq!(shop.publish("alpha", &sdl).await, Ok(1));
    shop.options.tables = with("by tenant");
    shop.run("ALTER TABLE SCHEMA.odd DROP CONSTRAINT odd_pkey; CREATE UNIQUE INDEX partly ON SCHEMA.odd (id) WHERE number > 0").await;
    said.push(shop.refusal("alpha", &(sdl.clone() + "type A { id: ID! }")).await);
    shop.run("CREATE UNIQUE INDEX wider ON SCHEMA.odd (tenant, number, id)").await;
    said.push(shop.refusal("alpha", &(sdl.clone() + "type A { id: ID! }")).await);
    shop.run("CREATE UNIQUE INDEX fits ON SCHEMA.odd (tenant, id) INCLUDE (number)").await;
    assert_eq!(shop.publish("alpha", &(sdl.clone() + "type A { id: ID! }")).await, Ok(2));
    shop.run("REVOKE SELECT ON SCHEMA.odd FROM quipu_login; GRANT SELECT (id, tenant) ON SCHEMA.odd TO quipu_login")
        .await;
    said.push(shop.refusal("alpha", &(sdl.clone() + "type B { id: ID! }")).await);
    shop.run(
        "GRANT SELECT (words) ON SCHEMA.odd TO quipu_login; REVOKE SELECT (tenant) ON SCHEMA.odd FROM quipu_login",
    )
    .await;
    said.push(shop.refusal("alpha", &(sdl.clone() + "type B { id: ID! }")).await);
    shop.run("REVOKE USAGE ON SCHEMA SCHEMA FROM quipu_login").await;
    said.push(shop.refusal("alpha", &(sdl.clone() + "type B { id: ID! }")).await);
    snapshot!(said.join("\n"));
}

/// Views are tables whose promises are kept by their rows.
#[tokio::test]
async fn views_and_other_things() {
    let Some(mut shop) = Shop::filled("mapped::publishing::views_and_other_things").await else { return };
    let schema = shop.schema.clone();
    shop.options.tables = opened(&[&format!("{schema}.* for alpha")]);
    shop.run(
        "CREATE VIEW SCHEMA.seen AS SELECT id::text AS id, mail, \"full name\" AS name FROM SCHEMA.customers WHERE tenant = 'alpha'; \
         CREATE VIEW SCHEMA.doubled AS SELECT id::text AS id FROM SCHEMA.customers; \
         CREATE MATERIALIZED VIEW SCHEMA.kept AS SELECT * FROM SCHEMA.seen; \
         CREATE SEQUENCE SCHEMA.counter; CREATE TYPE SCHEMA.pair AS (id text, other text); \
         GRANT SELECT ON ALL TABLES IN SCHEMA SCHEMA TO quipu_login",
    )
    .await;
    let of = |table: &str, fields: &str| {
        format!("type T @table(name: \"{table}\", schema: \"SCHEMA\") {{ id: ID! {fields} }}")
    };
    assert_eq!(shop.publish("alpha", &of("seen", "mail: String name: String!")).await, Ok(1));
    assert_eq!(shop.publish("alpha", &of("kept", "mail: String name: String!")).await, Ok(2));
    let mut said = Vec::new();
    for (table, fields) in
        [("seen", "mail: String!"), ("doubled", ""), ("counter", ""), ("pair", ""), ("customers_pkey", "")]
    {
        said.push(shop.refusal("alpha", &of(table, fields)).await);
    }
    snapshot!(said.join("\n"));
}

/// Rows of our own are not lost from sight, and a file has no tables of others.
#[tokio::test]
async fn between_own_rows_and_tables_of_others() {
    let Some(shop) = Shop::filled("mapped::publishing::between_own_rows_and_tables_of_others").await else { return };
    let world = shop.own_world().await;
    let again = published(&*world.ports().metadata, "alpha", &shop.own()).await;
    assert_eq!(again, Ok(1), "nothing has changed");
    let refused = published(&*world.ports().metadata, "alpha", &shop.mapped()).await.expect_err("there are records");
    assert!(refused.contains("there are") && refused.contains("remove them first"), "{refused}");
    // The other way there is nothing of ours to be lost.
    let world = shop.world().await;
    assert_eq!(published(&*world.ports().metadata, "alpha", &shop.own()).await, Ok(2));
    let directory = tempfile::tempdir().unwrap();
    let file = sqlite::Embedded::open(&directory.path().join("quipu.db"), sqlite::Options::default()).await.unwrap();
    let refused = published(&file.metadata(), "alpha", &shop.mapped()).await.expect_err("there is no such table");
    snapshot!(refused.replace(&shop.schema, "shop"));
}

/// Nothing writes to tables of others, and nothing can be watched there.
#[test]
fn the_api_reads_alone() {
    let sdl = include_str!("shop.graphql").replace("SCHEMA", "shop");
    let api = Api::of(&quipu_schema::compile(&sdl).unwrap()).sdl();
    for of in ["Order", "Customer", "Item"] {
        for made in ["CreateInput", "UpdateInput", "UpsertInput", "Change", "DeleteInput"] {
            assert!(!api.contains(&format!("{of}{made}")), "{of}{made}");
        }
        assert!(api.contains(&format!("{}sConnection(", of.to_lowercase())));
    }
    let of_roots = |root: &str| {
        let begin = api.find(&format!("type {root} {{")).unwrap();
        let names = api[begin..]
            .lines()
            .take_while(|line| *line != "}")
            .filter(|line| line.starts_with("  ") && !line.starts_with("   "));
        let names =
            names.filter_map(|line| line.trim().split(['(', ':']).next().filter(|name| !name.contains(['"', ')'])));
        names.map(str::to_owned).collect::<Vec<_>>().join(" ")
    };
    snapshot!(format!("{}\n{}", of_roots("Mutation"), of_roots("Subscription")));
}
