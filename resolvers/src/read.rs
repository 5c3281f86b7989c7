//! `Read`: one recursive question of one store. It knows no GraphQL and no store's language.
//!
//! The answer of a store is positional. A *row* is a list with one value per [`Pick`] of its target, preceded by the target's
//! index when the read has several targets. The *outcome* of a read is the list of its rows, or, when a total or aggregates are
//! asked for as well, the list `[rows, total, figures]` with null for what was not asked.

use std::collections::BTreeSet;

use quipu_schema::api::Figure;
use quipu_schema::ontology::{Direction, Scalar};
use quipu_schema::policy::{Operator, Quantifier};

use crate::value::Value;

/// Which collection of which store is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// Nodes of the graph.
    Nodes,
    /// Relationships of the graph as records of their own.
    Relationships,
    /// Relational rows.
    Rows,
}

impl Place {
    /// True when one statement can hold both.
    pub fn same_store(self, other: Place) -> bool {
        (self == Place::Rows) == (other == Place::Rows)
    }
}

/// A question: which records, which of them visible, in which order, how many, and what of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Read {
    /// Where the records are.
    pub place: Place,
    /// How they are reached from the enclosing record.
    pub via: Via,
    /// The concrete types that are read; at least one. A type that is not listed is not read.
    pub targets: Vec<Target>,
    /// Order, ending in fields that make it total. Empty only when order does not matter.
    pub sort: Vec<Sort>,
    /// Which part of the ordered records.
    pub window: Window,
    /// Whether rows are wanted at all; false when only `total` or `figures` are.
    pub rows: bool,
    /// Whether the number of all matching records is wanted, regardless of the window.
    pub total: bool,
    /// Figures over all matching records, regardless of the window.
    pub figures: Vec<(Figure, Field)>,
}

/// One concrete type of a read.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// Name of the type in the ontology; `Relationship` for relationships as records.
    pub of: String,
    /// What the caller asks for.
    pub filter: Predicate,
    /// What the caller may see; set by the guard.
    pub visible: Predicate,
    /// What is taken of each record.
    pub picks: Vec<Pick>,
}

/// How records are reached.
#[derive(Debug, Clone, PartialEq)]
pub enum Via {
    /// All records of the targets.
    Root,
    /// Along relationships of that type from the enclosing node.
    Relationship {
        /// Type of the relationship.
        relationship_type: String,
        /// Which way, seen from the enclosing node.
        direction: Direction,
    },
    /// Records whose `remote` equals the enclosing record's `local`. Across stores the keys come from a loader.
    Key {
        /// Field of the enclosing record.
        local: Field,
        /// Field of these records.
        remote: Field,
    },
    /// The start (`Out`) or end (`In`) node of the enclosing relationship record.
    Endpoint(Direction),
}

/// A field of a record or of the relationship it was reached by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Field {
    /// The record's id.
    Id,
    /// Name of the record's type (of a relationship record: the relationship's type).
    Type,
    /// A stored property.
    Property(Stored),
    /// What tells parallel relationships of one type between the same two nodes apart; text, mostly empty.
    EdgeKey,
    /// A stored property of the relationship that led here.
    EdgeProperty(Stored),
    /// All properties of a relationship record, as a JSON object.
    AllProperties,
}

impl Field {
    /// Whether a record may have no value of it.
    pub fn may_be_absent(&self) -> bool {
        matches!(self, Self::Property(stored) | Self::EdgeProperty(stored) if stored.nullable)
    }
}

/// A property as a store knows it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Stored {
    /// Name in the store.
    pub name: String,
    /// Sort of value, or of each item.
    pub scalar: Scalar,
    /// Whether it is a list.
    pub list: bool,
    /// Whether it may be absent.
    pub nullable: bool,
    /// Whether an index is expected to serve it.
    pub indexed: bool,
}

/// What is taken of a record, one value each.
#[derive(Debug, Clone, PartialEq)]
pub enum Pick {
    /// A field.
    Field(Field),
    /// The outcome of a read of the same store, one level down.
    Read(Box<Read>),
    /// Whether a predicate holds for the record: true or false, never null.
    Holds(Predicate),
    /// A field that the caller may read on some records only; made by the guard in place of [`Pick::Field`]. The answer of a store is a list
    /// of the one value where `seen` holds, and anything that is no list elsewhere.
    Masked {
        /// Which field.
        field: Field,
        /// Where it may be read.
        seen: Predicate,
    },
}

/// One key of an order. Absent values come last ascending and first descending.
#[derive(Debug, Clone, PartialEq)]
pub struct Sort {
    /// By what.
    pub field: Field,
    /// Descending.
    pub descending: bool,
}

