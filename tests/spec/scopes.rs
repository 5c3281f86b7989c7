//! Content in scopes: a caller sees what is at their places in the tree and above, of records with one key the nearest, and changes what is
//! at their own places.

use std::time::Duration;

use futures_util::StreamExt;
use quipu_resolvers::guard::Principal;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value as Json, json};

use super::world::{TENANTS, World, admin, principal};

const SDL: &str = r#"
  type Rule @node @scoped(by: "scope", key: "code") @authorization(filter: [{ where: { node: { secret: { eq: false } } } }, { where: { jwt: { roles: { includes: "auditor" } } } }]) {
    id: ID!
    scope: String!
    code: String
    text: String! @embed
    weight: Int!
    secret: Boolean! @default(value: false)
    uses: [Use!]! @relationship(type: "USES", direction: IN)
    rows: [Template!]! @join(on: "rule_id")
  }
  type Use @node { id: ID! rules: [Rule!]! @relationship(type: "USES", direction: OUT) }
  type Template @table(name: "templates") @scoped(by: "scope", key: "code", operations: [CREATE, UPDATE, DELETE]) {
    id: ID!
    scope: String! @alias(property: "in_scope")
    code: String!
    rule: Rule @join(by: "rule_id")
  }
  type Line @table(name: "lines") @scoped(through: "template") {
    id: ID!
    template: Template @join(by: "template_id")
  }
  extend type Document @scoped(by: "scope", key: "title") { scope: String! }
"#;

/// Rules of a company, a line of business and two customers in it, and of another line. `r5` is nearer than `r4` and not for everybody.
const FILL: &str = r#"mutation {
  createRules(input: [
    {id: "r1", scope: "/global", code: "LTV", text: "at most eighty", weight: 1}
    {id: "r2", scope: "/global/mortgage", code: "LTV", text: "at most ninety", weight: 2}
    {id: "r3", scope: "/global/mortgage/acme", code: "LTV", text: "at most sixty", weight: 4}
    {id: "r4", scope: "/global/mortgage", code: "DTI", text: "a third", weight: 8}
    {id: "r5", scope: "/global/mortgage/acme", code: "DTI", text: "a fifth", weight: 16, secret: true}
    {id: "r6", scope: "/global/mortgage/bolt", code: "LTV", text: "anything goes", weight: 32}
    {id: "r7", scope: "/global/insurance", code: "LTV", text: "nothing", weight: 64}
    {id: "r8", scope: "/global", text: "be polite", weight: 128}
    {id: "r9", scope: "/glob", code: "LTV", text: "elsewhere", weight: 256}
  ]) { info { nodesCreated } }
  createUses(input: [{id: "u1", rules: {connect: [{where: {node: {id: {in: ["r1", "r3", "r6", "r8"]}}}}]}}]) { info { nodesCreated } }
  createTemplates(input: [
    {id: "t1", scope: "/global", code: "a", rule_id: "r1"}
    {id: "t2", scope: "/global/mortgage/acme", code: "a", rule_id: "r3"}
    {id: "t3", scope: "/global/mortgage/bolt", code: "b", rule_id: "r6"}
    {id: "t4", scope: "/global", code: "b", rule_id: "r1"}
  ]) { info { nodesCreated } }
  createLines(input: [{id: "l1", template_id: "t1"}, {id: "l2", template_id: "t2"}, {id: "l3", template_id: "t3"}, {id: "l4"}]) { info { nodesCreated } }
  createDocuments(input: [
    {id: "p1", scope: "/global", title: "Handbook", text: "t", chunks: {create: [{node: {id: "p1#0", text: "red apples", index: 0, start: 0, end: 1}}]}}
    {id: "p2", scope: "/global/mortgage/acme", title: "Handbook", text: "t", chunks: {create: [{node: {id: "p2#0", text: "red berries", index: 0, start: 0, end: 1}}]}}
    {id: "p3", scope: "/global/mortgage/bolt", title: "Other", text: "t", chunks: {create: [{node: {id: "p3#0", text: "red cherries", index: 0, start: 0, end: 1}}]}}
  ]) { info { nodesCreated } }
}"#;

async fn filled() -> World {
    let world = World::of(SDL).await;
    for tenant in TENANTS {
        world.data(&Principal { operator: true, ..admin(tenant) }, FILL).await;
    }
    world.embedded().await;
    world
}

