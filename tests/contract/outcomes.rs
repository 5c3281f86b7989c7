//! Outcomes: the form of rows, totals and figures.

use quipu_resolvers::read::{Field, Pick, Predicate, Read};
use quipu_resolvers::value::Value;
use quipu_schema::api::Figure;
use quipu_schema::ontology::Direction;
use quipu_schema::policy::Operator;
use serde_json::json;

use super::Stores;
use super::fixture::*;

pub async fn values_come_out_typed(stores: Stores) {
    fill(&stores).await;
    for who in TENANTS {
        let picks = ["grade?", "score?", "active?", "tags?", "extra?", "code?"].map(|name| pick(field(name)));
        assert_eq!(
            ask(&stores, who, all("Facility", picks.to_vec())).await,
            json!([
                [3, 0.1, true, ["cold", "new"], null, "A"],
                [1, 2.5, false, [], null, "B"],
                [3, null, null, null, {"size": [1, 2.5, null], "deep": {"a": true}}, null],
                [null, null, null, null, null, null],
            ])
        );
        let types = all("Facility", vec![pick(Field::Type), pick(Field::Id)]).first(1);
        assert_eq!(ask(&stores, who, types).await, json!([["Facility", "f1"]]));
    }
}

/// Any text comes back as it was written, in values, ids, lists and JSON.
pub async fn odd_texts_survive(stores: Stores) {
    let odd = [
        "",
        " ",
        "\"quoted\" and 'single'",
        "line\nbreak\ttab\r",
        "back\\slash",
        "\u{1}\u{1f}\u{7f}",
        "zwj 👩‍🚀 \u{10ffff}",
        "</script>",
        "null",
        "{\"a\":1}",
        "[1]",
        "null\u{0}byte",
    ];
    for who in TENANTS {
        publish(&stores, who).await;
        let ops = odd.iter().enumerate().map(|(index, text)| {
            let id = format!("{index:02}{}", if text.contains('\u{0}') { "" } else { text });
            put("Facility", &id, json!({"name": text, "region": who, "tags": [text], "extra": {"k": text, *text: 1}}))
        });
        write(&stores, who, ops.collect()).await;
        let found = ask(
            &stores,
            who,
            all("Facility", vec![pick(Field::Id), pick(field("name")), pick(field("tags?")), pick(field("extra?"))]),
        )
        .await;
        for (index, text) in odd.iter().enumerate() {
            let id = format!("{index:02}{}", if text.contains('\u{0}') { "" } else { text });
            assert_eq!(found[index], json!([id, text, [text], {"k": text, *text: 1}]));
            let by_id =
                all("Facility", vec![pick(field("name"))]).filtered(Predicate::equals(Field::Id, Value::from(id)));
            assert_eq!(ask(&stores, who, by_id).await, json!([[text]]));
        }
    }
}

fn with_figures(mut read: Read, figures: Vec<(Figure, Field)>) -> Read {
    read.total = true;
    read.figures = figures;
    read
}

/// Totals and figures speak of all matching records, whatever the window shows.
pub async fn totals_and_figures(stores: Stores) {
    fill(&stores).await;
    for who in TENANTS {
        let figures = vec![
            (Figure::Min, field("grade?")),
            (Figure::Max, field("grade?")),
            (Figure::Sum, field("grade?")),
            (Figure::Average, field("score?")),
            (Figure::Shortest, field("name")),
            (Figure::Longest, field("name")),
            (Figure::Min, field("name")),
        ];
        let read = with_figures(all("Facility", vec![pick(Field::Id)]).first(1), figures.clone());
        assert_eq!(
            ask(&stores, who, read.clone()).await,
            json!([
                [["f1"]],
                4,
                [1, 3, 7, 1.3, format!("{who} Oslo"), format!("{who} Bergen"), format!("{who} Athens")]
            ])
        );
        let mut windowed = read.clone();
        windowed.window.after = Some(vec![Value::from("f2")]);
        assert_eq!(ask(&stores, who, windowed).await[1], 4);
        let north = read.filtered(Predicate::equals(field("region"), Value::from("north")));
        assert_eq!(ask(&stores, who, north).await[1], 2);
        let nothing = with_figures(all("Facility", vec![pick(Field::Id)]).filtered(Predicate::False), figures);
        assert_eq!(ask(&stores, who, nothing).await, json!([[], 0, [null, null, 0, null, null, null, null]]));
        let mut only = all("Facility", vec![pick(Field::Id)]).first(1);
        only.figures = vec![(Figure::Max, field("score?"))];
        assert_eq!(ask(&stores, who, only).await, json!([[["f1"]], null, [2.5]]));
    }
}

