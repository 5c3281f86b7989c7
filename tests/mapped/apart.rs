//! Tenants in tables of others: what keeps them apart, through the engine and by plain SQL as the role that it logs in as.

use std::sync::Arc;

use quipu::stores::postgres::Postgres;
use quipu_resolvers::guard::TenantId;
use quipu_resolvers::ports::Metadata as _;
use serde_json::{Value as Json, json};
use sqlx::{AssertSqlSafe, Executor, query_scalar};

use super::{Shop, opened};
use crate::contract::postgres::plain;
use crate::spec::world::{TENANTS, World, admin};

/// Everything that can be asked of customers shows one tenant's alone.
async fn kept_apart(world: &World) {
    for (who, other) in [("alpha", "beta"), ("beta", "alpha")] {
        let customers = "{ customers { id name mail } customersConnection { totalCount aggregate { count { nodes } node { name { longest } } } } }";
        let shown = world.data(&admin(who), customers).await;
        assert_eq!(shown["customersConnection"]["totalCount"], 8);
        assert_eq!(shown["customers"].as_array().unwrap().len(), 8);
        assert!(!shown.to_string().contains(other), "{shown}");
        let joined = "{ orders(limit: 1000) { customer { name mail orders { customer { name } } } } sites { orders { customer { name } } } }";
        let joined = world.data(&admin(who), joined).await.to_string();
        assert!(joined.contains(who) && !joined.contains(other), "{joined}");
        let mail = format!("5@{other}");
        let hostile = [
            format!("{{ customers(where: {{ mail: {{ eq: \"{mail}\" }} }}) {{ id }} }}"),
            "{ customers(where: { name: { eq: \"' OR tenant = 'beta' --\" } }) { id } }".to_owned(),
            "{ customer(id: \"100 OR 1=1\") { id } }".to_owned(),
            format!("{{ customers(where: {{ name: {{ startsWith: \"{other}\" }} }}) {{ id }} }}"),
        ];
        for document in hostile {
            let data = world.data(&admin(who), &document).await;
            assert!(data["customers"] == json!([]) || data["customer"] == Json::Null, "{document}: {data}");
        }
    }
}

/// By a column that holds the tenant's name, whatever collation it has.
#[tokio::test]
async fn by_a_column() {
    let Some(mut shop) = Shop::filled("mapped::apart::by_a_column").await else { return };
    kept_apart(&shop.world().await).await;
    // Under a collation that takes other names for the tenant's, only the tenant's own is.
    shop.run("ALTER TABLE SCHEMA.customers ALTER tenant TYPE text COLLATE SCHEMA.loose").await;
    shop.run("INSERT INTO SCHEMA.customers VALUES ('ALPHA', 1, 'beta in capitals', 'x', false)").await;
    shop.run("INSERT INTO SCHEMA.customers VALUES ('BETA', 1, 'alpha in capitals', 'x', false)").await;
    kept_apart(&shop.world().await).await;
}

/// By policies of the table, which bind the login role by plain SQL as well.
#[tokio::test]
async fn by_row_security() {
    let Some(mut shop) = Shop::filled("mapped::apart::by_row_security").await else { return };
    shop.run(
        "ALTER TABLE SCHEMA.customers ENABLE ROW LEVEL SECURITY; \
         CREATE POLICY theirs ON SCHEMA.customers USING (tenant = current_setting('quipu.tenant_name', true)); \
         ALTER TABLE SCHEMA.customers DROP CONSTRAINT customers_pkey, ALTER id DROP NOT NULL",
    )
    .await;
    let schema = shop.schema.clone();
    shop.options.tables = opened(&[&format!("{schema}.customers by row security"), &format!("{schema}.* by tenant")]);
    let sdl = shop.mapped();
    let refused = std::panic::AssertUnwindSafe(shop.world_of(&sdl));
    let refused = futures_util::FutureExt::catch_unwind(refused).await;
    assert!(refused.is_err(), "ids of two tenants are the same, and nothing tells them apart for the gateway");
    // Ids of their own.
    shop.run(
        "UPDATE SCHEMA.customers SET id = -id WHERE tenant = 'beta'; ALTER TABLE SCHEMA.customers ADD PRIMARY KEY (id)",
    )
    .await;
    shop.run("UPDATE SCHEMA.\"Orders \"\"2026\"\"\" SET customer_id = -customer_id WHERE tenant = 'beta'").await;
    // One connection, so that nothing of a request can stay behind for the next without being seen.
    shop.options.connections = 1;
    let world = shop.world().await;
    for _ in 0..3 {
        kept_apart(&world).await;
    }
    let mut login = plain(&shop.server.login, &shop.options).await;
    let count = format!("SELECT count(*) FROM {schema}.customers");
    let seen = async |login: &mut sqlx::postgres::PgConnection| -> i64 {
        query_scalar(AssertSqlSafe(count.clone())).fetch_one(login).await.unwrap()
    };
    assert_eq!(seen(&mut login).await, 0, "without a tenant nothing is shown");
    for who in TENANTS {
        login.execute(AssertSqlSafe(format!("BEGIN; SET LOCAL quipu.tenant_name = '{who}'"))).await.unwrap();
        assert_eq!(seen(&mut login).await, 8);
        let others: i64 = query_scalar(AssertSqlSafe(format!("{count} WHERE tenant <> '{who}'")))
            .fetch_one(&mut login)
            .await
            .unwrap();
        assert_eq!(others, 0);
        let written = login.execute(AssertSqlSafe(format!("DELETE FROM {schema}.customers"))).await;
        assert!(written.is_err(), "what is read alone needs no right to write");
        login.execute("ROLLBACK").await.unwrap();
        assert_eq!(seen(&mut login).await, 0, "the tenant is forgotten with the transaction");
    }
}

