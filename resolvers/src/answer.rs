//! From rows to the bytes of a response, in one pass: order of fields, propagation of null and error paths as sections 6.4.4 and
//! 7.1 of the GraphQL specification say.

use std::collections::HashMap;
use std::sync::Arc;

use quipu_schema::ontology::Scalar;
use serde::Serialize;

use crate::fault::{Code, Fault};
use crate::shape::{Codec, Listing, Origin, Out, RecordShape, Shape, What};
use crate::value::{Key, Value};

mod leaf;

/// What the crossings of a request brought: by crossing, the outcome of each key, or why there is none.
pub(crate) type Loaded = Vec<Option<Result<HashMap<Key, Arc<Value>>, Fault>>>;

/// One step of an error's path.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub(crate) enum Step {
    /// A response key.
    Key(Arc<str>),
    /// An index of a list.
    Index(usize),
}

/// An error of a field.
#[derive(Debug, Clone)]
pub(crate) struct FieldError {
    pub fault: Fault,
    pub at: (usize, usize),
    pub path: Vec<Step>,
}

/// A required field is null: the enclosing object is null.
struct Nulled;

/// Writes the fields of one response.
pub(crate) struct Writer<'a> {
    out: Vec<u8>,
    loaded: &'a Loaded,
    errors: Vec<FieldError>,
    most_errors: usize,
    path: Vec<At<'a>>,
}

/// Where the writer is: a step of the path that an error here would have. Borrowed, for most fields have no error.
#[derive(Clone, Copy)]
enum At<'a> {
    Key(&'a Arc<str>),
    Index(usize),
}

impl At<'_> {
    fn step(self) -> Step {
        match self {
            Self::Key(key) => Step::Key(key.clone()),
            Self::Index(index) => Step::Index(index),
        }
    }
}

/// What a field is written from.
#[derive(Clone, Copy)]
struct Context<'a> {
    row: &'a [Value],
    page: Option<&'a Page<'a>>,
}

/// The rows of an outcome as a page of a connection.
struct Page<'a> {
    rows: &'a [Value],
    reversed: bool,
    has_next: bool,
    has_previous: bool,
    total: &'a Value,
    figures: &'a [Value],
    listing: &'a Listing,
}

static NULL: Value = Value::Null;
static NO_ROWS: [Value; 0] = [];

/// Rows, total and figures of an outcome.
fn parts(outcome: &Value, composite: bool) -> (&[Value], &Value, &[Value]) {
    match outcome {
        Value::List(parts) if composite => (
            parts.first().and_then(Value::as_list).unwrap_or(&NO_ROWS),
            parts.get(1).unwrap_or(&NULL),
            parts.get(2).and_then(Value::as_list).unwrap_or(&NO_ROWS),
        ),
        Value::List(rows) => (rows, &NULL, &NO_ROWS),
        _ => (&NO_ROWS, &NULL, &NO_ROWS),
    }
}

impl<'a> Writer<'a> {
    /// A writer for one response.
    pub fn new(loaded: &'a Loaded, most_errors: usize) -> Self {
        Self { out: Vec::with_capacity(16 << 10), loaded, errors: Vec::new(), most_errors, path: Vec::new() }
    }

    /// Writes the object of the root fields, each from its own outcome. Null when a required field is null.
    pub fn root(&mut self, fields: &'a [(Out, Result<Value, Fault>)]) {
        self.out.push(b'{');
        for (at, (field, outcome)) in fields.iter().enumerate() {
            if at > 0 {
                self.out.push(b',');
            }
            if self.root_field(field, outcome).is_err() {
                self.out.clear();
                self.out.extend_from_slice(b"null");
                return;
            }
        }
        self.out.push(b'}');
    }

    fn root_field(&mut self, field: &'a Out, outcome: &Result<Value, Fault>) -> Result<(), Nulled> {
        self.key(&field.key);
        match (outcome, &field.what) {
            (Err(fault), _) => {
                self.path.push(At::Key(&field.key));
                self.error(fault.clone(), field.at);
                self.path.pop();
                self.null(field.required)
            }
            (Ok(outcome), _) => self.value(field, Context { row: std::slice::from_ref(outcome), page: None }),
        }
    }

    /// The bytes and the errors.
    pub fn finish(self) -> (Vec<u8>, Vec<FieldError>) {
        (self.out, self.errors)
    }

