//! What a response looks like, decided while planning: which value of which row goes under which key, and what may be null.

use std::sync::Arc;

use quipu_schema::ontology::Scalar;

use crate::fault::Fault;
use crate::value::cursor::Cursors;

/// The fields of one object of the response, in order.
#[derive(Clone, Default)]
pub struct Shape {
    /// Fields.
    pub fields: Vec<Out>,
}

/// One field of the response.
#[derive(Clone)]
pub struct Out {
    /// Key in the response.
    pub key: Arc<str>,
    /// Line and column in the document.
    pub at: (usize, usize),
    /// Whether null propagates to the enclosing object.
    pub required: bool,
    /// Where the value is.
    pub what: What,
}

/// Where a field's value is.
#[derive(Clone)]
pub enum What {
    /// Name of the object's type.
    Typename(Arc<str>),
    /// Written already: introspection, which asks no store.
    Written(Arc<[u8]>),
    /// The field was refused while planning.
    Refused(Fault),
    /// A value of the row.
    Leaf {
        /// Position in the row.
        slot: usize,
        /// How it is written.
        codec: Codec,
    },
    /// Records of an outcome.
    Records {
        /// Where the outcome is.
        from: Origin,
        /// A list of all rows, or the first row or null.
        list: bool,
        /// What is written of each.
        shape: RecordShape,
    },
    /// A connection over an outcome.
    Connection {
        /// Where the outcome is.
        from: Origin,
        /// How its rows make a page.
        listing: Arc<Listing>,
        /// The connection's fields.
        shape: Shape,
    },
    /// An object over the same row and page.
    Object(Shape),
    /// The edges of the page.
    Edges(Shape),
    /// The record of the row.
    Node(RecordShape),
    /// The cursor of the row.
    Cursor,
    /// Whether there are rows after the page.
    HasNext,
    /// Whether there are rows before the page.
    HasPrevious,
    /// Cursor of the first row of the page.
    Start,
    /// Cursor of the last row of the page.
    End,
    /// Number of all matching records.
    Total,
    /// A figure over all matching records.
    Figure {
        /// Position among the figures.
        at: usize,
        /// How it is written.
        codec: Codec,
    },
}

/// Where the outcome of a read is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The root field's own outcome.
    Root,
    /// A position in the row.
    Slot(usize),
    /// What a loader brought, by the key in the row.
    Loaded {
        /// Which crossing.
        crossing: usize,
        /// Position of the key in the row.
        slot: usize,
    },
}

/// What is written of a record, by its concrete type.
#[derive(Clone)]
pub struct RecordShape {
    /// One per target of the read, in order.
    pub targets: Vec<Shape>,
    /// Values in a row of each target, the target's index included; a further one says whether the caller may read it.
    pub widths: Vec<usize>,
}

/// How the rows of an outcome make a page.
#[derive(Clone)]
pub struct Listing {
    /// Records on a page; one more row than that is read to know whether there are more.
    pub page: usize,
    /// Rows come from the end, in reverse.
    pub backwards: bool,
    /// Whether rows lie before (forwards) or after (backwards) the page because a cursor was given.
    pub behind: bool,
    /// Where the sort values begin in the row, and how many there are.
    pub sort: (usize, usize),
    /// Whether the outcome is `[rows, total, figures]`.
    pub composite: bool,
    /// What signs the page's cursors.
    pub cursors: Cursors,
}

/// How a value is written.
#[derive(Debug, Clone, PartialEq)]
pub struct Codec {
    /// Its scalar.
    pub scalar: Scalar,
    /// `Some` for a list, with whether its items are required.
    pub items_required: Option<bool>,
}

impl Codec {
    /// A single value.
    pub fn single(scalar: Scalar) -> Self {
        Self { scalar, items_required: None }
    }
}
