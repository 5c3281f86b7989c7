//! `where`: operators, quantifiers, edges, joins across stores, interfaces and unions.

use serde_json::json;

use super::world::{TENANTS, World, admin};

/// Conditions on facilities with the ids that meet them.
const FACILITIES: &[(&str, &[&str])] = &[
    ("name: {eq: \"North\"}", &["f1"]),
    ("name: {in: [\"North\", \"East\"]}", &["f1", "f3"]),
    ("name: {contains: \"t\"}", &["f1", "f2", "f3", "f4"]),
    ("name: {startsWith: \"S\"}", &["f2"]),
    ("name: {endsWith: \"st\"}", &["f3"]),
    ("name: {contains: \"%\"}", &[]),
    ("name: {contains: \"' OR 1=1 --\"}", &[]),
    ("capacity: {gt: 5}", &["f1", "f4"]),
    ("capacity: {gte: 5, lt: 10}", &["f2"]),
    ("capacity: {eq: null}", &["f3"]),
    ("NOT: {capacity: {eq: 10}}", &["f2"]),
    ("NOT: {capacity: {eq: null}}", &["f1", "f2", "f4"]),
    ("rating: {lt: 4.6}", &["f1"]),
    ("opened: {gte: \"2020-01-02\"}", &["f1"]),
    ("tags: {includes: \"cold\"}", &["f1"]),
    ("tags: {eq: [\"cold\", \"big\"]}", &["f1"]),
    ("AND: [{capacity: {eq: 10}}, {region: {eq: \"EU\"}}]", &["f1"]),
    ("OR: [{capacity: {eq: 5}}, {region: {eq: \"ASIA\"}}]", &["f2", "f4"]),
    ("OR: []", &[]),
    ("AND: []", &["f1", "f2", "f3", "f4"]),
    ("devices: {some: {battery: {gt: 50}}}", &["f1", "f2"]),
    ("devices: {none: {battery: {gt: 50}}}", &["f3", "f4"]),
    ("devices: {all: {battery: {gt: 50}}}", &["f2"]),
    ("devices: {all: {name: {startsWith: \"D\"}}}", &["f2"]),
    ("devices: {single: {battery: {gt: 0}}}", &["f2"]),
    ("devices: {some: {status: {eq: FAILING}, active: {eq: false}}}", &["f1"]),
    ("devices: {some: {alerts: {some: {severity: {gte: 3}}}}}", &["f1"]),
    ("devicesConnection: {some: {edge: {slot: {eq: 1}}}}", &["f1", "f2"]),
    ("devicesConnection: {some: {edge: {slot: {eq: 1}}, node: {battery: {gt: 50}}}}", &["f2"]),
    ("devicesConnection: {none: {edge: {since: {lt: \"2020-01-01T00:00:00Z\"}}}}", &["f1", "f3", "f4"]),
    ("contracts: {some: {supplier: {eq: \"Frost\"}}}", &["f1", "f2"]),
    ("contracts: {none: {supplier: {eq: \"Frost\"}}}", &["f3", "f4"]),
    ("contracts: {all: {supplier: {eq: \"Frost\"}}}", &["f2"]),
    ("contracts: {single: {price: {gt: 0}}}", &[]),
    ("contracts: {some: {facility: {capacity: {eq: 5}}}}", &["f2"]),
    ("NOT: {contracts: {some: {price: {gt: 15}}}}", &["f2", "f3", "f4"]),
];

#[tokio::test]
async fn every_operator_and_quantifier_finds_its_records_and_counts_them() {
    let world = World::filled().await;
    for tenant in TENANTS {
        for (condition, expected) in FACILITIES {
            let query = format!(
                "{{ facilities(where: {{{condition}}}) {{ id }} c: facilitiesConnection(where: {{{condition}}}) {{ totalCount }} }}"
            );
            let data = world.data(&admin(tenant), &query).await;
            let ids: Vec<&str> =
                data["facilities"].as_array().unwrap().iter().map(|f| f["id"].as_str().unwrap()).collect();
            assert_eq!(&ids, expected, "{condition}");
            assert_eq!(data["c"]["totalCount"], expected.len(), "{condition}");
        }
    }
}

