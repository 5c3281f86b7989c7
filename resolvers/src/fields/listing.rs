//! Lists, single records and Relay connections, with totals and aggregates.

use std::sync::Arc;

use quipu_schema::api::{Figure, Form, Part, Source};
use quipu_schema::ontology::{EntityType, Property, Scalar};
use serde_json::{Map, Value as Json};

use super::filter::Filters;
use super::record::{Taken, leaf, out};
use super::window::{self, Pages};
use super::{Crossing, Plan, Planner, Scope};
use crate::fault::Fault;
use crate::plan::{Asked, Below};
use crate::read::{Field, Pick, Place, Predicate, Read, Sort, Target, Via, Window};
use crate::shape::{Codec, Listing, Origin, RecordShape, Shape, What};
use crate::value::Value;
use crate::value::cursor::Cursors;
use crate::ways;

impl<'a> Planner<'a> {
    /// A root field that names one record by `id`.
    pub(super) fn by_id(&mut self, scope: Scope<'a>, asked: &Asked<'a>) -> Result<(Plan, What), Fault> {
        let args = asked.args.as_ref().map_err(Clone::clone)?;
        let id = args.get("id").and_then(Json::as_str).unwrap_or_default();
        let (mut plan, what) = self.single(scope, asked)?;
        for target in &mut plan.read.targets {
            target.filter = Predicate::equals(Field::Id, Value::from(id));
        }
        Ok((plan, what))
    }

    /// The one record that a field leads to, or null.
    pub(super) fn single(&mut self, scope: Scope<'a>, asked: &Asked<'a>) -> Result<(Plan, What), Fault> {
        let (targets, shape, crossings) = self.shown(&scope.members, asked)?;
        let window = Window { limit: Some(1), ..Window::default() };
        let read = read(scope.place, scope.via, targets, ties(scope.members.len() > 1, false), window);
        Ok((Plan { read, crossings }, What::Records { from: Origin::Root, list: false, shape }))
    }

    /// A list or a connection.
    pub(super) fn listing(&mut self, scope: Scope<'a>, form: Form, asked: &Asked<'a>) -> Result<(Plan, What), Fault> {
        let args = asked.args.as_ref().map_err(Clone::clone)?;
        let pages = Pages::new(self.limits, scope.pages);
        let along = matches!(scope.via, Via::Relationship { .. });
        let several = scope.members.len() > 1;
        let entity = scope.members.first().and_then(|name| self.served.ontology.types.get(name));
        // In a list, parallel relationships to one record give rows that are all the same: there is nothing to put in order.
        let parallel = along && form == Form::Connection;
        let ties: Vec<Field> = ties(several, parallel).into_iter().map(|sort| sort.field).collect();
        let sort = window::order(entity, scope.edge, args.get("sort"), &ties)?;
        let (mut plan, what) = if form == Form::Connection {
            self.connection(&scope, asked, args, sort, pages)?
        } else {
            let window = window::of_list(args, pages)?;
            let (targets, shape, crossings) = self.shown(&scope.members, asked)?;
            let read = read(scope.place, scope.via.clone(), targets, sort, window);
            (Plan { read, crossings }, What::Records { from: Origin::Root, list: true, shape })
        };
        if let Some(given) = args.get("where") {
            for target in &mut plan.read.targets {
                target.filter = self.filter(&scope, &target.of, parallel, given)?;
            }
        }
        Ok((plan, what))
    }

    /// What one field asks of records.
    pub(super) fn shown(
        &mut self,
        members: &[String],
        asked: &Asked<'a>,
    ) -> Result<(Vec<Target>, RecordShape, Vec<Crossing>), Fault> {
        let Taken { targets, mut shapes, crossings } = self.targets(members, &[], &[&asked.below])?;
        let shape = shapes.pop().unwrap_or(RecordShape { targets: Vec::new(), widths: Vec::new() });
        Ok((targets, shape, crossings))
    }

    fn filter(&self, scope: &Scope<'a>, of: &str, along: bool, given: &Json) -> Result<Predicate, Fault> {
        let filters = Filters { ontology: &self.served.ontology };
        match self.served.ontology.types.get(of) {
            None => filters.relationship(given),
            Some(entity) if along => filters.edge(entity, scope.edge, given),
            Some(entity) => filters.record(entity, given),
        }
    }

