//! The served API of an ontology, as data: every type, field and argument, and the source of each field.
//!
//! `Api::of` derives it; the query engine validates documents by it, plans by `Source`, and tells it to introspection. The
//! conventions are those of the Neo4j GraphQL Library, version 7.

mod connections;
mod define;
mod filters;
mod generate;
mod naming;
mod print;
mod records;
mod relations;
mod retrieval;
mod roots;
mod shared;
mod watching;
mod writes;

pub use generate::generated_names;

use indexmap::IndexMap;
use serde_json::Value;

use crate::ontology::Scalar;

/// Every type that is served.
#[derive(Debug, Clone, PartialEq)]
pub struct Api {
    /// Types by name. `Query` is always there; `Mutation` and `Subscription` too.
    pub types: IndexMap<String, TypeDef>,
}

/// A type of the API.
#[derive(Debug, Clone, PartialEq)]
pub enum TypeDef {
    /// A scalar; the standard five are not listed.
    Scalar {
        /// Name.
        name: String,
        /// Description.
        description: Option<String>,
        /// What it holds.
        scalar: Scalar,
    },
    /// An enum.
    Enum(EnumDef),
    /// An input object.
    Input(InputDef),
    /// An object.
    Object(ObjectDef),
    /// An interface.
    Interface(ObjectDef),
    /// A union.
    Union {
        /// Name.
        name: String,
        /// Description.
        description: Option<String>,
        /// Object types it may be.
        members: Vec<String>,
    },
}

/// An enum of the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnumDef {
    /// Name.
    pub name: String,
    /// Description.
    pub description: Option<String>,
    /// Values in order.
    pub values: Vec<crate::ontology::EnumValue>,
}

/// An input object.
#[derive(Debug, Clone, PartialEq)]
pub struct InputDef {
    /// Name.
    pub name: String,
    /// Description.
    pub description: Option<String>,
    /// Fields by name.
    pub fields: IndexMap<String, InputField>,
}

/// An argument or a field of an input object.
#[derive(Debug, Clone, PartialEq)]
pub struct InputField {
    /// Name.
    pub name: String,
    /// Description.
    pub description: Option<String>,
    /// Type.
    pub ty: TypeRef,
    /// Default.
    pub default: Option<Value>,
    /// Reason of deprecation; only where nothing has to be given.
    pub deprecated: Option<String>,
}

/// An object or interface.
#[derive(Debug, Clone, PartialEq)]
pub struct ObjectDef {
    /// Name.
    pub name: String,
    /// Description.
    pub description: Option<String>,
    /// Interfaces it implements.
    pub implements: Vec<String>,
    /// Fields by name.
    pub fields: IndexMap<String, FieldDef>,
}

/// A field.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldDef {
    /// Name.
    pub name: String,
    /// Description.
    pub description: Option<String>,
    /// Reason of deprecation.
    pub deprecated: Option<String>,
    /// Arguments by name.
    pub args: IndexMap<String, InputField>,
    /// Type.
    pub ty: TypeRef,
    /// Where its value comes from.
    pub source: Source,
}

/// A reference to a type, with its wrappers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TypeRef {
    /// A named type, nullable.
    Named(String),
    /// A list, nullable.
    List(Box<TypeRef>),
    /// Never null.
    NonNull(Box<TypeRef>),
}

impl TypeRef {
    /// `name`.
    pub fn named(name: impl Into<String>) -> Self {
        Self::Named(name.into())
    }

    /// `name!`.
    pub fn required(name: impl Into<String>) -> Self {
        Self::NonNull(Box::new(Self::named(name)))
    }

    /// `[name!]!`.
    pub fn list(name: impl Into<String>) -> Self {
        Self::NonNull(Box::new(Self::List(Box::new(Self::required(name)))))
    }

    /// `[name!]`.
    pub fn optional_list(name: impl Into<String>) -> Self {
        Self::List(Box::new(Self::required(name)))
    }

    /// The name inside all wrappers.
    pub fn name(&self) -> &str {
        match self {
            Self::Named(name) => name,
            Self::List(inner) | Self::NonNull(inner) => inner.name(),
        }
    }

    /// True for `!` on the outside.
    pub fn is_required(&self) -> bool {
        matches!(self, Self::NonNull(_))
    }

    /// The type without an outer `!`.
    pub fn nullable(&self) -> &TypeRef {
        match self {
            Self::NonNull(inner) => inner,
            other => other,
        }
    }
}

impl std::fmt::Display for TypeRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Named(name) => f.write_str(name),
            Self::List(inner) => write!(f, "[{inner}]"),
            Self::NonNull(inner) => write!(f, "{inner}!"),
        }
    }
}

/// How a field shows the records behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// One record or null.
    One,
    /// A list, with `where`, `limit`, `offset`, `sort`.
    List,
    /// A Relay connection, with `where`, `first`, `after`, `last`, `before`, `sort`.
    Connection,
}

