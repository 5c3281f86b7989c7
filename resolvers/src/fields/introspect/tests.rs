use async_graphql::parser::types::DocumentOperations;
use futures_util::FutureExt as _;
use quipu_schema::api::Api;
use serde_json::{Map, Value as Json};

use super::{peer, written};
use crate::plan;

/// As GraphiQL and code generators ask.
const ALL: &str = r#"{ __schema {
    description queryType { name } mutationType { name kind } subscriptionType { name }
    types { ...full }
    directives { name isRepeatable locations args(includeDeprecated: true) { ...input } }
} }
fragment full on __Type {
    __typename kind name description specifiedByURL isOneOf
    fields(includeDeprecated: true) { __typename name description args(includeDeprecated: true) { ...input } type { ...ref } isDeprecated deprecationReason }
    inputFields(includeDeprecated: true) { ...input isDeprecated deprecationReason }
    interfaces { ...ref }
    enumValues(includeDeprecated: true) { __typename name description isDeprecated deprecationReason }
    possibleTypes { ...ref }
}
fragment input on __InputValue { __typename name description type { ...ref } defaultValue }
fragment ref on __Type { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name } } } } } }"#;

/// A bit of everything.
const SDL: &str = r#"
"What holds things"
interface Place { id: ID!  "What it is called" name: String! }
type Site implements Place @node { id: ID!  name: String!  state: State!  old: Int @deprecated(reason: "use state")
    boxes: [Box!]! @relationship(type: "HAS", direction: OUT, properties: "Since")  bills: [Bill!]! @join(on: "site_id") }
type Box implements Place @node { id: ID!  name: String!  weight: Float  tags: [String!]  data: JSON  text: String @embed }
type Since @relationshipProperties { since: Date! }
type Bill @table(name: "bills") { id: ID!  amount: BigInt  at: DateTime @default(value: "2026-01-01T00:00:00Z")  site: Site @join(by: "site_id") }
union Thing = Site | Box
enum State { "It works" ON  OFF  GONE @deprecated(reason: "said by OFF") }
"#;

fn api(sdl: &str) -> Api {
    Api::of(&quipu_schema::compile(sdl).unwrap_or_else(|problems| panic!("{problems}")))
}

fn told(api: &Api, query: &str) -> Json {
    let document = async_graphql::parser::parse_query(query).unwrap_or_else(|error| panic!("{error}"));
    let DocumentOperations::Single(operation) = &document.operations else { panic!("one operation") };
    let asked = plan::asked(api, &document, &operation.node, &Map::new()).expect("no variables");
    let told = asked.iter().map(|asked| {
        let bytes = written(api, asked).expect("not too much");
        (asked.key.to_string(), serde_json::from_slice(&bytes).expect("JSON"))
    });
    Json::Object(told.collect())
}

/// What the peer has and the specification does not ask for, or leaves open, is taken out of both.
fn comparable(mut told: Json) -> Json {
    for list in ["types", "directives"] {
        let Json::Array(all) = &mut told["__schema"][list] else { panic!("no {list}") };
        all.sort_by_key(|one| one["name"].as_str().map(str::to_owned));
        for one in all.iter_mut() {
            without_quotes(one);
            let name = one["name"].as_str().expect("a name").to_owned();
            // Texts of what every API has, and the order of places, are left open.
            if list == "directives"
                || name.starts_with("__")
                || matches!(name.as_str(), "ID" | "String" | "Int" | "Float" | "Boolean")
            {
                without_descriptions(one);
            }
            // Interfaces may implement interfaces, so the list is there (section 4.5.2.6), which the peer leaves out.
            if one["kind"] == "INTERFACE" && one["interfaces"].is_null() {
                one["interfaces"] = Json::Array(Vec::new());
            }
            for part in ["locations", "enumValues", "possibleTypes"] {
                if let Json::Array(items) = &mut one[part] {
                    items.sort_by_key(Json::to_string);
                }
            }
        }
    }
    told
}

/// The peer is given defaults as JSON and so takes names of enum values for texts.
fn without_quotes(json: &mut Json) {
    match json {
        Json::Object(fields) => {
            if let Some(Json::String(default)) = fields.get_mut("defaultValue") {
                *default = default.replace('"', "");
            }
            fields.values_mut().for_each(without_quotes);
        }
        Json::Array(items) => items.iter_mut().for_each(without_quotes),
        _ => {}
    }
}

fn without_descriptions(json: &mut Json) {
    match json {
        Json::Object(fields) => {
            fields.remove("description");
            fields.values_mut().for_each(without_descriptions);
        }
        Json::Array(items) => items.iter_mut().for_each(without_descriptions),
        _ => {}
    }
}

#[test]
fn an_api_tells_the_same_as_it_does_through_async_graphql() {
    for sdl in [
        SDL,
        include_str!("../../../../schema/ontologies/library.graphql"),
        include_str!("../../../../schema/ontologies/cryox.graphql"),
        include_str!("../../../../schema/ontologies/insights.graphql"),
        include_str!("../../../../schema/ontologies/emma.graphql"),
        include_str!("../../../../schema/ontologies/supertrack.graphql"),
    ] {
        let api = api(sdl);
        let (ours, peers) = (comparable(told(&api, ALL)), peer::schema(&api).execute(ALL).now_or_never());
        let peers = comparable(peers.expect("nothing waits").data.into_json().expect("JSON"));
        for list in ["types", "directives"] {
            let (ours, peers) = (&ours["__schema"][list], &peers["__schema"][list]);
            let (ours, peers) = (ours.as_array().expect("a list"), peers.as_array().expect("a list"));
            let names = |all: &[Json]| all.iter().map(|one| one["name"].to_string()).collect::<Vec<_>>();
            assert_eq!(names(ours), names(peers));
            for (ours, peers) in ours.iter().zip(peers) {
                assert_eq!(ours, peers, "{}", ours["name"]);
            }
        }
    }
}

#[test]
fn defaults_are_literals() {
    let api = api(include_str!("../../../../schema/ontologies/cryox.graphql"));
    let query = r#"{ a: __type(name: "DeviceCreateInput") { inputFields { name defaultValue } } b: __type(name: "Nothing") { name } }"#;
    let told = told(&api, query);
    let fields = told["a"]["inputFields"].as_array().expect("fields");
    let status = fields.iter().find(|field| field["name"] == "status").expect("it is there");
    assert_eq!(status["defaultValue"], "ONLINE");
    assert!(told["b"].is_null());
}

#[test]
fn an_answer_that_grows_beyond_all_measure_is_refused() {
    let api = api(include_str!("../../../../schema/ontologies/cryox.graphql"));
    let inner =
        "fields { name description args { name description type { name kind } } type { name kind fields { name } } }";
    let many: Vec<String> = (0..300).map(|at| format!("a{at}: types {{ name {inner} }}")).collect();
    let query = format!("{{ __schema {{ {} }} }}", many.join(" "));
    let document = async_graphql::parser::parse_query(&query).expect("it parses");
    let DocumentOperations::Single(operation) = &document.operations else { panic!("one operation") };
    let asked = plan::asked(&api, &document, &operation.node, &Map::new()).expect("no variables");
    match written(&api, &asked[0]) {
        Err(refused) => assert_eq!(refused.code(), crate::fault::Code::TooExpensive),
        Ok(bytes) => panic!("{} bytes are not too much", bytes.len()),
    }
}
