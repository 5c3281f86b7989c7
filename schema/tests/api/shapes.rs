//! Decisions about shapes that a reader of the recorded text could overlook.

use quipu_schema::api::{Api, FieldDef, InputField};
use serde_json::json;

use super::of;

fn field<'a>(api: &'a Api, of: &str, name: &str) -> &'a FieldDef {
    let object = api.object(of).unwrap_or_else(|| panic!("no object {of}"));
    object.fields.get(name).unwrap_or_else(|| panic!("no field {of}.{name}"))
}

fn input<'a>(api: &'a Api, of: &str, name: &str) -> &'a InputField {
    let object = api.input(of).unwrap_or_else(|| panic!("no input {of}"));
    object.fields.get(name).unwrap_or_else(|| panic!("no field {of}.{name}"))
}

fn has(api: &Api, of: &str, name: &str) -> bool {
    let in_object = api.object(of).is_some_and(|object| object.fields.contains_key(name));
    in_object || api.input(of).is_some_and(|input| input.fields.contains_key(name))
}

#[test]
fn what_is_not_shown_is_neither_sorted_by_nor_aggregated() {
    let api = of("type Ship @node { id: ID! pin: Int @selectable(onRead: false) crew: Int }");
    for place in ["Ship", "ShipSort", "ShipAggregateNode"] {
        assert!(!has(&api, place, "pin"), "{place}");
        assert!(place == "ShipAggregateNode" || has(&api, place, "id"), "{place}");
        assert!(has(&api, place, "crew"), "{place}");
    }
    for place in ["ShipWhere", "ShipCreateInput", "ShipUpdateInput", "ShipUpsertInput"] {
        assert!(has(&api, place, "pin"), "{place}");
    }
}

