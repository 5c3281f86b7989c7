//! Types of one relationship field: its connection with aggregates, and what filters, sorts and writes along it.

use crate::ontology::{EdgeType, EntityType, Relationship};

use super::connections::{connection_fields, edge_fields, figures};
use super::define::{input, part};
use super::filters::quantifiers;
use super::generate::{Generator, Target};
use super::naming::{self, upper};
use super::{InputField, Part, TypeRef};

/// Adds them.
pub(super) fn add(generator: &mut Generator<'_>, owner: &EntityType, relationship: &Relationship) {
    let Some(target) = Target::of(generator.ontology, &relationship.target) else { return };
    let relation = Relation {
        owner,
        relationship,
        target,
        edge: generator.edge(relationship),
        prefix: naming::prefix(owner, relationship),
        cause: format!("{}.{}", owner.name, relationship.name),
    };
    relation.connection(generator);
    relation.aggregate(generator);
    relation.filter_and_sort(generator);
    relation.writes(generator);
    relation.changes(generator);
}

/// One relationship field with all that its types' names and shapes depend on.
struct Relation<'a> {
    owner: &'a EntityType,
    relationship: &'a Relationship,
    target: Target<'a>,
    edge: Option<&'a EdgeType>,
    /// Owner and field: `FacilityDevices`.
    prefix: String,
    /// Owner and field as a coordinate: `Facility.devices`.
    cause: String,
}

