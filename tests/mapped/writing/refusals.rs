//! What a table says no to is told in the gateway's words, and nothing of the change is left behind.

use serde_json::{Value as Json, json};

use super::{Shop, done, head, refused};
use crate::spec::world::{World, admin, principal};

/// Everything that is in the tables and the log.
async fn all(shop: &mut Shop, world: &World) -> Json {
    let rows = shop
        .look(
            "SELECT (SELECT jsonb_agg(to_jsonb(c) ORDER BY id) FROM SCHEMA.clients c) AS clients, \
             (SELECT jsonb_agg(to_jsonb(s) ORDER BY code) FROM SCHEMA.\"Sales \"\"2026\"\"\" s) AS sales",
        )
        .await;
    json!([rows, head(world, "alpha").await, head(world, "beta").await])
}

/// Each constraint has its code, names type and field, and takes back the whole change: also the rows before it, and the entry of the log.
#[tokio::test]
async fn each_constraint_is_told_and_nothing_is_half_done() {
    let Some(mut shop) = Shop::till("mapped::writing::each_constraint_is_told_and_nothing_is_half_done").await else {
        return;
    };
    shop.run("CREATE UNIQUE INDEX whole ON SCHEMA.\"Sales \"\"2026\"\"\" (tenant, key, pieces)").await;
    shop.run("ALTER TABLE SCHEMA.clients ADD CONSTRAINT \"a secret name\" CHECK (name <> mail)").await;
    let world = shop.till_world().await;
    // Not known of the table when the ontology was published.
    shop.run("CREATE UNIQUE INDEX later ON SCHEMA.\"Sales \"\"2026\"\"\" (tenant, extra)").await;
    done(&world, "alpha", "createClients(input: [{ id: \"c1\", name: \"a\", mail: \"m1\" }, { id: \"c2\", name: \"b\" }]) { info { nodesCreated } }").await;
    let key = super::super::uuid(1);
    done(&world, "alpha", &format!("createSales(input: [{{ code: \"one\", client_id: \"c1\" }}, {{ code: \"two\", key: \"{key}\", pieces: 1 }}]) {{ info {{ nodesCreated }} }}")).await;
    let before = all(&mut shop, &world).await;
    let long = "x".repeat(21);
    let client = |rest: &str| {
        format!(
            "createClients(input: [{{ id: \"n\", name: \"n\" }}, {{ id: \"m\", {rest} }}]) {{ info {{ nodesCreated }} }}"
        )
    };
    let sale =
        |rest: &str| format!("createSales(input: [{{ code: \"n\" }}, {{ {rest} }}]) {{ info {{ nodesCreated }} }}");
    let change = |what: &str, rest: &str| format!("update{what}(update: {{ {rest} }}) {{ info {{ nodesCreated }} }}");
    let attempts = [
        "createClients(input: [{ id: \"c1\", name: \"n\" }]) { info { nodesCreated } }".to_owned(),
        client("name: \"m\", mail: \"m1\""),
        "createClients(input: [{ id: \"n\", name: \"n\" }, { id: \"n\", name: \"n\" }]) { info { nodesCreated } }"
            .to_owned(),
        change("Clients", "mail: { set: \"same\" }"),
        client("name: \"m\", mail: \"m\""),
        client("name: \"m\", credit: -1"),
        client("name: \"m\", grade: 7"),
        client("name: \"m\", grade: 40000"),
        client(&format!("name: \"{long}\"")),
        client("name: \"\\u0000\""),
        "createClients(input: [{ id: \"\", name: \"n\" }]) { info { nodesCreated } }".to_owned(),
        change("Clients", "name: { set: null }"),
        change("Clients", "credit: { set: null }"),
        change("Clients", "credit: { subtract: 11 }"),
        sale("code: \"one\""),
        sale("code: \"m\", client_id: \"nobody\""),
        sale("code: \"m\", pieces: 100"),
        sale("code: \"never\""),
        sale("code: \"m\", pieces: 32768"),
        sale("code: \"m\", amount: 1000000"),
        sale("code: \"m\", key: \"no uuid\""),
        sale(&format!("code: \"m\", key: \"{key}\", pieces: 1")),
        sale("code: \"m\", days: [\"0000-01-01\"]"),
        "createSales(input: [{ code: \"n\", extra: 1 }, { code: \"m\", extra: 1 }]) { info { nodesCreated } }"
            .to_owned(),
        client("name: \"m\", note: null"),
        change("Clients", "note: { set: null }"),
        sale("code: \"raise\""),
        sale("code: \"skip\""),
        sale("code: \"m\", extra: \"a\\u0000b\""),
        change("Sales", "client_id: { set: \"nobody\" }"),
        change("Sales", "code: { set: \"same\" }"),
        "deleteClients { nodesDeleted }".to_owned(),
    ];
    let mut said = Vec::new();
    for attempt in &attempts {
        let short =
            attempt.replace(&long, "x...").replace(" { info { nodesCreated } }", "").replace(" { nodesDeleted }", "");
        said.push(format!("{short}\n    {}", refused(&world, "alpha", attempt).await));
        assert_eq!(all(&mut shop, &world).await, before, "{attempt}");
    }
    let said = said.join("\n");
    for of_the_store in [
        "secret",
        "constraint",
        "no_debts",
        "one_mail",
        "of_client",
        "relation",
        "column \"",
        "duplicate",
        &shop.schema,
        "tenant",
    ] {
        assert!(!said.contains(of_the_store), "{of_the_store}: {said}");
    }
    insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!(said) });
    // The connections are as good as before, and so is the log.
    done(&world, "alpha", "createClients(input: [{ id: \"n\", name: \"n\" }]) { info { nodesCreated } }").await;
}

