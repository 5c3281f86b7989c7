//! Fields of one record: properties, related and joined records.

use std::sync::Arc;

use quipu_schema::api::{FieldDef, Form, Part, Source};
use quipu_schema::ontology::{Direction, EntityType, FieldOf, Property, RELATIONSHIP, Scalar};

use super::{Crossing, Plan, Planner, Scope, Step};
use crate::fault::{Code, Fault};
use crate::plan::{Asked, Below};
use crate::read::{Field, Pick, Place, Predicate, Target, Via};
use crate::shape::{Codec, Origin, Out, RecordShape, Shape, What};
use crate::ways;

/// The picks of one target while they are gathered, with the crossings that hang on them.
pub(super) struct Picks {
    list: Vec<Pick>,
    base: usize,
    target: Option<usize>,
    crossings: Vec<Crossing>,
}

/// What is taken of records, and how each group of fields shows it.
pub(super) struct Taken {
    /// One per concrete type.
    pub targets: Vec<Target>,
    /// One per group.
    pub shapes: Vec<RecordShape>,
    /// Reads of other stores that hang on the rows.
    pub crossings: Vec<Crossing>,
}

impl Picks {
    /// Position in the row of a pick; a field that is picked already is not picked again.
    fn add(&mut self, pick: Pick) -> usize {
        if matches!(pick, Pick::Field(_))
            && let Some(found) = self.list.iter().position(|known| *known == pick)
        {
            return self.base + found;
        }
        self.list.push(pick);
        self.base + self.list.len() - 1
    }

    /// Takes a read of the same store into the row.
    fn nest(&mut self, plan: Plan) -> Origin {
        let slot = self.add(Pick::Read(Box::new(plan.read)));
        let step = Step { target: self.target, slot };
        self.crossings.extend(plan.crossings.into_iter().map(|mut crossing| {
            crossing.trail.insert(0, step);
            crossing
        }));
        Origin::Slot(slot)
    }
}

