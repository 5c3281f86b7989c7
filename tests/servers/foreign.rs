//! A Neo4j of its own (`QUIPU_TEST_NEO4J_OTHER`), in which others have written with plain Cypher: who serves a database as it stands has it
//! alone, so tests take turns at it.

use std::sync::Arc;

use neo4rs::{ConfigBuilder, Graph, query};
use tokio::sync::{Mutex, MutexGuard};

use super::address;

static TURN: Mutex<()> = Mutex::const_new(());

/// The database, for the time of a test.
pub struct Foreign {
    /// Its URL, with user and password.
    pub url: String,
    graph: Arc<Graph>,
    _turn: MutexGuard<'static, ()>,
}

impl Foreign {
    /// The database with nothing in it; `None`, and the test is said to be skipped, where there is none.
    pub async fn empty(test: &str) -> Option<Self> {
        let foreign = Self::without_records(test).await?;
        for (shown, kind) in [("SHOW CONSTRAINTS", "CONSTRAINT"), ("SHOW INDEXES", "INDEX")] {
            let names =
                foreign.texts(&format!("{shown} YIELD name, type WHERE type <> 'LOOKUP' RETURN name AS text")).await;
            for name in names {
                foreign.run(&format!("DROP {kind} `{name}` IF EXISTS")).await;
            }
        }
        Some(foreign)
    }

    /// The same, but constraints and indexes are left.
    pub async fn without_records(test: &str) -> Option<Self> {
        let url = address("QUIPU_TEST_NEO4J_OTHER", test)?;
        let turn = TURN.lock().await;
        let (credentials, server) = url.split_once("://").expect("a URL").1.rsplit_once('@').expect("credentials");
        let (user, password) = credentials.split_once(':').expect("user and password");
        let config = ConfigBuilder::default().uri(format!("bolt://{server}")).user(user).password(password);
        let graph = Arc::new(config.build().and_then(Graph::connect).expect("a server"));
        let foreign = Self { url, graph, _turn: turn };
        foreign.run("MATCH (n) CALL (n) { DETACH DELETE n } IN TRANSACTIONS OF 5000 ROWS").await;
        Some(foreign)
    }

    /// Runs a statement.
    pub async fn run(&self, text: &str) {
        self.graph.run(query(text)).await.unwrap_or_else(|error| panic!("{text}: {error}"));
    }

    /// The column `text` of a statement.
    pub async fn texts(&self, text: &str) -> Vec<String> {
        let mut rows = self.graph.execute(query(text)).await.unwrap_or_else(|error| panic!("{text}: {error}"));
        let mut texts = Vec::new();
        while let Some(row) = rows.next().await.expect("a row") {
            texts.push(row.get("text").expect("a text"));
        }
        texts
    }

    /// The nodes of a label: each with all its properties and labels, as the database has them.
    pub async fn nodes(&self, label: &str) -> Vec<String> {
        // With the kind of each value that is not a text: what is held as a date and what is held as a text look alike.
        let text = format!(
            "MATCH (n:`{label}`) WITH n ORDER BY n.id, elementId(n) WITH n, reduce(all = '', k IN COLLECT {{ UNWIND keys(n) AS k RETURN k \
             ORDER BY k }} | all + CASE all WHEN '' THEN '' ELSE ', ' END + k + ': ' + CASE WHEN n[k] IS :: STRING THEN '\"' + n[k] + '\"' \
             WHEN n[k] IS :: BOOLEAN OR n[k] IS :: INTEGER OR n[k] IS :: FLOAT THEN toString(n[k]) WHEN n[k] IS :: LIST<ANY> \
             THEN valueType(n[k]) ELSE toString(n[k]) + ' as ' + valueType(n[k]) END) AS properties \
             RETURN '{{' + properties + '}} ' + reduce(all = '', l IN labels(n) | all + CASE all WHEN '' THEN '' ELSE ':' END + l) AS text"
        );
        self.texts(&text).await
    }
}
