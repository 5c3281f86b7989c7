//! Row security: what the login role, and even the owner, cannot do by plain SQL.

use quipu::audit::{Trail, Whose};
use quipu::stores::postgres::Postgres;
use quipu_resolvers::ports::{Life, Room, TrustedDocument};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Executor, query, query_scalar};

use super::super::fixture::*;
use super::{beside, plain, server};

async fn count(connection: &mut PgConnection, text: &str) -> i64 {
    query_scalar(AssertSqlSafe(text.to_owned())).fetch_one(connection).await.unwrap()
}

/// Tables that hold something of a tenant, with the column that says whose it is.
const TABLES: [(&str, &str); 15] = [
    ("tenant", "key"),
    ("ontology", "tenant"),
    ("kind", "tenant"),
    ("record", "tenant"),
    ("registry", "tenant"),
    ("taken", "tenant"),
    ("link", "tenant"),
    ("log", "tenant"),
    ("idempotency", "tenant"),
    ("api_key", "tenant"),
    ("session", "tenant"),
    ("account", "tenant"),
    ("document", "tenant"),
    ("audit", "tenant"),
    ("audit_anchor", "tenant"),
];

/// The database itself shows one tenant: without its key nothing, with it nothing of the other's.
#[tokio::test]
async fn plain_sql_shows_one_tenant() {
    let Some(server) = server("contract::postgres::isolation::plain_sql_shows_one_tenant") else { return };
    let options = server.fresh();
    let postgres = Postgres::open(options.clone()).await.unwrap();
    let stores = beside(postgres.clone()).await;
    fill(&stores).await;
    for who in TENANTS {
        crate::contract::credentials::keep_some(&postgres, &tenant(who)).await;
        let document = TrustedDocument { id: "x".to_owned(), text: "{ __typename }".to_owned() };
        stores
            .metadata
            .publish_documents(&tenant(who), &[document], Room { documents: 9, bytes: 99 }, "2026-01-01T00:00:00.000Z")
            .await
            .unwrap();
        let whose = Whose::Tenant(tenant(who));
        postgres.append(&whose, &["{}".to_owned(), "{}".to_owned()]).await.unwrap();
        assert_eq!(postgres.prune(&whose, 1).await.unwrap(), 1);
        let ops = vec![put("Contract", "c9", serde_json::json!({"supplier": who, "facility_id": "f1"}))];
        accept_under(&stores, who, ops, Some("key")).await.unwrap();
    }
    let mut login = plain(&server.login, &options).await;
    let mut owner = plain(&server.owner, &options).await;
    let keys: Vec<i64> = query_scalar("SELECT tenant_key(name) FROM unnest(ARRAY['alpha', 'beta']) AS name")
        .fetch_all(&mut login)
        .await
        .unwrap();
    let every = "SELECT relname::text FROM pg_class WHERE relnamespace = to_regnamespace($1) AND relkind = 'r' \
                 AND relrowsecurity AND relforcerowsecurity ORDER BY 1";
    let secured: Vec<String> = query_scalar(every).bind(&options.schema).fetch_all(&mut login).await.unwrap();
    let mut expected = TABLES.map(|(table, _)| table.to_owned());
    expected.sort();
    assert_eq!(secured, expected, "every table but that of migrations");
    for (table, column) in TABLES {
        assert_eq!(count(&mut login, &format!("SELECT count(*) FROM {table}")).await, 0, "{table} without a tenant");
        for (mine, theirs) in [(keys[0], keys[1]), (keys[1], keys[0])] {
            login.execute(AssertSqlSafe(format!("BEGIN; SET LOCAL quipu.tenant = '{mine}'"))).await.unwrap();
            assert!(count(&mut login, &format!("SELECT count(*) FROM {table}")).await > 0, "{table}");
            let other = format!("SELECT count(*) FROM {table} WHERE {column} <> {mine} OR {column} = {theirs}");
            assert_eq!(count(&mut login, &other).await, 0, "{table}");
            login.execute("ROLLBACK").await.unwrap();
        }
        let after = format!("SELECT count(*) FROM {table}");
        assert_eq!(count(&mut login, &after).await, 0, "the tenant is forgotten with the transaction");
    }
    for (table, _) in TABLES.iter().filter(|(table, _)| *table != "tenant") {
        let all = format!("SELECT count(*) FROM {table}");
        assert_eq!(count(&mut owner, &all).await, 0, "row security binds the owner of {table} as well");
    }
    // Of a tenant that is deleted nothing is in any of them but its name and its audit trail; the other has something in each.
    let leaving = Life::Leaving { since: AT.to_owned() };
    stores.metadata.set_life(&tenant("alpha"), &leaving).await.unwrap();
    stores.metadata.forget(&tenant("alpha")).await.unwrap();
    for (table, _) in TABLES {
        for (key, is_there) in [(keys[0], ["tenant", "audit", "audit_anchor"].contains(&table)), (keys[1], true)] {
            login.execute(AssertSqlSafe(format!("BEGIN; SET LOCAL quipu.tenant = '{key}'"))).await.unwrap();
            assert_eq!(count(&mut login, &format!("SELECT count(*) FROM {table}")).await > 0, is_there, "{table}");
            login.execute("ROLLBACK").await.unwrap();
        }
    }
}