    fn connection(
        &mut self,
        scope: &Scope<'a>,
        asked: &Asked<'a>,
        args: &Map<String, Json>,
        sort: Vec<Sort>,
        pages: Pages,
    ) -> Result<(Plan, What), Fault> {
        let list = format!("{} {sort:?}", scope.name);
        let cursors = Cursors::new(self.secret, self.tenant(), &list);
        let (mut window, page) = window::of_connection(args, pages, &cursors, sort.len())?;
        let fields = asked.fields();
        let mut parts = Parts::default();
        parts.connection(fields);
        if !parts.more {
            // The row beyond the page comes with all that is nested in it, so it is read only for those who ask whether it is there.
            window.limit = Some(page);
        }
        let mut common: Vec<Pick> = Vec::new();
        if parts.cursors {
            common.extend(sort.iter().map(|sort| Pick::Field(sort.field.clone())));
        }
        for name in &parts.edge_properties {
            if let Some(property) = scope.edge.and_then(|edge| edge.properties.get(*name)) {
                common.push(Pick::Field(ways::edge_field(property)));
            }
        }
        let Taken { targets, shapes, crossings } = self.targets(&scope.members, &common, &parts.nodes)?;
        let base = usize::from(scope.members.len() > 1);
        let mut listing = Listing {
            page: page as usize,
            backwards: window.backwards,
            behind: if window.backwards { window.before.is_some() } else { window.after.is_some() },
            sort: (base, if parts.cursors { sort.len() } else { 0 }),
            composite: false,
            cursors,
        };
        let mut read = read(scope.place, scope.via.clone(), targets, sort, window);
        read.rows = parts.rows;
        read.total = parts.total;
        let shapes = shapes.into_iter();
        let shape = Shaping { planner: self, scope, shapes, base, read: &mut read }.named(asked)?;
        listing.composite = read.is_composite();
        let listing = Arc::new(listing);
        Ok((Plan { read, crossings }, What::Connection { from: Origin::Root, listing, shape }))
    }
}

/// What of a connection is selected, whichever aliases it goes by.
#[derive(Default)]
struct Parts<'a, 'b> {
    rows: bool,
    total: bool,
    cursors: bool,
    /// Whether there are rows beyond the page.
    more: bool,
    /// One group per selection of `node`, in the order of the document.
    nodes: Vec<&'b [Below<'a>]>,
    edge_properties: Vec<&'b str>,
}

impl<'a: 'b, 'b> Parts<'a, 'b> {
    fn connection(&mut self, fields: &'b [Asked<'a>]) {
        for asked in fields {
            match asked.part() {
                Some(Part::Edges) => {
                    self.rows = true;
                    self.edges(asked.fields());
                }
                Some(Part::PageInfo) => {
                    self.rows = true;
                    let cursor = |a: &Asked<'_>| matches!(a.part(), Some(Part::StartCursor | Part::EndCursor));
                    let more = |a: &Asked<'_>| matches!(a.part(), Some(Part::HasNextPage | Part::HasPreviousPage));
                    self.cursors |= asked.fields().iter().any(cursor);
                    self.more |= asked.fields().iter().any(more);
                }
                Some(Part::TotalCount) => self.total = true,
                Some(Part::Aggregate) => {
                    self.total |= asked.fields().iter().any(|a| a.part() == Some(&Part::AggregateCount));
                }
                _ => {}
            }
        }
    }

    fn edges(&mut self, fields: &'b [Asked<'a>]) {
        for asked in fields {
            match asked.part() {
                Some(Part::Cursor) => self.cursors = true,
                Some(Part::Node) => self.nodes.push(&asked.below),
                Some(Part::Properties) => {
                    for property in asked.fields() {
                        if let Some(Source::Property(name)) = property.def.map(|def| &def.source)
                            && !self.edge_properties.contains(&name.as_str())
                        {
                            self.edge_properties.push(name);
                        }
                    }
                }
                _ => {}
            }
        }
    }
}

/// Turns the fields of a connection into a shape, and asks the read for figures on the way.
struct Shaping<'p, 'q, 'a> {
    planner: &'p mut Planner<'a>,
    scope: &'p Scope<'a>,
    /// Shapes of the records, one per selection of `node`, in the same order.
    shapes: std::vec::IntoIter<RecordShape>,
    base: usize,
    read: &'q mut Read,
}

