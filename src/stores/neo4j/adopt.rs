//! What `quipu adopt` asks of a graph that others wrote, and does to it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use neo4rs::{Row, Txn};
use quipu_resolvers::fault::Fault;
use quipu_resolvers::guard::TenantId;
use quipu_resolvers::value::Value;
use quipu_schema::ontology::{EntityType, Ontology, Property};
use serde_json::Value as Json;

use super::apply::{Named, count};
use super::decode::Decoded;
use super::failure::Failure;
use super::session::{self, Work};
use super::{Neo4j, PART, TenancyMode, column};
use crate::stores::cypher::apply::Way;
use crate::stores::cypher::{Labels, Scope, Statement, Tenancy, adopt};

/// Longest time for one question over the whole graph.
const ASKING: Duration = Duration::from_secs(900);
/// Nodes or relationships that are changed in one transaction.
const PORTION: u32 = 5_000;

/// A graph that others wrote, as an ontology sees it: what in it is nobody else's.
pub struct Others {
    neo4j: Neo4j,
    tenancy: Tenancy,
    labels: Labels,
}

/// What was found of something that is looked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// How many.
    pub count: u64,
    /// Some of them.
    pub examples: Vec<String>,
}

/// A node as it is in the graph.
#[derive(Debug)]
pub struct Node {
    /// The database's name for it.
    pub element: String,
    /// Its id.
    pub id: String,
    /// Values of the properties of its type but the id, in their order.
    pub values: Vec<Json>,
}

/// A relationship as it is in the graph.
#[derive(Debug)]
pub struct Relationship {
    /// The database's name for it.
    pub element: String,
    /// Ids of start and end.
    pub ends: [String; 2],
    /// What tells parallel ones apart; mostly empty.
    pub key: String,
    /// Values of the properties of its type, in their order.
    pub values: Vec<Json>,
}

/// What is looked for in the nodes of a type.
#[derive(Debug, Clone, Copy)]
pub enum OfNodes<'a> {
    /// Those without an id.
    WithoutId,
    /// Those whose id is no text.
    OtherIds,
    /// Ids that several have.
    RepeatedIds,
    /// Values that several have, of a property that is one record's alone.
    Repeated(&'a Property),
    /// Those that are of one of these types as well.
    AlsoOf(&'a [&'a str]),
    /// Names of properties beside these.
    Beside(&'a [&'a str]),
}

