//! What is kept beside the records: the log per tenant, and what is published over data.

use quipu_resolvers::change::{Change, EffectKind, Mode, Op};
use quipu_resolvers::fault::{Code, Fault};
use quipu_resolvers::guard;
use quipu_resolvers::ports::{Reader, Terms, Trace};
use quipu_resolvers::read::{Pick, Place, Read};
use quipu_schema::ontology::{Direction, Ontology};
use serde_json::{Value as Json, json};

use super::Stores;
use super::changes::*;
use super::fixture::*;

pub async fn the_log_is_per_tenant(stores: Stores) {
    fill(&stores).await;
    for index in 0..3 {
        write(&stores, "alpha", vec![facility("f9", &format!("nine {index}"))]).await;
    }
    assert_eq!(stores.metadata.head(&tenant("alpha")).await.unwrap(), 4);
    assert_eq!(stores.metadata.head(&tenant("beta")).await.unwrap(), 1);
    assert_eq!(stores.metadata.head(&tenant("nobody")).await.unwrap(), 0);
    assert_eq!(stores.graph.position(&tenant("nobody")).await.unwrap(), 0);
    let pages = stores.metadata.log(&tenant("alpha"), 1, 2).await.unwrap();
    assert_eq!(pages.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [2, 3]);
    assert!(stores.metadata.log(&tenant("alpha"), 4, 10).await.unwrap().is_empty());
    assert!(stores.metadata.log(&tenant("nobody"), 0, 10).await.unwrap().is_empty());
    assert_eq!(log(&stores, "beta").await.len(), 1);
}

pub async fn publishing(stores: Stores) {
    assert!(stores.metadata.published().await.unwrap().is_empty());
    let ontology = ontology();
    for who in TENANTS {
        let tenant = tenant(who);
        assert_eq!(stores.metadata.ontology(&tenant).await.unwrap(), None);
        for (sdl, version) in [("one", 1), ("one", 1), ("two", 2), ("one", 3)] {
            assert_eq!(stores.metadata.publish(&tenant, sdl, &ontology, AT).await.unwrap(), version);
            assert_eq!(stores.metadata.ontology(&tenant).await.unwrap(), Some((version, sdl.to_owned())));
        }
    }
    let published = stores.metadata.published().await.unwrap();
    assert_eq!(published, [(tenant("alpha"), 3), (tenant("beta"), 3)]);
}

/// What becomes unique or embedded holds for the records that are there already, applied or not.
pub async fn publishing_over_data(stores: Stores) {
    let (full, mut plain) = (ontology(), ontology());
    let facility = &mut plain.types["Facility"];
    (facility.properties["code"].unique, facility.properties["code"].indexed) = (false, false);
    facility.properties["summary"].embed = false;
    let coded = |id: &str, code: &str, summary: &str| {
        let Op::Put { record, row, mode, set, .. } =
            put("Facility", id, json!({"name": id, "region": "r", "code": code, "summary": summary}))
        else {
            unreachable!()
        };
        Op::Put { record, row, mode, set, unique: Vec::new(), embed: Vec::new() }
    };
    for who in TENANTS {
        let publish = |sdl, ontology| publish_as(&stores, who, sdl, ontology);
        publish("plain", &plain).await.unwrap();
        write(&stores, who, vec![coded("f1", "A", "frozen fish"), coded("f2", "A", "vaccines")]).await;
        let (code, message) = refused(publish("full", &full).await);
        assert_eq!((code, message.as_str()), (Code::Conflict, "Facility.code cannot be unique: \"A\" is there twice"));
        assert_eq!(stores.metadata.ontology(&tenant(who)).await.unwrap().unwrap().1, "plain");
        accept(&stores, who, vec![coded("f2", "B", "vaccines and fish")]).await.unwrap();
        publish("full", &full).await.unwrap();
        let taken = put("Facility", "f3", json!({"name": "n", "region": "r", "code": "B"}));
        assert_eq!(refused(accept(&stores, who, vec![taken.clone()]).await).0, Code::Conflict);
        assert_eq!(super::searches::found(&stores, who, "fish").await.len(), 2);
        // A change that was made before somebody heard of it.
        write(&stores, who, vec![coded("f1", "A", "a cake")]).await;
        assert_eq!(super::searches::found(&stores, who, "fish").await, ["Facility f2"]);
        assert_eq!(super::searches::found(&stores, who, "cake").await, ["Facility f1"]);
        publish("plain again", &plain).await.unwrap();
        let Op::Put { record, row, mode, set, .. } = taken else { unreachable!() };
        write(&stores, who, vec![Op::Put { record, row, mode, set, unique: vec![], embed: vec![] }]).await;
        assert!(super::searches::found(&stores, who, "fish").await.is_empty());
        assert_eq!(refused(publish("full again", &full).await).0, Code::Conflict);
    }
}

