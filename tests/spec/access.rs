//! Who sees what: rules in every place a query can touch, as a golden matrix and as single attacks.

use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use super::world::{World, admin, principal};

/// The cast, with their claims.
fn cast(tenant: &str) -> Vec<(&'static str, quipu_resolvers::guard::Principal)> {
    let who = |claims: Json| principal(tenant, claims);
    let nobody = quipu_resolvers::guard::Principal { subject: None, ..who(json!({"regions": ["EU"]})) };
    vec![
        ("admin", admin(tenant)),
        ("eu", who(json!({"regions": ["EU"]}))),
        ("us operator", who(json!({"regions": ["US"], "roles": ["operator"]}))),
        ("everywhere", who(json!({"regions": ["EU", "US", "ASIA"]}))),
        ("no regions", who(json!({"regions": []}))),
        ("no claims", who(json!({}))),
        ("odd claims", who(json!({"regions": "EU", "roles": "admin"}))),
        ("nobody", nobody),
    ]
}

/// What is asked of each type: every way in which a record may come to light.
const QUESTIONS: &[(&str, &str)] = &[
    ("facilities", "{ x: facilities { id } }"),
    ("facility by id f2", "{ x: facility(id: \"f2\") { id } }"),
    ("facility totals", "{ x: facilitiesConnection { totalCount aggregate { node { capacity { sum } } } } }"),
    ("facilities by hidden device", "{ x: facilities(where: {devices: {some: {id: {eq: \"d4\"}}}}) { id } }"),
    ("devices", "{ x: devices { id } }"),
    ("devices by battery", "{ x: devices(where: {battery: {gt: 50}}, sort: [{battery: DESC}]) { id } }"),
    ("device totals", "{ x: devicesConnection { totalCount aggregate { node { battery { max } } } } }"),
    ("device to facility", "{ x: device(id: \"d4\") { facility { id } } }"),
    ("alert to device to facility", "{ x: alerts { device { facility { id } } } }"),
    ("alerts by hidden facility", "{ x: alerts(where: {device: {facility: {region: {eq: \"EU\"}}}}) { id } }"),
    ("alerts without a device", "{ x: alerts(where: {NOT: {device: {battery: {gt: 0}}}}) { id } }"),
    ("contracts", "{ x: contracts { id facility { id } } }"),
    ("contracts by hidden facility", "{ x: contracts(where: {facility: {region: {eq: \"EU\"}}}) { id } }"),
    ("assets", "{ x: assets { __typename id } }"),
    ("entities total", "{ x: entitiesConnection { totalCount } }"),
    ("relationships", "{ x: relationshipsConnection { totalCount } }"),
    ("watcher to assets", "{ x: watchers { assets { id } assetsConnection { totalCount } } }"),
    (
        "update a device",
        "mutation { x: updateDevices(where: {id: {eq: \"d4\"}}, update: {battery: {set: 70}}) { devices { id } } }",
    ),
];

/// Who sees what in a tenant.
pub async fn matrix(world: &World, tenant: &str) -> String {
    let mut matrix = String::new();
    for (title, query) in QUESTIONS {
        let _ = writeln!(matrix, "{title}: {query}");
        for (name, who) in cast(tenant) {
            let (data, errors) = world.run(&who, query, json!({})).await;
            let shown = match errors[0]["extensions"]["code"].as_str() {
                Some(code) => format!("{code} {}", data["x"]),
                None => data["x"].to_string(),
            };
            let _ = writeln!(matrix, "    {name:<12} {shown}");
        }
    }
    matrix
}

#[tokio::test]
async fn the_access_matrix() {
    let world = World::filled().await;
    let matrices = [matrix(&world, "alpha").await, matrix(&world, "beta").await];
    assert_eq!(matrices[0], matrices[1], "the tenants hold the same and see the same");
    insta::assert_snapshot!("access_matrix", matrices[0]);
}

#[tokio::test]
async fn hostile_51_to_60_nothing_of_another_tenant_or_of_what_is_hidden_comes_through() {
    let world = World::filled().await;
    world
        .data(
            &admin("beta"),
            r#"mutation { updateFacilities(update: {name: {set: "beta"}, rating: {set: 1.5}}) { facilities { id } } }"#,
        )
        .await;
    let seen = world
        .data(&admin("alpha"), "{ facilities { name rating } entities { id ... on Facility { name } } }")
        .await
        .to_string();
    assert!(!seen.contains("beta") && !seen.contains("1.5"), "{seen}");
    let eu = principal("alpha", json!({"regions": ["EU"]}));
    for (hidden, absent) in [
        ("{ x: facility(id: \"f2\") { name } }", "{ x: facility(id: \"f77\") { name } }"),
        ("{ x: devices(where: {id: {eq: \"d4\"}}) { id } }", "{ x: devices(where: {id: {eq: \"d77\"}}) { id } }"),
        (
            "mutation { x: updateFacilities(where: {devices: {some: {id: {eq: \"d4\"}}}}, update: {capacity: {set: 1}}) { facilities { id } } }",
            "mutation { x: updateFacilities(where: {devices: {some: {id: {eq: \"d77\"}}}}, update: {capacity: {set: 1}}) { facilities { id } } }",
        ),
    ] {
        assert_eq!(world.body(&eu, hidden, json!({})).await, world.body(&eu, absent, json!({})).await, "{hidden}");
    }
}