    fn key(&mut self, key: &str) {
        // Response keys are GraphQL names: nothing in them needs escaping.
        self.out.reserve(key.len() + 3);
        self.out.push(b'"');
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    fn error(&mut self, fault: Fault, at: (usize, usize)) {
        if self.errors.len() < self.most_errors {
            self.errors.push(FieldError { fault, at, path: self.path.iter().map(|at| at.step()).collect() });
        }
    }

    fn null(&mut self, required: bool) -> Result<(), Nulled> {
        if required {
            return Err(Nulled);
        }
        self.out.extend_from_slice(b"null");
        Ok(())
    }

    fn object(&mut self, shape: &'a Shape, context: Context<'_>) -> Result<(), Nulled> {
        self.out.push(b'{');
        for (at, field) in shape.fields.iter().enumerate() {
            if at > 0 {
                self.out.push(b',');
            }
            self.key(&field.key);
            self.value(field, context)?;
        }
        self.out.push(b'}');
        Ok(())
    }

    /// Writes a field's value; a null inside that may not be there makes the field null, or passes on to the enclosing object.
    fn value(&mut self, field: &'a Out, context: Context<'_>) -> Result<(), Nulled> {
        let start = self.out.len();
        self.path.push(At::Key(&field.key));
        let written = self.content(field, context);
        let result = match written {
            Ok(true) => Ok(()),
            Ok(false) if field.required => {
                self.error(Fault::internal("answer", "a required value is absent"), field.at);
                Err(Nulled)
            }
            Ok(false) => self.null(false),
            Err(Nulled) => {
                self.out.truncate(start);
                self.null(field.required)
            }
        };
        self.path.pop();
        result
    }

    /// `Ok(false)` when there is no value and nothing was written.
    fn content(&mut self, field: &'a Out, context: Context<'_>) -> Result<bool, Nulled> {
        match &field.what {
            What::Typename(name) => {
                self.out.push(b'"');
                self.out.extend_from_slice(name.as_bytes());
                self.out.push(b'"');
            }
            What::Written(bytes) => self.out.extend_from_slice(bytes),
            What::Refused(fault) => {
                self.error(fault.clone(), field.at);
                return Err(Nulled);
            }
            What::Leaf { slot, codec } => return self.leaf(context.row.get(*slot), codec, field.at),
            What::Records { from, list, shape } => {
                let Some(outcome) = self.outcome(*from, context, field.at)? else {
                    return self.nothing(*list);
                };
                let (rows, _, _) = parts(outcome, false);
                if *list {
                    return self.rows(rows, shape, field.at).map(|()| true);
                }
                let Some(row) = rows.first() else { return Ok(false) };
                self.record(row, shape, field.at)?;
            }
            What::Connection { from, listing, shape } => {
                let outcome = self.outcome(*from, context, field.at)?.unwrap_or(&NULL);
                self.connection(outcome, listing, shape)?;
            }
            What::Object(shape) => self.object(shape, context)?,
            What::Edges(shape) => return self.edges(shape, context),
            What::Node(shape) => self.fields_of(context.row, shape, field.at)?,
            page => return self.paged(page, context, field.at),
        }
        Ok(true)
    }

    /// No outcome at all: an empty list, or no record.
    fn nothing(&mut self, list: bool) -> Result<bool, Nulled> {
        if list {
            self.out.extend_from_slice(b"[]");
        }
        Ok(list)
    }

    fn outcome<'c>(
        &mut self,
        from: Origin,
        context: Context<'c>,
        at: (usize, usize),
    ) -> Result<Option<&'c Value>, Nulled>
    where
        'a: 'c,
    {
        match from {
            Origin::Root => Ok(context.row.first()),
            Origin::Slot(slot) => Ok(context.row.get(slot)),
            Origin::Loaded { crossing, slot } => {
                let key = context.row.get(slot);
                if matches!(key, Some(Value::Hidden)) {
                    return self.hidden(at);
                }
                let Some(key) = key.and_then(Value::key) else { return Ok(None) };
                match self.loaded.get(crossing).and_then(Option::as_ref) {
                    Some(Ok(found)) => Ok(found.get(&key).map(|outcome| outcome.as_ref())),
                    Some(Err(fault)) => {
                        self.error(fault.clone(), at);
                        Err(Nulled)
                    }
                    None => Ok(None),
                }
            }
        }
    }

