//! The same questions over tables of others and over rows of our own: the same answers, by as many statements.

use std::sync::Arc;

use quipu_resolvers::ports::Trace;
use serde_json::{Value as Json, json};

use super::{Shop, uuid};
use crate::spec::world::{TENANTS, World, admin, principal};

/// A number is the same however it is written.
fn plain(body: Json) -> Json {
    match body {
        Json::Number(number) => number.as_f64().map_or(Json::Number(number), Json::from),
        Json::Array(items) => items.into_iter().map(plain).collect(),
        Json::Object(fields) => Json::Object(fields.into_iter().map(|(name, value)| (name, plain(value))).collect()),
        other => other,
    }
}

/// Asks both as both tenants, as somebody who sees everything and as somebody who does not. Returns how many answers say something.
async fn same(mapped: &World, own: &World, documents: &[String]) -> usize {
    let mut telling = 0;
    for document in documents {
        let mut answers = Vec::new();
        for who in TENANTS {
            for asking in [admin(who), principal(who, json!({"roles": []}))] {
                let (body, counts) = own.body(&asking, document, json!({})).await;
                assert_eq!(body["errors"], Json::Null, "{document}");
                let trace = Arc::new(Trace::keeping());
                let answered = mapped.traced(&asking, document, json!({}), &trace).await;
                let texts: Vec<String> = trace.statements().into_iter().map(|s| s.text).collect();
                let (answered, body) = (plain(answered), plain(body));
                assert_eq!(answered, body, "{who}: {document}\n{}", texts.join("\n"));
                assert_eq!(texts.len() as u64, counts.iter().sum::<u64>(), "statements of {document}");
                answers.push(body);
            }
        }
        // The tenants hold other things, so an answer that both share says little.
        telling += usize::from(answers[0] != answers[2]);
    }
    telling
}

/// Every operator of every field, and its contrary.
#[tokio::test]
async fn every_condition() {
    let Some(shop) = Shop::filled("mapped::answers::every_condition").await else { return };
    let (mapped, own) = (shop.world().await, shop.own_world().await);
    let (first, second, third) = (uuid(1), uuid(2), uuid(3));
    let ids = format!(
        "eq: \"{first}\"|eq: \"nonsense\"|eq: \"{}\"|in: [\"{second}\", \"nonsense\", \"{third}\"]|in: [\"x\"]|in: []|contains: \"-4\"|\
         startsWith: \"00000000-0000-40\"|startsWith: \"\"|endsWith: \"1\"|endsWith: \"\"",
        uuid(4).to_uppercase()
    );
    let texts = |column: &str| {
        let values = ["alpha", "it's \\\"x\\\"", "abc", "ABC", "å", "", "%", "_\\\\"];
        let all: Vec<String> = values
            .iter()
            .flat_map(|value| {
                ["eq", "lt", "lte", "gt", "gte", "contains", "startsWith", "endsWith"]
                    .map(|op| format!("{op}: \"{value}\""))
            })
            .chain(["in: [\"alpha\", \"ABC\", \"none\"]".to_owned()])
            .collect();
        let null = if column == "code" { "" } else { "|eq: null" };
        all.join("|") + null
    };
    let ordered = |values: &[&str]| {
        let all: Vec<String> = values
            .iter()
            .flat_map(|value| ["eq", "lt", "lte", "gt", "gte"].map(|op| format!("{op}: {value}")))
            .chain([format!("in: [{}]", values.join(", ")), "in: []".to_owned(), "eq: null".to_owned()])
            .collect();
        all.join("|")
    };
    let fields = [
        ("id", ids),
        ("site_id", "eq: \"s1\"|eq: null|in: [\"s2\", \"zz\"]|contains: \"1\"|startsWith: \"s\"|endsWith: \"3\"".to_owned()),
        (
            "customer_id",
            "eq: \"107\"|eq: \"0107\"|eq: \"99999999999999999999\"|eq: null|in: [\"100\", \"abc\"]|contains: \"0\"|startsWith: \"10\"|endsWith: \"7\""
                .to_owned(),
        ),
        ("code", texts("code")),
        ("note", texts("note")),
        ("state", "eq: OPEN|in: [SENT, LOST]|in: []".to_owned()),
        ("stage", "eq: NEW|eq: null|in: [OLD]".to_owned()),
        ("pieces", ordered(&["0", "4", "-1", "2147483647"])),
        ("small", ordered(&["0", "-2", "2147483647"])),
        ("whole", ordered(&["2", "2.5", "1e300"])),
        ("big", ordered(&["\"9007199254740991\"", "\"9007199254740990\"", "\"-9223372036854775808\""])),
        ("huge", ordered(&["\"7000000049\"", "\"0\""])),
        ("price", ordered(&["0.1", "0.2", "1e300", "-2.5", "123456.789"])),
        ("exact", ordered(&["19.99", "0.05", "7"])),
        ("loose", ordered(&["0.3", "1e15"])),
        ("single", ordered(&["0.1", "0.25", "0.10000000149"])),
        ("paid", "eq: true|eq: false|eq: null".to_owned()),
        ("day", ordered(&["\"2012-03-12\"", "\"0001-01-01\"", "\"9999-12-31\""])),
        ("at", ordered(&["\"2026-11-02T10:00:01.250Z\"", "\"2026-11-02T11:00:01.250+01:00\""])),
        ("coarse", ordered(&["\"2026-01-01T00:00:00.003Z\""])),
        ("tags", "eq: []|eq: [\"cold\"]|eq: null|includes: \"it's\"|includes: \"none\"".to_owned()),
        ("counts", "eq: [1, 7]|includes: 7|includes: 2|eq: null".to_owned()),
        ("days", "includes: \"2020-01-03\"|eq: [\"2020-01-04\"]".to_owned()),
        ("moments", "includes: \"2020-01-01T00:00:00.250Z\"|includes: \"2020-01-01T00:00:00.251Z\"".to_owned()),
    ];
    let mut documents = Vec::new();
    for (field, conditions) in fields {
        for part in conditions.split('|').collect::<Vec<_>>().chunks(8) {
            let mut document = String::from("{");
            for (n, condition) in part.iter().enumerate() {
                let order = "sort: [{ id: ASC }]";
                document += &format!(" a{n}: orders(where: {{ {field}: {{ {condition} }} }}, {order}) {{ id }}");
                document +=
                    &format!(" b{n}: orders(where: {{ NOT: {{ {field}: {{ {condition} }} }} }}, {order}) {{ id }}");
            }
            documents.push(document + " }");
        }
    }
    assert!(documents.len() > 40, "{}", documents.len());
    let telling = same(&mapped, &own, &documents).await;
    assert!(telling * 10 > documents.len() * 8, "{telling} of {}", documents.len());
}

