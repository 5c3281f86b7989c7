//! The walk over an ontology that makes its API, in the order in which types are listed.

use std::collections::HashSet;

use indexmap::IndexMap;

use crate::ontology::{AbstractType, EdgeType, EntityType, Ontology, RELATIONSHIP, Relationship};

use super::shared::Used;
use super::{
    Api, EnumDef, FieldDef, InputField, ObjectDef, Source, TypeDef, connections, define, filters, records, relations,
    retrieval, roots, shared, watching, writes,
};

impl Api {
    /// The API of a compiled ontology. Types come in a fixed order: roots, the ontology's own, generated ones, shared ones.
    pub fn of(ontology: &Ontology) -> Api {
        let mut generator = Generator::new(ontology, false);
        generator.run();
        Api { types: generator.types }
    }

    /// The API of an ontology whose names nobody has looked at yet; `None` when one comes twice, which [`generated_names`] tells apart.
    pub(crate) fn with_unique_names(ontology: &Ontology) -> Option<Api> {
        let mut generator = Generator::new(ontology, false);
        generator.run();
        (!generator.collided).then_some(Api { types: generator.types })
    }
}

/// Every name that the API of an ontology takes, with the element of the ontology (`Facility`, `Facility.devices`) it is there
/// for, which is empty for names that every API has. Types come by name, fields as `Facility.devicesConnection`. A name that comes
/// twice is a collision, and the API of such an ontology is not to be served.
pub fn generated_names(ontology: &Ontology) -> Vec<(String, String)> {
    let mut generator = Generator::new(ontology, true);
    generator.run();
    generator.names.unwrap_or_default()
}

/// What stands at the other end of a relationship or join.
#[derive(Clone, Copy)]
pub(super) enum Target<'a> {
    /// A node or row type.
    Entity(&'a EntityType),
    /// An interface or union.
    Group(&'a AbstractType),
}

impl<'a> Target<'a> {
    /// The type, interface or union of that name.
    pub(super) fn of(ontology: &'a Ontology, name: &str) -> Option<Self> {
        let entity = ontology.types.get(name).map(Self::Entity);
        entity.or_else(|| ontology.abstracts.get(name).map(Self::Group))
    }

    /// Its name.
    pub(super) fn name(self) -> &'a str {
        match self {
            Self::Entity(entity) => &entity.name,
            Self::Group(group) => &group.name,
        }
    }

    /// Its plural in lower camel case.
    pub(super) fn plural(self) -> &'a str {
        match self {
            Self::Entity(entity) => &entity.plural,
            Self::Group(group) => &group.plural,
        }
    }

    /// The concrete type, if it is one.
    pub(super) fn entity(self) -> Option<&'a EntityType> {
        match self {
            Self::Entity(entity) => Some(entity),
            Self::Group(_) => None,
        }
    }
}

/// What relationships and joins lead to, so that only inputs that something uses are made.
#[derive(Default)]
pub(super) struct Reach<'a> {
    /// Targets of list fields.
    pub(super) listed: HashSet<&'a str>,
    /// Targets of relationships.
    pub(super) connected: HashSet<&'a str>,
    /// Relationship properties in use.
    pub(super) edges: HashSet<&'a str>,
    /// Relationship properties in use by relationships that nested updates can walk.
    pub(super) updated_edges: HashSet<&'a str>,
}

impl<'a> Reach<'a> {
    fn of(ontology: &'a Ontology) -> Self {
        let mut reach = Self::default();
        for entity in ontology.types.values() {
            let joins = entity.joins.values().filter(|join| join.list);
            reach.listed.extend(joins.map(|join| join.target.as_str()));
            for relationship in entity.relationships.values() {
                reach.connected.insert(&relationship.target);
                if relationship.list {
                    reach.listed.insert(&relationship.target);
                }
                if let Some(properties) = &relationship.properties {
                    reach.edges.insert(properties);
                    if ontology.types.contains_key(&relationship.target) {
                        reach.updated_edges.insert(properties);
                    }
                }
            }
        }
        reach
    }
}

/// The API in the making.
pub(super) struct Generator<'a> {
    /// What it is made of.
    pub(super) ontology: &'a Ontology,
    /// What relationships and joins lead to.
    pub(super) reach: Reach<'a>,
    /// Shared types that something uses.
    pub(super) used: Used,
    types: IndexMap<String, TypeDef>,
    names: Option<Vec<(String, String)>>,
    /// A name came twice.
    collided: bool,
}

impl<'a> Generator<'a> {
    fn new(ontology: &'a Ontology, names: bool) -> Self {
        Self {
            ontology,
            reach: Reach::of(ontology),
            used: Used::default(),
            types: IndexMap::new(),
            names: names.then(Vec::new),
            collided: false,
        }
    }

