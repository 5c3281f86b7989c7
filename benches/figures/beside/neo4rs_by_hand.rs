//! The same answers written by hand with `neo4rs`: a statement for each question, which returns maps, and structures that they are read
//! into.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use neo4rs::{ConfigBuilder, Graph, Query};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::servers::listen;

const NESTED: &str = "MATCH (f:Facility {region: $region}) WITH f ORDER BY f.name, f.id LIMIT 10 \
    RETURN f.id AS id, f.name AS name, f.region AS region, {edges: COLLECT { \
      MATCH (f)-[h:HAS_DEVICE]->(d:Device) WITH h, d ORDER BY h.since DESC, d.id LIMIT 5 \
      RETURN {properties: {since: h.since}, node: {id: d.id, name: d.name, status: d.status, battery: d.battery, alerts: COLLECT { \
        MATCH (d)-[:RAISED]->(a:Alert) WITH a ORDER BY a.severity DESC, a.id LIMIT 3 \
        RETURN {id: a.id, severity: a.severity, message: a.message} }}} }} AS devicesConnection";
const POINT: &str = "MATCH (f:Facility {id: $id}) RETURN f.id AS id, f.name AS name, f.region AS region";

const TWO: &str = "MATCH (p:Person {id: $id}) RETURN p.id AS id, COLLECT { MATCH (p)-[:KNOWS]->(a:Person) WITH a ORDER BY a.id LIMIT 50 \
    RETURN {id: a.id, knows: COLLECT { MATCH (a)-[:KNOWS]->(b:Person) WITH b ORDER BY b.id LIMIT 50 RETURN {id: b.id} }} } AS knows";
const THREE: &str = "MATCH (p:Person {id: $id}) RETURN p.id AS id, COLLECT { MATCH (p)-[:KNOWS]->(a:Person) WITH a ORDER BY a.id LIMIT 50 \
    RETURN {id: a.id, knows: COLLECT { MATCH (a)-[:KNOWS]->(b:Person) WITH b ORDER BY b.id LIMIT 50 \
      RETURN {id: b.id, knows: COLLECT { MATCH (b)-[:KNOWS]->(c:Person) WITH c ORDER BY c.id LIMIT 50 RETURN {id: c.id} }} }} } AS knows";

#[derive(Serialize, Deserialize)]
struct Facility {
    id: String,
    name: String,
    region: String,
    #[serde(rename = "devicesConnection")]
    devices: Devices,
}

#[derive(Serialize, Deserialize)]
struct Devices {
    edges: Vec<Edge>,
}

#[derive(Serialize, Deserialize)]
struct Edge {
    properties: Installation,
    node: Device,
}

#[derive(Serialize, Deserialize)]
struct Installation {
    since: i64,
}

#[derive(Serialize, Deserialize)]
struct Device {
    id: String,
    name: String,
    status: String,
    battery: Option<i64>,
    alerts: Vec<Alert>,
}

#[derive(Serialize, Deserialize)]
struct Alert {
    id: String,
    severity: i64,
    message: String,
}

#[derive(Serialize, Deserialize)]
struct Named {
    id: String,
    name: String,
    region: String,
}

#[derive(Serialize, Deserialize)]
struct Person {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    knows: Option<Vec<Person>>,
}

/// Serves the graph at a URL with credentials.
pub async fn serve(url: &str) {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (credentials, address) = rest.rsplit_once('@').expect("credentials");
    let (user, password) = credentials.split_once(':').expect("a password");
    let config = ConfigBuilder::default()
        .uri(format!("bolt://{address}"))
        .user(user)
        .password(password)
        .max_connections(32)
        .fetch_size(500)
        .build()
        .expect("settings");
    let graph = Arc::new(Graph::connect(config).expect("a pool"));
    let router = Router::new().route("/nested", post(nested)).route("/point", post(point));
    let router = router.route("/two", post(two)).route("/three", post(three)).with_state(graph);
    axum::serve(listen().await, router).await.expect("it serves");
}

async fn nested(
    State(graph): State<Arc<Graph>>,
    Json(wanted): Json<Value>,
) -> Result<Json<Data<Facilities<Facility>>>, (StatusCode, String)> {
    let facilities = rows(&graph, Query::new(NESTED.to_owned()).param("region", text(&wanted, "region"))).await?;
    Ok(Json(Data { data: Facilities { facilities } }))
}

async fn point(
    State(graph): State<Arc<Graph>>,
    Json(wanted): Json<Value>,
) -> Result<Json<Data<Facilities<Named>>>, (StatusCode, String)> {
    let facilities = rows(&graph, Query::new(POINT.to_owned()).param("id", text(&wanted, "id"))).await?;
    Ok(Json(Data { data: Facilities { facilities } }))
}

async fn two(state: State<Arc<Graph>>, wanted: Json<Value>) -> Result<Json<Data<People>>, (StatusCode, String)> {
    walk(state, wanted, TWO).await
}

async fn three(state: State<Arc<Graph>>, wanted: Json<Value>) -> Result<Json<Data<People>>, (StatusCode, String)> {
    walk(state, wanted, THREE).await
}

async fn walk(
    State(graph): State<Arc<Graph>>,
    Json(wanted): Json<Value>,
    statement: &str,
) -> Result<Json<Data<People>>, (StatusCode, String)> {
    let people = rows(&graph, Query::new(statement.to_owned()).param("id", text(&wanted, "id"))).await?;
    Ok(Json(Data { data: People { people } }))
}

#[derive(Serialize)]
struct Data<T> {
    data: T,
}

#[derive(Serialize)]
struct People {
    people: Vec<Person>,
}

#[derive(Serialize)]
struct Facilities<T> {
    facilities: Vec<T>,
}

fn text(wanted: &Value, name: &str) -> String {
    wanted[name].as_str().unwrap_or_default().to_owned()
}

async fn rows<T: DeserializeOwned>(graph: &Graph, query: Query) -> Result<Vec<T>, (StatusCode, String)> {
    let failed = |error: String| (StatusCode::INTERNAL_SERVER_ERROR, error);
    let mut stream = graph.execute_read(query).await.map_err(|error| failed(error.to_string()))?;
    let mut all = Vec::new();
    while let Some(row) = stream.next().await.map_err(|error| failed(error.to_string()))? {
        all.push(row.to::<T>().map_err(|error| failed(error.to_string()))?);
    }
    Ok(all)
}
