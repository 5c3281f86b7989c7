//! The same rows by hand with `sqlx`: one statement, which Postgres makes the whole answer of, below the same row security.

use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::Value;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, query_scalar, raw_sql};

use super::super::servers::listen;
use super::super::world::TENANT;

#[derive(Clone)]
struct ByHand {
    pool: PgPool,
    begin: Arc<str>,
    text: Arc<str>,
}

/// Serves the schema that a file of settings names.
pub async fn serve(file: &Path) {
    let settings = std::fs::read_to_string(file).expect("settings");
    let settings: Value = serde_json::from_str(&settings).expect("settings");
    let text = |name: &str| settings[name].as_str().expect("a setting").to_owned();
    let connect = |url: &str| {
        let options = PgConnectOptions::from_str(url).expect("an address").disable_statement_logging();
        PgPoolOptions::new().max_connections(8).connect_with(options.options([("search_path", text("schema"))]))
    };
    // Only the owner may look for a tenant by its name.
    let owner = connect(&text("owner")).await.expect("a pool");
    let tenant = query_scalar("SELECT key FROM tenant WHERE name = $1").bind(TENANT).fetch_one(&owner).await;
    let tenant: i64 = tenant.expect("the tenant is there");
    owner.close().await;
    let pool = connect(&text("url")).await.expect("a pool");
    let begin = format!("BEGIN; SET LOCAL quipu.tenant = '{tenant}'");
    let mut kinds = Vec::new();
    for name in ["Supplier", "Contract"] {
        kinds.push(kind(&pool, &begin, name).await);
    }
    let text = statement(tenant, &kinds[0], &kinds[1]);
    let state = ByHand { pool, begin: begin.into(), text: text.into() };
    let router = Router::new().route("/joined", post(joined)).with_state(state);
    axum::serve(listen().await, router).await.expect("it serves");
}

/// A type's number, and which of its properties is in which column of texts.
struct Kind {
    key: i64,
    texts: Vec<String>,
}

impl Kind {
    fn column(&self, property: &str) -> String {
        let at = self.texts.iter().position(|name| name == property).expect("the property has a column");
        format!("t{}", at + 1)
    }
}

async fn kind(pool: &PgPool, begin: &str, name: &str) -> Kind {
    let mut connection = pool.acquire().await.expect("a connection");
    raw_sql(AssertSqlSafe(begin.to_owned())).execute(&mut *connection).await.expect("it begins");
    let found = sqlx::query_as("SELECT key, texts FROM kind WHERE sort = 1 AND name = $1").bind(name);
    let (key, texts) = found.fetch_one(&mut *connection).await.unwrap_or_else(|error| panic!("{name}: {error}"));
    raw_sql("COMMIT").execute(&mut *connection).await.expect("it ends");
    Kind { key, texts }
}

fn statement(tenant: i64, supplier: &Kind, contract: &Kind) -> String {
    let (name, region, by) = (supplier.column("name"), supplier.column("region"), contract.column("supplier_id"));
    format!(
        "SELECT json_build_object('data', json_build_object('suppliers', json_agg(s.j)))::text FROM (
           SELECT json_build_object('id', s.id, 'name', s.{name}, 'contracts', (
             SELECT coalesce(json_agg(c.j), '[]') FROM (
               SELECT json_build_object('id', c.id, 'title', c.props ->> 'title', 'value', c.props -> 'value') AS j
               FROM record AS c WHERE c.tenant = {tenant} AND c.kind = {} AND c.{by} = s.id
               ORDER BY (c.props -> 'value')::bigint DESC, c.id LIMIT 20) AS c)) AS j
           FROM record AS s WHERE s.tenant = {tenant} AND s.kind = {} AND s.{region} = $1 ORDER BY s.{name}, s.id LIMIT 50) AS s",
        contract.key, supplier.key
    )
}

async fn joined(State(state): State<ByHand>, Json(wanted): Json<Value>) -> impl IntoResponse {
    match answer(&state, wanted["region"].as_str().unwrap_or_default()).await {
        Ok(body) => (StatusCode::OK, [(CONTENT_TYPE, "application/json")], body),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, [(CONTENT_TYPE, "text/plain")], error.to_string()),
    }
}

async fn answer(state: &ByHand, region: &str) -> Result<String, sqlx::Error> {
    let mut connection = state.pool.acquire().await?;
    raw_sql(AssertSqlSafe(state.begin.to_string())).execute(&mut *connection).await?;
    let body = query_scalar(AssertSqlSafe(state.text.to_string())).bind(region).fetch_one(&mut *connection).await?;
    raw_sql("COMMIT").execute(&mut *connection).await?;
    Ok(body)
}
