//! What an ontology that is about to be published asks of the records that are there: defaults are filled in, by changes in the log
//! like any others; what would have to be converted, renamed or moved is refused. The same for every metadata store.

use quipu_resolvers::change::{Change, Mode, Op, Ref};
use quipu_resolvers::fault::{Code, Fault};
use quipu_resolvers::ports::Terms;
use quipu_schema::diff::Migration;
use quipu_schema::ontology::{Direction, EntityType, Ontology, Property, Scalar};
use serde_json::{Map, Value as Json};

/// Operations of one entry of the log.
const OPS: usize = 10_000;
/// Who fills in defaults, in the log.
const ACTOR: &str = "quipu ontology publish";

/// A refusal is not a failure of the store.
pub(super) type Fits = Result<(), Fault>;

/// Records that may hold a property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Holders {
    /// Those of a type.
    Records {
        /// Name of the type.
        of: String,
        /// True for rows.
        row: bool,
    },
    /// Relationships of a type between nodes of two types.
    Links {
        /// Type of the relationship.
        of: String,
        /// Type of the start.
        from: String,
        /// Type of the end.
        to: String,
    },
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Holder {
    /// A record's id.
    Record(String),
    /// A relationship's start, end and key.
    Link(String, String, String),
}

/// What holders are counted that meet it. Properties by their stored names.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Meeting<'a> {
    /// All.
    Any,
    /// Those with a value.
    Has(&'a str),
    /// Those without one.
    Lacks(&'a str),
    /// Those with that text as the value, or, of a list, among its items.
    Holds {
        /// The property.
        stored: &'a str,
        /// Whether it is a list.
        list: bool,
        /// The text.
        text: &'a str,
    },
}

/// What a store says of the records that are there, inside the transaction that publishes.
pub(super) trait Held {
    /// How a store fails.
    type Failure;

    /// How many holders meet something.
    async fn count(&mut self, holders: &Holders, meeting: Meeting<'_>) -> Result<i64, Self::Failure>;

    /// The holders without a value of a property, in order.
    async fn lacking(&mut self, holders: &Holders, stored: &str) -> Result<Vec<Holder>, Self::Failure>;

    /// Accepts a change, in the same transaction.
    async fn accept(&mut self, change: Change, terms: Terms<'_>) -> Result<Fits, Self::Failure>;
}

/// What is published over what.
pub(super) struct Fitting<'a> {
    /// What is published so far.
    pub(super) old: &'a Ontology,
    /// What is about to be.
    pub(super) new: &'a Ontology,
    /// Now, RFC 3339.
    pub(super) at: &'a str,
}

impl Fitting<'_> {
    /// Does what has to be done, in order, or refuses.
    pub(super) async fn fit<H: Held>(&self, held: &mut H) -> Result<Fits, H::Failure> {
        for migration in quipu_schema::diff::diff(self.old, self.new).migrations {
            if let Err(refusal) = self.one(held, &migration).await? {
                return Ok(Err(refusal));
            }
        }
        Ok(Ok(()))
    }

    async fn one<H: Held>(&self, held: &mut H, migration: &Migration) -> Result<Fits, H::Failure> {
        match migration {
            Migration::Fill { of, property, with } => {
                let Some(stored) = self.stored(of, property) else { return Ok(Ok(())) };
                if let Some(value) = with {
                    return self.fill(held, of, stored, value).await;
                }
                let count = self.count(held, of, Meeting::Lacks(&stored.stored)).await?;
                Ok(refuse(count, || {
                    format!(
                        "{of}.{property} must be there, and {} without: give it a @default, or publish it without `!` and fill it first",
                        are(count)
                    )
                }))
            }
            Migration::Convert { of, property, from, to } => {
                let stored = self.stored(of, property).map_or(property, |property| &property.stored);
                let count = self.count(held, of, Meeting::Has(stored)).await?;
                Ok(refuse(count, || {
                    format!(
                        "{of}.{property} is {to}, so far {from}, and {} with a value: add a property of another name \
                         instead, or remove the values first",
                        are(count)
                    )
                }))
            }
            Migration::Rename { of, property, from, to } => {
                let count = self.count(held, of, Meeting::Has(from)).await?;
                Ok(refuse(count, || {
                    format!(
                        "{of}.{property} is stored as {to}, so far as {from}, and {} with a value there: keep it with \
                         @alias(property: \"{from}\")",
                        are(count)
                    )
                }))
            }
            Migration::Replace { of, value } => self.replaced(held, of, value).await,
            Migration::Move { of, from, to, across: true } => {
                let was = self.old.types.get(of).is_some_and(EntityType::is_node);
                let count = held.count(&Holders::Records { of: of.clone(), row: !was }, Meeting::Any).await?;
                Ok(refuse(count, || {
                    format!(
                        "{of} is {to}, so far {from}, and {} there: remove them first, or give the new type another name",
                        are(count)
                    )
                }))
            }
            // Records are kept by the name of their type, with all properties: there are neither tables nor columns to be made.
            Migration::CreateTable { .. } | Migration::Move { .. } | Migration::AddColumn { .. } => Ok(Ok(())),
            // Seen to for all types, whatever they were before.
            Migration::AddUnique { .. }
            | Migration::DropUnique { .. }
            | Migration::AddIndex { .. }
            | Migration::DropIndex { .. }
            | Migration::Embed { .. }
            | Migration::DropEmbedding { .. } => Ok(Ok(())),
            // Left to whoever publishes.
            Migration::Abandon { .. } | Migration::Relink { .. } => Ok(Ok(())),
        }
    }

    fn stored(&self, of: &str, property: &str) -> Option<&Property> {
        let record = self.new.types.get(of).map(|entity| &entity.properties);
        record.or_else(|| self.new.edge_types.get(of).map(|edge| &edge.properties))?.get(property)
    }

    /// What may hold properties of a type of records or of relationship properties.
    fn holders(&self, of: &str) -> Vec<Holders> {
        if let Some(entity) = self.new.types.get(of) {
            return vec![Holders::Records { of: of.to_owned(), row: !entity.is_node() }];
        }
        let mut ends: Vec<(&str, &str, &str)> = Vec::new();
        for entity in self.new.types.values() {
            for field in entity.relationships.values().filter(|field| field.properties.as_deref() == Some(of)) {
                for other in self.new.members(&field.target) {
                    let (from, to) = match field.direction {
                        Direction::Out => (&entity.name, &other.name),
                        Direction::In => (&other.name, &entity.name),
                    };
                    ends.push((&field.relationship_type, from, to));
                }
            }
        }
        ends.sort_unstable();
        ends.dedup();
        let links = |(of, from, to): (&str, &str, &str)| Holders::Links {
            of: of.to_owned(),
            from: from.to_owned(),
            to: to.to_owned(),
        };
        ends.into_iter().map(links).collect()
    }

    async fn count<H: Held>(&self, held: &mut H, of: &str, meeting: Meeting<'_>) -> Result<i64, H::Failure> {
        let mut sum = 0;
        for holders in self.holders(of) {
            sum += held.count(&holders, meeting).await?;
        }
        Ok(sum)
    }

    /// Refuses while a value of an enum that is gone is stored.
    async fn replaced<H: Held>(&self, held: &mut H, of: &str, value: &str) -> Result<Fits, H::Failure> {
        let records = self.new.types.values().map(|entity| (&entity.name, &entity.properties));
        let edges = self.new.edge_types.values().map(|edge| (&edge.name, &edge.properties));
        for (holder, properties) in records.chain(edges) {
            for property in properties.values().filter(|p| matches!(&p.scalar, Scalar::Enum(name) if name == of)) {
                let meeting = Meeting::Holds { stored: &property.stored, list: property.list, text: value };
                let count = self.count(held, holder, meeting).await?;
                let message = || {
                    format!(
                        "{of}.{value} is removed, and {} with it in {holder}.{}: change them first",
                        are(count),
                        property.name
                    )
                };
                if let Err(refusal) = refuse(count, message) {
                    return Ok(Err(refusal));
                }
            }
        }
        Ok(Ok(()))
    }

    /// Gives the default to records without a value.
    async fn fill<H: Held>(
        &self,
        held: &mut H,
        of: &str,
        property: &Property,
        value: &Json,
    ) -> Result<Fits, H::Failure> {
        let set: Map<String, Json> = [(property.stored.clone(), value.clone())].into_iter().collect();
        for holders in self.holders(of) {
            let lacking = held.lacking(&holders, &property.stored).await?;
            for portion in lacking.chunks(OPS) {
                let ops = portion.iter().filter_map(|holder| filled(&holders, holder, property, &set)).collect();
                let terms = Terms { actor: Some(ACTOR), at: self.at, ..Terms::default() };
                if let Err(refusal) = held.accept(Change { ops }, terms).await? {
                    return Ok(Err(refusal));
                }
            }
        }
        Ok(Ok(()))
    }
}

/// The operation that sets some properties of a holder.
fn filled(holders: &Holders, holder: &Holder, property: &Property, set: &Map<String, Json>) -> Option<Op> {
    let named = |wanted: bool| if wanted { vec![property.stored.clone()] } else { Vec::new() };
    match (holders, holder) {
        (Holders::Records { of, row }, Holder::Record(id)) => Some(Op::Put {
            record: Ref { of: of.clone(), id: id.clone() },
            row: *row,
            mode: Mode::Update,
            set: set.clone(),
            unique: named(property.unique),
            embed: named(property.embed),
        }),
        (Holders::Links { of, from, to }, Holder::Link(start, end, key)) => Some(Op::Link {
            relationship_type: of.clone(),
            from: Ref { of: from.clone(), id: start.clone() },
            to: Ref { of: to.clone(), id: end.clone() },
            key: key.clone(),
            set: set.clone(),
        }),
        _ => None,
    }
}

fn are(count: i64) -> String {
    if count == 1 { "there is 1 record".to_owned() } else { format!("there are {count} records") }
}

fn refuse(count: i64, message: impl FnOnce() -> String) -> Fits {
    if count == 0 { Ok(()) } else { Err(Fault::client(Code::Conflict, message())) }
}
