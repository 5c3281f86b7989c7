//! Lists, connections, filters and joins, as both tenants.

use serde_json::json;

use super::world::{TENANTS, World, admin};

#[tokio::test]
async fn a_walk_over_graph_and_rows_takes_one_statement_per_store_and_level() {
    let world = World::filled().await;
    for tenant in TENANTS {
        let query = r#"{ facilities(where: {region: {eq: "EU"}}, sort: [{name: DESC}]) {
            id name tags notes opened rating summary
            devices(sort: [{battery: ASC}], limit: 2) { id battery status total active seen alerts(sort: [{severity: DESC}]) { severity message } }
            contracts { supplier price facility { name contracts { id } } }
        } }"#;
        let (body, counts) = world.body(&admin(tenant), query, json!({})).await;
        assert_eq!(
            body,
            json!({"data": {"facilities": [
                {"id": "f1", "name": "North", "tags": ["cold", "big"], "notes": {"a": [1, {"b": null}]}, "opened": "2020-01-02", "rating": 4.5,
                 "summary": tenant,
                 "devices": [
                    {"id": "d2", "battery": 40, "status": "FAILING", "total": null, "active": false, "seen": null, "alerts": [{"severity": 2, "message": null}]},
                    {"id": "d1", "battery": 90, "status": "OK", "total": "9007199254740993", "active": true, "seen": "2026-01-01T08:00:00.000Z",
                     "alerts": [{"severity": 3, "message": "warm"}, {"severity": 1, "message": null}]}],
                 "contracts": [
                    {"supplier": "Frost", "price": 10.5, "facility": {"name": "North", "contracts": [{"id": "c1"}, {"id": "c2"}]}},
                    {"supplier": "Ice", "price": 20.0, "facility": {"name": "North", "contracts": [{"id": "c1"}, {"id": "c2"}]}}]},
                {"id": "f3", "name": "East", "tags": null, "notes": null, "opened": null, "rating": null, "summary": null, "devices": [], "contracts": []}
            ]}})
        );
        // Facilities, devices and alerts; contracts; facilities again; contracts again.
        assert_eq!(counts, [2, 2, 0]);
    }
}