/// What an adoption may give to nodes and relationships that lack it.
#[derive(Debug, Clone, Copy)]
pub enum Lacking<'a> {
    /// Ids to nodes of a type that have none.
    Ids(&'a str),
    /// Texts for ids of a type that are numbers.
    Texts(&'a str),
    /// Keys to relationships beside others along a way.
    Keys(Way<'a>),
}

/// Nodes or relationships, as they come.
pub struct Coming<T> {
    rows: session::Rows,
    take: fn(&Row) -> Result<T, String>,
}

impl<T> Coming<T> {
    /// The next ones; fewer than `most` only at the end.
    ///
    /// # Errors
    /// The store's.
    pub async fn portion(&mut self, most: usize) -> Result<Vec<T>, Fault> {
        let rows = self.rows.portion(most, Instant::now() + ASKING).await.map_err(Failure::fault)?;
        rows.iter().map(self.take).collect::<Result<_, _>>().map_err(|cause| Fault::internal(PART, cause))
    }
}

impl Neo4j {
    /// What others wrote, for a tenant and its ontology.
    pub fn others(&self, tenant: &TenantId, ontology: &Ontology) -> Others {
        Others { neo4j: self.clone(), tenancy: self.tenancy(tenant), labels: Labels::of(ontology) }
    }
}

impl Others {
    fn scope(&self) -> Scope<'_> {
        Scope { tenancy: &self.tenancy, labels: &self.labels }
    }

    /// True when nodes and relationships are marked with their tenant.
    pub fn are_marked(&self) -> bool {
        matches!(self.tenancy, Tenancy::Property(_))
    }

    /// How many nodes of a type there are.
    ///
    /// # Errors
    /// The store's, as for all of these.
    pub async fn count_nodes(&self, of: &str) -> Result<u64, Fault> {
        self.counted(adopt::count_nodes(of, self.scope())).await
    }

    /// How many relationships lead along a way.
    ///
    /// # Errors
    /// The store's.
    pub async fn count_relationships(&self, way: Way<'_>) -> Result<u64, Fault> {
        self.counted(adopt::count_relationships(way, self.scope())).await
    }

    /// Looks for something in the nodes of a type.
    ///
    /// # Errors
    /// The store's.
    pub async fn of_nodes(&self, of: &str, wanted: OfNodes<'_>) -> Result<Found, Fault> {
        let scope = self.scope();
        self.found(match wanted {
            OfNodes::WithoutId => adopt::without_id(of, scope),
            OfNodes::OtherIds => adopt::other_ids(of, scope),
            OfNodes::RepeatedIds => adopt::repeated_ids(of, scope),
            OfNodes::Repeated(property) => adopt::repeated_values(of, property, scope),
            OfNodes::AlsoOf(others) => adopt::of_other_types(of, others, scope),
            OfNodes::Beside(known) => adopt::unnamed(of, known, scope),
        })
        .await
    }

    /// What does in the database, for nodes of a type, what [`Others::give`] does about ids.
    pub fn by_hand(&self, of: &str, wanted: OfNodes<'_>) -> Option<String> {
        match wanted {
            OfNodes::WithoutId => Some(adopt::ids_by_hand(of, self.scope())),
            OfNodes::OtherIds => Some(adopt::texts_by_hand(of, self.scope())),
            _ => None,
        }
    }

    /// Nodes with several relationships along a way to the same node, which nothing tells apart.
    ///
    /// # Errors
    /// The store's.
    pub async fn parallel(&self, way: Way<'_>) -> Result<Found, Fault> {
        self.found(adopt::parallel(way, self.scope())).await
    }

    /// Relationships of a type that lead along none of its ways.
    ///
    /// # Errors
    /// The store's.
    pub async fn astray(&self, of: &str, ways: &[Way<'_>]) -> Result<Found, Fault> {
        self.found(adopt::astray(of, ways, self.scope())).await
    }

    /// All nodes of a type that have an id.
    ///
    /// # Errors
    /// The store's.
    pub async fn nodes(&self, entity: &EntityType) -> Result<Coming<Node>, Fault> {
        let rows = self.stream(adopt::nodes(entity, self.scope())).await?;
        let take = |row: &Row| Ok(Node { element: column(row, "e")?, id: column(row, "id")?, values: values(row)? });
        Ok(Coming { rows, take })
    }

    /// All relationships along a way between nodes that have ids.
    ///
    /// # Errors
    /// The store's.
    pub async fn relationships<'a>(
        &self,
        way: Way<'_>,
        properties: impl Iterator<Item = &'a Property>,
    ) -> Result<Coming<Relationship>, Fault> {
        let rows = self.stream(adopt::relationships(way, properties, self.scope())).await?;
        let take = |row: &Row| {
            let ends = [column(row, "a")?, column(row, "b")?];
            Ok(Relationship { element: column(row, "e")?, ends, key: column(row, "k")?, values: values(row)? })
        };
        Ok(Coming { rows, take })
    }

    /// Makes what finding and marking them needs. Doing it again does nothing.
    ///
    /// # Errors
    /// The store's.
    pub async fn get_ready(&self, ontology: &Ontology) -> Result<(), Fault> {
        let deadline = Instant::now() + ASKING;
        let nodes = ontology.types.values().filter(|entity| entity.is_node());
        let labels: BTreeSet<&str> = nodes.map(|entity| self.labels.first(&entity.name)).collect();
        let made = async {
            if self.neo4j.0.options.tenancy == TenancyMode::Property {
                let labels = labels.iter().map(|label| Named::Label((*label).to_owned()));
                return self.neo4j.ensure(&labels.collect(), deadline).await;
            }
            for label in labels {
                self.neo4j.0.sessions.run(&adopt::findable(label).text, deadline).await?;
            }
            let seconds = u32::try_from(ASKING.as_secs()).unwrap_or(u32::MAX);
            self.neo4j.0.sessions.read(&adopt::ready(seconds), deadline).await.map(drop)
        };
        made.await.map_err(Failure::fault)
    }

    /// Gives what is lacking, a portion at a time; how much it was.
    ///
    /// # Errors
    /// The store's. What was given until then stays.
    pub async fn give(&self, lacking: Lacking<'_>) -> Result<u64, Fault> {
        let scope = self.scope();
        let statement = match lacking {
            Lacking::Ids(of) => adopt::assign_ids(of, PORTION, scope),
            Lacking::Texts(of) => adopt::assign_texts(of, PORTION, scope),
            Lacking::Keys(way) => adopt::assign_keys(way, PORTION, scope),
        };
        let mut all = 0;
        loop {
            let given = self.changed(&statement).await?;
            all += given;
            if given == 0 {
                return Ok(all);
            }
        }
    }

    /// Says of nodes that they are the tenant's, all in one transaction.
    ///
    /// # Errors
    /// The store's.
    pub async fn mark_nodes(&self, elements: &[&str]) -> Result<(), Fault> {
        self.changed(&adopt::mark_nodes(elements, self.scope())).await.map(drop)
    }

    /// Says of relationships that they are the tenant's, all in one transaction.
    ///
    /// # Errors
    /// The store's.
    pub async fn mark_relationships(&self, elements: &[&str]) -> Result<(), Fault> {
        self.changed(&adopt::mark_relationships(elements, self.scope())).await.map(drop)
    }

    async fn stream(&self, statement: Statement) -> Result<session::Rows, Fault> {
        self.neo4j.0.sessions.stream(&statement, Instant::now() + ASKING).await.map_err(Failure::fault)
    }

    async fn changed(&self, statement: &Statement) -> Result<u64, Fault> {
        let deadline = Instant::now() + ASKING;
        self.neo4j.0.sessions.transact(&Changing(statement), deadline).await.map_err(Failure::fault)
    }

    async fn asked(&self, statement: Statement) -> Result<Row, Fault> {
        let rows = self.neo4j.0.sessions.read(&statement, Instant::now() + ASKING).await.map_err(Failure::fault)?;
        rows.into_iter().next().ok_or_else(|| Fault::internal(PART, "no row came back"))
    }

    async fn counted(&self, statement: Statement) -> Result<u64, Fault> {
        let row = self.asked(statement).await?;
        number(&row).map_err(|cause| Fault::internal(PART, cause))
    }

    async fn found(&self, statement: Statement) -> Result<Found, Fault> {
        let row = self.asked(statement).await?;
        let found = || Ok(Found { count: number(&row)?, examples: column(&row, "examples")? });
        found().map_err(|cause: String| Fault::internal(PART, cause))
    }
}

fn number(row: &Row) -> Result<u64, String> {
    Ok(u64::try_from(column::<i64>(row, "count")?).unwrap_or_default())
}

fn values(row: &Row) -> Result<Vec<Json>, String> {
    match column::<Decoded>(row, "p")?.0 {
        Value::List(values) => Ok(values.iter().map(Value::to_json).collect()),
        other => Err(format!("properties were asked for, and {other:?} came")),
    }
}

/// One statement that changes something, and may say how much.
struct Changing<'a>(&'a Statement);

impl Work for Changing<'_> {
    type Done = u64;

    async fn work(&self, transaction: &mut Txn) -> Result<u64, Failure> {
        count(transaction, self.0).await
    }
}