pub async fn totals_without_rows(stores: Stores) {
    fill(&stores).await;
    for who in TENANTS {
        let mut read = all("Facility", vec![pick(Field::Id)]);
        read.rows = false;
        read.total = true;
        assert_eq!(ask(&stores, who, read).await, json!([null, 4, null]));
    }
}

/// Nested totals and figures are per parent, also over the relationship's properties.
pub async fn figures_per_parent(stores: Stores) {
    fill(&stores).await;
    for who in TENANTS {
        let devices = along("HAS_DEVICE", Direction::Out, "Device", vec![pick(Field::Id)]).first(1);
        let figures =
            vec![(Figure::Max, edge("confidence")), (Figure::Min, edge("since")), (Figure::Max, field("name"))];
        let nested = Pick::Read(Box::new(with_figures(devices, figures)));
        assert_eq!(
            ask(&stores, who, all("Facility", vec![pick(Field::Id), nested])).await,
            json!([
                ["f1", [[["d1"]], 3, [0.9, "2019-01-01", format!("{who} Probe")]]],
                ["f2", [[["d4"]], 1, [0.8, "2018-01-01", format!("{who} Gate")]]],
                ["f3", [[["d5"]], 1, [0.6, "2017-01-01", format!("{who} Fan")]]],
                ["f4", [[], 0, [null, null, null]]],
            ])
        );
    }
}

/// A condition as a value is true or false, never null.
pub async fn predicates_as_values(stores: Stores) {
    fill(&stores).await;
    for who in TENANTS {
        let high = Predicate::Compare { field: field("grade?"), operator: Operator::Gt, value: Value::Int(2) };
        let read = all("Facility", vec![Pick::Holds(high.clone()), pick(Field::Id), Pick::Holds(high.negate())]);
        assert_eq!(
            ask(&stores, who, read).await,
            json!([[true, "f1", false], [false, "f2", true], [true, "f3", false], [false, "f4", false]])
        );
        let since =
            Predicate::Compare { field: edge("since"), operator: Operator::Lt, value: Value::from("2020-01-01") };
        let devices = along("HAS_DEVICE", Direction::Out, "Device", vec![pick(Field::Id), Pick::Holds(since)]);
        let read = all("Facility", vec![Pick::Read(Box::new(devices))]).first(1);
        assert_eq!(ask(&stores, who, read).await, json!([[[["d1", false], ["d2", true], ["d3", false]]]]));
    }
}

/// A row of several types begins with the type's position; conditions and picks are each type's own.
pub async fn several_types(stores: Stores) {
    fill(&stores).await;
    for who in TENANTS {
        let mut read = all("Facility", vec![]).sorted(vec![up(Field::Id)]);
        let alerts = along("RAISED", Direction::Out, "Alert", vec![pick(Field::Id)]);
        read.targets = vec![
            target("Device", vec![pick(Field::Type), pick(field("status")), Pick::Read(Box::new(alerts))]),
            target("Facility", vec![pick(field("region"))]),
        ];
        read.targets[0].filter = Predicate::equals(field("status"), Value::from("FAILED"));
        read.targets[1].filter = Predicate::equals(field("region"), Value::from("south"));
        assert_eq!(
            ask(&stores, who, read.clone()).await,
            json!([[0, "Device", "FAILED", [["a3"]]], [0, "Device", "FAILED", [["a4"]]], [1, "south"], [1, "south"]])
        );
        read.total = true;
        read.window.limit = Some(1);
        assert_eq!(ask(&stores, who, read).await, json!([[[0, "Device", "FAILED", [["a3"]]]], 4, null]));
    }
}

/// Nothing of a type was ever written: its records are none, and that is no error.
pub async fn unknown_types_are_empty(stores: Stores) {
    for who in TENANTS {
        assert_eq!(ask(&stores, who, all("Facility", vec![pick(Field::Id)])).await, json!([]), "no such tenant yet");
    }
    for who in TENANTS {
        publish(&stores, who).await;
        write(&stores, who, vec![put("Facility", "f1", json!({"name": "n", "region": "r"}))]).await;
        let none = along("NEVER_WRITTEN", Direction::Out, "Device", vec![pick(Field::Id)]);
        let read = all("Facility", vec![pick(Field::Id), Pick::Read(Box::new(none))]);
        assert_eq!(ask(&stores, who, read).await, json!([["f1", []]]));
        let mut several = all("Device", vec![]);
        several.targets = vec![target("Device", vec![]), target("Alert", vec![pick(Field::Id)])];
        several.total = true;
        assert_eq!(ask(&stores, who, several).await, json!([[], 0, null]));
    }
}