/// Values come out the same, in every order, whole and by pages from either end.
#[tokio::test]
async fn every_order_and_page() {
    let Some(shop) = Shop::filled("mapped::answers::every_order_and_page").await else { return };
    let (mapped, own) = (shop.world().await, shop.own_world().await);
    let all = "id code note state stage pieces small whole big huge price exact loose single paid day at coarse extra tags counts days moments";
    let mut documents = vec![
        format!("{{ orders(sort: [{{ id: DESC }}]) {{ {all} }} }}"),
        format!("{{ order(id: \"{}\") {{ {all} }} }}", uuid(5)),
    ];
    let sorted = [
        "id", "code", "note", "state", "stage", "pieces", "small", "whole", "big", "huge", "price", "exact", "loose",
        "single", "paid", "day", "at", "coarse",
    ];
    for field in sorted {
        for way in ["ASC", "DESC"] {
            documents
                .push(format!("{{ orders(sort: [{{ {field}: {way} }}], limit: 17, offset: 3) {{ id {field} }} }}"));
        }
    }
    documents.push("{ orders(sort: [{ stage: DESC }, { pieces: ASC }, { note: DESC }]) { id } }".to_owned());
    documents.push(
        "{ ordersConnection(where: { paid: { eq: true } }, first: 2) { totalCount edges { node { id } } } }".to_owned(),
    );
    assert!(same(&mapped, &own, &documents).await > documents.len() * 8 / 10);
    for field in sorted {
        for way in ["ASC", "DESC"] {
            for (count, cursor, edge) in [("first", "after", "endCursor"), ("last", "before", "startCursor")] {
                let mut seen = [Vec::new(), Vec::new()];
                for (world, seen) in [&mapped, &own].into_iter().zip(&mut seen) {
                    let mut at = String::new();
                    loop {
                        let document = format!(
                            "{{ ordersConnection(sort: [{{ {field}: {way} }}], {count}: 7{at}) {{ totalCount edges {{ node {{ id }} }} \
                             pageInfo {{ startCursor endCursor hasNextPage hasPreviousPage }} }} }}"
                        );
                        let page = &world.data(&admin("alpha"), &document).await["ordersConnection"];
                        assert_eq!(page["totalCount"], 40);
                        let ids = page["edges"].as_array().unwrap().iter().map(|edge| edge["node"]["id"].to_string());
                        seen.push(ids.collect::<Vec<_>>());
                        let more = if count == "first" { "hasNextPage" } else { "hasPreviousPage" };
                        if page["pageInfo"][more] == false {
                            break;
                        }
                        at = format!(", {cursor}: {}", page["pageInfo"][edge]);
                    }
                }
                let [mapped, own] = seen;
                assert_eq!(mapped, own, "{field} {way} {count}");
                let mut ids: Vec<String> = mapped.concat();
                ids.sort();
                ids.dedup();
                assert_eq!(ids.len(), 40, "each once: {field} {way} {count}");
            }
        }
    }
}