    fn run(&mut self) {
        let ontology = self.ontology;
        roots::add(self);
        records::add(self);
        for entity in ontology.types.values() {
            connections::add_entity(self, entity);
            filters::add_entity(self, entity);
            for relationship in entity.relationships.values() {
                relations::add(self, entity, relationship);
            }
            // What is not written here is not in the log either.
            let written = entity.writes().any();
            if written {
                writes::add_entity(self, entity);
            }
            retrieval::add_similar(self, entity);
            if written {
                watching::add_entity(self, entity);
            }
        }
        for edge in ontology
            .edge_types
            .values()
            .filter(|edge| self.reach.edges.contains(edge.name.as_str()))
            .collect::<Vec<_>>()
        {
            filters::add_edge(self, edge);
            writes::add_edge(self, edge);
        }
        for group in ontology.abstracts.values() {
            connections::add_group(self, group);
            filters::add_group(self, group);
        }
        connections::add_relationships(self);
        filters::add_relationships(self);
        retrieval::add_search(self);
        watching::add_changes(self);
        shared::add(self);
    }

    /// The type of a relationship's properties.
    pub(super) fn edge(&self, relationship: &Relationship) -> Option<&'a EdgeType> {
        self.ontology.edge_types.get(relationship.properties.as_ref()?)
    }

    /// Relationships of a type whose targets nested writes can make, change and remove: those to one concrete type.
    pub(super) fn nested(&self, entity: &'a EntityType) -> impl Iterator<Item = &'a Relationship> + use<'a> {
        let types = &self.ontology.types;
        entity.relationships.values().filter(|relationship| types.contains_key(&relationship.target))
    }

    /// Adds an object that is there because of `cause`.
    pub(super) fn object(
        &mut self,
        cause: &str,
        name: impl Into<String>,
        about: impl Into<String>,
        fields: Vec<FieldDef>,
    ) {
        self.record(cause, name.into(), Some(about.into()), fields, TypeDef::Object);
    }

    /// Adds an object or interface with the description that the ontology gives it, if any.
    pub(super) fn record(
        &mut self,
        cause: &str,
        name: String,
        description: Option<String>,
        fields: Vec<FieldDef>,
        make: impl FnOnce(ObjectDef) -> TypeDef,
    ) {
        let causes = fields.iter().map(|field| (field.name.as_str(), field_cause(cause, &name, field)));
        self.note(cause, &name, causes);
        let given = fields.len();
        let object = define::object(name.clone(), description, fields);
        self.collided |= object.fields.len() < given;
        self.add(name, make(object));
    }

    /// Adds an input object.
    pub(super) fn input(
        &mut self,
        cause: &str,
        name: impl Into<String>,
        about: impl Into<String>,
        fields: Vec<InputField>,
    ) {
        let name = name.into();
        self.note(cause, &name, fields.iter().map(|field| (field.name.as_str(), cause.to_owned())));
        let given = fields.len();
        let object = define::input_object(name.clone(), about.into(), fields);
        self.collided |= object.fields.len() < given;
        self.add(name, TypeDef::Input(object));
    }

    /// Adds an enum.
    pub(super) fn enumeration(&mut self, cause: &str, def: EnumDef) {
        self.other(cause, TypeDef::Enum(def));
    }

    /// Adds a type without fields.
    pub(super) fn other(&mut self, cause: &str, def: TypeDef) {
        let name = def.name().to_owned();
        self.note(cause, &name, std::iter::empty());
        self.add(name, def);
    }

    fn add(&mut self, name: String, def: TypeDef) {
        self.collided |= self.types.insert(name, def).is_some();
    }

    /// Notes the name of a type, and those of its fields unless it is the type's name already that is taken.
    fn note<'n>(&mut self, cause: &str, name: &str, fields: impl Iterator<Item = (&'n str, String)>) {
        let Some(names) = &mut self.names else { return };
        names.push((name.to_owned(), cause.to_owned()));
        if !self.types.contains_key(name) {
            names.extend(fields.map(|(field, cause)| (format!("{name}.{field}"), cause)));
        }
    }
}

/// The element of the ontology that a field is there for.
fn field_cause(cause: &str, name: &str, field: &FieldDef) -> String {
    match &field.source {
        Source::Related { field, .. } | Source::Joined { field, .. } | Source::Property(field) if cause == name => {
            format!("{name}.{field}")
        }
        Source::Records { of, .. } if of == RELATIONSHIP => String::new(),
        Source::Records { of, .. }
        | Source::Similar { of }
        | Source::Create { of }
        | Source::Update { of }
        | Source::Delete { of }
        | Source::Upsert { of }
        | Source::Watch { of, .. } => of.clone(),
        _ => cause.to_owned(),
    }
}
