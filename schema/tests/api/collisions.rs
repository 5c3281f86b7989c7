//! Names that an ontology would take twice.

use std::collections::HashMap;

use quipu_schema::api::generated_names;
use quipu_schema::ontology::Ontology;

/// An ontology as the compiler would make it, were it not for its names.
fn named(sdl: &str, rename: impl FnOnce(&mut Ontology)) -> Vec<(String, Vec<String>)> {
    let mut ontology = quipu_schema::compile(sdl).unwrap_or_else(|problems| panic!("{problems}"));
    rename(&mut ontology);
    let mut causes: HashMap<String, Vec<String>> = HashMap::new();
    for (name, cause) in generated_names(&ontology) {
        causes.entry(name).or_default().push(cause);
    }
    let mut twice: Vec<_> = causes.into_iter().filter(|(_, causes)| causes.len() > 1).collect();
    twice.sort();
    twice
}

fn pair(name: &str, first: &str, second: &str) -> (String, Vec<String>) {
    (name.to_owned(), vec![first.to_owned(), second.to_owned()])
}

#[test]
fn plurals_of_two_types() {
    let twice = named("type Ship @node { id: ID! } type Tug @node { id: ID! }", |ontology| {
        ontology.types["Tug"].plural = "ships".to_owned();
    });
    assert!(twice.contains(&pair("Query.ships", "Ship", "Tug")), "{twice:?}");
    assert!(twice.contains(&pair("Query.shipsConnection", "Ship", "Tug")), "{twice:?}");
    assert!(twice.contains(&pair("Mutation.createShips", "Ship", "Tug")), "{twice:?}");
    assert!(twice.contains(&pair("ShipsConnection", "Ship", "Tug")), "{twice:?}");
}

#[test]
fn a_singular_that_is_a_plural() {
    let twice = named("type Fleet @node { id: ID! }", |ontology| {
        ontology.types["Fleet"].plural = "fleet".to_owned();
    });
    assert_eq!(twice, [pair("Query.fleet", "Fleet", "Fleet")]);
}

#[test]
fn names_that_every_api_has() {
    let twice = named("type Ship @node { id: ID! }", |ontology| {
        let mut ship = ontology.types.shift_remove("Ship").expect("the type is there");
        (ship.name, ship.plural) = ("PageInfo".to_owned(), "relationships".to_owned());
        ontology.types.insert("PageInfo".to_owned(), ship);
    });
    assert!(twice.contains(&pair("PageInfo", "PageInfo", "")), "{twice:?}");
    assert!(twice.contains(&pair("Query.relationships", "PageInfo", "")), "{twice:?}");
}

#[test]
fn fields_beside_generated_fields() {
    let sdl = "type Ship @node { id: ID! tugs: [Ship!]! @relationship(type: \"T\", direction: OUT) other: Int }";
    let twice = named(sdl, |ontology| {
        let ship = &mut ontology.types["Ship"];
        let mut other = ship.properties.shift_remove("other").expect("the property is there");
        other.name = "tugsConnection".to_owned();
        ship.properties.insert("tugsConnection".to_owned(), other);
        ship.order.retain(|name| name != "other");
        ship.order.push("tugsConnection".to_owned());
    });
    assert!(twice.contains(&pair("Ship.tugsConnection", "Ship.tugs", "Ship.tugsConnection")), "{twice:?}");
}

#[test]
fn a_connection_of_a_field_beside_that_of_a_type() {
    let sdl = "type Ship @node { id: ID! tugs: [Ship!]! @relationship(type: \"T\", direction: OUT) } type Other @node { id: ID! }";
    let twice = named(sdl, |ontology| ontology.types["Other"].plural = "shipTugs".to_owned());
    assert_eq!(twice, [pair("ShipTugsConnection", "Ship.tugs", "Other")]);
}