impl<'a> Shaping<'_, '_, 'a> {
    fn shape(&mut self, fields: &[Asked<'a>]) -> Result<Shape, Fault> {
        let mut shape = Shape { fields: Vec::with_capacity(fields.len()) };
        for asked in fields {
            let what = match asked.def {
                None => What::Typename(Arc::from("")),
                Some(def) => match &def.source {
                    Source::Part(part) => self.part(part, asked)?,
                    Source::Property(name) => self.edge_property(name)?,
                    _ => return Err(Fault::internal("plan", format!("{} is no part of a connection", def.name))),
                },
            };
            shape.fields.push(out(asked, what));
        }
        Ok(shape)
    }

    fn named(&mut self, asked: &Asked<'a>) -> Result<Shape, Fault> {
        let Some(below) = asked.below.first() else { return Ok(Shape::default()) };
        let mut shape = self.shape(&below.fields)?;
        name_it(&mut shape, below.of);
        Ok(shape)
    }

    fn part(&mut self, part: &Part, asked: &Asked<'a>) -> Result<What, Fault> {
        Ok(match part {
            Part::Edges => What::Edges(self.named(asked)?),
            Part::Node => match self.shapes.next() {
                Some(shape) => What::Node(shape),
                None => return Err(Fault::internal("plan", "a node has no shape")),
            },
            Part::Cursor => What::Cursor,
            Part::HasNextPage => What::HasNext,
            Part::HasPreviousPage => What::HasPrevious,
            Part::StartCursor => What::Start,
            Part::EndCursor => What::End,
            Part::TotalCount | Part::CountNodes | Part::CountEdges => What::Total,
            Part::AggregateNode => What::Object(self.figures(asked, false)?),
            Part::AggregateEdge => What::Object(self.figures(asked, true)?),
            Part::PageInfo | Part::Properties | Part::Aggregate | Part::AggregateCount => {
                What::Object(self.named(asked)?)
            }
            other => return Err(Fault::internal("plan", format!("{other:?} is no part of a connection"))),
        })
    }

    fn edge_property(&mut self, name: &str) -> Result<What, Fault> {
        let property = self.scope.edge.and_then(|edge| edge.properties.get(name));
        let property = property.ok_or_else(|| Fault::internal("plan", format!("the edge has no property {name}")))?;
        let pick = Pick::Field(ways::edge_field(property));
        let picks = self.read.targets.first().map_or(&[][..], |target| target.picks.as_slice());
        match picks.iter().position(|known| *known == pick) {
            Some(found) => Ok(leaf(self.base + found, property)),
            None => Err(Fault::internal("plan", format!("the edge's {name} was not picked"))),
        }
    }

    fn figures(&mut self, asked: &Asked<'a>, edge: bool) -> Result<Shape, Fault> {
        let Some(below) = asked.below.first() else { return Ok(Shape::default()) };
        let entity = self.scope.members.first().and_then(|name| self.planner.served.ontology.types.get(name));
        let mut shape = Shape::default();
        for field in &below.fields {
            let what = match field.part() {
                Some(Part::AggregateOf(name)) => {
                    let property = property(entity, self.scope, name, edge)?;
                    let as_field = if edge { ways::edge_field(property) } else { ways::field(property) };
                    What::Object(self.figures_of(field, property, &as_field))
                }
                _ => What::Typename(Arc::from(below.of)),
            };
            shape.fields.push(out(field, what));
        }
        Ok(shape)
    }

    fn figures_of(&mut self, asked: &Asked<'a>, property: &Property, field: &Field) -> Shape {
        let mut shape = Shape::default();
        let Some(below) = asked.below.first() else { return shape };
        for wanted in &below.fields {
            let what = match wanted.part() {
                Some(Part::Figure(figure)) => {
                    self.read.figures.push((*figure, field.clone()));
                    let scalar = if *figure == Figure::Average { Scalar::Float } else { property.scalar.clone() };
                    What::Figure { at: self.read.figures.len() - 1, codec: Codec::single(scalar) }
                }
                _ => What::Typename(Arc::from(below.of)),
            };
            shape.fields.push(out(wanted, what));
        }
        shape
    }
}

fn property<'o>(
    entity: Option<&'o EntityType>,
    scope: &Scope<'o>,
    name: &str,
    edge: bool,
) -> Result<&'o Property, Fault> {
    let found = if edge {
        scope.edge.and_then(|edge| edge.properties.get(name))
    } else {
        entity.and_then(|entity| entity.properties.get(name))
    };
    found.ok_or_else(|| Fault::internal("plan", format!("nothing to aggregate by the name {name}")))
}

/// Puts an object's type name under every `__typename` of its own fields.
fn name_it(shape: &mut Shape, of: &str) {
    for field in &mut shape.fields {
        if let What::Typename(name) = &mut field.what {
            *name = Arc::from(of);
        }
    }
}

/// The fields that make an order total.
pub(super) fn ties(several: bool, along: bool) -> Vec<Sort> {
    let fields = [several.then_some(Field::Type), Some(Field::Id), along.then_some(Field::EdgeKey)];
    fields.into_iter().flatten().map(|field| Sort { field, descending: false }).collect()
}

/// A read of rows only.
pub(super) fn read(place: Place, via: Via, targets: Vec<Target>, sort: Vec<Sort>, window: Window) -> Read {
    Read { place, via, targets, sort, window, rows: true, total: false, figures: Vec::new() }
}
