//! What rules cost: questions under an ontology with rules, against the same questions under the ontology without, with the rules' conditions
//! written into `where` by hand. Both in one process, over one file with 122,000 nodes, in turn.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quipu_resolvers::guard::Principal;
use quipu_resolvers::ports::{Served, Trace};
use quipu_resolvers::{Ask, Bound};
use quipu_schema::api::Api;
use serde_json::{Value as Json, json};

use super::data::chain_of;
use super::load::percentile;
use super::report::table;
use super::world::{World, principal, tenant};

const SDL: &str = include_str!("../guard.graphql");
const REGION: &str = r#"@authorization(filter: [{where: {node: {region: {in: "$jwt.regions"}}}}])"#;
const TWO_AWAY: &str =
    r#"@authorization(filter: [{where: {node: {device: {facility: {region: {in: "$jwt.regions"}}}}}}])"#;

/// What is compared: its name, the rules by type, the question under them, and the question that says the same without.
struct Case {
    name: &'static str,
    rules: &'static [(&'static str, &'static str)],
    under_rules: &'static str,
    by_hand: &'static str,
}

const CASES: [Case; 6] = [
    Case {
        name: "no rule: a node by its id",
        rules: &[],
        under_rules: r#"{ facility(id: "f11") { id name } }"#,
        by_hand: r#"{ facility(id: "f11") { id name } }"#,
    },
    Case {
        name: "one rule: a node by its id",
        rules: &[("Facility", REGION)],
        under_rules: r#"{ facilities(where: {id: {eq: "f11"}}) { id name } }"#,
        by_hand: r#"{ facilities(where: {id: {eq: "f11"} region: {in: ["region-3"]}}) { id name } }"#,
    },
    Case {
        name: "one rule: 20 of 250 by name",
        rules: &[("Facility", REGION)],
        under_rules: "{ facilities(sort: [{name: ASC}] limit: 20) { id name region } }",
        by_hand: r#"{ facilities(where: {region: {in: ["region-3"]}} sort: [{name: ASC}] limit: 20) { id name region } }"#,
    },
    Case {
        name: "one rule: counted",
        rules: &[("Facility", REGION)],
        under_rules: "{ facilitiesConnection { totalCount } }",
        by_hand: r#"{ facilitiesConnection(where: {region: {in: ["region-3"]}}) { totalCount } }"#,
    },
    Case {
        name: "a rule through two relationships: 20 of 12,500 by id",
        rules: &[("Alert", TWO_AWAY)],
        under_rules: "{ alerts(sort: [{id: ASC}] limit: 20) { id message } }",
        by_hand: r#"{ alerts(where: {device: {facility: {region: {in: ["region-3"]}}}} sort: [{id: ASC}] limit: 20) { id message } }"#,
    },
    Case {
        name: "both rules: facilities x devices x alerts",
        rules: &[("Facility", REGION), ("Alert", TWO_AWAY)],
        under_rules: "{ facilities(sort: [{name: ASC}] limit: 10) { id devices(sort: [{id: ASC}] limit: 5) { id alerts(sort: [{id: ASC}] limit: 3) { id severity } } } }",
        by_hand: r#"{ facilities(where: {region: {in: ["region-3"]}} sort: [{name: ASC}] limit: 10) { id devices(sort: [{id: ASC}] limit: 5) {
          id alerts(where: {device: {facility: {region: {in: ["region-3"]}}}} sort: [{id: ASC}] limit: 3) { id severity } } } }"#,
    },
];

/// Runs the comparison.
pub async fn measure(file: &Path, rounds: usize) {
    let world = chain_of(file, SDL).await;
    let caller = Principal { claims: json!({"regions": ["region-3"]}), ..principal() };
    let plain = bound(&world, SDL);
    let mut rows = Vec::new();
    for case in &CASES {
        let mut sdl = SDL.to_owned();
        for (of, rule) in case.rules {
            sdl = sdl.replace(&format!("type {of} @node"), &format!("type {of} @node {rule}"));
        }
        let ruled = bound(&world, &sdl);
        let [(first, statements), (other, by_hand)] = [
            answer(&world, &ruled, &caller, case.under_rules).await,
            answer(&world, &plain, &caller, case.by_hand).await,
        ];
        assert_eq!(first, other, "{}: the answers differ", case.name);
        assert!(first["errors"].is_null() && !first.to_string().contains("[]"), "{}: {first}", case.name);
        let (mut a, mut b) = (Vec::new(), Vec::new());
        for round in 0..rounds {
            // Who comes second finds the pages in the processor's caches.
            if round % 2 == 0 {
                a.push(timed(&world, &ruled, &caller, case.under_rules).await);
                b.push(timed(&world, &plain, &caller, case.by_hand).await);
            } else {
                b.push(timed(&world, &plain, &caller, case.by_hand).await);
                a.push(timed(&world, &ruled, &caller, case.under_rules).await);
            }
        }
        a.sort_unstable();
        b.sort_unstable();
        let ratio = |percent| format!("{:.2}", percentile(&a, percent) / percentile(&b, percent));
        let same = if statements == by_hand { "the same" } else { "another" };
        rows.push(vec![
            case.name.to_owned(),
            format!("**{}**", ratio(50)),
            ratio(90),
            format!("{:.3}", percentile(&a, 50)),
            format!("{:.3}", percentile(&b, 50)),
            same.to_owned(),
        ]);
    }
    let head = ["question", "ratio of p50", "ratio of p90", "p50 under rules, ms", "p50 by hand, ms", "statement"];
    table(
        &format!("Rules against the same conditions in `where`, 122,000 nodes, {rounds} rounds, one at a time"),
        &head,
        &rows,
    );
}

fn bound(world: &World, sdl: &str) -> Arc<Bound> {
    let ontology = quipu_schema::compile(sdl).unwrap_or_else(|problems| panic!("{}", problems.render("guard", false)));
    let api = Api::of(&ontology);
    world.engine.bind(Served { tenant: tenant(), version: 1, ontology, api })
}

async fn timed(world: &World, bound: &Arc<Bound>, caller: &Principal, query: &str) -> Duration {
    let ask = ask(query, Arc::default());
    let begun = Instant::now();
    let answer = world.engine.answer(bound, caller, ask).await;
    let took = begun.elapsed();
    assert_eq!(answer.errors, 0);
    took
}

/// An answer, and the texts of its statements.
async fn answer(world: &World, bound: &Arc<Bound>, caller: &Principal, query: &str) -> (Json, Vec<String>) {
    let trace = Arc::new(Trace::keeping());
    let answer = world.engine.answer(bound, caller, ask(query, trace.clone())).await;
    let statements = trace.statements().into_iter().map(|statement| statement.text).collect();
    (serde_json::from_slice(&answer.body).expect("JSON"), statements)
}

fn ask(query: &str, trace: Arc<Trace>) -> Ask {
    Ask {
        query: query.to_owned(),
        operation_name: None,
        variables: Default::default(),
        may_write: false,
        idempotency_key: None,
        position: None,
        deadline: Instant::now() + Duration::from_secs(30),
        trace,
        pricing: Default::default(),
    }
}