    fn rows(&mut self, rows: &[Value], shape: &'a RecordShape, at: (usize, usize)) -> Result<(), Nulled> {
        self.out.push(b'[');
        for (index, row) in rows.iter().enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            self.path.push(At::Index(index));
            let written = self.record(row, shape, at);
            self.path.pop();
            written?;
        }
        self.out.push(b']');
        Ok(())
    }

    fn record(&mut self, row: &Value, shape: &'a RecordShape, at: (usize, usize)) -> Result<(), Nulled> {
        match row {
            Value::List(row) => self.fields_of(row, shape, at),
            _ => Err(Nulled),
        }
    }

    fn fields_of(&mut self, row: &[Value], shape: &'a RecordShape, at: (usize, usize)) -> Result<(), Nulled> {
        let target = match (shape.targets.len(), row.first()) {
            (1, _) => 0,
            (_, Some(Value::Int(target))) => usize::try_from(*target).unwrap_or(usize::MAX),
            _ => usize::MAX,
        };
        let (Some(fields), Some(width)) = (shape.targets.get(target), shape.widths.get(target)) else {
            self.error(Fault::internal("answer", "a row of an unknown type"), at);
            return Err(Nulled);
        };
        // The guard appended whether a rule lets the caller read the record.
        if row.get(*width) == Some(&Value::Bool(false)) || row.get(*width) == Some(&Value::Int(0)) {
            self.error(Fault::client(Code::Forbidden, "a rule refuses reading this record"), at);
            return Err(Nulled);
        }
        self.object(fields, Context { row, page: None })
    }

    fn connection(&mut self, outcome: &Value, listing: &'a Listing, shape: &'a Shape) -> Result<(), Nulled> {
        let composite = listing.composite;
        let (rows, total, figures) = parts(outcome, composite);
        let more = rows.len() > listing.page;
        let rows = &rows[..rows.len().min(listing.page)];
        let (has_next, has_previous) = if listing.backwards { (listing.behind, more) } else { (more, listing.behind) };
        let page = Page { rows, reversed: listing.backwards, has_next, has_previous, total, figures, listing };
        self.object(shape, Context { row: &NO_ROWS, page: Some(&page) })
    }

    fn edges(&mut self, shape: &'a Shape, context: Context<'_>) -> Result<bool, Nulled> {
        let Some(page) = context.page else { return Ok(false) };
        self.out.push(b'[');
        for index in 0..page.rows.len() {
            if index > 0 {
                self.out.push(b',');
            }
            let Value::List(row) = page.row(index) else { return Err(Nulled) };
            self.path.push(At::Index(index));
            let written = self.object(shape, Context { row, page: Some(page) });
            self.path.pop();
            written?;
        }
        self.out.push(b']');
        Ok(true)
    }

    fn paged(&mut self, what: &What, context: Context<'_>, at: (usize, usize)) -> Result<bool, Nulled> {
        let Some(page) = context.page else { return Ok(false) };
        let cursor = match what {
            What::HasNext | What::HasPrevious => {
                let flag = if matches!(what, What::HasNext) { page.has_next } else { page.has_previous };
                self.out.extend_from_slice(if flag { b"true" } else { b"false" });
                return Ok(true);
            }
            What::Total => return self.leaf(Some(page.total), &Codec::single(Scalar::Int), at),
            What::Figure { at: figure, codec } => return self.leaf(page.figures.get(*figure), codec, at),
            What::Cursor => page.cursor(context.row),
            What::Start if !page.rows.is_empty() => page.cursor_at(0),
            What::End if !page.rows.is_empty() => page.cursor_at(page.rows.len() - 1),
            _ => return Ok(false),
        };
        leaf::text(&mut self.out, &cursor);
        Ok(true)
    }

    /// What a rule keeps from the caller is null, and said to be.
    fn hidden<T>(&mut self, at: (usize, usize)) -> Result<T, Nulled> {
        self.error(Fault::client(Code::Forbidden, "a rule refuses reading this field"), at);
        Err(Nulled)
    }

    fn leaf(&mut self, value: Option<&Value>, codec: &Codec, at: (usize, usize)) -> Result<bool, Nulled> {
        if matches!(value, Some(Value::Hidden)) {
            return self.hidden(at);
        }
        match leaf::write(&mut self.out, value.unwrap_or(&NULL), codec) {
            Ok(written) => Ok(written),
            Err(why) => {
                self.error(Fault::internal("answer", why), at);
                Err(Nulled)
            }
        }
    }
}

impl Page<'_> {
    /// The row at an index of the page, in the order of the response.
    fn row(&self, index: usize) -> &Value {
        let at = if self.reversed { self.rows.len() - 1 - index } else { index };
        &self.rows[at]
    }

    fn cursor(&self, row: &[Value]) -> String {
        let (from, width) = self.listing.sort;
        let values: Vec<&Value> = row.iter().skip(from).take(width).collect();
        self.listing.cursors.seal(&values)
    }

    fn cursor_at(&self, index: usize) -> String {
        self.row(index).as_list().map_or_else(String::new, |row| self.cursor(row))
    }
}
