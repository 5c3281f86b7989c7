//! Searches by words and by vector.

use quipu_resolvers::change::Ref;
use quipu_resolvers::guard;
use quipu_resolvers::ports::{Coverage, Hit, Matching, Nearest, Reached, Trace, VectorChange, VectorOf, Within};
use quipu_resolvers::read::{Field, Predicate};
use quipu_resolvers::value::Value;
use quipu_schema::policy::Operator;
use serde_json::json;

use super::Stores;
use super::fixture::*;

fn within(of: &str, filter: Predicate) -> Within {
    Within { of: of.to_owned(), row: of == "Contract", filter, visible: Predicate::True }
}

pub async fn matching(stores: &Stores, who: &str, types: Vec<Within>, text: &str, limit: u32) -> Vec<Hit> {
    let matching = Matching { within: types, text: text.to_owned(), limit };
    let matching = guard::matching(&principal(who), &ontology(), matching).unwrap();
    stores.graph.matching(&matching, call(&Trace::default())).await.unwrap()
}

pub async fn found(stores: &Stores, who: &str, text: &str) -> Vec<String> {
    let types = vec![within("Facility", Predicate::True), within("Alert", Predicate::True)];
    matching(stores, who, types, text, 10).await.into_iter().map(|hit| format!("{} {}", hit.of, hit.id)).collect()
}

async fn summaries(stores: &Stores) {
    let texts = ["frozen fish and vaccines", "fish market near the harbour", "vaccines", "nothing of the kind, fish"];
    for who in TENANTS {
        publish(stores, who).await;
        let ops = texts.iter().enumerate().map(|(index, text)| {
            let set = json!({"name": format!("{who} {index}"), "region": if index % 2 == 0 { "even" } else { "odd" }, "summary": text});
            put("Facility", &format!("f{index}"), set)
        });
        write(stores, who, ops.collect()).await;
        write(
            stores,
            who,
            vec![put("Alert", "a1", json!({"severity": 1, "note": format!("Vaccines too warm, {who}")}))],
        )
        .await;
    }
}

pub async fn words(stores: Stores) {
    summaries(&stores).await;
    for who in TENANTS {
        let hits = matching(&stores, who, vec![within("Facility", Predicate::True)], "frozen vaccines", 10).await;
        assert_eq!(hits.iter().map(|hit| hit.id.as_str()).collect::<Vec<_>>(), ["f0", "f2"]);
        assert!(hits[0].score > hits[1].score && hits[1].score > 0.0, "{hits:?}");
        assert_eq!(found(&stores, who, "VACCINES").await.len(), 3, "case does not matter");
        assert_eq!(found(&stores, who, who).await, ["Alert a1"]);
        let other = TENANTS[usize::from(who == TENANTS[0])];
        assert!(found(&stores, who, other).await.is_empty());
        assert_eq!(matching(&stores, who, vec![within("Facility", Predicate::True)], "fish", 2).await.len(), 2);
        let third = Predicate::equals(field("name"), Value::from(format!("{who} 3")));
        let hits = matching(&stores, who, vec![within("Facility", third)], "fish", 1).await;
        assert_eq!(
            hits.iter().map(|hit| hit.id.as_str()).collect::<Vec<_>>(),
            ["f3"],
            "the filter acts before the limit"
        );
        assert!(matching(&stores, who, vec![], "fish", 1).await.is_empty());
        assert!(matching(&stores, who, vec![within("Nothing", Predicate::True)], "fish", 1).await.is_empty());
    }
}

/// Whatever looks like syntax of a search engine is searched as words or not at all.
pub async fn words_have_no_syntax(stores: Stores) {
    summaries(&stores).await;
    for who in TENANTS {
        for text in ["", " ", "\"", "'", "*", "()", "-", "\" OR \"", ":", "^", "\u{0}", "OR NOT", "💥"] {
            assert!(found(&stores, who, text).await.is_empty(), "{text:?}");
        }
        for text in [
            "fish*",
            "fish AND nothing_here",
            "fish NOT fish",
            "body:fish",
            "^fish",
            "\"fish",
            "fish\"",
            "NEAR(fish, 2)",
            "fish) OR (",
            "{fish}",
            "-fish",
            "'; DROP TABLE node; --fish",
        ] {
            assert!(found(&stores, who, text).await.len() >= 3, "{text:?}");
        }
        assert!(found(&stores, who, "fis*").await.is_empty());
        let long = "word ".repeat(100_000);
        assert!(found(&stores, who, &long).await.is_empty());
    }
}