/// Nothing can be written for another tenant, and row security cannot be switched off.
#[tokio::test]
async fn plain_sql_writes_one_tenant() {
    let Some(server) = server("contract::postgres::isolation::plain_sql_writes_one_tenant") else { return };
    let options = server.fresh();
    let stores = beside(Postgres::open(options.clone()).await.unwrap()).await;
    fill(&stores).await;
    let mut login = plain(&server.login, &options).await;
    let key = "SELECT tenant_key($1)";
    let alpha: i64 = query_scalar(key).bind("alpha").fetch_one(&mut login).await.unwrap();
    let beta: i64 = query_scalar(key).bind("beta").fetch_one(&mut login).await.unwrap();
    for text in [
        format!("INSERT INTO record (tenant, kind, id, props) VALUES ({beta}, 1, 'x', '{{}}')"),
        format!("UPDATE record SET tenant = {beta}"),
        format!("INSERT INTO log (tenant, seq, at, change, effects) VALUES ({beta}, 9, '', '', '')"),
        "SET LOCAL row_security = off; SELECT count(*) FROM record".to_owned(),
        "ALTER TABLE record DISABLE ROW LEVEL SECURITY".to_owned(),
        "ALTER TABLE record NO FORCE ROW LEVEL SECURITY".to_owned(),
        "DROP POLICY one_tenant ON record".to_owned(),
        "CREATE POLICY all_tenants ON record USING (true)".to_owned(),
        "INSERT INTO tenant (name) VALUES ('mine')".to_owned(),
        "DELETE FROM migration".to_owned(),
        "CREATE TABLE mine (a integer)".to_owned(),
        "TRUNCATE record".to_owned(),
    ] {
        login.execute(AssertSqlSafe(format!("BEGIN; SET LOCAL quipu.tenant = '{alpha}'"))).await.unwrap();
        let error = login.execute(AssertSqlSafe(text.clone())).await.expect_err(&text);
        let state = error.as_database_error().and_then(|error| error.code()).map(|code| code.into_owned());
        assert_eq!(state.as_deref(), Some("42501"), "{text}: {error}");
        login.execute("ROLLBACK").await.unwrap();
    }
    login.execute(AssertSqlSafe(format!("BEGIN; SET LOCAL quipu.tenant = '{alpha}'"))).await.unwrap();
    for text in ["DELETE FROM record WHERE tenant = $1", "UPDATE record SET props = '{}' WHERE tenant = $1"] {
        assert_eq!(query(text).bind(beta).execute(&mut login).await.unwrap().rows_affected(), 0);
    }
    login.execute("ROLLBACK").await.unwrap();
}
