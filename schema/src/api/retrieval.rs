//! Types of finding by meaning and by words: `xSimilar` and `search`.

use crate::ontology::{ENTITY, EntityType, EnumValue, Ontology};

use super::define::{input, part, value};
use super::generate::Generator;
use super::{EnumDef, Part, TypeRef};

/// Node types that `search` looks through: those with embedded properties.
pub(super) fn searched(ontology: &Ontology) -> impl Iterator<Item = &EntityType> {
    ontology.types.values().filter(|entity| entity.is_node() && entity.embedded().next().is_some())
}

/// Adds the hit and the enum of embedded properties of a type that has some.
pub(super) fn add_similar(generator: &mut Generator<'_>, entity: &EntityType) {
    let of = &entity.name;
    let values: Vec<_> = entity.embedded().map(embedded).collect();
    if values.is_empty() {
        return;
    }
    let fields = vec![
        part("score", TypeRef::required("Float"), Part::Score, "Nearness by meaning; higher is nearer."),
        part("node", TypeRef::required(of), Part::Node, "The record."),
    ];
    generator.object(of, format!("{of}Similar"), format!("A {of} found by meaning."), fields);
    let description = Some(format!("Embedded properties of a {of}."));
    generator.enumeration(of, EnumDef { name: format!("{of}Embedded"), description, values });
}

fn embedded(property: &crate::ontology::Property) -> EnumValue {
    EnumValue {
        name: property.name.clone(),
        description: property.description.clone(),
        deprecated: property.deprecated.clone(),
    }
}

/// Adds the types of `search`.
pub(super) fn add_search(generator: &mut Generator<'_>) {
    let ontology = generator.ontology;
    if searched(ontology).next().is_none() {
        return;
    }
    let fields = vec![
        part("score", TypeRef::required("Float"), Part::Score, "Fused score of all legs; higher is better."),
        part("legs", TypeRef::list("SearchLeg"), Part::Legs, "The legs that found it."),
        part("node", TypeRef::required(ENTITY), Part::Node, "The passage or record."),
    ];
    generator.object("", "SearchHit", "A passage or record found by search.", fields);
    let fields = vec![
        part("leg", TypeRef::required("SearchLegName"), Part::Leg, "Which leg."),
        part("rank", TypeRef::required("Int"), Part::LegRank, "Place among the leg's hits, from 1."),
        part("score", TypeRef::required("Float"), Part::LegScore, "Score in the leg's own measure."),
    ];
    generator.object("", "SearchLeg", "How one leg of a search found a hit.", fields);
    let values = vec![value("DENSE", "By meaning, with vectors."), value("TEXT", "By words, with full text.")];
    let description = Some("The legs of a search.".to_owned());
    generator.enumeration("", EnumDef { name: "SearchLegName".to_owned(), description, values });
    let values = searched(ontology).map(|t| value(&t.name, format!("Records of type {}.", t.name))).collect();
    let description = Some("The types that search looks through.".to_owned());
    generator.enumeration("", EnumDef { name: "SearchType".to_owned(), description, values });
    let by_type = |t: &EntityType| {
        input(
            &t.singular,
            TypeRef::named(format!("{}Where", t.name)),
            format!("A condition on hits of type {}.", t.name),
        )
    };
    let fields = searched(ontology).map(by_type).collect();
    generator.input("", "SearchWhere", "Conditions on hits, per type.", fields);
}