/// A table in partitions is written like any other; its refusals are told as well as they can be.
#[tokio::test]
async fn tables_in_partitions() {
    let Some(mut shop) = Shop::till("mapped::writing::tables_in_partitions").await else { return };
    let schema = shop.schema.clone();
    let sdl = format!(
        "type Part @table(name: \"parts\", schema: \"{schema}\", writes: [CREATE, UPDATE, DELETE]) {{ id: ID! @column(generated: BY_DEFAULT) \
         year: Int client: ID pieces: Int }}"
    );
    shop.run(
        "CREATE TABLE SCHEMA.parts (tenant text NOT NULL, id bigint GENERATED BY DEFAULT AS IDENTITY, year integer NOT NULL, client text, \
         pieces integer CONSTRAINT positive CHECK (pieces > 0), PRIMARY KEY (tenant, id), \
         CONSTRAINT whose FOREIGN KEY (tenant, client) REFERENCES SCHEMA.clients (tenant, id)) PARTITION BY HASH (tenant); \
         CREATE TABLE SCHEMA.parts_1 PARTITION OF SCHEMA.parts FOR VALUES WITH (MODULUS 2, REMAINDER 0); \
         CREATE TABLE SCHEMA.parts_2 PARTITION OF SCHEMA.parts FOR VALUES WITH (MODULUS 2, REMAINDER 1); \
         GRANT SELECT, INSERT, UPDATE, DELETE ON SCHEMA.parts TO quipu_login",
    )
    .await;
    let world = shop.world_of(&sdl).await;
    for who in ["alpha", "beta"] {
        let made =
            done(&world, who, "createParts(input: [{ year: 1, pieces: 2 }, { id: \"77\", year: 2 }]) { parts { id } }")
                .await;
        assert_eq!(made["parts"][1]["id"], "77");
        done(&world, who, "updateParts(update: { year: { add: 1 } }) { parts { id } }").await;
        let said = [
            refused(&world, who, "createParts(input: [{ id: \"77\", year: 1 }]) { parts { id } }").await,
            refused(&world, who, "createParts(input: [{ year: 1, client: \"nobody\" }]) { parts { id } }").await,
            refused(&world, who, "updateParts(update: { client: { set: \"nobody\" } }) { parts { id } }").await,
            refused(&world, who, "updateParts(update: { pieces: { set: 0 } }) { parts { id } }").await,
            refused(&world, who, "updateParts(update: { year: { set: null } }) { parts { id } }").await,
        ];
        let expected = [
            "CONFLICT Part: a value is taken that may be there only once",
            "NOT_FOUND Part.client: what it refers to does not exist",
            "NOT_FOUND Part.client: what it refers to does not exist",
            "BAD_USER_INPUT Part.pieces: the table does not take this value",
            "BAD_USER_INPUT Part.year: a value is required",
        ];
        assert_eq!(said, expected);
    }
    assert_eq!(done(&world, "alpha", "deleteParts { nodesDeleted }").await["nodesDeleted"], 2);
    let left = shop.look("SELECT tenant, year FROM SCHEMA.parts ORDER BY year").await;
    assert_eq!(left, json!([{"tenant": "beta", "year": 2}, {"tenant": "beta", "year": 3}]));
}

