//! Section 5 (validation) of the GraphQL specification, October 2021, by number: what each rule refuses, and why; and what it does not.

use serde_json::json;

use super::world::{World, admin};

/// Documents that are refused: the rule, the document, and a part of the first error.
const INVALID: &[(&str, &str, &str)] = &[
    ("5.1.1 executable definitions", "type A { b: Int }", "expected"),
    ("5.2.1.1 operation name uniqueness", "query A { __typename } query A { __typename }", "operation A"),
    ("5.2.2.1 lone anonymous operation", "{ __typename } query A { __typename }", "multiple operations"),
    ("5.2.3.1 single root field", "subscription { a: changes { seq } b: changes { seq } }", "one field at its root"),
    (
        "5.2.3.1 single root field, fragments",
        "subscription { ...f } fragment f on Subscription { changes { seq } ... { b: changes { seq } } }",
        "one field at its root",
    ),
    ("5.2.3.1 single root field, introspection", "subscription { __typename }", "a field of `Subscription`"),
    ("5.3.1 field selections", "{ facilities { nothing } }", "`Facility` has no field `nothing`"),
    ("5.3.1 field selections, suggestions", "{ facilities { nmae } }", "did you mean \"name\"?"),
    ("5.3.1 field selections, interfaces", "{ assets { wheels } }", "`Asset` has no field `wheels`"),
    ("5.3.1 field selections, unions", "{ things { id } }", "the union `Thing` has no field `id`"),
    (
        "5.3.1 field selections, root of introspection",
        "{ facilities { __schema { description } } }",
        "no field `__schema`",
    ),
    ("5.3.2 field selection merging, names", "{ facilities { a: name a: region } }", "different fields"),
    (
        "5.3.2 field selection merging, arguments",
        "{ facilities(limit: 1) { id } facilities(limit: 2) { id } }",
        "different arguments",
    ),
    (
        "5.3.2 field selection merging, absent arguments",
        "{ facilities { id } facilities(limit: 2) { id } }",
        "different arguments",
    ),
    (
        "5.3.2 field selection merging, variables",
        "query($a: Int, $b: Int) { facilities(limit: $a) { id } facilities(limit: $b) { id } }",
        "different arguments",
    ),
    (
        "5.3.2 field selection merging, below",
        "{ facilities { devices { a: name } devices { a: serial } } }",
        "different fields",
    ),
    (
        "5.3.2 field selection merging, fragments",
        "{ facilities { a: name ...f } } fragment f on Facility { a: region }",
        "`name` and `region` are different fields",
    ),
    (
        "5.3.2 field selection merging, interfaces",
        "{ assets { a: id ... on Device { a: serial } } }",
        "different types",
    ),
    (
        "5.3.2 field selection merging, shapes of different objects",
        "{ things { ... on Alert { a: severity } ... on Vehicle { a: name } } }",
        "`Int!` and `String!` are different types",
    ),
    ("5.3.3 leaf fields without selections", "{ facilities }", "needs a selection"),
    ("5.3.3 leaf fields with selections", "{ facilities { name { length } } }", "has no fields below it"),
    ("5.4.1 argument names", "{ facilities(wher: {}) { id } }", "has no argument `wher`; did you mean \"where\"?"),
    (
        "5.4.1 argument names, directives",
        "{ facilities @skip(iff: true, if: true) { id } }",
        "`@skip` has no argument `iff`",
    ),
    ("5.4.2 argument uniqueness", "{ facilities(limit: 1, limit: 1) { id } }", "argument `limit` twice"),
    ("5.4.2.1 required arguments", "{ facility { id } }", "needs the argument `id` of type `ID!`"),
    ("5.4.2.1 required arguments, null", "{ facility(id: null) { id } }", "expected ID!, found null"),
    ("5.4.2.1 required arguments, directives", "{ facilities @skip { id } }", "needs the argument `if`"),
    (
        "5.5.1.1 fragment name uniqueness",
        "{ ...a } fragment a on Query { __typename } fragment a on Query { __typename }",
        "fragment a",
    ),
    ("5.5.1.2 fragment spread type existence", "{ ...a } fragment a on Nothing { id }", "unknown type `Nothing`"),
    ("5.5.1.2 fragment spread type existence, inline", "{ ... on Nothing { id } }", "unknown type `Nothing`"),
    ("5.5.1.3 fragments on composite types", "{ facilities { ... on String { id } } }", "cannot stand on `String`"),
    (
        "5.5.1.3 fragments on composite types, inputs",
        "{ facilities { ...f } } fragment f on FacilityWhere { id }",
        "cannot stand on `FacilityWhere`",
    ),
    ("5.5.1.4 fragments must be used", "{ __typename } fragment a on Query { __typename }", "`a` is never used"),
    (
        "5.5.1.4 fragments must be used, by operations",
        "{ __typename } fragment a on Query { ...b } fragment b on Query { __typename }",
        "`a` is never used",
    ),
    ("5.5.2.1 fragment spread target defined", "{ ...nowhere }", "no fragment `nowhere`"),
    ("5.5.2.2 fragment spreads must not form cycles", "{ ...a } fragment a on Query { ...a }", "spreads itself"),
    (
        "5.5.2.2 fragment spreads must not form cycles, long ones",
        "{ ...a } fragment a on Query { ...b } fragment b on Query { ... { ...a } }",
        "spreads itself",
    ),
    ("5.5.2.3.1 fragment spread is possible, objects", "{ facilities { ... on Device { id } } }", "never a `Device`"),
    (
        "5.5.2.3.2 fragment spread is possible, abstract in object",
        "{ facilities { ... on Asset { id } } }",
        "never a `Asset`",
    ),
    (
        "5.5.2.3.3 fragment spread is possible, object in abstract",
        "{ things { ... on Device { id } } }",
        "never a `Device`",
    ),
    (
        "5.5.2.3.3 fragment spread is possible, named",
        "{ assets { ...f } } fragment f on Alert { id }",
        "a `Asset` is never a `Alert`",
    ),
    (
        "5.6.1 values of correct type",
        "{ facilities(limit: \"1\") { id } }",
        "argument limit: expected Int, found a string",
    ),
    ("5.6.1 values of correct type, whole numbers", "{ facilities(limit: 1.0) { id } }", "expected Int, found 1.0"),
    ("5.6.1 values of correct type, range", "{ facilities(limit: 3000000000) { id } }", "expected an Int between"),
    (
        "5.6.1 values of correct type, lists",
        "{ facilities(where: {id: {in: [1, true]}}) { id } }",
        "where: id: in: [1]: expected ID",
    ),
    (
        "5.6.1 values of correct type, null in a list",
        "{ facilities(where: {id: {in: [null]}}) { id } }",
        "expected ID!, found null",
    ),
    (
        "5.6.1 values of correct type, enums",
        "{ devices(where: {status: {eq: RETIERD}}) { id } }",
        "DeviceStatus has no value RETIERD; did you mean \"RETIRED\"?",
    ),
    (
        "5.6.1 values of correct type, text for enums",
        "{ devices(where: {status: {eq: \"OK\"}}) { id } }",
        "found a string",
    ),
    (
        "5.6.1 values of correct type, enums for text",
        "{ devices(where: {name: {eq: OK}}) { id } }",
        "found the enum value OK",
    ),
    (
        "5.6.1 values of correct type, objects",
        "{ facilities(where: 1) { id } }",
        "expected FacilityWhere, found a number",
    ),
    (
        "5.6.1 values of correct type, dates",
        "{ facilities(where: {opened: {lt: \"soon\"}}) { id } }",
        "expected a Date like",
    ),
    (
        "5.6.1 values of correct type, beside variables",
        "query($a: Int) { facilities(limit: $a, where: {name: {eq: 1}}) { id } }",
        "found a number",
    ),
    (
        "5.6.1 values of correct type, defaults",
        "query($a: Int = \"1\") { facilities(limit: $a) { id } }",
        "default of $a: expected Int",
    ),
    ("5.6.1 values of correct type, directives", "{ facilities @skip(if: 1) { id } }", "expected Boolean"),
    (
        "5.6.2 input object field names",
        "{ facilities(where: {nothing: {eq: 1}}) { id } }",
        "FacilityWhere has no field \"nothing\"",
    ),
    (
        "5.6.2 input object field names, beside variables",
        "query($a: ID) { facilities(where: {id: {eq: $a, equals: 1}}) { id } }",
        "no field \"equals\"",
    ),
    (
        "5.6.3 input object field uniqueness",
        "{ facilities(where: {id: {eq: 1}, id: {eq: 2}}) { id } }",
        "the key `id` twice",
    ),
    (
        "5.6.4 input object required fields",
        "mutation { createAlerts(input: [{id: \"a\"}]) { alerts { id } } }",
        "[0]: severity: a value of type Int! is required",
    ),
    ("5.7.1 directives are defined", "{ facilities @nothing { id } }", "no directive `@nothing`"),
    (
        "5.7.2 directives are in valid locations",
        "query @skip(if: true) { facilities { id } }",
        "cannot stand on a query",
    ),
    (
        "5.7.2 directives are in valid locations, of schemas",
        "{ facilities { id @deprecated } }",
        "cannot stand on a field",
    ),
    (
        "5.7.2 directives are in valid locations, fragments",
        "{ ...f } fragment f on Query @include(if: true) { __typename }",
        "cannot stand on the definition of a fragment",
    ),
    (
        "5.7.2 directives are in valid locations, variables",
        "query($a: Int @skip(if: true)) { facilities(limit: $a) { id } }",
        "of a variable",
    ),
    (
        "5.7.3 directives are unique per location",
        "{ facilities @skip(if: true) @skip(if: true) { id } }",
        "stands here twice",
    ),
    ("5.8.1 variable uniqueness", "query($a: Int, $a: Int) { facilities(limit: $a) { id } }", "declared twice"),
    ("5.8.2 variables are input types", "query($a: Facility) { facilities(limit: $a) { id } }", "it is no input"),
    (
        "5.8.2 variables are input types that exist",
        "query($a: Nothing) { facilities(limit: $a) { id } }",
        "unknown type `Nothing`",
    ),
    ("5.8.3 all variable uses defined", "{ facilities(limit: $a) { id } }", "$a is not declared by the operation"),
    (
        "5.8.3 all variable uses defined, fragments",
        "query A($a: Int) { ...f } query B { ...f } fragment f on Query { facilities(limit: $a) { id } }",
        "$a is not declared by the operation `B`",
    ),
    (
        "5.8.3 all variable uses defined, inside of values",
        "{ facilities(where: {OR: [{id: {eq: $a}}]}) { id } }",
        "$a is not declared",
    ),
    ("5.8.3 all variable uses defined, directives", "{ facilities @skip(if: $a) { id } }", "$a is not declared"),
    ("5.8.4 all variables used", "query($a: Int) { facilities { id } }", "$a is never used"),
    (
        "5.8.4 all variables used, by each operation",
        "query A($a: Int) { facilities(limit: $a) { id } } query B($a: Int) { facilities { id } }",
        "$a is never used",
    ),
    (
        "5.8.5 all variable usages are allowed, scalars",
        "query($a: String) { facilities(limit: $a) { id } }",
        "of type String cannot stand for Int",
    ),
    (
        "5.8.5 all variable usages are allowed, null",
        "query($a: ID) { facility(id: $a) { id } }",
        "of type ID cannot stand for ID!",
    ),
    (
        "5.8.5 all variable usages are allowed, a default of null",
        "query($a: ID = null) { facility(id: $a) { id } }",
        "cannot stand for ID!",
    ),
    (
        "5.8.5 all variable usages are allowed, lists",
        "query($a: [ID!]) { facilities(where: {id: {eq: $a}}) { id } }",
        "cannot stand for ID",
    ),
    (
        "5.8.5 all variable usages are allowed, items",
        "query($a: [ID]) { facilities(where: {id: {in: $a}}) { id } }",
        "cannot stand for [ID!]",
    ),
    (
        "5.8.5 all variable usages are allowed, objects",
        "query($a: JSON) { facilities(where: $a) { id } }",
        "cannot stand for FacilityWhere",
    ),
    (
        "5.8.5 all variable usages are allowed, fragments",
        "query($a: Int!) { ...f } fragment f on Query { facilities { devices(where: {name: {in: [$a]}}) { id } } }",
        "cannot stand for String!",
    ),
    (
        "5.8.5 all variable usages are allowed, directives",
        "query($a: Int!) { facilities @skip(if: $a) { id } }",
        "cannot stand for Boolean!",
    ),
];