pub async fn words_follow_changes(stores: Stores) {
    summaries(&stores).await;
    for who in TENANTS {
        write(&stores, who, vec![put("Facility", "f2", json!({"summary": "empty now"}))]).await;
        assert_eq!(found(&stores, who, "vaccines").await.len(), 2);
        assert_eq!(found(&stores, who, "empty").await, ["Facility f2"]);
        write(&stores, who, vec![put("Facility", "f2", json!({"region": "changed"}))]).await;
        assert_eq!(found(&stores, who, "empty").await, ["Facility f2"]);
        write(&stores, who, vec![put("Facility", "f2", json!({"summary": null}))]).await;
        assert!(found(&stores, who, "empty").await.is_empty());
        write(&stores, who, vec![delete("Facility", "f0")]).await;
        assert_eq!(found(&stores, who, "vaccines").await, ["Alert a1"]);
        write(&stores, who, vec![put("Facility", "f0", json!({"name": "n", "region": "r"}))]).await;
        assert_eq!(found(&stores, who, "vaccines").await, ["Alert a1"]);
    }
}

/// Texts of rows are searched in the same way.
pub async fn words_of_rows(stores: Stores) {
    for who in TENANTS {
        publish(&stores, who).await;
        let mut op = put("Contract", "c1", json!({"supplier": format!("{who} ice cream"), "facility_id": "f1"}));
        if let quipu_resolvers::change::Op::Put { embed, .. } = &mut op {
            embed.push("supplier".to_owned());
        }
        write(&stores, who, vec![op]).await;
    }
    for who in TENANTS {
        let hits = |filter| matching(&stores, who, vec![within("Contract", filter)], "ice", 10);
        assert_eq!(hits(Predicate::True).await.len(), 1);
        assert!(hits(Predicate::equals(field("facility_id"), Value::from("f2"))).await.is_empty());
    }
    write(&stores, "alpha", vec![delete("Contract", "c1")]).await;
    assert!(matching(&stores, "alpha", vec![within("Contract", Predicate::True)], "ice", 10).await.is_empty());
    assert_eq!(matching(&stores, "beta", vec![within("Contract", Predicate::True)], "ice", 10).await.len(), 1);
}

/// A vector of length 1 in 16 dimensions, at an angle in the plane of the first two.
fn at(degrees: f32) -> Vec<f32> {
    let mut vector = vec![0.0; 16];
    (vector[0], vector[1]) = (degrees.to_radians().cos(), degrees.to_radians().sin());
    vector
}

fn vector_of(id: &str, vector: Option<Vec<f32>>) -> VectorChange {
    VectorChange {
        record: Ref { of: "Facility".to_owned(), id: id.to_owned() },
        property: Some("summary".to_owned()),
        vector,
    }
}

pub async fn nearest(stores: &Stores, who: &str, filter: Predicate, vector: Vec<f32>, limit: u32) -> Vec<Hit> {
    let nearest = Nearest { within: within("Facility", filter), property: "summary".to_owned(), vector, limit };
    let nearest = guard::nearest(&principal(who), &ontology(), nearest).unwrap();
    stores.vectors.nearest(&nearest, call(&Trace::default())).await.unwrap()
}

fn ids(hits: &[Hit]) -> Vec<&str> {
    hits.iter().map(|hit| hit.id.as_str()).collect()
}

/// Facilities at 0, 10, 20 and 30 degrees in one tenant, in reverse in the other.
async fn turned(stores: &Stores) {
    fill(stores).await;
    for (who, angles) in TENANTS.iter().zip([[0.0, 10.0, 20.0, 30.0], [30.0, 20.0, 10.0, 0.0]]) {
        let changes: Vec<VectorChange> = angles
            .iter()
            .enumerate()
            .map(|(index, angle)| vector_of(&format!("f{}", index + 1), Some(at(*angle))))
            .collect();
        stores.vectors.apply(&tenant(who), 1, &changes).await.unwrap();
    }
}