fn at(tenant: &str, scopes: Json) -> Principal {
    principal(tenant, json!({ "scopes": scopes }))
}

/// The ids in the first field of an answer, in order.
async fn ids(world: &World, who: &Principal, query: &str) -> Vec<String> {
    let data = world.data(who, query).await;
    let id = |record: &Json| record["id"].as_str().unwrap().to_owned();
    data["x"].as_array().unwrap_or_else(|| panic!("{data}")).iter().map(id).collect()
}

#[tokio::test]
async fn a_caller_sees_their_scopes_and_those_above_and_the_nearest_of_each_key() {
    let world = filled().await;
    let all = "{ x: rules(sort: [{id: ASC}]) { id } }";
    for tenant in TENANTS {
        for (scopes, seen) in [
            (json!("/global/mortgage/acme"), &["r3", "r4", "r8"][..]),
            (json!(["/global/mortgage/acme"]), &["r3", "r4", "r8"]),
            (json!("/global/mortgage"), &["r2", "r4", "r8"]),
            (json!("/global"), &["r1", "r8"]),
            (json!("/global/mortgage/acme/north"), &["r3", "r4", "r8"]),
            // Of two branches neither is nearer; both are nearer than what is above them.
            (json!(["/global/mortgage/bolt", "/global/insurance"]), &["r4", "r6", "r7", "r8"]),
            (json!("/glob"), &["r9"]),
            (json!("/globa"), &[]),
            (json!([]), &[]),
            (json!(["global", 7, null, "/global/"]), &[]),
            (json!(7), &[]),
            (json!({"/global": "/global"}), &[]),
            (Json::Null, &[]),
        ] {
            assert_eq!(ids(&world, &at(tenant, scopes.clone()), all).await, seen, "{scopes}");
        }
        assert_eq!(ids(&world, &principal(tenant, json!({})), all).await, [""; 0]);
        let nobody = Principal { subject: None, ..at(tenant, json!("/global")) };
        assert_eq!(ids(&world, &nobody, all).await, [""; 0]);
        let auditor = principal(tenant, json!({"roles": ["auditor"], "scopes": "/global/mortgage/acme"}));
        assert_eq!(ids(&world, &auditor, all).await, ["r3", "r5", "r8"], "for them there is a nearer one");
    }
}

