//! Tables that belong to others, written as an ontology says: in the transaction that accepts the change, or not at all.

use serde_json::{Value as Json, json};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, query_scalar};

use super::{Shop, named};
use crate::contract::postgres::plain;
use crate::spec::world::{World, admin};

mod apart;
mod others;
mod publishing;
mod refusals;
mod rows;
mod running;
mod statements;

impl Shop {
    /// Tables that can be written: clients and sales by a column with the tenant's name; so is the stock, until a test says otherwise.
    pub async fn till(case: &str) -> Option<Self> {
        Self::made(case, "till", include_str!("till.sql"), "by tenant, writable").await
    }

    /// The ontology over them.
    pub fn written(&self) -> String {
        include_str!("till.graphql").replace("\"SCHEMA\"", &format!("\"{}\"", self.schema))
    }

    /// An engine over them.
    pub async fn till_world(&self) -> World {
        self.world_of(&self.written()).await
    }

    /// What a query of one value says, as JSON; asked by whoever owns the tables.
    pub async fn look(&mut self, what: &str) -> Json {
        look(&mut self.owner, &named(what, &self.schema)).await
    }

    /// Statements as a server of its own would run them: on another connection.
    pub async fn another(&self) -> PgConnection {
        plain(&self.server.owner, &self.options).await
    }
}

/// The rows that a query shows, as JSON.
async fn look(connection: &mut PgConnection, what: &str) -> Json {
    let text = format!("SELECT CAST(coalesce(jsonb_agg(to_jsonb(shown)), '[]') AS text) FROM ({what}) AS shown");
    let shown = query_scalar(AssertSqlSafe(text.clone())).fetch_one(connection).await;
    let shown: String = shown.unwrap_or_else(|error| panic!("{error}: {text}"));
    serde_json::from_str(&shown).unwrap()
}

/// Code and message of the only error of a mutation, which did nothing.
async fn refused(world: &World, who: &str, mutation: &str) -> String {
    let (data, errors) = world.run(&admin(who), &format!("mutation {{ {mutation} }}"), json!({})).await;
    assert_eq!(data, Json::Null, "{mutation}");
    assert_eq!(errors.as_array().map(Vec::len), Some(1), "{errors}");
    format!("{} {}", errors[0]["extensions"]["code"].as_str().unwrap(), errors[0]["message"].as_str().unwrap())
}

/// How far the tenant's log has come.
async fn head(world: &World, who: &str) -> u64 {
    world.ports().metadata.head(&quipu_resolvers::guard::TenantId::parse(who).unwrap()).await.unwrap()
}

/// The outcome of a mutation that must not fail.
async fn done(world: &World, who: &str, mutation: &str) -> Json {
    let data = world.data(&admin(who), &format!("mutation {{ done: {mutation} }}")).await;
    data["done"].clone()
}