/// Whoever asks, rows of others are written as the ontology says and in no other way; and ours are not taken for theirs.
#[test]
fn the_guard_knows_whose_rows_are_written() {
    use quipu_resolvers::change::{Act, Change, Mode, Op, Ref};
    use quipu_resolvers::guard::{self, Principal, TenantId};
    use serde_json::Map;

    let sdl = "type Own @table { id: ID! } type Node { id: ID! }
        type Made @table(schema: \"shop\", writes: CREATE) { id: ID! } type Named @table(schema: \"shop\", writes: CREATE) { id: ID! @column(generated: BY_DEFAULT) }
        type Kept @table(schema: \"shop\", writes: [UPDATE, DELETE]) { id: ID! n: Int }";
    let ontology = quipu_schema::compile(sdl).unwrap();
    let operator = Principal::operator(&TenantId::parse("alpha").unwrap(), None);
    let allowed = |op: Op| guard::change(&operator, &ontology, Change { ops: vec![op] }, &[]).is_ok();
    let foreign =
        |of: &str, act: Act| Op::Foreign { record: Ref { of: of.into(), id: "1".into() }, act, set: Map::new() };
    let put = |of: &str, row: bool, mode: Mode| {
        let record = Ref { of: of.into(), id: "1".into() };
        Op::Put { record, row, mode, set: Map::new(), unique: Vec::new(), embed: Vec::new() }
    };
    for (of, fits) in [
        ("Own", [false; 4]),
        ("Node", [false; 4]),
        ("Made", [true, false, false, false]),
        ("Named", [true, true, false, false]),
        ("Kept", [false, false, true, true]),
    ] {
        let acts = [Act::Create, Act::Make, Act::Update, Act::Delete];
        assert_eq!(acts.map(|act| allowed(foreign(of, act))), fits, "{of}");
        let ours = ["Own", "Node"].contains(&of);
        for mode in [Mode::Create, Mode::Update, Mode::Upsert] {
            assert_eq!(allowed(put(of, of != "Node", mode)), ours, "{of} {mode:?}");
        }
        let delete = Op::Delete { record: Ref { of: of.into(), id: "1".into() }, row: of != "Node" };
        assert_eq!(allowed(delete), ours, "{of}");
    }
}

/// What the database alone sets has no place in any input.
#[tokio::test]
async fn what_is_not_given_has_no_input() {
    let Some(shop) = Shop::till("mapped::writing::what_is_not_given_has_no_input").await else { return };
    let world = shop.till_world().await;
    for mutation in [
        "createSales(input: [{ id: \"1\", code: \"x\" }]) { info { nodesCreated } }",
        "createSales(input: [{ total: 1, code: \"x\" }]) { info { nodesCreated } }",
        "createSales(input: [{ tenant: \"beta\", code: \"x\" }]) { info { nodesCreated } }",
        "createSales(input: [{ code: \"x\", client: { create: { node: { id: \"1\", name: \"n\" } } } }]) { info { nodesCreated } }",
        "createSales(input: [{ state: SENT }]) { info { nodesCreated } }",
        "createClients(input: [{ name: \"no id\" }]) { info { nodesCreated } }",
        "updateSales(update: { changes: { set: 1 } }) { info { nodesCreated } }",
        "updateSales(update: { id: { set: \"1\" } }) { info { nodesCreated } }",
        "upsertSales(input: [{ id: \"1\", code: \"x\" }]) { info { nodesCreated } }",
        "deleteSales(delete: { client: {} }) { nodesDeleted }",
    ] {
        let code = world.code(&admin("alpha"), &format!("mutation {{ {mutation} }}")).await;
        assert_eq!(code, "GRAPHQL_VALIDATION_FAILED", "{mutation}");
    }
    assert_eq!(head(&world, "alpha").await, 0);
}

/// Rules act on these rows as on our own: what somebody cannot see they cannot change, and what they may not make is not made.
#[tokio::test]
async fn rules_act_on_rows_of_others() {
    let Some(mut shop) = Shop::till("mapped::writing::rules_act_on_rows_of_others").await else { return };
    let world = shop.till_world().await;
    done(&world, "alpha", "createClients(input: [{ id: \"c1\", name: \"hidden\" }, { id: \"c2\", name: \"open\", mail: \"m\" }]) { info { nodesCreated } }").await;
    let somebody = principal("alpha", json!({"roles": []}));
    let run = async |mutation: &str| world.run(&somebody, &format!("mutation {{ done: {mutation} }}"), json!({})).await;
    let code = |errors: &Json| errors[0]["extensions"]["code"].as_str().unwrap_or("none").to_owned();
    // Only what is seen is changed and removed.
    let (data, _) = run("updateClients(update: { credit: { set: 20 } }) { clients { id credit } }").await;
    assert_eq!(data["done"]["clients"], json!([{"id": "c2", "credit": 20}]));
    let (data, _) = run("deleteClients(where: { id: { eq: \"c1\" } }) { nodesDeleted }").await;
    assert_eq!(data["done"]["nodesDeleted"], 0);
    // What must hold afterwards is looked at in what is given; what is left to the database is not known, and unknown is refused.
    let (_, errors) = run("updateClients(update: { credit: { set: 50 } }) { clients { id } }").await;
    assert_eq!(code(&errors), "FORBIDDEN", "{errors}");
    let (_, errors) =
        run("createClients(input: [{ id: \"c3\", name: \"open 3\", credit: 51 }]) { clients { id } }").await;
    assert_eq!(code(&errors), "FORBIDDEN", "{errors}");
    let (_, errors) = run("createClients(input: [{ id: \"c3\", name: \"open 3\" }]) { clients { id } }").await;
    assert_eq!(code(&errors), "FORBIDDEN", "{errors}");
    let (data, errors) =
        run("createClients(input: [{ id: \"c3\", name: \"open 3\", credit: 49 }]) { clients { id } }").await;
    assert_eq!((&errors, &data["done"]["clients"]), (&Json::Null, &json!([{"id": "c3"}])));
    // A hidden row is neither shown nor overwritten by whoever makes one with its id.
    let (_, errors) = run("upsertClients(input: [{ id: \"c1\", name: \"open\", credit: 1 }]) { clients { id } }").await;
    assert_eq!(code(&errors), "CONFLICT", "{errors}");
    let (data, errors) = run("createClients(input: [{ id: \"c4\", name: \"nobody's\", credit: 1 }]) { clients { id } info { nodesCreated } }").await;
    assert_eq!(data["done"]["info"]["nodesCreated"], 1, "{errors}");
    assert_eq!(data["done"]["clients"], json!([]), "made, and not to be read by whoever made it");
    let there = shop.look("SELECT id, name, credit FROM SCHEMA.clients ORDER BY id").await;
    let expected = json!([{"id": "c1", "name": "hidden", "credit": 10}, {"id": "c2", "name": "open", "credit": 20},
        {"id": "c3", "name": "open 3", "credit": 49}, {"id": "c4", "name": "nobody's", "credit": 1}]);
    assert_eq!(there, expected);
}