#[tokio::test]
async fn hostile_52_53_scopes_act_wherever_a_record_could_show() {
    let world = filled().await;
    for tenant in TENANTS {
        let acme = at(tenant, json!("/global/mortgage/acme"));
        for (query, seen) in [
            (r#"{ x: rules(where: {code: {eq: "LTV"}}) { id } }"#, &["r3"][..]),
            (r#"{ x: rules(where: {NOT: {code: {eq: "DTI"}}}) { id } }"#, &["r3"]),
            (r#"{ x: rules(where: {text: {eq: "anything goes"}}) { id } }"#, &[]),
            (r#"{ x: rules(where: {scope: {eq: "/global"}}) { id } }"#, &["r8"]),
            ("{ x: rules(sort: [{weight: DESC}], limit: 2) { id } }", &["r8", "r4"]),
            (r#"{ x: uses(where: {rules: {some: {text: {eq: "anything goes"}}}}) { id } }"#, &[]),
            (r#"{ x: uses(where: {rules: {some: {id: {eq: "r1"}}}}) { id } }"#, &[]),
            (r#"{ x: uses(where: {rules: {all: {id: {in: ["r3", "r8"]}}}}) { id } }"#, &["u1"]),
            (r#"{ x: uses(where: {rules: {none: {id: {eq: "r6"}}}}) { id } }"#, &["u1"]),
            (r#"{ x: uses(where: {rules: {single: {code: {eq: "LTV"}}}}) { id } }"#, &["u1"]),
            ("{ x: templates(sort: [{id: ASC}]) { id } }", &["t2", "t4"]),
            (r#"{ x: templates(where: {rule: {weight: {gt: 0}}}) { id } }"#, &["t2"]),
            (r#"{ x: rules(where: {rows: {some: {code: {eq: "a"}}}}) { id } }"#, &["r3"]),
            ("{ x: lines { id } }", &["l2"]),
            ("{ x: documents { id } }", &["p2"]),
            ("{ x: chunks { id } }", &["p2#0"]),
        ] {
            assert_eq!(ids(&world, &acme, query).await, seen, "{query}");
        }
        let figures = "{ rulesConnection(first: 1, sort: [{weight: ASC}]) { totalCount aggregate { node { weight { sum max } } } edges { cursor } }
          uses { rules(sort: [{id: ASC}]) { id } rulesConnection { totalCount } }
          a: rule(id: \"r1\") { id } b: rule(id: \"r3\") { id } relationshipsConnection { totalCount }
          entitiesConnection { totalCount }
          t: template(id: \"t4\") { rule { id } } }";
        let mut data = world.data(&acme, figures).await;
        let cursor = data["rulesConnection"]["edges"][0]["cursor"].take();
        assert_eq!(
            data,
            json!({
                "rulesConnection": {"totalCount": 3, "aggregate": {"node": {"weight": {"sum": 140, "max": 128}}}, "edges": [{"cursor": null}]},
                "uses": [{"rules": [{"id": "r3"}, {"id": "r8"}], "rulesConnection": {"totalCount": 2}}],
                "a": null, "b": {"id": "r3"},
                "relationshipsConnection": {"totalCount": 3},
                "entitiesConnection": {"totalCount": 6},
                "t": {"rule": null},
            })
        );
        // A cursor of one who sees more shows no more to one who sees less.
        let page = format!(
            "{{ rulesConnection(first: 9, sort: [{{weight: ASC}}], after: {cursor}) {{ edges {{ node {{ id }} }} }} }}"
        );
        let bolt = at(tenant, json!("/global/mortgage/bolt"));
        let edges = world.data(&bolt, &page).await["rulesConnection"]["edges"].clone();
        assert_eq!(edges, json!([{"node": {"id": "r4"}}, {"node": {"id": "r6"}}, {"node": {"id": "r8"}}]));
        // By words and by meaning, whatever fits best.
        for query in ["red", "at most sixty", "anything goes"] {
            let query = format!(
                "{{ search(query: \"{query}\", types: [Chunk, Rule], first: 20) {{ node {{ id: __typename ... on Chunk {{ name: id }} ... on Rule {{ name: id }} }} }} }}"
            );
            let found = world.data(&acme, &query).await;
            let mut names: Vec<&str> =
                found["search"].as_array().unwrap().iter().map(|hit| hit["node"]["name"].as_str().unwrap()).collect();
            names.sort_unstable();
            assert_eq!(names, ["p2#0", "r3", "r4", "r8"], "{query}");
        }
    }
}

/// The code of a change's error, and how often it is told when it goes through.
async fn tried(world: &World, who: &Principal, change: &str) -> String {
    world.code(who, &format!("mutation {{ {change} }}")).await
}

#[tokio::test]
async fn one_writes_into_ones_own_scopes_and_into_none_above() {
    let world = filled().await;
    let make = |scope: &str| {
        format!(
            r#"createRules(input: [{{scope: "{scope}", code: "LTV", text: "new", weight: 0}}]) {{ info {{ nodesCreated }} }}"#
        )
    };
    let update = |id: &str, what: &str| {
        format!(r#"updateRules(where: {{id: {{eq: "{id}"}}}}, update: {{{what}}}) {{ rules {{ id }} }}"#)
    };
    for tenant in TENANTS {
        let acme = at(tenant, json!("/global/mortgage/acme"));
        let both = at(tenant, json!(["/global/mortgage/acme", "/global/mortgage"]));
        for (who, change, code) in [
            (&acme, make("/global/mortgage"), "FORBIDDEN"),
            (&acme, make("/global/mortgage/acme/north"), "FORBIDDEN"),
            (&acme, make("/global/mortgage/bolt"), "FORBIDDEN"),
            (&acme, make("anywhere"), "FORBIDDEN"),
            (&at(tenant, json!([])), make("/global"), "FORBIDDEN"),
            (&principal(tenant, json!({})), make("/global"), "FORBIDDEN"),
            (&acme, update("r4", "weight: {set: 9}"), "FORBIDDEN"),
            (&acme, update("r3", "scope: {set: \"/global\"}"), "FORBIDDEN"),
            (&acme, update("r3", "weight: {set: 5}"), "no error"),
            (&both, update("r4", "weight: {set: 9}"), "no error"),
            (&both, update("r3", "scope: {set: \"/global/mortgage\"}"), "no error"),
            (&both, update("r3", "scope: {set: \"/global/mortgage/acme\"}"), "no error"),
            (&acme, "deleteRules(where: {id: {eq: \"r8\"}}) { nodesDeleted }".to_owned(), "FORBIDDEN"),
            (&acme, make("/global/mortgage/acme"), "no error"),
            // Of a type that says so, relationships and joins lead up as well; of the others only to one's own.
            (&acme, r#"createUses(input: [{rules: {connect: [{where: {node: {id: {eq: "r3"}}}}]}}]) { info { nodesCreated } }"#.to_owned(), "no error"),
            (&acme, r#"createUses(input: [{rules: {connect: [{where: {node: {id: {eq: "r8"}}}}]}}]) { info { nodesCreated } }"#.to_owned(), "FORBIDDEN"),
            (&acme, r#"updateUses(where: {id: {eq: "u1"}}, update: {rules: [{disconnect: [{where: {node: {id: {eq: "r8"}}}}]}]}) { info { nodesCreated } }"#.to_owned(), "FORBIDDEN"),
            (&acme, r#"createLines(input: [{template_id: "t2"}]) { info { nodesCreated } }"#.to_owned(), "no error"),
            (&acme, r#"createLines(input: [{template_id: "t4"}]) { info { nodesCreated } }"#.to_owned(), "FORBIDDEN"),
            (&acme, r#"updateChunks(where: {id: {eq: "p2#0"}}, update: {text: {set: "blue"}}) { info { nodesCreated } }"#.to_owned(), "no error"),
            (&at(tenant, json!("/global/mortgage/cold")), r#"updateChunks(where: {id: {eq: "p1#0"}}, update: {text: {set: "blue"}}) { info { nodesCreated } }"#.to_owned(), "FORBIDDEN"),
        ] {
            assert_eq!(tried(&world, who, &change).await, code, "{change}");
        }
        // What is not seen is not there: the answer is that of an id that nobody has.
        for change in [
            "deleteRules(where: {id: {eq: \"ID\"}}) { nodesDeleted }",
            "updateRules(where: {id: {eq: \"ID\"}}, update: {weight: {set: 1}}) { rules { id } }",
        ] {
            for hidden in ["r6", "r7", "r1", "r5"] {
                let ask = |id: &str| format!("mutation {{ {} }}", change.replace("ID", id));
                let told = world.body(&acme, &ask(hidden), json!({})).await;
                assert_eq!(told, world.body(&acme, &ask("none"), json!({})).await, "{hidden}");
            }
        }
        assert_eq!(tried(&world, &acme, r#"upsertRules(input: [{id: "r6", scope: "/global/mortgage/acme", text: "mine now", weight: 0}]) { info { nodesCreated } }"#).await, "CONFLICT");
        let kept =
            world.data(&Principal { operator: true, ..acme.clone() }, "{ rule(id: \"r6\") { scope text } }").await;
        assert_eq!(kept["rule"], json!({"scope": "/global/mortgage/bolt", "text": "anything goes"}));
    }
}

#[tokio::test]
async fn subscriptions_tell_of_what_is_seen_and_an_override_takes_effect_at_once() {
    let world = filled().await;
    for tenant in TENANTS {
        let acme = at(tenant, json!("/global/mortgage/acme"));
        let mut stream = world.watch(&acme, "subscription { ruleUpdated { id node { weight } } }");
        assert!(tokio::time::timeout(Duration::from_secs(1), stream.next()).await.is_err());
        let operator = Principal { operator: true, ..admin(tenant) };
        for id in ["r1", "r6", "r5", "r3"] {
            let change = format!(
                "mutation {{ updateRules(where: {{id: {{eq: \"{id}\"}}}}, update: {{weight: {{set: 77}}}}) {{ info {{ nodesCreated }} }} }}"
            );
            world.data(&operator, &change).await;
        }
        let first = tokio::time::timeout(Duration::from_secs(20), stream.next()).await.unwrap().unwrap();
        let first: Json = serde_json::from_slice(&first.body).unwrap();
        assert_eq!(first["data"]["ruleUpdated"], json!({"id": "r3", "node": {"weight": 77}}));
        let all = "{ x: rules(sort: [{id: ASC}]) { id } }";
        assert_eq!(ids(&world, &acme, all).await, ["r3", "r4", "r8"]);
        let own = r#"mutation { createRules(input: [{id: "r10", scope: "/global/mortgage/acme", code: "DTI", text: "half", weight: 1}]) { rules { id } } }"#;
        world.data(&acme, own).await;
        assert_eq!(ids(&world, &acme, all).await, ["r10", "r3", "r8"]);
        world.data(&acme, "mutation { deleteRules(where: {id: {eq: \"r10\"}}) { nodesDeleted } }").await;
        assert_eq!(ids(&world, &acme, all).await, ["r3", "r4", "r8"], "what was overridden is there again");
    }
}

#[tokio::test]
async fn statements_do_not_grow_with_what_is_there() {
    let world = filled().await;
    let acme = at("alpha", json!("/global/mortgage/acme"));
    let query = "{ rules { id rows { id } } uses { rules { id } } chunks { document { id } } }";
    let before = world.body(&acme, query, json!({})).await.1;
    let many: Vec<Json> = (0..50)
        .map(|n| json!({"scope": "/global/mortgage/acme", "code": format!("c{n}"), "text": "t", "weight": n}))
        .collect();
    let made = world
        .run(
            &acme,
            "mutation($many: [RuleCreateInput!]!) { createRules(input: $many) { info { nodesCreated } } }",
            json!({"many": many}),
        )
        .await;
    assert_eq!(made.1, Json::Null);
    assert_eq!(world.body(&acme, query, json!({})).await.1, before);
}

const TREE: [&str; 8] = ["/g", "/g/a", "/g/a/x", "/g/a/x/1", "/g/a/y", "/g/b", "/g/b/x", "/ga"];

/// What a caller sees of drawn rules, worked out one by one.
fn expected(rules: &[Json], own: &[&str], auditor: bool) -> Vec<String> {
    let is_above = |above: &str, below: &str| below.starts_with(&format!("{above}/"));
    let text = |rule: &Json, name: &str| rule[name].as_str().map(str::to_owned);
    let place = |rule: &Json| text(rule, "scope").unwrap();
    let in_sight = |rule: &&Json| {
        let scope = place(rule);
        let near = own.iter().any(|own| *own == scope || is_above(&scope, own));
        near && (auditor || rule["secret"] == false)
    };
    let seen: Vec<&Json> = rules.iter().filter(in_sight).collect();
    let overridden = |rule: &Json| {
        let key = text(rule, "code");
        key.is_some() && seen.iter().any(|other| text(other, "code") == key && is_above(&place(rule), &place(other)))
    };
    seen.iter().filter(|rule| !overridden(rule)).map(|rule| text(rule, "id").unwrap()).collect()
}

#[tokio::test]
async fn drawn_rules_are_seen_as_one_would_work_it_out() {
    let world = World::of(SDL).await;
    let operator = Principal { operator: true, ..admin("alpha") };
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let mut overrides = 0;
    for round in 0..12 {
        world.data(&operator, "mutation { deleteRules { nodesDeleted } }").await;
        let rules: Vec<Json> = (10..26)
            .map(|n| {
                let code = [json!("k1"), json!("k2"), Json::Null][rng.random_range(0..3)].clone();
                let scope = TREE[rng.random_range(0..TREE.len())];
                let secret = rng.random_bool(0.25);
                json!({"id": format!("r{n}"), "scope": scope, "code": code, "text": "t", "weight": n, "secret": secret})
            })
            .collect();
        let make = "mutation($rules: [RuleCreateInput!]!) { createRules(input: $rules) { info { nodesCreated } } }";
        assert_eq!(world.run(&operator, make, json!({ "rules": rules })).await.1, Json::Null);
        for _ in 0..5 {
            let own: Vec<&str> = TREE.into_iter().filter(|_| rng.random_bool(0.25)).collect();
            let auditor = rng.random_bool(0.3);
            let roles = if auditor { json!(["auditor"]) } else { json!([]) };
            let who = principal("alpha", json!({ "scopes": own, "roles": roles }));
            let seen = expected(&rules, &own, auditor);
            let query = "{ x: rules(sort: [{id: ASC}], limit: 50) { id } c: rulesConnection { totalCount } }";
            let data = world.data(&who, query).await;
            let ids: Vec<&str> =
                data["x"].as_array().unwrap().iter().map(|rule| rule["id"].as_str().unwrap()).collect();
            assert_eq!(ids, seen, "round {round}: {own:?} {roles} of {rules:?}");
            assert_eq!(data["c"]["totalCount"], seen.len());
            overrides += expected(&rules, &TREE, auditor).len().abs_diff(rules.len());
        }
    }
    assert!(overrides > 100, "something is overridden: {overrides}");
}
