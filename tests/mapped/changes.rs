//! Tables of others change without asking, and hold what no ontology thinks of.

use std::time::{Duration, Instant};

use quipu::ingest::batch::{Shaped, Shaper};
use quipu::ingest::compare::Sum;
use quipu::ingest::records::Record;
use quipu_resolvers::change::{Act, Change, Mode, Op, Ref};
use quipu_resolvers::guard::{self, TenantId};
use serde_json::{Map, Value as Json, json};

use super::{Shop, uuid};
use crate::spec::world::{World, admin, principal};

/// The only error of a response.
fn error(errors: &Json) -> &Json {
    assert_eq!(errors.as_array().map(Vec::len), Some(1), "{errors}");
    &errors[0]
}

/// A column that is gone is told at the field that needs it, in words that name nothing of the database; the rest is answered. When
/// it is back, it is used again.
#[tokio::test]
async fn a_column_that_is_gone() {
    let Some(mut shop) = Shop::filled("mapped::changes::a_column_that_is_gone").await else { return };
    let world = shop.world().await;
    let document = "{ sites { id items: orders(limit: 1) { id code } } customers { id } orders(where: { code: { eq: \"aa\" } }) { id } }";
    let whole = world.data(&admin("alpha"), document).await;
    shop.run("ALTER TABLE SCHEMA.\"Orders \"\"2026\"\"\" RENAME code TO kode").await;
    let (data, errors) = world.run(&admin("alpha"), document, json!({})).await;
    assert_eq!(data, Json::Null, "{data}");
    let text = errors.as_array().unwrap().iter().map(|error| error["message"].to_string()).collect::<String>();
    for of_the_store in ["kode", "column", &shop.schema, "SELECT", "relation", "42703"] {
        assert!(!text.contains(of_the_store), "{text}");
    }
    assert_eq!(errors[0]["extensions"]["code"], "STORE_UNAVAILABLE", "{errors}");
    let message = "Order cannot be read: its table does not fit the ontology any more; whoever runs the gateway finds the reason in its log";
    assert!(errors.as_array().unwrap().iter().any(|error| error["message"] == message), "{errors}");
    assert!(errors[0]["path"].is_array(), "{errors}");
    // Where null is possible, what is beside it is answered.
    let (data, errors) = world
        .run(&admin("alpha"), &format!("{{ order(id: \"{}\") {{ code }} customers {{ id }} }}", uuid(1)), json!({}))
        .await;
    assert_eq!(error(&errors)["path"], json!(["order"]));
    assert_eq!((&data["order"], data["customers"].as_array().unwrap().len()), (&Json::Null, 8));
    shop.run("ALTER TABLE SCHEMA.\"Orders \"\"2026\"\"\" RENAME kode TO code").await;
    let begun = Instant::now();
    loop {
        let (data, errors) = world.run(&admin("alpha"), document, json!({})).await;
        if errors == Json::Null {
            assert_eq!(data, whole);
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{errors}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A column of another type that also fits is used at once; rights that are taken away, and tables that go, are told.
#[tokio::test]
async fn other_types_and_fewer_rights() {
    let Some(mut shop) = Shop::filled("mapped::changes::other_types_and_fewer_rights").await else { return };
    let world = shop.world().await;
    let document = "{ customers(sort: [{ name: ASC }]) { id name orders(sort: [{ id: ASC }]) { id } } customer(id: \"107\") { name } }";
    let whole = world.data(&admin("beta"), document).await;
    shop.run("ALTER TABLE SCHEMA.customers ALTER id TYPE text").await;
    assert_eq!(world.data(&admin("beta"), document).await, whole);
    shop.run("ALTER TABLE SCHEMA.customers ALTER id TYPE integer USING id::integer").await;
    assert_eq!(world.data(&admin("beta"), document).await, whole);
    shop.run("REVOKE SELECT ON SCHEMA.customers FROM quipu_login").await;
    let (_, errors) = world.run(&admin("beta"), "{ customer(id: \"107\") { name } }", json!({})).await;
    assert_eq!(error(&errors)["extensions"]["code"], "STORE_UNAVAILABLE");
    shop.run("DROP TABLE SCHEMA.items").await;
    let (_, errors) = world.run(&admin("beta"), "{ item(id: \"i1\") { label } }", json!({})).await;
    assert_eq!(error(&errors)["path"], json!(["item"]));
    assert!(error(&errors)["message"].as_str().unwrap().starts_with("Item cannot be read"), "{errors}");
}

/// Ids that are numbers are in the order of numbers; instants finer than milliseconds are cut off, and no page loses one; numbers that
/// JSON has no word for, and values that the ontology does not know, are null.
#[tokio::test]
async fn values_of_no_ontology() {
    let Some(mut shop) = Shop::filled("mapped::changes::values_of_no_ontology").await else { return };
    let world = shop.world().await;
    shop.run("DELETE FROM SCHEMA.customers").await;
    for id in [9, 10, 100, -5, 2] {
        shop.run(&format!("INSERT INTO SCHEMA.customers VALUES ('alpha', {id}, 'n', NULL, false)")).await;
    }
    let ids = world.data(&admin("alpha"), "{ customers(sort: [{ id: ASC }]) { id } }").await;
    assert_eq!(ids["customers"], json!([{"id": "-5"}, {"id": "2"}, {"id": "9"}, {"id": "10"}, {"id": "100"}]));
    let orders = "SCHEMA.\"Orders \"\"2026\"\"\"";
    shop.run(&format!(
        "UPDATE {orders} SET at = '2026-11-21 10:00:00.123456+00'::timestamptz + (right(order_no::text, 2) || ' microseconds')::interval \
         WHERE right(order_no::text, 2) ~ '^[0-9]+$'"
    ))
    .await;
    let mut seen = Vec::new();
    let mut at = String::new();
    loop {
        let document = format!(
            "{{ ordersConnection(sort: [{{ at: DESC }}], first: 3{at}) {{ edges {{ node {{ id at }} }} pageInfo {{ endCursor hasNextPage }} }} }}"
        );
        let page = &world.data(&admin("alpha"), &document).await["ordersConnection"];
        seen.extend(page["edges"].as_array().unwrap().iter().map(|edge| edge["node"].clone()));
        if page["pageInfo"]["hasNextPage"] == false {
            break;
        }
        at = format!(", after: {}", page["pageInfo"]["endCursor"]);
    }
    let mut ids: Vec<String> = seen.iter().map(|node| node["id"].to_string()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!((seen.len(), ids.len()), (40, 40), "each once");
    let equal = "{ orders(where: { at: { eq: \"2026-11-21T10:00:00.123Z\" } }) { at } }";
    let equal = world.data(&admin("alpha"), equal).await["orders"].clone();
    assert!(equal.as_array().unwrap().len() > 10 && equal[0]["at"] == "2026-11-21T10:00:00.123Z", "{equal}");
    shop.run(&format!(
        "UPDATE {orders} SET price = 'NaN', single = 'Infinity', loose = 'NaN', stage = 'UNHEARD OF', day = 'infinity', extra = 'null', \
         tags = '{{{{a,b}},{{c,d}}}}', counts = '{{}}'"
    ))
    .await;
    let odd = format!("{{ order(id: \"{}\") {{ price single loose stage day extra tags counts }} }}", uuid(3));
    let odd = world.data(&admin("alpha"), &odd).await;
    let shown = json!({"price": null, "single": null, "loose": null, "stage": null, "day": null, "extra": null, "tags": ["a", "b", "c", "d"], "counts": []});
    assert_eq!(odd["order"], shown);
    let figures = "{ ordersConnection { aggregate { node { price { sum average min } day { max } } } } }";
    let figures = &world.data(&admin("alpha"), figures).await["ordersConnection"]["aggregate"]["node"];
    assert_eq!(figures, &json!({"price": {"sum": 0, "average": null, "min": null}, "day": {"max": null}}));
}

/// Nothing writes to tables of others, by whatever way; and they are not taken for a difference between the stores and the log.
#[tokio::test]
async fn they_are_read_and_not_written() {
    let Some(shop) = Shop::filled("mapped::changes::they_are_read_and_not_written").await else { return };
    let world = shop.world().await;
    let tenant = TenantId::parse("alpha").unwrap();
    let ontology = &world.served(&tenant).unwrap().served().ontology;
    let record = Ref { of: "Customer".to_owned(), id: "107".to_owned() };
    let put = Op::Put {
        record: record.clone(),
        row: true,
        mode: Mode::Upsert,
        set: Map::new(),
        unique: Vec::new(),
        embed: Vec::new(),
    };
    let foreign = Op::Foreign { record: record.clone(), act: Act::Update, set: Map::new() };
    for op in [put, foreign, Op::Delete { record, row: true }] {
        for asking in [admin("alpha"), guard::Principal::operator(&tenant, None)] {
            let refused = guard::change(&asking, ontology, Change { ops: vec![op.clone()] }, &[]).unwrap_err();
            assert_eq!(refused.to_string(), "FORBIDDEN: Customer is read and not written: its table belongs to others");
        }
    }
    let splitter: std::sync::Arc<quipu::ingest::documents::Splitter> = std::sync::Arc::new(|_: &str| Vec::new());
    let row = Record::Row { row: "Customer".to_owned(), id: "107".to_owned(), properties: Map::new() };
    let refused = Shaper::new(ontology, &*splitter).shape(row, &mut Shaped::default()).unwrap_err();
    assert_eq!(refused, "Customer takes no import: its table belongs to others");
    for mutation in ["createCustomers(input: [])", "updateOrders(update: {})", "deleteItems", "upsertOrders(input: [])"]
    {
        let code = world
            .code(
                &principal("alpha", json!({"roles": ["admin"]})),
                &format!("mutation {{ {mutation} {{ __typename }} }}"),
            )
            .await;
        assert_eq!(code, "GRAPHQL_VALIDATION_FAILED", "{mutation}");
    }
    let outcome =
        Sum::of(world.ports(), &tenant).await.unwrap().compare(world.ports(), &tenant, ontology, false).await.unwrap();
    assert!(outcome.is_equal() && outcome.records == 5, "{outcome:?}");
}

/// Records are found by the indexes that the table has.
#[tokio::test]
async fn plans_use_the_indexes_of_the_table() {
    use sqlx::{AssertSqlSafe, query_scalar};
    let Some(mut shop) = Shop::filled("mapped::changes::plans_use_the_indexes_of_the_table").await else { return };
    shop.run(
        "INSERT INTO SCHEMA.customers SELECT 'alpha', n, 'n' || n, NULL, false FROM generate_series(1000, 21000) n; \
         INSERT INTO SCHEMA.\"Orders \"\"2026\"\"\" (tenant, order_no, site_id, customer_id, code, state, \"Pieces; DROP TABLE x\", at) \
         SELECT 'alpha', gen_random_uuid(), 's' || n / 20, n / 2 + 1000, 'c', 'OPEN', n, now() FROM generate_series(1, 20000) n",
    )
    .await;
    shop.run("ANALYZE SCHEMA.customers; ANALYZE SCHEMA.\"Orders \"\"2026\"\"\"; ANALYZE SCHEMA.items").await;
    let world: World = shop.world().await;
    let mut login = crate::contract::postgres::plain(&shop.server.login, &shop.options).await;
    for (document, index) in [
        (format!("{{ order(id: \"{}\") {{ code }} }}", uuid(3)), "Orders \"\"2026\"\"_pkey"),
        (
            "{ customer(id: \"107\") { name orders(limit: 5) { id } } }".to_owned(),
            "Orders \"\"2026\"\"_tenant_customer_id_idx",
        ),
        ("{ customers(limit: 5, sort: [{ id: ASC }]) { id } }".to_owned(), "customers_pkey"),
        (
            "{ sites(limit: 3) { orders(limit: 3) { id customer { name } } } }".to_owned(),
            "Orders \"\"2026\"\"_tenant_site_id_idx",
        ),
        ("{ orders(where: { customer: { id: { in: [\"1007\", \"1009\"] } } }) { id } }".to_owned(), "customers_pkey"),
    ] {
        let trace = std::sync::Arc::new(quipu_resolvers::ports::Trace::keeping());
        world.traced(&admin("alpha"), &document, json!({}), &trace).await;
        let statement = trace.statements().into_iter().rfind(|s| s.text.contains("FROM \"")).unwrap();
        let mut text = statement.text;
        for (n, value) in statement.parameters.iter().enumerate().rev() {
            let list =
                value.strip_prefix('[').map(|list| format!("ARRAY[{}]", list.trim_end_matches(']').replace('"', "'")));
            text = text.replace(&format!("${}", n + 1), &list.unwrap_or_else(|| format!("'{value}'")));
        }
        let plan: Vec<String> =
            query_scalar(AssertSqlSafe(format!("EXPLAIN (COSTS OFF) {text}"))).fetch_all(&mut login).await.unwrap();
        let plan = plan.join("\n");
        assert!(plan.contains(index) && !plan.contains("Seq Scan"), "{document}\n{text}\n{plan}");
    }
}