pub async fn nearest_with_filter(stores: Stores) {
    turned(&stores).await;
    let hits = nearest(&stores, "alpha", Predicate::True, at(0.0), 3).await;
    assert_eq!(ids(&hits), ["f1", "f2", "f3"]);
    assert!((hits[0].score - 1.0).abs() < 1e-6);
    assert!((hits[2].score - f64::from(20.0_f32.to_radians().cos())).abs() < 1e-6);
    assert_eq!(ids(&nearest(&stores, "beta", Predicate::True, at(0.0), 3).await), ["f4", "f3", "f2"]);
    let south = || Predicate::equals(field("region"), Value::from("south"));
    assert_eq!(ids(&nearest(&stores, "alpha", south(), at(0.0), 1).await), ["f3"]);
    assert_eq!(ids(&nearest(&stores, "beta", south(), at(0.0), 1).await), ["f4"]);
    assert_eq!(ids(&nearest(&stores, "alpha", south(), at(0.0), 10).await), ["f3", "f4"]);
    assert!(nearest(&stores, "alpha", Predicate::False, at(0.0), 10).await.is_empty());
    assert!(nearest(&stores, "nobody", Predicate::True, at(0.0), 10).await.is_empty());
    assert!(nearest(&stores, "alpha", Predicate::True, vec![1.0, 0.0], 10).await.is_empty(), "another model's vectors");
}

/// Few records meet the filter, and thousands are nearer: they are found all the same.
pub async fn few_among_many(stores: Stores) {
    for who in TENANTS {
        publish(&stores, who).await;
        let mut ops: Vec<_> = (0..5_000)
            .map(|index| put("Facility", &format!("near{index}"), json!({"name": "n", "region": "near"})))
            .collect();
        ops.push(put("Facility", "far", json!({"name": "n", "region": "far"})));
        write(&stores, who, ops).await;
        let mut changes: Vec<VectorChange> =
            (0..5_000).map(|index| vector_of(&format!("near{index}"), Some(at(index as f32 / 200.0)))).collect();
        changes.push(vector_of("far", Some(at(180.0))));
        stores.vectors.apply(&tenant(who), 1, &changes).await.unwrap();
        let far = Predicate::equals(field("region"), Value::from("far"));
        assert_eq!(ids(&nearest(&stores, who, far, at(0.0), 3).await), ["far"]);
        let near = Predicate::Compare { field: Field::Id, operator: Operator::StartsWith, value: Value::from("near") };
        assert_eq!(ids(&nearest(&stores, who, near, at(0.0), 2).await), ["near0", "near1"]);
    }
}

/// Several searches at once find what each of them finds, in their order.
pub async fn several_at_once(stores: Stores) {
    turned(&stores).await;
    for who in TENANTS {
        let south = || Predicate::equals(field("region"), Value::from("south"));
        let searches = [
            (Predicate::True, at(0.0), 3),
            (south(), at(0.0), 1),
            (Predicate::False, at(0.0), 3),
            (Predicate::True, vec![1.0, 0.0], 3),
            (Predicate::True, at(30.0), 1),
            (Predicate::True, at(0.0), 0),
            (south(), at(30.0), 9),
        ];
        let mut alone = Vec::new();
        let mut together = Vec::new();
        for (filter, vector, limit) in searches {
            alone.push(nearest(&stores, who, filter.clone(), vector.clone(), limit).await);
            let within = within("Facility", filter);
            let nearest = Nearest { within, property: "summary".to_owned(), vector, limit };
            together.push(guard::nearest(&principal(who), &ontology(), nearest).unwrap());
        }
        let trace = Trace::default();
        let found = stores.vectors.nearest_all(&together, call(&trace)).await;
        assert_eq!(found.into_iter().map(Result::unwrap).collect::<Vec<_>>(), alone, "{who}");
        assert_eq!(alone.iter().map(Vec::len).collect::<Vec<_>>(), [3, 1, 0, 0, 1, 0, 2]);
        assert!(stores.vectors.nearest_all(&[], call(&trace)).await.is_empty());
    }
}

async fn stored(stores: &Stores, who: &str, id: &str, filter: Predicate) -> Option<Vec<f32>> {
    let wanted = VectorOf { within: within("Facility", filter), property: "summary".to_owned(), id: id.to_owned() };
    let wanted = guard::vector_of(&principal(who), &ontology(), wanted).unwrap();
    stores.vectors.vector(&wanted, call(&Trace::default())).await.unwrap()
}

pub async fn vectors_come_and_go(stores: Stores) {
    turned(&stores).await;
    assert_eq!(stored(&stores, "alpha", "f2", Predicate::True).await, Some(at(10.0)));
    assert_eq!(stored(&stores, "beta", "f2", Predicate::True).await, Some(at(20.0)));
    assert_eq!(stored(&stores, "alpha", "f2", Predicate::False).await, None);
    assert_eq!(stored(&stores, "alpha", "f9", Predicate::True).await, None);
    let whole = VectorChange { property: None, ..vector_of("f1", None) };
    let changes = [vector_of("f2", Some(at(90.0))), vector_of("f3", None), whole];
    for _ in 0..2 {
        stores.vectors.apply(&tenant("alpha"), 2, &changes).await.unwrap();
        assert_eq!(ids(&nearest(&stores, "alpha", Predicate::True, at(0.0), 9).await), ["f4", "f2"]);
    }
    assert_eq!(nearest(&stores, "beta", Predicate::True, at(0.0), 9).await.len(), 4);
    assert_eq!(stored(&stores, "alpha", "f1", Predicate::True).await, None);
    write(&stores, "alpha", vec![delete("Facility", "f4")]).await;
    assert_eq!(ids(&nearest(&stores, "alpha", Predicate::True, at(0.0), 9).await), ["f2"], "what is gone is not found");
}

