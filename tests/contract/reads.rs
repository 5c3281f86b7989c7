//! Reads: nesting, order, windows, conditions.

use quipu_resolvers::read::{Field, Pick};
use quipu_schema::ontology::Direction;
use serde_json::json;

use super::Stores;
use super::fixture::*;

/// A whole subtree is one statement; each level has its own order and limit.
pub async fn nested_three_levels(stores: Stores) {
    fill(&stores).await;
    for who in TENANTS {
        let alerts = along("RAISED", Direction::Out, "Alert", vec![pick(Field::Id), pick(field("severity"))])
            .sorted(vec![down(field("severity")), up(Field::Id)])
            .first(1);
        let devices = along(
            "HAS_DEVICE",
            Direction::Out,
            "Device",
            vec![pick(field("name")), pick(edge("since")), pick(edge("confidence")), Pick::Read(Box::new(alerts))],
        )
        .sorted(vec![up(edge("since")), up(Field::Id)])
        .first(2);
        let facilities = all("Facility", vec![pick(Field::Id), pick(field("name")), Pick::Read(Box::new(devices))])
            .sorted(vec![up(field("name")), up(Field::Id)])
            .first(3);
        assert_eq!(
            ask(&stores, who, facilities).await,
            json!([
                ["f3", format!("{who} Athens"), [[format!("{who} Fan"), "2017-01-01", 0.6, [["a4", 1]]]]],
                ["f2", format!("{who} Bergen"), [[format!("{who} Gate"), "2018-01-01", 0.8, []]]],
                [
                    "f1",
                    format!("{who} Oslo"),
                    [
                        [format!("{who} Cooler"), "2019-01-01", 0.5, []],
                        [format!("{who} Freezer"), "2020-01-01", 0.9, [["a1", 5]]],
                    ]
                ],
            ])
        );
    }
}