/// A schema of one tenant's own: all rows are theirs, and nobody else may show the tables.
#[tokio::test]
async fn of_one_tenant() {
    let Some(mut shop) = Shop::filled("mapped::apart::of_one_tenant").await else { return };
    shop.run("DELETE FROM SCHEMA.items WHERE tenant = 'beta'; CREATE UNIQUE INDEX ON SCHEMA.items (id)").await;
    shop.options.tables = opened(&[&format!("{}.* for alpha", shop.schema)]);
    let stores =
        crate::contract::postgres::beside(quipu::stores::postgres::Postgres::open(shop.options.clone()).await.unwrap())
            .await;
    let sdl = format!("type Item @table(name: \"items\", schema: \"{}\") {{ id: ID! label: String! }}", shop.schema);
    let ontology = quipu_schema::compile(&sdl).unwrap();
    let [alpha, beta] = TENANTS.map(|who| quipu_resolvers::guard::TenantId::parse(who).unwrap());
    let at = "2026-11-21T10:00:00.000Z";
    assert_eq!(stores.metadata.publish(&alpha, &sdl, &ontology, at).await.unwrap(), 1);
    let refused = stores.metadata.publish(&beta, &sdl, &ontology, at).await.unwrap_err().to_string();
    assert!(refused.contains("is not open to beta"), "{refused}");
}

/// Another instance shows what is published, once it has looked at the tables; one whose settings open fewer does not show them,
/// whatever is published, and serves the rest.
#[tokio::test]
async fn other_instances() {
    let Some(mut shop) = Shop::filled("mapped::apart::other_instances").await else { return };
    let world = shop.world().await;
    let document = "{ customers(sort: [{ id: ASC }]) { id name } items { id order { customer { name } } } }";
    let whole = world.data(&admin("beta"), document).await;
    let another = async |options: quipu::stores::postgres::Options| {
        let metadata = Arc::new(Postgres::open(options).await.unwrap());
        for who in TENANTS {
            let tenant = TenantId::parse(who).unwrap();
            let ontology = &world.served(&tenant).unwrap().served().ontology;
            metadata.prepare(&tenant, ontology).await.unwrap();
        }
        world.beside(|ports| ports.metadata = metadata.clone())
    };
    assert_eq!(another(shop.options.clone()).await.data(&admin("beta"), document).await, whole);
    shop.options.tables = opened(&[&format!("{}.items by tenant", shop.schema)]);
    let fewer = another(shop.options.clone()).await;
    assert_eq!(fewer.code(&admin("beta"), "{ customers { id } }").await, "STORE_UNAVAILABLE");
    assert_eq!(
        fewer.code(&admin("beta"), "{ items(where: { order: { code: { eq: \"aa\" } } }) { id } }").await,
        "STORE_UNAVAILABLE"
    );
    let items = fewer.data(&admin("beta"), "{ items { id } sites { id } }").await;
    assert_eq!((items["items"].as_array().unwrap().len(), items["sites"].as_array().unwrap().len()), (60, 5));
}
