//! Tenants in tables that are written: nobody writes or removes a row of another, by whatever id; looked at by plain SQL afterwards.

use serde_json::{Value as Json, json};

use super::{Shop, done, head, refused};
use crate::mapped::{opened, uuid};
use crate::spec::world::{World, admin};

/// Somebody of one tenant tries to change, remove and overwrite what the other has.
async fn hostile(world: &World, who: &str, id: &str) -> Vec<String> {
    let theirs = format!("where: {{ id: {{ eq: \"{id}\" }} }}");
    let changed = done(
        world,
        who,
        &format!("updateStocks({theirs}, update: {{ amount: {{ set: 666 }} }}) {{ stocks {{ id }} }}"),
    )
    .await;
    assert_eq!(changed["stocks"], json!([]));
    let gone = done(world, who, &format!("deleteStocks({theirs}) {{ nodesDeleted }}")).await;
    assert_eq!(gone, json!({"nodesDeleted": 0}));
    let mut said = Vec::new();
    for attempt in [
        "upsertStocks(input: [{ID, amount: 666 }]) { stocks { id } }",
        "createStocks(input: [{ID, amount: 666 }]) { stocks { id } }",
    ] {
        let attempt = attempt.replace("ID", &format!(" id: \"{id}\""));
        let (_, errors) = world.run(&admin(who), &format!("mutation {{ {attempt} }}"), json!({})).await;
        said.push(errors[0]["extensions"]["code"].as_str().unwrap_or("none").to_owned());
    }
    // All that somebody can name is their own.
    done(world, who, "updateStocks(update: { place: { set: \"moved\" } }) { stocks { id } }").await;
    said
}

/// By a column, where each tenant has the same ids: whose row it is, is set by nobody.
#[tokio::test]
async fn by_a_column() {
    let Some(mut shop) = Shop::till("mapped::writing::by_a_column").await else { return };
    shop.run("ALTER TABLE SCHEMA.stock DROP CONSTRAINT stock_pkey, ADD PRIMARY KEY (tenant, id)").await;
    let world = shop.till_world().await;
    let id = uuid(1);
    shop.run(&format!(
        "INSERT INTO SCHEMA.stock VALUES ('beta', '{id}', 1, 'there'), ('beta', '{}', 2, 'there')",
        uuid(2)
    ))
    .await;
    // The same id is free to the other tenant, and is another row.
    assert_eq!(hostile(&world, "alpha", &id).await, ["none", "CONFLICT"]);
    let asked = "SELECT tenant, amount, place FROM SCHEMA.stock ORDER BY tenant, amount";
    let theirs = json!([{"tenant": "alpha", "amount": 666, "place": "moved"}, {"tenant": "beta", "amount": 1, "place": "there"}, {"tenant": "beta", "amount": 2, "place": "there"}]);
    assert_eq!(shop.look(asked).await, theirs);
    done(&world, "alpha", "deleteStocks { nodesDeleted }").await;
    assert_eq!(shop.look("SELECT DISTINCT tenant FROM SCHEMA.stock").await, json!([{"tenant": "beta"}]));
}

/// By a column under a comparison that takes other names for the tenant's, and other ids for an id.
#[tokio::test]
async fn by_a_column_of_a_loose_collation() {
    let Some(mut shop) = Shop::till("mapped::writing::by_a_column_of_a_loose_collation").await else { return };
    shop.run(
        "CREATE COLLATION SCHEMA.loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false); \
         ALTER TABLE SCHEMA.\"Sales \"\"2026\"\"\" DROP CONSTRAINT of_client; \
         ALTER TABLE SCHEMA.clients DROP CONSTRAINT one_mail, ALTER tenant TYPE text COLLATE SCHEMA.loose; \
         INSERT INTO SCHEMA.clients VALUES ('ALPHA', 'c1', 'capitals'), ('beta', 'c1', 'beta')",
    )
    .await;
    let world = shop.till_world().await;
    let none = done(&world, "alpha", "updateClients(update: { name: { set: \"x\" } }) { clients { id } }").await;
    assert_eq!(none["clients"], json!([]));
    assert_eq!(done(&world, "alpha", "deleteClients { nodesDeleted }").await["nodesDeleted"], 0);
    done(&world, "alpha", "createClients(input: [{ id: \"c2\", name: \"mine\" }]) { info { nodesCreated } }").await;
    shop.run("ALTER TABLE SCHEMA.clients ALTER id TYPE text COLLATE SCHEMA.loose").await;
    done(&world, "alpha", "upsertClients(input: [{ id: \"c2\", name: \"still\" }]) { info { nodesCreated } }").await;
    let there = shop.look("SELECT tenant COLLATE \"C\" AS tenant, id, name FROM SCHEMA.clients ORDER BY 1").await;
    let expected = json!([{"tenant": "ALPHA", "id": "c1", "name": "capitals"}, {"tenant": "alpha", "id": "c2", "name": "still"}, {"tenant": "beta", "id": "c1", "name": "beta"}]);
    assert_eq!(there, expected);
}