/// Which part of the ordered records is wanted.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Window {
    /// Most rows, per enclosing record; `None` only for reads of the engine itself.
    pub limit: Option<u32>,
    /// Rows to pass over first.
    pub offset: u32,
    /// Only rows strictly after these values of the sort fields.
    pub after: Option<Vec<Value>>,
    /// Only rows strictly before these values of the sort fields.
    pub before: Option<Vec<Value>>,
    /// Take rows from the end; they come in reverse order.
    pub backwards: bool,
}

/// A condition on a record, with the three-valued logic of databases: a comparison with an absent value is neither true nor false.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Predicate {
    /// Every record.
    #[default]
    True,
    /// No record.
    False,
    /// All hold.
    All(Vec<Predicate>),
    /// Any holds.
    Any(Vec<Predicate>),
    /// Does not hold.
    Not(Box<Predicate>),
    /// A field compares with a value. `In` takes a list; `Eq` never takes null (see `Absent`).
    Compare {
        /// Left side.
        field: Field,
        /// How.
        operator: Operator,
        /// Right side.
        value: Value,
    },
    /// The field has no value.
    Absent(Field),
    /// Related records meet a condition.
    Related(Box<Related>),
}

/// A condition on related records. When they are in another store than the records it speaks of, the engine resolves it to a
/// comparison with their keys before a store sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Related {
    /// Where they are.
    pub place: Place,
    /// How they are reached.
    pub via: Via,
    /// Concrete types with condition and visibility; a hidden record counts as not there.
    pub targets: Vec<Scope>,
    /// How many must meet the condition.
    pub quantifier: Quantifier,
}

/// One concrete type of a condition on related records.
#[derive(Debug, Clone, PartialEq)]
pub struct Scope {
    /// Name of the type.
    pub of: String,
    /// The condition, on the record and on the relationship that leads to it.
    pub filter: Predicate,
    /// What the caller may see; set by the guard.
    pub visible: Predicate,
}

impl Predicate {
    /// Both hold; flat, and without `True`.
    pub fn and(self, other: Predicate) -> Predicate {
        match (self, other) {
            (Predicate::True, p) | (p, Predicate::True) => p,
            (Predicate::False, _) | (_, Predicate::False) => Predicate::False,
            (Predicate::All(mut left), Predicate::All(right)) => {
                left.extend(right);
                Predicate::All(left)
            }
            (Predicate::All(mut left), p) => {
                left.push(p);
                Predicate::All(left)
            }
            (p, Predicate::All(mut right)) => {
                right.insert(0, p);
                Predicate::All(right)
            }
            (left, right) => Predicate::All(vec![left, right]),
        }
    }

    /// Any of them holds; `False` when there is none.
    pub fn any(alternatives: Vec<Predicate>) -> Predicate {
        let mut kept = Vec::with_capacity(alternatives.len());
        for alternative in alternatives {
            match alternative {
                Predicate::True => return Predicate::True,
                Predicate::False => {}
                other => kept.push(other),
            }
        }
        match kept.len() {
            0 => Predicate::False,
            1 => kept.remove(0),
            _ => Predicate::Any(kept),
        }
    }

    /// It does not hold.
    pub fn negate(self) -> Predicate {
        match self {
            Predicate::True => Predicate::False,
            Predicate::False => Predicate::True,
            other => Predicate::Not(Box::new(other)),
        }
    }

    /// `field = value`.
    pub fn equals(field: Field, value: Value) -> Predicate {
        Predicate::Compare { field, operator: Operator::Eq, value }
    }

    /// `field` is one of `values`.
    pub fn one_of(field: Field, values: Vec<Value>) -> Predicate {
        Predicate::Compare { field, operator: Operator::In, value: Value::List(values) }
    }
}

impl Read {
    /// A question for all records of some targets, in no order.
    pub fn every(place: Place, via: Via, targets: Vec<Target>) -> Self {
        Self {
            place,
            via,
            targets,
            sort: Vec::new(),
            window: Window::default(),
            rows: true,
            total: false,
            figures: Vec::new(),
        }
    }

    /// True when the outcome is `[rows, total, figures]` and not the bare list of rows.
    pub fn is_composite(&self) -> bool {
        self.total || !self.figures.is_empty()
    }

    /// Adds the types of all records that it asks for, related ones in conditions left out.
    pub(crate) fn touched(&self, types: &mut BTreeSet<String>) {
        for target in &self.targets {
            types.insert(target.of.clone());
            for pick in &target.picks {
                if let Pick::Read(inner) = pick {
                    inner.touched(types);
                }
            }
        }
    }

    /// Position of the first pick in a row.
    pub fn first_pick(&self) -> usize {
        usize::from(self.targets.len() > 1)
    }
}