/// Documents that no rule refuses.
const VALID: &[(&str, &str)] = &[
    ("5.2.1 operations of different names", "query A { __typename } query B { __typename }"),
    ("5.3.1 names of types everywhere", "{ __typename things { __typename } assets { __typename id } }"),
    ("5.3.2 the same twice", "{ facilities(limit: 1) { id } facilities(limit: 1) { id name } }"),
    (
        "5.3.2 keys of inputs in another order",
        "{ facilities(limit: 1, offset: 0) { id } facilities(offset: 0, limit: 1) { id } }",
    ),
    ("5.3.2 different objects", "{ assets { ... on Device { a: battery } ... on Vehicle { a: wheels } } }"),
    ("5.5.2.3 abstract types that meet", "{ assets { ... on Entity { id ... on Thing { ... on Vehicle { id } } } } }"),
    ("5.5.2.3 the same type", "{ facilities { ... on Facility { id } ... { name } } }"),
    ("5.6.1 one for a list", "{ facilities(where: {id: {in: \"a\"}}) { id } }"),
    ("5.6.1 whole numbers for floats and ids", "{ facilities(where: {rating: {lt: 3}, id: {eq: 3}}) { id } }"),
    ("5.6.1 null where it may be", "{ facilities(where: null, limit: null) { id } }"),
    ("5.6.3 the same key in different objects", "{ facilities(where: {OR: [{id: {eq: 1}}, {id: {eq: 1}}]}) { id } }"),
    ("5.7 directives", "query($a: Boolean!) { facilities @skip(if: $a) @include(if: true) { id } }"),
    (
        "5.8.3 variables through fragments",
        "query($a: Int) { ...f } fragment f on Query { ...g } fragment g on Query { facilities(limit: $a) { id } }",
    ),
    ("5.8.5 a default makes a variable present", "query($a: ID = \"a\") { facility(id: $a) { id } }"),
    (
        "5.8.5 stricter than it must be",
        "query($a: Int!, $b: [ID!]!) { facilities(limit: $a, where: {id: {in: $b}}) { id } }",
    ),
    (
        "5.8.5 variables inside of JSON",
        "mutation($a: Int) { upsertFacilities(input: [{id: \"f\", name: \"N\", region: \"EU\", notes: {n: [$a]}}]) { info { nodesCreated } } }",
    ),
    (
        "4 introspection",
        "{ __schema { types { name fields(includeDeprecated: true) { args { type { ofType { name } } } } } } __type(name: \"ID\") { kind } }",
    ),
];