#[tokio::test]
async fn rows_are_filtered_through_the_graph_and_back() {
    let world = World::filled().await;
    for tenant in TENANTS {
        for (condition, expected) in [
            ("facility: {devices: {some: {status: {eq: FAILING}}}}", json!([{"id": "c1"}, {"id": "c2"}])),
            ("facility: {region: {eq: \"US\"}}", json!([{"id": "c3"}])),
            ("NOT: {facility: {region: {eq: \"US\"}}}", json!([{"id": "c1"}, {"id": "c2"}])),
            ("facility_id: {eq: \"f2\"}", json!([{"id": "c3"}])),
            ("price: {eq: null}", json!([{"id": "c3"}])),
        ] {
            let query = format!("{{ contracts(where: {{{condition}}}) {{ id }} }}");
            let (body, counts) = world.body(&admin(tenant), &query, json!({})).await;
            assert_eq!(body["data"]["contracts"], expected, "{condition}");
            assert!(counts[0] + counts[1] <= 2, "{condition}: {counts:?}");
        }
    }
}

#[tokio::test]
async fn interfaces_and_unions_are_read_in_one_statement() {
    let world = World::filled().await;
    for tenant in TENANTS {
        let who = admin(tenant);
        let query = r#"{ watchers { assets(sort: [{name: DESC}]) { __typename id name ... on Device { battery facility { name } } ... on Vehicle { wheels } }
                                    things { __typename ... on Alert { severity } ... on Vehicle { wheels } } }
                         assets(where: {name: {contains: "a"}}, sort: [{name: ASC}], limit: 3) { name }
                         only: assets(where: {typename: [Vehicle]}) { id }
                         entitiesConnection(where: {id: {eq: "d1"}}, first: 5) { totalCount edges { node { __typename id } } } }"#;
        let (body, counts) = world.body(&who, query, json!({})).await;
        assert_eq!(
            body["data"],
            json!({
                "watchers": [{
                    "assets": [{"__typename": "Vehicle", "id": "d1", "name": "Van", "wheels": 4},
                               {"__typename": "Device", "id": "d1", "name": "Alpha", "battery": 90, "facility": {"name": "North"}}],
                    "things": [{"__typename": "Alert", "severity": 3}, {"__typename": "Vehicle", "wheels": 2}]}],
                "assets": [{"name": "Alpha"}, {"name": "Beta"}, {"name": "Delta"}],
                "only": [{"id": "d1"}, {"id": "v2"}],
                "entitiesConnection": {"totalCount": 2, "edges": [{"node": {"__typename": "Device", "id": "d1"}}, {"node": {"__typename": "Vehicle", "id": "d1"}}]}
            }),
            "{body}"
        );
        assert_eq!(counts, [4, 0, 0], "one statement per root field");
    }
}

#[tokio::test]
async fn relationships_are_records_of_their_own() {
    let world = World::filled().await;
    for tenant in TENANTS {
        let query = r#"{ relationshipsConnection(where: {type: {eq: "HAS_DEVICE"}, from: {id: {eq: "f2"}}}) { totalCount edges { node { type properties from { id ... on Facility { name } } to { __typename id } } } } }"#;
        let found = world.data(&admin(tenant), query).await["relationshipsConnection"].clone();
        assert_eq!(found["totalCount"], 1);
        let node = &found["edges"][0]["node"];
        assert_eq!(node["from"], json!({"id": "f2", "name": "South"}));
        assert_eq!(node["to"], json!({"__typename": "Device", "id": "d4"}));
        assert_eq!(node["properties"], json!({"since": "2019-01-01T00:00:00.000Z", "slot": 1}));
    }
}