/// How far a property's records were gone through is kept with its vectors, and both go together.
pub async fn coverage_of_properties(stores: Stores) {
    turned(&stores).await;
    let held = async |who| stores.vectors.coverage(&tenant(who)).await.unwrap();
    let summary = |reached| Coverage { of: "Facility".to_owned(), property: "summary".to_owned(), reached };
    for who in TENANTS {
        assert_eq!(held(who).await, [summary(Reached::Upto(String::new()))], "nobody said that it was gone through");
        let ids = ["f1", "f9", "f4"].map(str::to_owned).to_vec();
        let lacking = stores.vectors.lacking(&tenant(who), "Facility", "summary", ids.clone()).await.unwrap();
        assert_eq!(lacking, ["f9"]);
        assert_eq!(stores.vectors.lacking(&tenant(who), "Facility", "name", ids.clone()).await.unwrap(), ids);
    }
    let upto = summary(Reached::Upto("f2".to_owned()));
    stores.vectors.cover(&tenant("alpha"), &upto, &[vector_of("f4", None)]).await.unwrap();
    assert_eq!(held("alpha").await, [upto]);
    assert_eq!(ids(&nearest(&stores, "alpha", Predicate::True, at(0.0), 9).await), ["f1", "f2", "f3"]);
    stores.vectors.cover(&tenant("alpha"), &summary(Reached::All), &[]).await.unwrap();
    assert_eq!(held("alpha").await, [summary(Reached::All)]);
    assert_eq!(stores.vectors.position(&tenant("alpha")).await.unwrap(), 1, "the log is another matter");

    let many: Vec<_> = (0..20_000).map(|n| vector_of(&format!("x{n}"), Some(at(n as f32 / 60.0)))).collect();
    stores.vectors.apply(&tenant("alpha"), 1, &many).await.unwrap();
    assert!(!stores.vectors.uncover(&tenant("alpha"), "Facility", "summary").await.unwrap(), "not all at once");
    assert_eq!(held("alpha").await, [summary(Reached::Leaving)]);
    while !stores.vectors.uncover(&tenant("alpha"), "Facility", "summary").await.unwrap() {}
    assert!(held("alpha").await.is_empty());
    assert!(nearest(&stores, "alpha", Predicate::True, at(0.0), 9).await.is_empty());
    assert_eq!(stored(&stores, "alpha", "f1", Predicate::True).await, None);
    assert_eq!(nearest(&stores, "beta", Predicate::True, at(0.0), 9).await.len(), 4);
    assert!(stores.vectors.uncover(&tenant("nobody"), "Facility", "summary").await.unwrap());
    stores.vectors.apply(&tenant("alpha"), 2, &[vector_of("f1", Some(at(0.0)))]).await.unwrap();
    assert_eq!(ids(&nearest(&stores, "alpha", Predicate::True, at(0.0), 9).await), ["f1"]);
}

pub async fn vectors_keep_their_position(stores: Stores) {
    fill(&stores).await;
    for who in TENANTS {
        let tenant = tenant(who);
        assert_eq!(stores.vectors.position(&tenant).await.unwrap(), 0);
        stores.vectors.apply(&tenant, 5, &[]).await.unwrap();
        assert_eq!(stores.vectors.position(&tenant).await.unwrap(), 5);
        stores.vectors.apply(&tenant, 3, &[]).await.unwrap();
        assert_eq!(stores.vectors.position(&tenant).await.unwrap(), 5);
        stores.vectors.rewind(&tenant, 2).await.unwrap();
        assert_eq!(stores.vectors.position(&tenant).await.unwrap(), 2);
        stores.vectors.apply(&tenant, 3, &[]).await.unwrap();
        assert_eq!(stores.vectors.position(&tenant).await.unwrap(), 3);
        assert_eq!(stores.graph.position(&tenant).await.unwrap(), 1, "followers do not share a position");
    }
}
