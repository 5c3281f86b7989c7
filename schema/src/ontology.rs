//! The immutable result of compiling an ontology: what kinds of things there are, how they hang together, and who may see them.
//!
//! Everything here is data. Names of types and fields are those of the SDL; `stored` is the name a property has in its store.

use std::collections::BTreeSet;
use std::time::Duration;

use indexmap::IndexMap;
use serde_json::Value;

use crate::policy::Rules;

/// Name of the interface that every node type implements.
pub const ENTITY: &str = "Entity";
/// Name of the built-in node type of ingested documents.
pub const DOCUMENT: &str = "Document";
/// Name of the built-in node type of passages.
pub const CHUNK: &str = "Chunk";
/// Name of the built-in type that shows a relationship as a record of its own.
pub const RELATIONSHIP: &str = "Relationship";

/// A compiled ontology.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Ontology {
    /// Node and row types by name, in the order of the SDL, built-in ones last.
    pub types: IndexMap<String, EntityType>,
    /// Types of relationship properties (`@relationshipProperties`) by name.
    pub edge_types: IndexMap<String, EdgeType>,
    /// Interfaces and unions of nodes by name, with `Entity` among them.
    pub abstracts: IndexMap<String, AbstractType>,
    /// Enums by name.
    pub enums: IndexMap<String, EnumType>,
    /// Types of relationships that rules speak of, as a whole or of single properties, each with the names of the types of properties that say
    /// them. Whoever follows such a relationship is bound by all of them, whichever field it is followed by.
    pub ruled: IndexMap<String, Vec<String>>,
}

/// Where the records of a type live.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Nodes of the graph with these labels; the first one is the main label.
    Node {
        /// At least one label.
        labels: Vec<String>,
    },
    /// Rows of a relational table.
    Row {
        /// Name of the table.
        table: String,
        /// Set when the table is there already and belongs to others.
        mapped: Option<Mapped>,
    },
}

/// What is said of a table that belongs to others, beside its name: `@table(schema)` and `@column` on the id.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Mapped {
    /// The schema that the table is in.
    pub schema: String,
    /// Name of the column that holds the id. Other properties are stored under the names of their columns.
    pub id: String,
    /// What the API does to its rows (`@table(writes)`); nothing unless it is said.
    pub writes: Writes,
}

/// What the API can do to records, beside reading them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Writes {
    /// Make them.
    pub create: bool,
    /// Change them.
    pub update: bool,
    /// Remove them.
    pub delete: bool,
}

impl Writes {
    /// Everything, as with records of our own.
    pub const ALL: Self = Self { create: true, update: true, delete: true };

    /// Whether there is anything that it can do.
    pub fn any(self) -> bool {
        self.create || self.update || self.delete
    }

    /// The words of it, as the SDL has them.
    pub fn words(self) -> impl Iterator<Item = &'static str> {
        let all = [(self.create, "CREATE"), (self.update, "UPDATE"), (self.delete, "DELETE")];
        all.into_iter().filter_map(|(said, word)| said.then_some(word))
    }
}

/// What the database itself does about the value of a column, `@column(generated)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Generated {
    /// It sets one where none is given to a new row.
    ByDefault,
    /// It alone sets it.
    Always,
}

/// One kind of record: a node type or a row type.
#[derive(Debug, Clone, PartialEq)]
pub struct EntityType {
    /// Name in SDL and API.
    pub name: String,
    /// Description of the SDL.
    pub description: Option<String>,
    /// Lower-camel plural, the name of the list root (`facilities`).
    pub plural: String,
    /// Lower-camel singular, the name of the root by id (`facility`).
    pub singular: String,
    /// Node or row.
    pub kind: Kind,
    /// True for `Document` and `Chunk`.
    pub built_in: bool,
    /// Properties by field name; `id` is always among them and always first.
    pub properties: IndexMap<String, Property>,
    /// Relationship fields by field name (nodes only).
    pub relationships: IndexMap<String, Relationship>,
    /// Join fields by field name.
    pub joins: IndexMap<String, Join>,
    /// Field names in the order of the SDL, of all three sorts.
    pub order: Vec<String>,
    /// Interfaces (and not unions) that the type implements, `Entity` first for nodes.
    pub interfaces: Vec<String>,
    /// Page size when none is asked for, and the largest that may be asked for.
    pub limit: PageLimit,
    /// `@cache(ttl)`: how long answers of the type's own root fields may be kept.
    pub cache: Option<Duration>,
    /// Rules on reading and writing, those of its interfaces among them.
    pub rules: Rules,
}