/// By a column where an id is there once for all: who takes one that is another's learns that it is taken, and no more.
#[tokio::test]
async fn ids_of_all_tenants_together() {
    let Some(mut shop) = Shop::till("mapped::writing::ids_of_all_tenants_together").await else { return };
    let world = shop.till_world().await;
    let id = uuid(1);
    shop.run(&format!("INSERT INTO SCHEMA.stock VALUES ('beta', '{id}', 1, 'there')")).await;
    assert_eq!(hostile(&world, "alpha", &id).await, ["CONFLICT", "CONFLICT"]);
    let said = refused(
        &world,
        "alpha",
        &format!("createStocks(input: [{{ id: \"{id}\", amount: 1 }}]) {{ stocks {{ id }} }}"),
    )
    .await;
    assert_eq!(said, format!("CONFLICT Stock \"{id}\" exists already"));
    assert_eq!(
        shop.look("SELECT tenant, amount, place FROM SCHEMA.stock").await,
        json!([{"tenant": "beta", "amount": 1, "place": "there"}])
    );
    assert_eq!((head(&world, "alpha").await, head(&world, "beta").await), (0, 0));
}

/// By row security: the table's policies and defaults learn the tenant as when it is read, and a row that they refuse is told.
#[tokio::test]
async fn by_row_security() {
    let Some(mut shop) = Shop::till("mapped::writing::by_row_security").await else { return };
    shop.run(
        "ALTER TABLE SCHEMA.stock ENABLE ROW LEVEL SECURITY, ALTER tenant SET DEFAULT current_setting('quipu.tenant_name', true); \
         CREATE POLICY theirs ON SCHEMA.stock USING (tenant = current_setting('quipu.tenant_name', true)); \
         CREATE POLICY few ON SCHEMA.stock AS RESTRICTIVE FOR INSERT WITH CHECK (amount < 1000)",
    )
    .await;
    let schema = shop.schema.clone();
    shop.options.tables =
        opened(&[&format!("{schema}.stock by row security, writable"), &format!("{schema}.* by tenant, writable")]);
    // One connection, so that nothing of a request can stay behind for the next.
    shop.options.connections = 1;
    let world = shop.till_world().await;
    let id = uuid(1);
    shop.run(&format!("INSERT INTO SCHEMA.stock VALUES ('beta', '{id}', 1, 'there')")).await;
    for _ in 0..2 {
        assert_eq!(hostile(&world, "alpha", &id).await, ["CONFLICT", "CONFLICT"]);
    }
    for who in ["alpha", "beta"] {
        done(&world, who, "createStocks(input: [{ amount: 5, place: \"new\" }]) { stocks { id amount } }").await;
    }
    let before = head(&world, "alpha").await;
    let said =
        refused(&world, "alpha", "createStocks(input: [{ amount: 6 }, { amount: 1000 }]) { stocks { id } }").await;
    assert_eq!(said, "FORBIDDEN row security of the table of Stock refuses the change");
    assert_eq!(head(&world, "alpha").await, before);
    let there = shop.look("SELECT tenant, amount, place FROM SCHEMA.stock ORDER BY tenant, amount").await;
    let expected = json!([{"tenant": "alpha", "amount": 5, "place": "new"}, {"tenant": "beta", "amount": 1, "place": "there"}, {"tenant": "beta", "amount": 5, "place": "new"}]);
    assert_eq!(there, expected);
}

