//! What problems tell programs, and how they are shown.

use quipu_schema::{Code, Problems, compile};

fn problems(sdl: &str) -> Problems {
    compile(sdl).expect_err("the ontology is wrong")
}

#[test]
fn programs_read_code_place_and_help() {
    let json = serde_json::to_value(problems("type A {\r\n  id: ID!\r\n  \"é💥\" name: Strin\r\n}\r\n")).expect("JSON");
    let problem = &json["problems"][0];
    assert_eq!(problem["code"], "unknown-type");
    assert_eq!((problem["line"].as_u64(), problem["column"].as_u64()), (Some(3), Some(14)));
    assert_eq!(problem["message"], "unknown type `Strin`");
    assert_eq!(problem["help"], "did you mean `String`?");
    assert_eq!((problem["start"].as_u64(), problem["end"].as_u64()), (Some(38), Some(43)));
    assert_eq!(json["more"], 0);
    assert!(json.get("source").is_none(), "the text itself is not repeated");
}

#[test]
fn come_in_the_order_of_the_text() {
    let found = problems("type B { id: Strin }\ntype A @nod { id: ID! x: Y }");
    let places: Vec<_> = found.problems.iter().map(|problem| (problem.line, problem.column)).collect();
    let mut sorted = places.clone();
    sorted.sort_unstable();
    assert_eq!(places, sorted);
    assert!(found.problems.iter().any(|problem| problem.code == Code::UnknownDirective), "{found}");
    assert!(found.problems.iter().any(|problem| problem.code == Code::MissingId), "{found}");
}

#[test]
fn colour_adds_escapes_and_nothing_else_does() {
    let found = problems("type A { id: Strin }");
    assert!(found.render("a.graphql", true).contains('\u{1b}'));
    assert!(!found.render("a.graphql", false).contains('\u{1b}'));
    let hostile = problems("type A @node(plural: \"\u{1b}[2J\") { id: ID! }");
    assert!(!hostile.render("a.graphql", false).contains('\u{1b}'));
    assert!(!hostile.render("a.graphql", true).contains("\u{1b}[2J"), "the text cannot clear the screen");
}

#[test]
fn more_than_a_hundred_are_counted() {
    let fields: String = (0..250).map(|n| format!("f{n}: Nothing\n")).collect();
    let found = problems(&format!("type A {{ id: ID!\n{fields} }}"));
    assert_eq!((found.problems.len(), found.more), (100, 150));
    assert!(found.render("a.graphql", false).ends_with("250 problems in a.graphql, 150 not shown\n"));
}

#[test]
fn a_text_that_is_too_large_is_not_read() {
    let found = problems(&" ".repeat(quipu_schema::MAX_BYTES + 1));
    assert_eq!(found.problems[0].code, Code::Limit);
    assert_eq!((found.problems[0].line, found.problems[0].column), (1, 1));
}

#[test]
fn names_that_every_api_has_are_reserved_at_once() {
    let plain = compile("").expect("the built-in types compile");
    let names = quipu_schema::api::generated_names(&plain);
    let general = names.iter().filter(|(name, cause)| cause.is_empty() && !name.contains('.'));
    let mut seen = 0;
    for (name, _) in general {
        // The unknown type shows that the name is refused although something else is wrong too.
        let found = problems(&format!("type {name} {{ id: ID! x: Unknown }}"));
        assert!(found.problems.iter().any(|problem| problem.code == Code::ReservedName), "{name}: {found}");
        seen += 1;
    }
    assert!(seen >= 24, "{seen}");
}
