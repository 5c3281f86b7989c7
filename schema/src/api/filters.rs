//! `where` and `sort` of types, relationship properties, interfaces, unions and relationships as records.

use indexmap::IndexMap;

use crate::ontology::{AbstractType, EdgeType, EntityType, FieldOf, Property, Scalar};

use super::define::{input, input_property, value};
use super::generate::Generator;
use super::naming;
use super::{EnumDef, InputField, TypeRef};

/// Adds `where`, `sort` and, where something leads to a list of it, the quantified `where` of a type.
pub(super) fn add_entity(generator: &mut Generator<'_>, entity: &EntityType) {
    let of = &entity.name;
    let mut fields = by_properties(generator, &entity.properties);
    fields.extend(logic(of));
    for name in &entity.order {
        match entity.field(name) {
            Some(FieldOf::Relationship(of)) => {
                let prefix = naming::prefix(entity, of);
                let kind = if of.list { "ConnectionFilters" } else { "ConnectionWhere" };
                fields.push(reached(&of.name, &of.target, of.list));
                let about = format!("By the relationships of {} and the records at their ends.", of.name);
                fields.push(input(&format!("{}Connection", of.name), TypeRef::named(format!("{prefix}{kind}")), about));
            }
            Some(FieldOf::Join(of)) => fields.push(reached(&of.name, &of.target, of.list)),
            Some(FieldOf::Property(_)) | None => {}
        }
    }
    generator.input(of, format!("{of}Where"), format!("A condition on a {of}. All that is given must hold."), fields);
    add_sort(generator, of, &entity.properties);
    add_quantified(generator, of);
    add_connect(generator, of);
}

fn reached(name: &str, target: &str, list: bool) -> InputField {
    let kind = if list { "RelationshipFilters" } else { "Where" };
    input(name, TypeRef::named(format!("{target}{kind}")), format!("By the {target} records under {name}."))
}

/// Adds `where` and `sort` of a relationship's properties.
pub(super) fn add_edge(generator: &mut Generator<'_>, edge: &EdgeType) {
    let of = &edge.name;
    if edge.properties.values().any(naming::filtered) {
        let mut fields = by_properties(generator, &edge.properties);
        fields.extend(logic(of));
        let about = format!("A condition on {of} properties. All that is given must hold.");
        generator.input(of, format!("{of}Where"), about, fields);
    }
    if edge.properties.values().any(naming::sorted) {
        add_sort(generator, of, &edge.properties);
    }
}

/// Adds `where` and `sort` of an interface or union, with the enum of its members.
pub(super) fn add_group(generator: &mut Generator<'_>, group: &AbstractType) {
    let of = &group.name;
    let common = naming::common(generator.ontology, group);
    let mut fields = by_properties(generator, &common);
    if !group.members.is_empty() {
        let name = format!("{of}Implementation");
        let values = group.members.iter().map(|member| value(member, format!("Records of type {member}."))).collect();
        let description = Some(format!("The types that a {of} may be."));
        fields.push(input("typename", TypeRef::optional_list(&name), "Only records of these types."));
        generator.enumeration(of, EnumDef { name, description, values });
    }
    fields.extend(logic(of));
    generator.input(of, format!("{of}Where"), format!("A condition on a {of}. All that is given must hold."), fields);
    add_sort(generator, of, &common);
    add_quantified(generator, of);
    add_connect(generator, of);
}

/// Adds `where` and `sort` of relationships as records.
pub(super) fn add_relationships(generator: &mut Generator<'_>) {
    let mut fields = vec![
        generator.by("id", &Scalar::Id, "By id."),
        generator.by("type", &Scalar::String, "By type, like HAS_DEVICE."),
        input("from", TypeRef::named("EntityWhere"), "By the node it starts at."),
        input("to", TypeRef::named("EntityWhere"), "By the node it ends at."),
    ];
    fields.extend(logic("Relationship"));
    let about = "A condition on a relationship. All that is given must hold.";
    generator.input("", "RelationshipWhere", about, fields);
    let keys = ["id", "type"].map(|name| direction(name, format!("By {name}."))).into();
    generator.input("", "RelationshipSort", "Keys to sort relationships by.", keys);
}

/// `AND`, `OR` and `NOT` of a condition.
pub(super) fn logic(of: &str) -> [InputField; 3] {
    let name = format!("{of}Where");
    [
        input("AND", TypeRef::optional_list(&name), "All of these hold."),
        input("OR", TypeRef::optional_list(&name), "Any of these holds."),
        input("NOT", TypeRef::named(name), "This does not hold."),
    ]
}

/// `some`, `all`, `none` and `single` of a condition.
pub(super) fn quantifiers(of: &str) -> Vec<InputField> {
    let quantifier = |name, about: &str| input(name, TypeRef::named(of), about);
    vec![
        quantifier("some", "At least one matches."),
        quantifier("all", "There is at least one, and all match."),
        quantifier("none", "Not one matches."),
        quantifier("single", "Exactly one matches."),
    ]
}

fn by_properties(generator: &mut Generator<'_>, properties: &IndexMap<String, Property>) -> Vec<InputField> {
    let mut fields = Vec::with_capacity(properties.len() + 3);
    for property in properties.values().filter(|p| naming::filtered(p)) {
        let Some(name) = naming::filter(&property.scalar, property.list) else { continue };
        generator.used.filters.insert((property.scalar.clone(), property.list));
        fields.push(input_property(property, TypeRef::named(name)));
    }
    fields
}

impl Generator<'_> {
    /// A filter by a property that is no one's in particular.
    fn by(&mut self, name: &str, scalar: &Scalar, about: &str) -> InputField {
        self.used.filters.insert((scalar.clone(), false));
        input(name, TypeRef::named(format!("{}ScalarFilters", scalar.name())), about)
    }
}

fn add_sort(generator: &mut Generator<'_>, of: &str, properties: &IndexMap<String, Property>) {
    let mut fields = Vec::with_capacity(properties.len());
    for property in properties.values().filter(|p| naming::sorted(p)) {
        fields.push(input_property(property, TypeRef::named("SortDirection")));
    }
    if fields.is_empty() {
        fields.push(direction("id", "By id.".to_owned()));
    }
    generator.input(of, format!("{of}Sort"), format!("Keys to sort {of} records by."), fields);
}

fn direction(name: &str, about: String) -> InputField {
    input(name, TypeRef::named("SortDirection"), about)
}

fn add_quantified(generator: &mut Generator<'_>, of: &str) {
    if generator.reach.listed.contains(of) {
        let about = format!("A condition on the {of} records that a field leads to.");
        generator.input(of, format!("{of}RelationshipFilters"), about, quantifiers(&format!("{of}Where")));
    }
}

fn add_connect(generator: &mut Generator<'_>, of: &str) {
    if generator.reach.connected.contains(of) {
        let node = input("node", TypeRef::required(format!("{of}Where")), "A condition on the record.");
        generator.input(of, format!("{of}ConnectWhere"), format!("Which {of} records to connect."), vec![node]);
    }
}
