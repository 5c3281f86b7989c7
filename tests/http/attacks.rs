//! Documents that ask for too much, by their numbers.

use serde_json::{Value, json};

/// Longest URL that is tried; longer ones are refused by HTTP itself.
const URL: usize = 50_000;
/// A document that must be refused, and the codes that may name its limit.
pub struct Attack {
    pub name: &'static str,
    pub query: String,
    pub variables: Value,
    codes: &'static [&'static str],
}

fn attack(name: &'static str, query: impl Into<String>, codes: &'static [&'static str]) -> Attack {
    Attack { name, query: query.into(), variables: json!({}), codes }
}

fn nested_where(depth: usize) -> String {
    format!("{{ facilities(where: {}{}) {{ id }} }}", "{AND: ".repeat(depth), "}".repeat(depth))
}

fn nested_list(depth: usize) -> String {
    format!("{{ facilities(where: {{id: {{in: {}{}}}}}) {{ id }} }}", "[".repeat(depth), "]".repeat(depth))
}

/// Fragments that each spread the next one several times.
fn bomb(levels: usize, times: usize) -> String {
    let mut text = String::from("{ ...f0 }");
    for n in 0..levels {
        let spread = format!("...f{} ", n + 1);
        text += &format!(" fragment f{n} on Query {{ {} }}", spread.repeat(times));
    }
    text + &format!(" fragment f{levels} on Query {{ facilities {{ id }} }}")
}

fn repeated(count: usize, each: impl Fn(usize) -> String) -> String {
    format!("{{ {} }}", (0..count).map(each).collect::<Vec<_>>().join(" "))
}

const DEEP: &[&str] = &["NESTING_TOO_DEEP", "BODY_TOO_LARGE"];
const BROAD: &[&str] = &["TOO_BROAD", "TOO_MANY_TOKENS", "BODY_TOO_LARGE"];
const PAGE: &[&str] = &["PAGE_TOO_LARGE"];
const PRICEY: &[&str] = &["TOO_EXPENSIVE", "PAGE_TOO_LARGE", "TOO_BROAD"];

/// All of them, for the ontology `tests/spec/farm.graphql`.
pub fn attacks() -> Vec<Attack> {
    let skips = "@skip(if: false) ".repeat(10_000);
    let few = "@skip(if: false) ".repeat(1_000);
    vec![
        attack("1 object literals nested 2,000 deep", nested_where(2_000), DEEP),
        attack("1 object literals nested 100,000 deep", nested_where(100_000), DEEP),
        attack("2 lists nested 10,000 deep", nested_list(10_000), DEEP),
        attack("3 selections 5,000 deep", "{ facilities ".repeat(5_000) + &"}".repeat(5_000), DEEP),
        attack("4 a fragment bomb of 2^31", bomb(31, 2), BROAD),
        attack("5 a wide bomb of 1,000^4", bomb(4, 1_000), BROAD),
        attack(
            "6 fragments in a circle",
            "{ ...a } fragment a on Query { ...b } fragment b on Query { ...a }",
            &["GRAPHQL_VALIDATION_FAILED"],
        ),
        attack("7 the same field 10,000 times", repeated(10_000, |_| "__typename".into()), BROAD),
        attack("7 the same field 3,000 times", repeated(3_000, |_| "__typename".into()), BROAD),
        attack("8 one record 5,000 times", repeated(5_000, |n| format!("x{n}: facility(id: \"f1\") {{ id }}")), BROAD),
        attack("9 10,000 aliases", repeated(10_000, |n| format!("x{n}: __typename")), BROAD),
        attack("10 10,000 directives on a field", format!("{{ facilities {skips} {{ id }} }}"), BROAD),
        attack("10 1,000 directives on a field", format!("{{ facilities {few} {{ id }} }}"), BROAD),
        attack(
            "10 1,000 directives on a spread",
            format!("{{ ...f {few} }} fragment f on Query {{ __typename }}"),
            BROAD,
        ),
        attack("10 1,000 directives on an inline fragment", format!("{{ ... {few} {{ __typename }} }}"), BROAD),
        attack(
            "11 10,000 variables",
            format!("query({}) {{ __typename }}", (0..10_000).map(|n| format!("$v{n}: Int ")).collect::<String>()),
            BROAD,
        ),
        attack(
            "12 2,000 operations",
            (0..2_000).map(|n| format!("query q{n} {{ __typename }} ")).collect::<String>(),
            BROAD,
        ),
        attack("13 a page of 99,999,999", "{ facilitiesConnection(first: 99999999) { totalCount } }", PAGE),
        Attack {
            variables: json!({"n": 99_999_999}),
            ..attack("13 a page of 99,999,999 by variable", "query($n: Int) { facilities(limit: $n) { id } }", PAGE)
        },
        attack(
            "13 a page of 99,999,999 below",
            "{ facilities(limit: 1) { alerts: devices(limit: 99999999) { id } } }",
            PAGE,
        ),
        attack("13 a page of 99,999,999 of hits", "{ search(query: \"a\", first: 99999999) { score } }", PAGE),
        attack(
            "13 a page of 99,999,999 beside others",
            "{ __typename devices { id } facilities(limit: 99999999) { id } }",
            PAGE,
        ),
        attack(
            "14 lists that multiply",
            "{ facilities(limit: 1000) { devices(limit: 1000) { alerts(limit: 1000) { device { alerts(limit: 1000) { id } } } } } }",
            PRICEY,
        ),
        attack(
            "15 introspection in a circle",
            "{ __schema { types { fields { type { fields { type { fields { type { fields { name } } } } } } } } } }",
            &["DEPTH_TOO_GREAT"],
        ),
        attack("16 1,000 names that are not known", repeated(1_000, |n| format!("x{n}: nothing{n}")), BROAD),
        attack(
            "16 1,000 names that are not known below",
            format!("{{ facilities {} }}", repeated(1_000, |n| format!("nothing{n}"))),
            &["GRAPHQL_VALIDATION_FAILED"],
        ),
        Attack {
            variables: json!({"ids": vec![json!([]); 1_000]}),
            ..attack(
                "16 1,000 wrong items of a variable",
                "query($ids: [ID!]) { facilities(where: {id: {in: $ids}}) { id } }",
                &["BAD_USER_INPUT"],
            )
        },
    ]
}

/// Whether an attack can be sent by GET.
pub fn fits_a_url(attack: &Attack) -> bool {
    let mut url = reqwest::Url::parse("http://127.0.0.1:10000/graphql").unwrap();
    let variables = attack.variables.to_string();
    url.query_pairs_mut().append_pair("query", &attack.query).append_pair("variables", &variables);
    url.as_str().len() <= URL
}

impl Attack {
    /// A document that is too long is 413, all else is 400.
    pub fn status(&self) -> u16 {
        if self.query.len() > 128 * 1024 { 413 } else { 400 }
    }

    /// Fails unless a response is a refusal that names what was too much.
    pub fn check(&self, transport: &str, body: &Value) {
        let name = self.name;
        assert!(body.get("data").is_none(), "nothing was executed: {name} over {transport}: {body}");
        let errors = body["errors"].as_array().unwrap_or_else(|| panic!("{name} over {transport}: {body}"));
        assert!((1..=100).contains(&errors.len()), "{name} over {transport}: {} errors", errors.len());
        for error in errors {
            let code = error["extensions"]["code"].as_str().unwrap_or_default();
            assert!(self.codes.contains(&code), "{name} over {transport}: {error}");
            let message = error["message"].as_str().unwrap();
            assert!(message.len() < 500 && !message.contains(".rs"), "{name} over {transport}: {message}");
        }
    }
}