/// `@limit(default, max)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PageLimit {
    /// Records per page when the query names no number.
    pub default: Option<u32>,
    /// Most records a query may ask for in one page.
    pub max: Option<u32>,
}

/// The scalar sorts of values.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Scalar {
    /// Opaque text; integers are accepted as input.
    Id,
    /// Text.
    String,
    /// 32-bit integer.
    Int,
    /// Double.
    Float,
    /// True or false.
    Boolean,
    /// 64-bit integer, a string in JSON.
    BigInt,
    /// Instant, RFC 3339 in UTC with milliseconds in every store, so that text order is time order.
    DateTime,
    /// Calendar day, `YYYY-MM-DD`.
    Date,
    /// Any JSON.
    Json,
    /// One of the values of the named enum.
    Enum(String),
}

/// A stored value of a record or of a relationship.
#[derive(Debug, Clone, PartialEq)]
pub struct Property {
    /// Field name.
    pub name: String,
    /// Name in the store (`@alias`), the field's own by default.
    pub stored: String,
    /// Description of the SDL.
    pub description: Option<String>,
    /// Reason of `@deprecated`.
    pub deprecated: Option<String>,
    /// Sort of the value, or of each item of a list.
    pub scalar: Scalar,
    /// True for a list of scalars.
    pub list: bool,
    /// True for `!` on the field.
    pub required: bool,
    /// True for `!` on the items of a list.
    pub item_required: bool,
    /// `@unique`: no two records of the type share a value. True for `id`.
    pub unique: bool,
    /// `@index` or `@unique`: an index for filters and sorting is wanted.
    pub indexed: bool,
    /// `@default(value)`, checked against the type.
    pub default: Option<Value>,
    /// `@column(generated)`: the database has a value for new rows. Columns of tables of others only.
    pub generated: Option<Generated>,
    /// `@embed`: the text gets a vector and takes part in full-text search.
    pub embed: bool,
    /// `@selectable(onRead: false)` takes the field out of outputs.
    pub selectable: bool,
    /// `@filterable(byValue: false)` takes the field out of `where`.
    pub filterable: bool,
    /// False for lists and JSON.
    pub sortable: bool,
    /// True for a column that only a `@join` names: in inputs and `where`, not in outputs.
    pub implicit: bool,
    /// Rules on reading and setting the field, those of interfaces that promise it among them.
    pub rules: Rules,
}

/// Which way a relationship points, seen from the type that declares the field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From this node to the other.
    Out,
    /// From the other node to this one.
    In,
}

/// A field that walks a relationship.
#[derive(Debug, Clone, PartialEq)]
pub struct Relationship {
    /// Field name.
    pub name: String,
    /// Type of the relationship in the graph, like `HAS_DEVICE`.
    pub relationship_type: String,
    /// Which way it points.
    pub direction: Direction,
    /// Node type, interface or union at the other end.
    pub target: String,
    /// True when the field is a list.
    pub list: bool,
    /// True for `!` on a single field.
    pub required: bool,
    /// Name of the type of its properties.
    pub properties: Option<String>,
    /// Description of the SDL.
    pub description: Option<String>,
    /// Reason of `@deprecated`.
    pub deprecated: Option<String>,
}

/// A field that joins records by equal values.
#[derive(Debug, Clone, PartialEq)]
pub struct Join {
    /// Field name.
    pub name: String,
    /// Type at the other end.
    pub target: String,
    /// True when the field is a list.
    pub list: bool,
    /// True for `!` on a single field.
    pub required: bool,
    /// Stored name of this record's property (`id` or the column of `by`).
    pub local: String,
    /// Stored name of the target's property (the column of `on`, or `id`).
    pub remote: String,
    /// Description of the SDL.
    pub description: Option<String>,
    /// Reason of `@deprecated`.
    pub deprecated: Option<String>,
}

/// Properties of a relationship.
#[derive(Debug, Clone, PartialEq)]
pub struct EdgeType {
    /// Name in SDL and API.
    pub name: String,
    /// Description of the SDL.
    pub description: Option<String>,
    /// Properties by field name.
    pub properties: IndexMap<String, Property>,
    /// Rules on the relationships that have these properties.
    pub rules: Rules,
}

/// An interface or a union of node types.
#[derive(Debug, Clone, PartialEq)]
pub struct AbstractType {
    /// Name in SDL and API.
    pub name: String,
    /// Description of the SDL.
    pub description: Option<String>,
    /// True for a union.
    pub union: bool,
    /// Lower-camel plural, the name of the list root (`entities`).
    pub plural: String,
    /// Fields that every member has (interfaces only), as the interface declares them.
    pub properties: IndexMap<String, Property>,
    /// The concrete node types, in the order of the ontology; may be empty only for interfaces nobody implements.
    pub members: Vec<String>,
}

