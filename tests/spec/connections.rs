//! Relay connections: pages, cursors, totals, aggregates.

use serde_json::{Value as Json, json};

use super::world::{TENANTS, World, admin};

/// All ids of a connection, page by page.
async fn pages(world: &World, tenant: &str, field: &str, args: &str, size: usize, backwards: bool) -> Vec<Vec<String>> {
    let (count, cursor, end, more) = if backwards {
        ("last", "before", "startCursor", "hasPreviousPage")
    } else {
        ("first", "after", "endCursor", "hasNextPage")
    };
    let mut pages = Vec::new();
    let mut at = String::new();
    for _ in 0..20 {
        let query = format!(
            "{{ list: {field}({args} {count}: {size}{at}) {{ edges {{ cursor node {{ id }} }} pageInfo {{ {end} {more} }} }} }}"
        );
        let list = world.data(&admin(tenant), &query).await["list"].clone();
        let edges = list["edges"].as_array().unwrap();
        pages.push(edges.iter().map(|edge| edge["node"]["id"].as_str().unwrap().to_owned()).collect());
        let edge = if backwards { edges.first() } else { edges.last() };
        assert_eq!(edge.map_or(&Json::Null, |edge| &edge["cursor"]), &list["pageInfo"][end]);
        if list["pageInfo"][more] == false {
            return pages;
        }
        at = format!(", {cursor}: {}", list["pageInfo"][end]);
    }
    panic!("the pages never end");
}

#[tokio::test]
async fn pages_follow_each_other_forwards_and_backwards_with_ties_and_absent_values() {
    let world = World::filled().await;
    for tenant in TENANTS {
        for (sort, order) in [
            ("", ["f1", "f2", "f3", "f4"]),
            ("sort: [{capacity: ASC}],", ["f2", "f1", "f4", "f3"]),
            ("sort: [{capacity: DESC}],", ["f3", "f1", "f4", "f2"]),
            ("sort: [{region: DESC}, {name: ASC}],", ["f2", "f3", "f1", "f4"]),
            ("sort: [{id: DESC}],", ["f4", "f3", "f2", "f1"]),
        ] {
            for size in 1..=4 {
                let forwards = pages(&world, tenant, "facilitiesConnection", sort, size, false).await;
                assert_eq!(forwards.concat(), order, "{sort} by {size}");
                let backwards = pages(&world, tenant, "facilitiesConnection", sort, size, true).await;
                let from_the_end: Vec<String> = backwards.into_iter().rev().flatten().collect();
                assert_eq!(from_the_end, order, "{sort} by {size} from the end");
            }
        }
    }
}

#[tokio::test]
async fn cursors_of_a_relationship_sorted_by_its_property_stay_right_while_data_changes() {
    let world = World::filled().await;
    let page = |after: &str| {
        format!(
            "{{ facility(id: \"f1\") {{ devicesConnection(sort: [{{edge: {{since: ASC}}}}], first: 1{after}) {{ edges {{ cursor properties {{ since slot }} node {{ id }} }} pageInfo {{ hasNextPage hasPreviousPage }} }} }} }}"
        )
    };
    for tenant in TENANTS {
        let who = admin(tenant);
        let first = world.data(&who, &page("")).await["facility"]["devicesConnection"].clone();
        assert_eq!(first["edges"][0]["node"]["id"], "d2");
        assert_eq!(first["edges"][0]["properties"], json!({"since": "2020-01-01T00:00:00.000Z", "slot": 1}));
        assert_eq!(first["pageInfo"], json!({"hasNextPage": true, "hasPreviousPage": false}));
        // One before the cursor goes, one after it comes.
        let change = r#"mutation { deleteDevices(where: {id: {eq: "d2"}}) { nodesDeleted relationshipsDeleted }
            updateFacilities(where: {id: {eq: "f1"}}, update: {devices: [{create: [{node: {id: "d9", serial: "s9", name: "Late"}, edge: {since: "2020-06-01T00:00:00Z"}}]}]}) { info { nodesCreated relationshipsCreated } } }"#;
        let changed = world.data(&who, change).await;
        assert_eq!(changed["deleteDevices"], json!({"nodesDeleted": 1, "relationshipsDeleted": 2}));
        let after = format!(", after: {}", first["edges"][0]["cursor"]);
        let second = world.data(&who, &page(&after)).await["facility"]["devicesConnection"].clone();
        assert_eq!(
            (&second["edges"][0]["node"]["id"], &second["pageInfo"]["hasPreviousPage"]),
            (&json!("d9"), &json!(true))
        );
    }
}