/// Where a field's value comes from. One closed list: planning is one `match` on it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Source {
    /// A property (field name) of the record or relationship that the enclosing object shows.
    Property(String),
    /// Nodes along a relationship field of the record.
    Related {
        /// Field name of the relationship.
        field: String,
        /// How they are shown.
        form: Form,
    },
    /// Records joined by a join field of the record.
    Joined {
        /// Field name of the join.
        field: String,
        /// How they are shown.
        form: Form,
    },
    /// Root: records of a type, interface, union, or `Relationship`. `Form::One` takes the argument `id`.
    Records {
        /// Name of the type.
        of: String,
        /// How they are shown.
        form: Form,
    },
    /// Root: records nearest by meaning.
    Similar {
        /// Name of the type.
        of: String,
    },
    /// Root: passages and records by meaning and words.
    Search,
    /// A fixed part of the enclosing object.
    Part(Part),
    /// Root of writing: make records from `input`.
    Create {
        /// Name of the type.
        of: String,
    },
    /// Root of writing: change records that match `where`.
    Update {
        /// Name of the type.
        of: String,
    },
    /// Root of writing: remove records that match `where`.
    Delete {
        /// Name of the type.
        of: String,
    },
    /// Root of writing: make or change records by `id`.
    Upsert {
        /// Name of the type.
        of: String,
    },
    /// Root of watching: every change, with `types` and `since`.
    Changes,
    /// Root of watching: changes of one type and sort, with `where`.
    Watch {
        /// Name of the type.
        of: String,
        /// Which sort of change.
        event: Event,
    },
}

/// Sorts of change that can be watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// A record came to be.
    Created,
    /// A record changed.
    Updated,
    /// A record went.
    Deleted,
}

/// Fixed parts of generated objects.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Part {
    /// `edges` of a connection.
    Edges,
    /// `node` of an edge or a hit: the record itself.
    Node,
    /// `cursor` of an edge.
    Cursor,
    /// `properties` of an edge: the relationship's own.
    Properties,
    /// `pageInfo` of a connection.
    PageInfo,
    /// `pageInfo.hasNextPage`.
    HasNextPage,
    /// `pageInfo.hasPreviousPage`.
    HasPreviousPage,
    /// `pageInfo.startCursor`.
    StartCursor,
    /// `pageInfo.endCursor`.
    EndCursor,
    /// `totalCount` of a connection.
    TotalCount,
    /// `aggregate` of a connection.
    Aggregate,
    /// `aggregate.count`.
    AggregateCount,
    /// `aggregate.count.nodes`.
    CountNodes,
    /// `aggregate.count.edges`.
    CountEdges,
    /// `aggregate.node`: aggregates over the records' properties.
    AggregateNode,
    /// `aggregate.edge`: aggregates over the relationships' properties.
    AggregateEdge,
    /// One property (field name) under `aggregate.node` or `aggregate.edge`.
    AggregateOf(String),
    /// One figure of a property.
    Figure(Figure),
    /// `score` of a hit: higher is better.
    Score,
    /// `legs` of a search hit.
    Legs,
    /// `leg` of a leg: `DENSE` or `TEXT`.
    Leg,
    /// `rank` of a leg, from 1.
    LegRank,
    /// `score` of a leg, in its own measure.
    LegScore,
    /// `info` of a mutation's response.
    Info,
    /// A counter of `info`.
    Counter(Counter),
    /// The written records in a mutation's response.
    Written,
    /// `seq` of a change: position in the tenant's log, from 1, as text.
    Seq,
    /// `at` of a change: when it was accepted.
    At,
    /// `operation` of a change: CREATED, UPDATED or DELETED.
    ChangeOperation,
    /// `type` of a change: name of the record's type.
    ChangeType,
    /// `id` of a change: id of the record.
    ChangeId,
    /// `from` of a relationship: its start node.
    From,
    /// `to` of a relationship: its end node.
    To,
    /// `type` of a relationship.
    RelationshipType,
}

/// Figures of `aggregate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Figure {
    /// Smallest.
    Min,
    /// Largest.
    Max,
    /// Arithmetic mean.
    Average,
    /// Sum.
    Sum,
    /// Shortest text.
    Shortest,
    /// Longest text.
    Longest,
}

/// Counters of a mutation's `info`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Counter {
    /// Records made.
    NodesCreated,
    /// Records removed.
    NodesDeleted,
    /// Relationships made.
    RelationshipsCreated,
    /// Relationships removed.
    RelationshipsDeleted,
}

impl Api {
    /// The object or interface of that name.
    pub fn object(&self, name: &str) -> Option<&ObjectDef> {
        match self.types.get(name) {
            Some(TypeDef::Object(object) | TypeDef::Interface(object)) => Some(object),
            _ => None,
        }
    }

    /// The input object of that name.
    pub fn input(&self, name: &str) -> Option<&InputDef> {
        match self.types.get(name) {
            Some(TypeDef::Input(input)) => Some(input),
            _ => None,
        }
    }
}