/// However much of the log the graph has not heard of, publishing looks at all of it.
pub async fn publishing_over_a_long_log(stores: Stores) {
    let (full, mut plain) = (ontology(), ontology());
    let code = &mut plain.types["Facility"].properties["code"];
    (code.unique, code.indexed) = (false, false);
    for who in TENANTS {
        stores.metadata.publish(&tenant(who), "plain", &plain, AT).await.unwrap();
        for (id, code) in [("f1", "A"), ("f2", "B"), ("f3", "C"), ("f4", "C")] {
            let set = json!({"name": id, "region": "r".repeat(400_000), "code": code});
            let Op::Put { record, row, mode, set, embed, .. } = put("Facility", id, set) else { unreachable!() };
            let op = Op::Put { record, row, mode, set, embed, unique: vec![] };
            accept(&stores, who, vec![op]).await.unwrap();
        }
        let (code, message) = refused(stores.metadata.publish(&tenant(who), "full", &full, AT).await);
        assert_eq!((code, message.as_str()), (Code::Conflict, "Facility.code cannot be unique: \"C\" is there twice"));
    }
}

const FARM: &str = "type Farm @node { id: ID!  name: String  size: String  kind: Kind  kinds: [Kind!]
    keeps: [Cow!]! @relationship(type: \"KEEPS\", direction: OUT, properties: \"Keeping\") }
    type Cow @node { id: ID!  kept: [Farm!]! @relationship(type: \"KEEPS\", direction: IN, properties: \"Keeping\") }
    type Bill @table { id: ID!  amount: Int }
    type Keeping @relationshipProperties { since: Int }
    enum Kind { DAIRY WHEAT GOATS }";

/// Publishes what the farm becomes when each of these texts is replaced by the next.
async fn farm_becomes(stores: &Stores, who: &str, changes: &[(&str, &str)]) -> Result<Ontology, Fault> {
    let mut sdl = FARM.to_owned();
    for (from, to) in changes {
        assert!(sdl.contains(from), "{from}");
        sdl = sdl.replace(from, to);
    }
    let ontology = quipu_schema::compile(&sdl).unwrap_or_else(|problems| panic!("{problems}"));
    publish_as(stores, who, &sdl, &ontology).await.map(|_| ontology)
}

/// A farm with a cow, a farm without anything, and a bill.
async fn farm(stores: &Stores, who: &str) {
    let ontology = farm_becomes(stores, who, &[]).await.unwrap();
    let put = |of: &str, id: &str, set: Json| {
        let Json::Object(set) = set else { unreachable!() };
        let (row, mode) = (of == "Bill", Mode::Create);
        Op::Put { record: record(of, id), row, mode, set, unique: vec![], embed: vec![] }
    };
    let ops = vec![
        put("Farm", "f1", json!({"name": who, "size": "large", "kind": "WHEAT", "kinds": ["DAIRY", "GOATS"]})),
        put("Farm", "f2", json!({})),
        put("Cow", "c1", json!({})),
        put("Bill", "b1", json!({"amount": 7})),
        link("KEEPS", ("Farm", "f1"), ("Cow", "c1"), json!({"since": 3})),
    ];
    let change = guard::change(&principal(who), &ontology, Change { ops }, &[]).unwrap();
    let terms = Terms { at: AT, ..Terms::default() };
    stores.metadata.accept(&change, terms, call(&Trace::default())).await.unwrap();
}

/// What records would have to be changed for is refused while there are such, and nothing is published.
pub async fn publishing_refuses_what_does_not_fit(stores: Stores) {
    for who in TENANTS {
        farm(&stores, who).await;
        for (from, to, expected) in [
            ("size: String", "size: Int", "Farm.size is Int, so far String, and there is 1 record with a value"),
            ("kinds: [Kind!]", "kinds: Kind", "Farm.kinds is Kind, so far [Kind!], and there is 1 record"),
            ("amount: Int", "amount: Boolean", "Bill.amount is Boolean, so far Int, and there is 1 record"),
            ("since: Int", "since: Boolean", "Keeping.since is Boolean, so far Int, and there is 1 record"),
            (
                "name: String",
                "name: String!",
                "Farm.name must be there, and there is 1 record without: give it a @default",
            ),
            ("name: String", "name: String  legs: Int!", "Farm.legs must be there, and there are 2 records without"),
            ("since: Int", "since: Int  why: String!", "Keeping.why must be there, and there is 1 record without"),
            ("name: String", "name: String @alias(property: \"n\")", "keep it with @alias(property: \"name\")"),
            ("DAIRY WHEAT", "DAIRY", "Kind.WHEAT is removed, and there is 1 record with it in Farm.kind:"),
            ("WHEAT GOATS", "WHEAT", "Kind.GOATS is removed, and there is 1 record with it in Farm.kinds:"),
            ("Bill @table", "Bill @node", "Bill is :Bill, so far table bills, and there is 1 record there"),
        ] {
            let (code, message) = refused(farm_becomes(&stores, who, &[(from, to)]).await);
            assert_eq!(code, Code::Conflict);
            assert!(message.contains(expected), "{message}\nand not\n{expected}");
            assert_eq!(stores.metadata.ontology(&tenant(who)).await.unwrap().unwrap().1, FARM);
            assert_eq!(log(&stores, who).await.len(), 1);
        }
        // What is stored in the same form, or nowhere, is no matter.
        let harmless = [
            ("size: String", "size: ID"),
            ("kind: Kind", "kind: String"),
            ("amount: Int", "amount: Float"),
            ("since: Int", "since: BigInt"),
            ("Farm @node", "Farm @node(labels: [\"Site\"])"),
        ];
        farm_becomes(&stores, who, &[("DAIRY WHEAT GOATS", "DAIRY WHEAT GOATS NEW")]).await.unwrap();
        farm_becomes(&stores, who, &harmless).await.unwrap();
    }
}

/// A default is given to the records that lack a value, by a change like any other.
pub async fn publishing_fills_in_defaults(stores: Stores) {
    for who in TENANTS {
        farm(&stores, who).await;
        let changes = [
            ("name: String", "name: String! @default(value: \"nobody\")  legs: Int! @default(value: 4)"),
            ("amount: Int", "amount: Int  currency: String! @default(value: \"EUR\")"),
            ("since: Int", "since: Int  weight: Int! @default(value: 1)"),
        ];
        let ontology = farm_becomes(&stores, who, &changes).await.unwrap();
        follow(&stores, who).await;
        let ask = async |read: Read| {
            let rows = read.place == Place::Rows;
            let read = guard::read(&principal(who), &ontology, read).unwrap();
            let trace = Trace::default();
            let reader: &dyn Reader = if rows { &*stores.metadata } else { &*stores.graph };
            reader.read(&read, call(&trace)).await.unwrap().to_json()
        };
        let keeps = along("KEEPS", Direction::Out, "Cow", vec![pick(edge("since")), pick(edge("weight"))]);
        let picks = vec![pick(field("name")), pick(field("legs")), Pick::Read(Box::new(keeps))];
        assert_eq!(ask(all("Farm", picks)).await, json!([[who, 4, [[3, 1]]], ["nobody", 4, []]]));
        let bills = Read { place: Place::Rows, ..all("Bill", vec![pick(field("amount")), pick(field("currency"))]) };
        assert_eq!(ask(bills).await, json!([[7, "EUR"]]));
        let log = log(&stores, who).await;
        assert!(log.len() > 1 && log[1..].iter().all(|entry| entry.actor.as_deref() == Some("quipu ontology publish")));
        let touched = log[1..].iter().flat_map(|entry| &entry.effects).filter(|e| e.event == EffectKind::Updated);
        assert_eq!(touched.count(), 4, "a name, two pairs of legs, a currency");
    }
}

/// Changes from many at once are all accepted, one after another, and reads go on meanwhile.
pub async fn many_at_once(stores: Stores) {
    for who in TENANTS {
        publish(&stores, who).await;
    }
    let stores = std::sync::Arc::new(stores);
    let mut tasks = tokio::task::JoinSet::new();
    for index in 0..40 {
        let stores = std::sync::Arc::clone(&stores);
        tasks.spawn(async move {
            let who = TENANTS[index % 2];
            let accepted = accept(&stores, who, vec![facility(&format!("f{index:02}"), who)]).await.unwrap();
            names(&stores, who).await;
            accepted.seq
        });
    }
    let mut positions = tasks.join_all().await;
    positions.sort_unstable();
    let expected: Vec<u64> = (1..=20).flat_map(|seq| [seq, seq]).collect();
    assert_eq!(positions, expected);
    for who in TENANTS {
        follow(&stores, who).await;
        assert_eq!(names(&stores, who).await.as_array().unwrap().len(), 20);
    }
}