#[tokio::test]
async fn section_5_invalid_documents_are_refused_before_execution() {
    let world = World::empty().await;
    let mut wrong = Vec::new();
    for (rule, query, why) in INVALID {
        let (body, counts) = world.body(&admin("alpha"), query, json!({})).await;
        let told = body["errors"][0]["message"].as_str().is_some_and(|message| message.contains(why));
        let code = body["errors"][0]["extensions"]["code"].as_str().unwrap_or_default();
        let refused =
            body.get("data").is_none() && ["GRAPHQL_VALIDATION_FAILED", "GRAPHQL_PARSE_FAILED"].contains(&code);
        if !told || !refused || counts != [0, 0, 0] {
            wrong.push(format!("{rule}: {body}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn section_5_valid_documents_are_taken() {
    let world = World::empty().await;
    let mut wrong = Vec::new();
    for (rule, query) in VALID {
        let (body, _) = world.body(&admin("alpha"), query, json!({"a": null})).await;
        let refused = body["errors"][0]["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED";
        if refused {
            wrong.push(format!("{rule}: {body}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn errors_say_where_and_all_at_once() {
    let world = World::empty().await;
    let query = "{\n  facilities { nmae }\n  devices(limt: 1) { id ...f }\n}";
    let (body, _) = world.body(&admin("beta"), query, json!({})).await;
    let places: Vec<_> = body["errors"].as_array().unwrap().iter().map(|error| error["locations"].clone()).collect();
    let at = |line: usize, column: usize| json!([{"line": line, "column": column}]);
    assert_eq!(places, [at(2, 16), at(3, 11), at(3, 25)], "{body}");
}

#[tokio::test]
async fn hostile_27_no_names_are_suggested_in_production() {
    let world = World::in_production().await;
    for query in
        ["{ facilitis { id } }", "{ facilities(wher: {}) { nmae } }", "{ __type(name: \"Facility\") { name } }"]
    {
        let (body, _) = world.body(&admin("alpha"), query, json!({})).await;
        let text = body.to_string();
        assert!(body.get("data").is_none() && !text.contains("did you mean"), "{text}");
    }
}