/// An enum of the SDL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnumType {
    /// Name.
    pub name: String,
    /// Description of the SDL.
    pub description: Option<String>,
    /// Values in order.
    pub values: Vec<EnumValue>,
}

/// One value of an enum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnumValue {
    /// Name.
    pub name: String,
    /// Description of the SDL.
    pub description: Option<String>,
    /// Reason of `@deprecated`.
    pub deprecated: Option<String>,
}

/// What a field of a record is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum FieldOf<'a> {
    /// A stored value.
    Property(&'a Property),
    /// A walk along relationships.
    Relationship(&'a Relationship),
    /// A join by equal values.
    Join(&'a Join),
}

impl Scalar {
    /// The name in SDL and API.
    pub fn name(&self) -> &str {
        match self {
            Self::Id => "ID",
            Self::String => "String",
            Self::Int => "Int",
            Self::Float => "Float",
            Self::Boolean => "Boolean",
            Self::BigInt => "BigInt",
            Self::DateTime => "DateTime",
            Self::Date => "Date",
            Self::Json => "JSON",
            Self::Enum(name) => name,
        }
    }
}

impl Property {
    /// Whether a new record or relationship cannot be made without a value given for it.
    pub fn is_demanded(&self) -> bool {
        self.required && self.default.is_none() && self.generated.is_none()
    }

    /// Whether it can be given a value at all.
    pub fn is_given(&self) -> bool {
        self.generated != Some(Generated::Always)
    }
}

impl EntityType {
    /// True for node types.
    pub fn is_node(&self) -> bool {
        matches!(self.kind, Kind::Node { .. })
    }

    /// The name of the table and what else is said of it, when it belongs to others.
    pub fn mapped(&self) -> Option<(&str, &Mapped)> {
        match &self.kind {
            Kind::Row { table, mapped: Some(mapped) } => Some((table, mapped)),
            Kind::Row { mapped: None, .. } | Kind::Node { .. } => None,
        }
    }

    /// What the API can do to its records: everything, unless they are rows of others.
    pub fn writes(&self) -> Writes {
        self.mapped().map_or(Writes::ALL, |(_, mapped)| mapped.writes)
    }

    /// The field of that name, whatever its sort.
    pub fn field(&self, name: &str) -> Option<FieldOf<'_>> {
        if let Some(property) = self.properties.get(name) {
            return Some(FieldOf::Property(property));
        }
        if let Some(relationship) = self.relationships.get(name) {
            return Some(FieldOf::Relationship(relationship));
        }
        self.joins.get(name).map(FieldOf::Join)
    }

    /// Whether the id of a new record can be left to the database.
    pub fn id_is_generated(&self) -> bool {
        self.properties.get("id").is_some_and(|id| id.generated.is_some())
    }

    /// The property that is stored under that name.
    pub fn stored(&self, stored: &str) -> Option<&Property> {
        self.properties.values().find(|p| p.stored == stored)
    }

    /// Properties whose text is embedded.
    pub fn embedded(&self) -> impl Iterator<Item = &Property> {
        self.properties.values().filter(|p| p.embed)
    }
}

impl Ontology {
    /// What joins look for: names of types, each with the stored name of a property.
    pub fn joined(&self) -> BTreeSet<(&str, &str)> {
        let joins = self.types.values().flat_map(|entity| entity.joins.values());
        let ends = joins.flat_map(|join| self.members(&join.target).into_iter().map(|of| (&*of.name, &*join.remote)));
        ends.collect()
    }

    /// The concrete types behind a name: the type itself, or the members of an interface or union.
    pub fn members<'a>(&'a self, name: &str) -> Vec<&'a EntityType> {
        if let Some(entity) = self.types.get(name) {
            return vec![entity];
        }
        match self.abstracts.get(name) {
            Some(group) => group.members.iter().filter_map(|m| self.types.get(m)).collect(),
            None => Vec::new(),
        }
    }

    /// The types of properties that say rules for a type of relationships.
    pub fn ruling<'a>(&'a self, relationship_type: &str) -> impl Iterator<Item = &'a EdgeType> {
        let names = self.ruled.get(relationship_type).map(Vec::as_slice).unwrap_or_default();
        names.iter().filter_map(|name| self.edge_types.get(name))
    }

    /// True when `of` is `name` or one of its members.
    pub fn covers(&self, name: &str, of: &str) -> bool {
        name == of || self.abstracts.get(name).is_some_and(|group| group.members.iter().any(|m| m == of))
    }
}
