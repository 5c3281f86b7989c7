//! Names of generated types and fields, as the Neo4j GraphQL Library forms them.

use indexmap::IndexMap;

use crate::ontology::{AbstractType, EdgeType, EntityType, Ontology, Property, Relationship, Scalar};

use super::TypeRef;

/// The name with its first letter in upper case: `devices` gives `Devices`.
pub(super) fn upper(name: &str) -> String {
    let mut rest = name.chars();
    match rest.next() {
        Some(first) => first.to_uppercase().chain(rest).collect(),
        None => String::new(),
    }
}

/// Type of a property as the SDL declares it.
pub(super) fn property(property: &Property) -> TypeRef {
    let base = TypeRef::named(property.scalar.name());
    let base = match (property.list, property.item_required) {
        (true, true) => TypeRef::List(Box::new(TypeRef::NonNull(Box::new(base)))),
        (true, false) => TypeRef::List(Box::new(base)),
        (false, _) => base,
    };
    if property.required { TypeRef::NonNull(Box::new(base)) } else { base }
}

/// Type of a property where it may be left out.
pub(super) fn optional_property(of: &Property) -> TypeRef {
    property(of).nullable().clone()
}

/// Name of the filter input of values of that sort, `None` for JSON.
pub(super) fn filter(of: &Scalar, list: bool) -> Option<String> {
    let name = of.name();
    match (of, list) {
        (Scalar::Json, _) => None,
        (_, true) => Some(format!("{name}ListFilters")),
        (Scalar::Enum(_), false) => Some(format!("{name}EnumScalarFilters")),
        (_, false) => Some(format!("{name}ScalarFilters")),
    }
}

/// Name of the mutation input of values of that sort.
pub(super) fn mutation(of: &Scalar, list: bool) -> String {
    let name = of.name();
    match (of, list) {
        (_, true) => format!("{name}ListMutations"),
        (Scalar::Json, false) => "JSONMutations".to_owned(),
        (Scalar::Enum(_), false) => format!("{name}EnumScalarMutations"),
        (_, false) => format!("{name}ScalarMutations"),
    }
}

/// Name of the object with the figures of single values of that sort, `None` for what has none.
pub(super) fn figures(of: &Scalar) -> Option<String> {
    use Scalar::{BigInt, Date, DateTime, Float, Int, String};
    matches!(of, Int | Float | BigInt | String | DateTime | Date).then(|| format!("{}AggregateSelection", of.name()))
}

/// Whether a property is shown in outputs. What is not shown can be neither sorted by nor aggregated: cursors and figures hold
/// values.
pub(super) fn shown(property: &Property) -> bool {
    property.selectable && !property.implicit
}

/// Whether a property can be filtered by.
pub(super) fn filtered(property: &Property) -> bool {
    property.filterable && property.scalar != Scalar::Json
}

/// Whether a property can be sorted by.
pub(super) fn sorted(property: &Property) -> bool {
    property.sortable && !property.list && property.scalar != Scalar::Json && shown(property)
}

/// Whether a property of a record can be changed once it is there.
pub(super) fn updated(property: &Property) -> bool {
    property.name != "id" && property.is_given()
}

/// Properties that every member of an interface or union has, with its rights: what one member does not show, filter or sort by,
/// the group does not either. `id` is always there when there is a member.
pub(super) fn common(ontology: &Ontology, group: &AbstractType) -> IndexMap<String, Property> {
    let members = ontology.members(&group.name);
    let id =
        members.first().and_then(|member| member.properties.get("id")).filter(|_| !group.properties.contains_key("id"));
    let mut common = IndexMap::with_capacity(group.properties.len() + 1);
    for declared in id.into_iter().chain(group.properties.values()) {
        let mut property = declared.clone();
        for own in members.iter().filter_map(|member| member.properties.get(&declared.name)) {
            property.selectable &= shown(own);
            property.filterable &= filtered(own);
            property.sortable &= sorted(own);
        }
        common.insert(property.name.clone(), property);
    }
    common
}

/// Whether updates of a type can change any property or relationship.
pub(super) fn updatable(entity: &EntityType) -> bool {
    entity.writes().update && (!entity.relationships.is_empty() || entity.properties.values().any(updated))
}

/// Whether records of a type can be made or changed by id: their ids are given by whoever makes them.
pub(super) fn upsertable(entity: &EntityType) -> bool {
    let writes = entity.writes();
    writes.create && writes.update && entity.properties.get("id").is_some_and(Property::is_given)
}

/// Whether a relationship cannot be made without values of its properties.
pub(super) fn edge_demanded(edge: &EdgeType) -> bool {
    edge.properties.values().any(Property::is_demanded)
}

/// What every name of a relationship field's own types begins with: `FacilityDevices`.
pub(super) fn prefix(owner: &EntityType, relationship: &Relationship) -> String {
    format!("{}{}", owner.name, upper(&relationship.name))
}