#[test]
fn what_one_member_withholds_its_interface_withholds() {
    let api = of("interface Named { name: String code: String pin: Int }
        type Ship implements Named @node { id: ID! name: String code: String @filterable(byValue: false) pin: Int }
        type Tug implements Named @node { id: ID! name: String code: String pin: Int }");
    assert!(has(&api, "NamedWhere", "name") && has(&api, "NamedWhere", "pin"));
    assert!(!has(&api, "NamedWhere", "code") && has(&api, "NamedSort", "code") && has(&api, "Named", "code"));
}

#[test]
fn columns_of_joins_are_written_and_filtered_but_not_shown() {
    let api = of("type Ship @node { id: ID! logs: [Log!]! @join(on: \"ship_id\") } type Log @table { id: ID! }");
    for place in ["LogWhere", "LogCreateInput", "LogUpdateInput", "LogUpsertInput"] {
        assert!(has(&api, place, "ship_id"), "{place}");
    }
    assert!(!has(&api, "Log", "ship_id") && !has(&api, "LogSort", "ship_id"));
    assert_eq!(field(&api, "Ship", "logsConnection").ty.to_string(), "LogsConnection!");
    assert!(!has(&api, "ShipCreateInput", "logs"));
}

#[test]
fn creation_takes_defaults_and_upserting_leaves_what_is_left_out() {
    let api = of("enum Kind { A B } type Ship @node { id: ID! name: String! kind: Kind! @default(value: B) }");
    let id = input(&api, "ShipCreateInput", "id");
    assert_eq!((id.ty.to_string(), &id.default), ("ID".to_owned(), &None));
    assert!(input(&api, "ShipCreateInput", "name").ty.is_required());
    let kind = input(&api, "ShipCreateInput", "kind");
    assert_eq!((kind.ty.to_string(), &kind.default), ("Kind".to_owned(), &Some(json!("B"))));
    let kind = input(&api, "ShipUpsertInput", "kind");
    assert_eq!((kind.ty.to_string(), &kind.default), ("Kind".to_owned(), &None));
    assert!(input(&api, "ShipUpsertInput", "id").ty.is_required());
    assert!(!has(&api, "ShipUpdateInput", "id"));
}

#[test]
fn a_type_of_ids_alone_has_nothing_to_update() {
    let api = of(
        "type Mark @node { id: ID! } type Ship @node { id: ID! marks: [Mark!]! @relationship(type: \"M\", direction: OUT) }",
    );
    assert!(has(&api, "Mutation", "createMarks") && has(&api, "Mutation", "upsertMarks"));
    assert!(!has(&api, "Mutation", "updateMarks") && has(&api, "Mutation", "updateShips"));
    assert!(!has(&api, "ShipMarksUpdateFieldInput", "update") && has(&api, "ShipMarksUpdateFieldInput", "delete"));
    assert!(!has(&api, "MarkAggregate", "node") && has(&api, "MarkSort", "id"));
}

#[test]
fn edges_with_demanded_properties_are_demanded() {
    let edge = |properties: &str| {
        let api = of(&format!(
            "type Ship @node {{ id: ID! at: [Ship!]! @relationship(type: \"AT\", direction: OUT, properties: \"Stay\") }}
             type Stay @relationshipProperties {{ {properties} }}"
        ));
        let create = input(&api, "ShipAtCreateFieldInput", "edge").ty.to_string();
        assert_eq!(create, input(&api, "ShipAtConnectFieldInput", "edge").ty.to_string());
        create
    };
    assert_eq!(edge("days: Int!"), "StayCreateInput!");
    assert_eq!(edge("days: Int"), "StayCreateInput");
    assert_eq!(edge("days: Int! @default(value: 1)"), "StayCreateInput");
}

#[test]
fn single_relationships_take_single_values() {
    let api = of("type Ship @node { id: ID! tug: Tug @relationship(type: \"T\", direction: OUT) tugs: [Tug!]! @relationship(type: \"U\", direction: OUT) }
        type Tug @node { id: ID! pull: Int }");
    let ty = |of: &str, name: &str| input(&api, of, name).ty.to_string();
    assert_eq!(field(&api, "Ship", "tug").ty.to_string(), "Tug");
    assert!(field(&api, "Ship", "tug").args.is_empty());
    assert_eq!(ty("ShipTugFieldInput", "create"), "ShipTugCreateFieldInput");
    assert_eq!(ty("ShipTugsFieldInput", "create"), "[ShipTugsCreateFieldInput!]");
    assert_eq!(ty("ShipUpdateInput", "tug"), "ShipTugUpdateFieldInput");
    assert_eq!(ty("ShipUpdateInput", "tugs"), "[ShipTugsUpdateFieldInput!]");
    assert_eq!(ty("ShipWhere", "tug"), "TugWhere");
    assert_eq!(ty("ShipWhere", "tugs"), "TugRelationshipFilters");
    assert_eq!(ty("ShipWhere", "tugConnection"), "ShipTugConnectionWhere");
    assert_eq!(ty("ShipWhere", "tugsConnection"), "ShipTugsConnectionFilters");
}

#[test]
fn interfaces_and_unions_are_connected_and_never_made() {
    let api = of("union Vessel = Ship | Tug type Tug @node { id: ID! }
        type Ship @node { id: ID! near: [Vessel!]! @relationship(type: \"N\", direction: OUT) }");
    let names =
        |of: &str| api.input(of).map(|input| input.fields.keys().cloned().collect::<Vec<_>>()).unwrap_or_default();
    assert_eq!(names("ShipNearFieldInput"), ["connect"]);
    assert_eq!(names("ShipNearUpdateFieldInput"), ["connect", "disconnect"]);
    assert!(api.input("ShipDeleteInput").is_none());
    assert!(!field(&api, "Mutation", "deleteShips").args.contains_key("delete"));
    assert_eq!(names("VesselWhere"), ["id", "typename", "AND", "OR", "NOT"]);
}

#[test]
fn searches_default_to_no_more_hits_than_a_page_takes() {
    let first = |limit: &str| {
        let api = of(&format!("type Note @node {limit} {{ id: ID! text: String @embed }}"));
        field(&api, "Query", "notesSimilar").args["first"].default.clone()
    };
    assert_eq!(first(""), Some(json!(10)));
    assert_eq!(first("@limit(max: 50)"), Some(json!(10)));
    assert_eq!(first("@limit(max: 5)"), Some(json!(5)));
}