#[tokio::test]
async fn hostile_54_a_cursor_is_worth_nothing_elsewhere() {
    let world = World::filled().await;
    let cursor = world.data(&admin("alpha"), "{ facilitiesConnection(first: 1) { pageInfo { endCursor } } }").await["facilitiesConnection"]
        ["pageInfo"]["endCursor"]
        .clone();
    let own = format!("{{ facilitiesConnection(first: 1, after: {cursor}) {{ totalCount }} }}");
    assert_eq!(world.code(&admin("alpha"), &own).await, "no error");
    assert_eq!(world.code(&admin("beta"), &own).await, "BAD_CURSOR", "of another tenant");
    for (field, args) in [("devicesConnection", ""), ("facilitiesConnection", "sort: [{name: ASC}],")] {
        let query = format!("{{ {field}({args} first: 1, after: {cursor}) {{ totalCount }} }}");
        assert_eq!(world.code(&admin("alpha"), &query).await, "BAD_CURSOR", "of another list");
    }
    for forged in ["", "!", "AAAA", "WyJmMSJd"] {
        let query = format!("{{ facilitiesConnection(first: 1, after: \"{forged}\") {{ totalCount }} }}");
        assert_eq!(world.code(&admin("alpha"), &query).await, "BAD_CURSOR", "{forged:?}");
    }
}

#[tokio::test]
async fn totals_and_figures_are_of_all_records_and_come_in_the_same_statement() {
    let world = World::filled().await;
    let query = r#"{ facilitiesConnection(first: 1, where: {region: {eq: "EU"}}) {
        totalCount
        aggregate { count { nodes } node { capacity { min max average sum } name { shortest longest } opened { min max } rating { max } } }
        edges { node { name devicesConnection(first: 1, sort: [{node: {name: DESC}}]) {
            totalCount aggregate { count { nodes edges } node { battery { sum } } edge { slot { min max } } } edges { node { name } } } } }
    } }"#;
    for tenant in TENANTS {
        let (body, counts) = world.body(&admin(tenant), query, json!({})).await;
        assert_eq!(
            body["data"]["facilitiesConnection"],
            json!({
                "totalCount": 2,
                "aggregate": {"count": {"nodes": 2}, "node": {
                    "capacity": {"min": 10, "max": 10, "average": 10.0, "sum": 10},
                    "name": {"shortest": "East", "longest": "North"}, "opened": {"min": "2020-01-02", "max": "2020-01-02"}, "rating": {"max": 4.5}}},
                "edges": [{"node": {"name": "North", "devicesConnection": {
                    "totalCount": 3,
                    "aggregate": {"count": {"nodes": 3, "edges": 3}, "node": {"battery": {"sum": 130}}, "edge": {"slot": {"min": 1, "max": 2}}},
                    "edges": [{"node": {"name": "Gamma"}}]}}}]
            }),
            "{body}"
        );
        assert_eq!(counts, [1, 0, 0]);
    }
}

#[tokio::test]
async fn parts_under_several_aliases_share_the_rows() {
    let world = World::filled().await;
    let query = r#"{ c: facilitiesConnection(first: 2) { a: edges { n: node { x: name } __typename } b: edges { m: node { x: region } node { id } } i: pageInfo { __typename hasNextPage } __typename } }"#;
    for tenant in TENANTS {
        let expected = json!({"c": {"a": [{"n": {"x": "North"}, "__typename": "FacilityEdge"}, {"n": {"x": "South"}, "__typename": "FacilityEdge"}],
            "b": [{"m": {"x": "EU"}, "node": {"id": "f1"}}, {"m": {"x": "US"}, "node": {"id": "f2"}}],
            "i": {"__typename": "PageInfo", "hasNextPage": true}, "__typename": "FacilitiesConnection"}});
        assert_eq!(world.data(&admin(tenant), query).await, expected);
    }
}

#[tokio::test]
async fn hostile_13_14_pages_and_prices_are_limited() {
    let world = World::filled().await;
    for (query, code) in [
        ("{ facilities(limit: 99999999) { id } }", "PAGE_TOO_LARGE"),
        ("{ facilitiesConnection(first: 99999999) { edges { node { id } } } }", "PAGE_TOO_LARGE"),
        ("{ contracts(limit: 21) { id } }", "PAGE_TOO_LARGE"),
        ("{ facilities(limit: -1) { id } }", "BAD_USER_INPUT"),
        ("{ facilitiesConnection(first: 1, last: 1) { totalCount } }", "BAD_USER_INPUT"),
        ("{ facilities(limit: 1000) { devices(limit: 1000) { alerts(limit: 1000) { id } } } }", "TOO_EXPENSIVE"),
    ] {
        assert_eq!(world.code(&admin("alpha"), query).await, code, "{query}");
    }
    let mutation = r#"mutation { deleteFacilities(where: {id: {eq: "f1"}}) { nodesDeleted }
        updateFacilities(where: {id: {eq: "f2"}}, update: {name: {set: "x"}}) { facilities { devices(limit: 99999) { id } } } }"#;
    assert_eq!(world.code(&admin("alpha"), mutation).await, "PAGE_TOO_LARGE");
    let still = world.data(&admin("alpha"), r#"{ facility(id: "f1") { id } }"#).await;
    assert_eq!(still, json!({"facility": {"id": "f1"}}), "nothing ran");
}
