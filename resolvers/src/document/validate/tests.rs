use std::fmt::Write as _;
use std::time::{Duration, Instant};

use quipu_schema::api::Api;

use super::*;

const SDL: &str = r#"
    enum Sort { SMALL LARGE }
    interface Named { name: String }
    type Cat implements Named @node { id: ID! name: String lives: Int! sort: Sort toys: [Toy!]! @relationship(type: "CAT_TOY", direction: OUT) }
    type Dog implements Named @node { id: ID! name: String lives: String kind: Sort toys: [Toy!]! @relationship(type: "DOG_TOY", direction: OUT) }
    type Toy @node { id: ID! name: String size: Float owner: Pet @relationship(type: "OWNER", direction: OUT) }
    union Pet = Cat | Dog
"#;

fn api() -> Api {
    Api::of(&quipu_schema::compile(SDL).unwrap_or_else(|problems| panic!("{problems}")))
}

fn found(api: &Api, text: &str, suggest: bool) -> Vec<String> {
    let document = async_graphql::parser::parse_query(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let errors = errors(api, text, &document, &Limits::default(), suggest);
    errors.into_iter().map(|error| error.message).collect()
}

#[test]
fn mistakes_are_told_together_in_the_order_of_the_text_with_the_nearest_name() {
    let text = "query A($x: Int, $y: Cta) { cats(limit: $z, were: {}) { nam ...F ...g } toys(where: {size: {grt: 1}}) { id @skp } }
        fragment f on Dgo { id } fragment g on Cat { lives(a: 1) }";
    let told = [
        "the variable $x is never used",
        "the variable $y is never used",
        "the variable $y has the unknown type `Cta`; did you mean \"Cat\"?",
        "the variable $z is not declared by the operation `A`",
        "the field `cats` has no argument `were`; did you mean \"where\"?",
        "the type `Cat` has no field `nam`; did you mean \"name\"?",
        "the document has no fragment `F`",
        "argument where: size: FloatScalarFilters has no field \"grt\"; did you mean \"gt\"?",
        "there is no directive `@skp`; did you mean \"skip\"?",
        "the fragment `f` is never used",
        "the fragment `f` stands on the unknown type `Dgo`; did you mean \"Dog\"?",
        "the field `lives` has no argument `a`",
    ];
    let api = api();
    assert_eq!(found(&api, text, true), told);
    let plain: Vec<&str> = told.iter().map(|told| told.split(';').next().unwrap_or_default()).collect();
    assert_eq!(found(&api, text, false), plain, "without suggestions");
}

#[test]
fn section_5_3_2_fields_merge_or_conflict() {
    let api = api();
    for valid in [
        "{ cats { name name n: name } }",
        "{ cats { ...a ...b } } fragment a on Cat { name toys { id } } fragment b on Cat { name toys { size } }",
        "{ toys { owner { ... on Cat { x: name } ... on Dog { x: lives } } } }",
        "{ toys { owner { ... on Cat { toys(limit: 1) { id } } ... on Dog { toys(limit: 2) { id } } } } }",
        "{ cats(where: {name: {eq: \"a\", in: [\"b\"]}}) { id } cats(where: {name: {in: [\"b\"], eq: \"a\"}}) { name } }",
        "{ named { __typename ... on Named { name } ... on Cat { name } } }",
    ] {
        let expected: Vec<String> = Vec::new();
        assert_eq!(found(&api, &valid.replace("named {", "nameds {"), true), expected, "{valid}");
    }
    let help = "give one of them another name with an alias";
    for (invalid, key, why) in [
        ("{ cats { a: name a: id } }", "a", "`String` and `ID!` are different types"),
        ("{ toys { a: name a: __typename } }", "a", "`String` and `String!` are different types"),
        ("{ cats { x: name ... on Named { x: id } } }", "x", "`String` and `ID!` are different types"),
        ("{ toys { a: id a: __typename } }", "a", "`ID!` and `String!` are different types"),
        ("{ a: cats { id } a: dogs { id } }", "a", "`cats` and `dogs` are different fields"),
        ("{ cats(limit: 1) { id } cats { id } }", "cats", "they have different arguments"),
        ("query($a: Int) { cats(limit: 1) { id } cats(limit: $a) { id } }", "cats", "they have different arguments"),
        ("{ cats { toys { a: name } } cats { toys { a: size } } }", "a", "`String` and `Float` are different types"),
        (
            "{ cats { toys(limit: 1) { id } ...f } } fragment f on Cat { toys { id } }",
            "toys",
            "they have different arguments",
        ),
        (
            "{ toys { owner { ... on Cat { lives } ... on Dog { lives } } } }",
            "lives",
            "`Int!` and `String` are different types",
        ),
        (
            "{ toys { owner { ... on Cat { toys { a: id } } ... on Dog { toys { a: size } } } } }",
            "a",
            "`ID!` and `Float` are different types",
        ),
        (
            "{ cats { ... on Named { x: name } ... on Cat { x: sort } } }",
            "x",
            "`String` and `Sort` are different types",
        ),
        (
            "{ toys { owner { ... on Named { a: name } ... on Dog { a: lives } } } }",
            "a",
            "`name` and `lives` are different fields",
        ),
        ("query A { __typename } query B { cats { id id: name } }", "id", "`ID!` and `String` are different types"),
    ] {
        assert_eq!(
            found(&api, invalid, true),
            [format!("two fields `{key}` cannot be one: {why}; {help}")],
            "{invalid}"
        );
    }
}

#[test]
fn section_5_6_3_keys_of_input_objects_are_unique() {
    let api = api();
    let twice = "{ cats(where: {name: {eq: \"a\"}, id: {eq: 1}, name: {eq: \"{name: 1, name: 2}\"}}) { id } }";
    assert_eq!(found(&api, twice, true), ["the input object has the key `name` twice"]);
    let nested = "query($a: CatWhere = {AND: [{id: {eq: 1}}, {id: {eq: 1, eq: 2}}]}) { cats(where: $a) { id } }";
    assert_eq!(found(&api, nested, true), ["the input object has the key `eq` twice"]);
    let fine = "{ a: cats(where: {id: {eq: 1}, OR: [{id: {eq: 1}}, {id: {eq: 1}}]}) { a: id b: id } b: cats(where: {id: {in: [1, 1]}}) { a: id } }";
    assert_eq!(found(&api, fine, true), [""; 0]);
}

fn within(text: &str, most: Duration) -> Vec<String> {
    let api = api();
    let begun = Instant::now();
    let told = found(&api, text, true);
    // Twenty times what it takes on a free machine without optimisation.
    assert!(begun.elapsed() < most, "{:?}", begun.elapsed());
    told
}

#[test]
fn hostile_7_fields_that_merge_thousands_of_times_are_looked_at_in_linear_time() {
    let same = format!("{{ cats {{ {} }} }}", "toys { name owner { __typename } } ".repeat(480));
    assert_eq!(within(&same, Duration::from_secs(20)), [""; 0]);
    let mut text = String::from("{ toys { ");
    for n in 0..600 {
        let _ = write!(text, "owner {{ ... on Cat {{ a{n}: name }} ... on Dog {{ a{n}: id }} }} ");
    }
    let told = within(&(text + "} }"), Duration::from_secs(20));
    assert!(told.iter().all(|told| told.contains("different types")), "{told:?}");
}

/// An API whose interface has a field with fields below it, which no ontology leads to today: `{ as { next { ... on Any { next ... } } } }`.
fn deep(types: usize) -> Api {
    let ty = |n| {
        format!(
            "type T{n} implements Any @node {{ id: ID! next: T{n} @relationship(type: \"NEXT{n}\", direction: OUT) }}"
        )
    };
    let sdl = (0..types).fold("interface Any { id: ID! }".to_owned(), |sdl, n| sdl + &ty(n));
    let mut api = Api::of(&quipu_schema::compile(&sdl).unwrap_or_else(|problems| panic!("{problems}")));
    let any = quipu_schema::api::TypeRef::named("Any");
    let mut next = None;
    for def in api.types.values_mut() {
        if let quipu_schema::api::TypeDef::Object(object) = def
            && let Some(field) = object.fields.get_mut("next").filter(|_| object.implements.iter().any(|n| n == "Any"))
        {
            field.ty = any.clone();
            next = Some(field.clone());
        }
    }
    let Some(quipu_schema::api::TypeDef::Interface(of)) = api.types.get_mut("Any") else { panic!("no interface") };
    of.fields.insert("next".to_owned(), next.expect("a field"));
    api
}

#[test]
fn hostile_5_fields_that_multiply_by_level_are_bounded() {
    const TYPES: usize = 12;
    // At every level each object type has a chain of its own beside the general fields: 12^8 different sets to merge.
    let mut text = String::from("id");
    for level in 0..8 {
        let chain = format!("{}id{}", "next { ".repeat(level), " }".repeat(level));
        let own: String = (0..TYPES).map(|n| format!("... on T{n} {{ next {{ {chain} }} }} ")).collect();
        text = format!("{own} ... on Any {{ next {{ {text} }} }}");
    }
    let (api, text) = (deep(TYPES), format!("{{ t0S {{ next {{ {text} }} }} }}"));
    let text = text.replace("t0S", api.object("Query").expect("roots").fields.keys().next().expect("a root"));
    let begun = Instant::now();
    let told = found(&api, &text, true);
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    assert_eq!(told, ["fields merge in too many ways for `limits.fields`, 2000"]);
}

#[test]
fn hostile_16_names_that_are_not_known_cost_little() {
    let unknown: String = (0..2_000).map(|n| format!("thing{n} ")).collect();
    assert_eq!(within(&format!("{{ {unknown} }}"), Duration::from_secs(20)).len(), Limits::default().errors);
}