impl<'a> Planner<'a> {
    /// What is taken of the records of each concrete type, and how it is shown, once per group: a group is what one field asks of
    /// the records, and several fields may share the rows. `common` comes first in every row.
    pub(super) fn targets(
        &mut self,
        members: &[String],
        common: &[Pick],
        groups: &[&[Below<'a>]],
    ) -> Result<Taken, Fault> {
        let several = members.len() > 1;
        let mut targets = Vec::with_capacity(members.len());
        let mut shapes = vec![RecordShape { targets: Vec::new(), widths: Vec::new() }; groups.len()];
        let mut crossings = Vec::new();
        for (at, of) in members.iter().enumerate() {
            let mut picks = Picks {
                list: common.to_vec(),
                base: usize::from(several),
                target: several.then_some(at),
                crossings: Vec::new(),
            };
            for (group, shape) in groups.iter().zip(&mut shapes) {
                let asked = group.iter().find(|below| below.of == of);
                shape.targets.push(match asked {
                    Some(below) => self.record(of, &below.fields, &mut picks)?,
                    None => Shape::default(),
                });
            }
            for shape in &mut shapes {
                shape.widths.push(picks.base + picks.list.len());
            }
            crossings.append(&mut picks.crossings);
            let (filter, visible) = (Predicate::True, Predicate::True);
            targets.push(Target { of: of.clone(), filter, visible, picks: picks.list });
        }
        Ok(Taken { targets, shapes, crossings })
    }

    fn record(&mut self, of: &str, fields: &[Asked<'a>], picks: &mut Picks) -> Result<Shape, Fault> {
        let mut shape = Shape { fields: Vec::with_capacity(fields.len()) };
        for asked in fields {
            let what = match asked.def {
                None => What::Typename(Arc::from(of)),
                Some(def) => match self.field(of, asked, def, picks) {
                    Ok(what) => what,
                    // A limit is the request's, and not the field's.
                    Err(fault @ Fault::Client(_)) if fault.code() != Code::PageTooLarge => What::Refused(fault),
                    Err(fault) => return Err(fault),
                },
            };
            shape.fields.push(out(asked, what));
        }
        Ok(shape)
    }

    fn field(&mut self, of: &str, asked: &Asked<'a>, def: &'a FieldDef, picks: &mut Picks) -> Result<What, Fault> {
        let entity = self.served.ontology.types.get(of);
        match (&def.source, entity) {
            (Source::Property(name), Some(entity)) => match entity.properties.get(name) {
                Some(property) => Ok(leaf(picks.add(Pick::Field(ways::field(property))), property)),
                None => Err(Fault::internal("plan", format!("{of} has no property {name}"))),
            },
            (Source::Property(name), None) if of == RELATIONSHIP => {
                let (field, scalar) = match name.as_str() {
                    "id" => (Field::Id, Scalar::Id),
                    _ => (Field::AllProperties, Scalar::Json),
                };
                Ok(What::Leaf { slot: picks.add(Pick::Field(field)), codec: Codec::single(scalar) })
            }
            (Source::Part(Part::RelationshipType), _) => {
                Ok(What::Leaf { slot: picks.add(Pick::Field(Field::Type)), codec: Codec::single(Scalar::String) })
            }
            (Source::Part(Part::From), _) => self.endpoint(Direction::Out, asked, picks),
            (Source::Part(Part::To), _) => self.endpoint(Direction::In, asked, picks),
            (Source::Related { field, form } | Source::Joined { field, form }, Some(entity)) => {
                self.related(entity, field, *form, asked, picks)
            }
            _ => Err(Fault::internal("plan", format!("{of}.{} has no source in a record", def.name))),
        }
    }

    fn endpoint(&mut self, direction: Direction, asked: &Asked<'a>, picks: &mut Picks) -> Result<What, Fault> {
        let ontology = &self.served.ontology;
        let members = ontology.types.values().filter(|t| t.is_node()).map(|t| t.name.clone()).collect();
        let scope = Scope {
            place: Place::Nodes,
            via: Via::Endpoint(direction),
            members,
            edge: None,
            pages: Default::default(),
            name: String::new(),
        };
        let (plan, what) = self.single(scope, asked)?;
        let origin = picks.nest(plan);
        Ok(what.at(origin))
    }

    fn related(
        &mut self,
        entity: &'a EntityType,
        name: &str,
        form: Form,
        asked: &Asked<'a>,
        picks: &mut Picks,
    ) -> Result<What, Fault> {
        let ontology = &self.served.ontology;
        let (Some(way), Some(field)) = (ways::of_field(ontology, entity, name), entity.field(name)) else {
            return Err(Fault::internal("plan", format!("{}.{name} leads nowhere", entity.name)));
        };
        let (target, edge) = match field {
            FieldOf::Relationship(found) => (&found.target, found.properties.as_ref()),
            FieldOf::Join(found) => (&found.target, None),
            FieldOf::Property(found) => (&found.name, None),
        };
        let scope = Scope {
            place: way.place,
            via: way.via.clone(),
            members: way.members,
            edge: edge.and_then(|name| ontology.edge_types.get(name)),
            pages: ontology.types.get(target).map(|other| other.limit).unwrap_or_default(),
            name: format!("{}.{name}", entity.name),
        };
        let (plan, what) = match form {
            Form::One => self.single(scope, asked)?,
            form => self.listing(scope, form, asked)?,
        };
        let origin = match way.via {
            Via::Key { local, .. } if !way.place.same_store(ways::place(entity)) => {
                let slot = picks.add(Pick::Field(local));
                let id = self.next_crossing();
                picks.crossings.push(Crossing { id, trail: Vec::new(), target: picks.target, slot, plan });
                Origin::Loaded { crossing: id, slot }
            }
            _ => picks.nest(plan),
        };
        Ok(what.at(origin))
    }
}

impl What {
    /// The same with another origin.
    pub(super) fn at(self, origin: Origin) -> Self {
        match self {
            What::Records { list, shape, .. } => What::Records { from: origin, list, shape },
            What::Connection { listing, shape, .. } => What::Connection { from: origin, listing, shape },
            other => other,
        }
    }
}

/// A field of the response with what was planned for it.
pub(super) fn out(asked: &Asked<'_>, what: What) -> Out {
    let required = asked.def.is_none_or(|def| def.ty.is_required());
    Out { key: asked.key.clone(), at: asked.at, required, what }
}

/// A property as a leaf of the answer.
pub(super) fn leaf(slot: usize, property: &Property) -> What {
    let items_required = property.list.then_some(property.item_required);
    What::Leaf { slot, codec: Codec { scalar: property.scalar.clone(), items_required } }
}