impl Relation<'_> {
    fn own(&self, kind: &str) -> String {
        format!("{}{kind}", self.prefix)
    }

    fn aggregate_name(&self, kind: &str) -> String {
        let field = upper(&self.relationship.name);
        format!("{}{}{field}{kind}AggregateSelection", self.owner.name, self.target.name())
    }

    /// `[Name!]` for a list field, `Name` for a single one.
    fn many(&self, name: String) -> TypeRef {
        if self.relationship.list { TypeRef::optional_list(name) } else { TypeRef::named(name) }
    }

    fn connection(&self, generator: &mut Generator<'_>) {
        let edge_type = self.own("Relationship");
        let fields = connection_fields(&edge_type, self.aggregate_name(""));
        let about = format!("A page of {}.", self.cause);
        generator.object(&self.cause, self.own("Connection"), about, fields);
        let mut fields = edge_fields(self.target.name()).to_vec();
        if let Some(edge) = self.edge.filter(|edge| edge.properties.values().any(naming::shown)) {
            fields.push(part(
                "properties",
                TypeRef::required(&edge.name),
                Part::Properties,
                "The relationship's own properties.",
            ));
        }
        generator.object(
            &self.cause,
            edge_type,
            format!("A relationship of {} and its other end.", self.cause),
            fields,
        );
    }

    fn aggregate(&self, generator: &mut Generator<'_>) {
        let count = part("count", TypeRef::required("CountConnection"), Part::AggregateCount, "How many there are.");
        let mut fields = vec![count];
        if let Target::Entity(entity) = self.target {
            let of_nodes = figures(generator, &entity.properties);
            if !of_nodes.is_empty() {
                let name = self.aggregate_name("Node");
                fields.push(part(
                    "node",
                    TypeRef::named(&name),
                    Part::AggregateNode,
                    "Figures of the records' properties.",
                ));
                generator.object(&self.cause, name, format!("Figures over the records of {}.", self.cause), of_nodes);
            }
            let of_edges = self.edge.map(|edge| figures(generator, &edge.properties)).unwrap_or_default();
            if !of_edges.is_empty() {
                let name = self.aggregate_name("Edge");
                let about = "Figures of the relationships' properties.";
                fields.push(part("edge", TypeRef::named(&name), Part::AggregateEdge, about));
                generator.object(
                    &self.cause,
                    name,
                    format!("Figures over the relationships of {}.", self.cause),
                    of_edges,
                );
            }
        }
        generator.object(&self.cause, self.aggregate_name(""), format!("Figures over {}.", self.cause), fields);
    }

    fn filter_and_sort(&self, generator: &mut Generator<'_>) {
        let of = self.target.name();
        let name = self.own("ConnectionWhere");
        let node = input("node", TypeRef::named(format!("{of}Where")), "A condition on the record.");
        let mut filter: Vec<InputField> = super::filters::logic(&self.own("Connection")).into();
        filter.push(node);
        let mut sort = vec![input("node", TypeRef::named(format!("{of}Sort")), "By the record.")];
        if let Some(edge) = self.edge {
            if edge.properties.values().any(naming::filtered) {
                let about = "A condition on the relationship's properties.";
                filter.push(input("edge", TypeRef::named(format!("{}Where", edge.name)), about));
            }
            if edge.properties.values().any(naming::sorted) {
                sort.push(input(
                    "edge",
                    TypeRef::named(format!("{}Sort", edge.name)),
                    "By the relationship's properties.",
                ));
            }
        }
        let about = format!("A condition on a relationship of {} and its other end.", self.cause);
        generator.input(&self.cause, &name, about, filter);
        let about = format!("Keys to sort {} by.", self.cause);
        generator.input(&self.cause, self.own("ConnectionSort"), about, sort);
        if self.relationship.list {
            let about = format!("A condition on the relationships of {}.", self.cause);
            generator.input(&self.cause, self.own("ConnectionFilters"), about, quantifiers(&name));
        }
    }

    /// Properties for a relationship that is made.
    fn edge_input(&self) -> Option<InputField> {
        let edge = self.edge?;
        let name = format!("{}CreateInput", edge.name);
        let ty = if naming::edge_demanded(edge) { TypeRef::required(name) } else { TypeRef::named(name) };
        Some(input("edge", ty, "Properties of the relationship."))
    }

    /// What making, connecting and upserting take.
    fn writes(&self, generator: &mut Generator<'_>) {
        let of = self.target.name();
        let mut fields = Vec::with_capacity(2);
        if self.target.entity().is_some() {
            fields.push(self.create());
            let node = input("node", TypeRef::required(format!("{of}CreateInput")), "The record to make.");
            let about = format!("A {of} to make and connect by {}.", self.cause);
            let made = [Some(node), self.edge_input()].into_iter().flatten().collect();
            generator.input(&self.cause, self.own("CreateFieldInput"), about, made);
        }
        fields.push(self.connect());
        let about = format!("What to put under {} of a new record.", self.cause);
        generator.input(&self.cause, self.own("FieldInput"), about, fields);
        let about = format!("What to connect by {} of a made or changed record.", self.cause);
        generator.input(&self.cause, self.own("UpsertFieldInput"), about, vec![self.connect()]);

        let filter =
            input("where", TypeRef::named(format!("{of}ConnectWhere")), "Which records; all of them when left out.");
        let connected = [Some(filter), self.edge_input()].into_iter().flatten().collect();
        let about = format!("{of} records to connect by {}.", self.cause);
        generator.input(&self.cause, self.own("ConnectFieldInput"), about, connected);
    }

    fn create(&self) -> InputField {
        input("create", self.many(self.own("CreateFieldInput")), "Records to make and connect.")
    }

    fn connect(&self) -> InputField {
        input("connect", self.many(self.own("ConnectFieldInput")), "Records that exist, to connect.")
    }

    /// What updating and deleting take.
    fn changes(&self, generator: &mut Generator<'_>) {
        let filter =
            || input("where", TypeRef::named(self.own("ConnectionWhere")), "Which ones; all of them when left out.");
        let mut fields = vec![self.connect()];
        fields.push(input("disconnect", self.many(self.own("DisconnectFieldInput")), "Relationships to remove."));
        let about = format!("Relationships of {} to remove; the records stay.", self.cause);
        generator.input(&self.cause, self.own("DisconnectFieldInput"), about, vec![filter()]);
        if let Target::Entity(entity) = self.target {
            fields.insert(0, self.create());
            self.update(generator, entity, filter(), &mut fields);
            fields.push(input("delete", self.many(self.own("DeleteFieldInput")), "Records to remove."));
            let about = format!("Records under {} to remove, with their relationships.", self.cause);
            generator.input(&self.cause, self.own("DeleteFieldInput"), about, vec![filter()]);
        }
        let about = format!("What to change under {}.", self.cause);
        generator.input(&self.cause, self.own("UpdateFieldInput"), about, fields);
    }

    fn update(
        &self,
        generator: &mut Generator<'_>,
        entity: &EntityType,
        filter: InputField,
        fields: &mut Vec<InputField>,
    ) {
        let mut changed = vec![filter];
        if naming::updatable(entity) {
            changed.push(input(
                "node",
                TypeRef::named(format!("{}UpdateInput", entity.name)),
                "What to change in the records.",
            ));
        }
        if let Some(edge) = self.edge {
            let about = "What to change in the relationships' properties.";
            changed.push(input("edge", TypeRef::named(format!("{}UpdateInput", edge.name)), about));
        }
        if changed.len() > 1 {
            let name = self.own("UpdateConnectionInput");
            fields.push(input("update", TypeRef::named(&name), "Records and relationships to change."));
            let about = format!("Which records and relationships of {} to change, and what.", self.cause);
            generator.input(&self.cause, name, about, changed);
        }
    }
}