/// Counts, figures, joins in every direction, conditions along them, and what rules hide.
#[tokio::test]
async fn figures_joins_and_rules() {
    let Some(shop) = Shop::filled("mapped::answers::figures_joins_and_rules").await else { return };
    let (mapped, own) = (shop.world().await, shop.own_world().await);
    let numbers = ["pieces", "small", "whole", "big", "huge", "price", "exact", "loose", "single"];
    let numbers: Vec<String> = numbers.iter().map(|field| format!("{field} {{ min max average sum }}")).collect();
    let figures = format!(
        "aggregate {{ count {{ nodes }} node {{ {} code {{ shortest longest }} note {{ shortest longest }} day {{ min max }} at {{ min max }} \
         coarse {{ min max }} }} }}",
        numbers.join(" ")
    );
    let mut documents = vec![
        format!("{{ ordersConnection {{ {figures} }} }}"),
        format!("{{ ordersConnection(where: {{ price: {{ lt: 1000 }} }}) {{ totalCount {figures} }} }}"),
        format!("{{ ordersConnection(where: {{ pieces: {{ gt: 100 }} }}) {{ totalCount {figures} }} }}"),
        format!("{{ sites {{ id ordersConnection(where: {{ price: {{ lt: 1000 }} }}) {{ totalCount {figures} }} }} }}"),
        format!(
            "{{ customers {{ id ordersConnection(first: 1, where: {{ price: {{ lt: 1000 }} }}) {{ totalCount edges {{ node {{ id }} }} {figures} }} }} }}"
        ),
    ];
    documents.extend(
        [
            "{ sites(sort: [{ name: ASC }]) { id orders(sort: [{ code: ASC }], limit: 3) { id customer { id name orders(limit: 2, sort: [{ at: DESC }]) \
             { id } } items(sort: [{ amount: DESC }]) { id label order { id site { name } } } } } }",
            "{ orders(sort: [{ at: ASC }]) { id site { id name orders(limit: 1) { id } } customer { id name } items { id } } }",
            "{ customers(sort: [{ name: DESC }]) { id name hidden orders(where: { state: { eq: OPEN } }) { id site { name } } } }",
            "{ items(sort: [{ label: ASC }]) { id order { id customer { id name } } } }",
            "{ items(where: { order_no: { eq: null } }) { id } }",
            "{ orders(where: { items: { some: { amount: { gt: 3 } } } }) { id } }",
            "{ orders(where: { items: { none: { amount: { gt: 3 } } } }) { id } }",
            "{ orders(where: { items: { all: { amount: { gt: 1 } } } }) { id } }",
            "{ orders(where: { items: { single: { amount: { gte: 0 } } } }) { id } }",
            "{ orders(where: { NOT: { items: { some: { label: { contains: \"1\" } } } } }) { id } }",
            "{ orders(where: { customer: { name: { contains: \"a\" } } }) { id customer { id } } }",
            "{ orders(where: { NOT: { customer: { name: { contains: \"Z\" } } } }) { id } }",
            "{ orders(where: { customer: { orders: { some: { items: { some: { amount: { eq: 5 } } } } } } }) { id } }",
            "{ orders(where: { site: { name: { endsWith: \"2\" } } }) { id } }",
            "{ sites(where: { orders: { some: { state: { eq: LOST }, items: { some: { amount: { eq: 2 } } } } } }) { id } }",
            "{ sites(where: { orders: { none: { paid: { eq: true } } } }) { id } }",
            "{ sites(where: { orders: { all: { pieces: { lt: 8 } } } }) { id } }",
            "{ items(where: { order: { site: { name: { contains: \"site 1\" } } } }) { id } }",
            "{ customers(where: { hidden: { eq: true } }) { id } }",
            "{ customersConnection(sort: [{ hidden: DESC }], first: 3) { totalCount edges { node { id hidden } } aggregate { count { nodes } } } }",
            "{ customersConnection(where: { orders: { some: { pieces: { gt: 6 } } } }) { totalCount } }",
            "{ orders(where: { OR: [{ customer: { hidden: { eq: true } } }, { AND: [{ pieces: { lt: 2 } }, { NOT: { note: { eq: null } } }] }] }) { id } }",
            "{ orders(limit: 2) { __typename id } }",
        ]
        .map(str::to_owned),
    );
    let telling = same(&mapped, &own, &documents).await;
    assert!(telling * 10 > documents.len() * 7, "{telling} of {}", documents.len());
    // What a rule of a field refuses is refused with the same path.
    let document = "{ customers(sort: [{ id: ASC }]) { id mail } }";
    for who in TENANTS {
        let asking = principal(who, json!({"roles": []}));
        let of_own = own.body(&asking, document, json!({})).await.0;
        assert_eq!(of_own["errors"][0]["extensions"]["code"], "FORBIDDEN");
        assert_eq!(mapped.body(&asking, document, json!({})).await.0, of_own);
        let everything = own.body(&admin(who), document, json!({})).await.0;
        assert_eq!(mapped.body(&admin(who), document, json!({})).await.0, everything);
    }
}