/// A tenant's column that a field shows under row security may be given, and another's name in it is refused by the policy.
#[tokio::test]
async fn a_tenant_that_is_given() {
    let Some(mut shop) = Shop::till("mapped::writing::a_tenant_that_is_given").await else { return };
    shop.run(
        "ALTER TABLE SCHEMA.stock ENABLE ROW LEVEL SECURITY; \
         CREATE POLICY theirs ON SCHEMA.stock USING (tenant = current_setting('quipu.tenant_name', true))",
    )
    .await;
    let schema = shop.schema.clone();
    shop.options.tables = opened(&[&format!("{schema}.stock by row security, writable")]);
    let sdl = format!(
        "type Stock @table(name: \"stock\", schema: \"{schema}\", writes: [CREATE, UPDATE]) {{ id: ID! @column(generated: BY_DEFAULT) tenant: String! amount: Int! }}"
    );
    let world = shop.world_of(&sdl).await;
    let made =
        done(&world, "alpha", "createStocks(input: [{ tenant: \"alpha\", amount: 1 }]) { stocks { tenant amount } }")
            .await;
    assert_eq!(made["stocks"], json!([{"tenant": "alpha", "amount": 1}]));
    let refusal = "FORBIDDEN row security of the table of Stock refuses the change";
    let said =
        refused(&world, "alpha", "createStocks(input: [{ tenant: \"beta\", amount: 2 }]) { stocks { id } }").await;
    assert_eq!(said, refusal);
    let said = refused(&world, "alpha", "updateStocks(update: { tenant: { set: \"beta\" } }) { stocks { id } }").await;
    assert_eq!(said, refusal);
    assert_eq!(shop.look("SELECT tenant, amount FROM SCHEMA.stock").await, json!([{"tenant": "alpha", "amount": 1}]));
}

/// A table of one tenant's own is written by that tenant, and by nobody else.
#[tokio::test]
async fn of_one_tenant() {
    use quipu_resolvers::change::{Act, Change, Op, Ref};
    use quipu_resolvers::guard::{self, Principal, TenantId};
    use quipu_resolvers::ports::{Call, Terms, Trace};

    let Some(mut shop) = Shop::till("mapped::writing::of_one_tenant").await else { return };
    let schema = shop.schema.clone();
    shop.options.tables = opened(&[&format!("{schema}.* for alpha, writable")]);
    shop.run("ALTER TABLE SCHEMA.stock ALTER tenant DROP NOT NULL").await;
    let sdl = format!(
        "type Stock @table(name: \"stock\", schema: \"{schema}\", writes: [CREATE, UPDATE, DELETE]) {{ id: ID! @column(generated: BY_DEFAULT) amount: Int! }}"
    );
    let [alpha, beta] = ["alpha", "beta"].map(|who| TenantId::parse(who).unwrap());
    let metadata = quipu::stores::postgres::Postgres::open(shop.options.clone()).await.unwrap();
    let stores = crate::contract::postgres::beside(metadata).await;
    let ontology = quipu_schema::compile(&sdl).unwrap();
    let at = "2026-11-22T10:00:00.000Z";
    stores.metadata.publish(&alpha, &sdl, &ontology, at).await.unwrap();
    stores
        .metadata
        .publish(&beta, "type A { id: ID! }", &quipu_schema::compile("type A { id: ID! }").unwrap(), at)
        .await
        .unwrap();
    let id = uuid(3);
    let record = Ref { of: "Stock".to_owned(), id: id.clone() };
    let set = json!({"amount": 4}).as_object().unwrap().clone();
    let change = Change { ops: vec![Op::Foreign { record, act: Act::Create, set }] };
    let trace = Trace::default();
    let write = async |tenant: &TenantId| {
        let allowed = guard::change(&Principal::operator(tenant, None), &ontology, change.clone(), &[]).unwrap();
        let call = Call { deadline: std::time::Instant::now() + std::time::Duration::from_secs(60), trace: &trace };
        stores
            .metadata
            .accept(&allowed, Terms { at, ..Terms::default() }, call)
            .await
            .map_err(|fault| fault.to_string())
    };
    // Also where the engine has been led to believe otherwise, the store writes for no tenant to whom the table is not open.
    let refused = write(&beta).await.unwrap_err();
    assert!(refused.starts_with("STORE_UNAVAILABLE: Stock cannot be written"), "{refused}");
    stores.metadata.prepare(&beta, &ontology).await.unwrap();
    assert!(write(&beta).await.unwrap_err().starts_with("STORE_UNAVAILABLE: Stock cannot be written"));
    assert_eq!(shop.look("SELECT count(*) AS n FROM SCHEMA.stock").await, json!([{"n": 0}]));
    assert_eq!(write(&alpha).await.unwrap().seq, 1);
    let there: Json = shop.look("SELECT tenant, id, amount FROM SCHEMA.stock").await;
    assert_eq!(there, json!([{"tenant": null, "id": id, "amount": 4}]));
}
