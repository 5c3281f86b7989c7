//! Vectors in a store that does not hold the records, over an embedded file of their own; and what holds for such stores alone.

use std::sync::Arc;

use quipu::stores::apart;
use quipu::stores::sqlite::{Embedded, Options};
use quipu_resolvers::change::Ref;
use quipu_resolvers::guard;
use quipu_resolvers::ports::{Hit, Nearest, StoreName, Trace, VectorChange, VectorOf, Within};
use quipu_resolvers::read::{Field, Predicate};
use quipu_resolvers::value::Value;
use quipu_schema::policy::Operator;
use serde_json::json;

use super::Stores;
use super::fixture::*;

/// Graph and metadata in one file, vectors in another.
pub async fn opened(_case: &str) -> Option<Stores> {
    let directory = tempfile::tempdir().unwrap();
    let open = |name: &str| {
        let path = directory.path().join(name);
        async move { Embedded::open(&path, Options::default()).await.unwrap() }
    };
    let (records, vectors) = (open("records.db").await, open("vectors.db").await);
    let (graph, metadata) = (Arc::new(records.graph()), Arc::new(records.metadata()));
    let vectors = apart::over(Arc::new(vectors.vectors()), graph.clone(), metadata.clone());
    Some(Stores { graph, metadata, vectors, _kept: Box::new(directory) })
}

/// A vector of length 1 in 16 dimensions, at an angle in the plane of the first two.
pub fn at(degrees: f64) -> Vec<f32> {
    let mut vector = vec![0.0; 16];
    (vector[0], vector[1]) = (degrees.to_radians().cos() as f32, degrees.to_radians().sin() as f32);
    vector
}

pub fn change(of: &str, id: &str, property: &str, vector: Option<Vec<f32>>) -> VectorChange {
    VectorChange { record: Ref { of: of.to_owned(), id: id.to_owned() }, property: Some(property.to_owned()), vector }
}

/// The facility at a place of the arc: in the second tenant the other way round.
fn placed(who: &str, count: usize, place: usize) -> usize {
    if who == TENANTS[0] { place } else { count - 1 - place }
}

/// Facilities on an arc, the first place nearest to where it is searched, in regions by turns.
pub async fn arc(stores: &Stores, count: usize, regions: usize) {
    for who in TENANTS {
        publish(stores, who).await;
        let put = |n: usize| {
            let region = format!("r{}", n % regions);
            put("Facility", &format!("f{n:05}"), json!({"name": format!("{who} {n}"), "region": region}))
        };
        write(stores, who, (0..count).map(put).collect()).await;
        let at = |place: usize| {
            let id = format!("f{:05}", placed(who, count, place));
            change("Facility", &id, "summary", Some(at(30.0 + 120.0 * place as f64 / count as f64)))
        };
        let changes: Vec<_> = (0..count).map(at).collect();
        for portion in changes.chunks(4_000) {
            stores.vectors.apply(&tenant(who), 1, portion).await.unwrap();
        }
    }
}

/// What is nearest among the facilities that meet a condition, with what it took.
pub async fn nearest(stores: &Stores, who: &str, filter: Predicate, limit: u32) -> (Vec<Hit>, Trace) {
    let within = Within { of: "Facility".to_owned(), row: false, filter, visible: Predicate::True };
    let nearest = Nearest { within, property: "summary".to_owned(), vector: at(0.0), limit };
    let nearest = guard::nearest(&principal(who), &ontology(), nearest).unwrap();
    let trace = Trace::default();
    let hits = stores.vectors.nearest(&nearest, call(&trace)).await.unwrap();
    (hits, trace)
}

/// The ids of the first facilities of an arc that meet a condition, nearest first.
pub fn expected(who: &str, count: usize, limit: usize, meets: impl Fn(usize) -> bool) -> Vec<String> {
    let places = (0..count).map(|place| placed(who, count, place));
    places.filter(|n| meets(*n)).take(limit).map(|n| format!("f{n:05}")).collect()
}

fn ids(hits: &[Hit]) -> Vec<&str> {
    hits.iter().map(|hit| hit.id.as_str()).collect()
}

fn among(regions: &[usize]) -> Predicate {
    Predicate::one_of(field("region"), regions.iter().map(|n| Value::from(format!("r{n}"))).collect())
}

/// However many records meet the condition, and wherever they are, the nearest of them are found; and how many statements that takes
/// does not follow the number of records.
#[tokio::test]
async fn all_that_exist_are_found_near_and_far() {
    let stores = opened("").await.unwrap();
    far_and_near(&stores).await;
}

pub async fn far_and_near(stores: &Stores) {
    let count = 16_000;
    arc(stores, count, 1_000).await;
    for who in TENANTS {
        // All of them: the first look is enough.
        let (hits, trace) = nearest(stores, who, Predicate::True, 10).await;
        assert_eq!(ids(&hits), expected(who, count, 10, |_| true));
        assert_eq!(trace.count(StoreName::Graph), 1);
        // Sixteen of sixteen thousand: they are named, and searched among.
        let (hits, trace) = nearest(stores, who, among(&[500]), 10).await;
        assert_eq!(ids(&hits), expected(who, count, 10, |n| n % 1_000 == 500));
        assert_eq!(trace.count(StoreName::Graph), 2);
        let (hits, _) = nearest(stores, who, among(&[500]), 100).await;
        assert_eq!(hits.len(), 16, "no more than there are");
        // Nine thousand, but the three thousand nearest are not among them: the search reaches further.
        let far = |n: usize| (3_500..=12_500).contains(&n);
        let id = |operator, n: usize| {
            let value = Value::from(format!("f{n:05}"));
            Predicate::Compare { field: Field::Id, operator, value }
        };
        let band = id(Operator::Gte, 3_500).and(id(Operator::Lte, 12_500));
        let (hits, trace) = nearest(stores, who, band, 10).await;
        assert_eq!(ids(&hits), expected(who, count, 10, far));
        assert!(trace.count(StoreName::Graph) <= 8, "{}", trace.count(StoreName::Graph));
        // Nothing meets it: nothing is asked.
        let (hits, trace) = nearest(stores, who, Predicate::False, 10).await;
        assert!(hits.is_empty());
        assert_eq!([StoreName::Graph, StoreName::Vectors].map(|store| trace.count(store)), [0, 0]);
    }
}

/// Vectors of rows: the conditions are asked of the store of the rows.
#[tokio::test]
async fn vectors_of_rows() {
    rows(&opened("").await.unwrap()).await;
}

pub async fn rows(stores: &Stores) {
    for (who, angles) in TENANTS.iter().zip([[0.0, 20.0, 10.0], [10.0, 0.0, 20.0]]) {
        publish(stores, who).await;
        write(stores, who, world(who)).await;
        let changes: Vec<_> = ["c1", "c2", "c3"]
            .iter()
            .zip(angles)
            .map(|(id, angle)| change("Contract", id, "supplier", Some(at(angle))))
            .collect();
        stores.vectors.apply(&tenant(who), 1, &changes).await.unwrap();
    }
    for (who, all, first) in [("alpha", ["c1", "c3", "c2"], ["c1", "c2"]), ("beta", ["c2", "c1", "c3"], ["c2", "c1"])] {
        for (filter, wanted) in [
            (Predicate::True, &all[..]),
            (Predicate::equals(field("facility_id"), Value::from("f1")), &first[..]),
            (Predicate::equals(field("facility_id"), Value::from("f4")), &[]),
        ] {
            let within = Within { of: "Contract".to_owned(), row: true, filter, visible: Predicate::True };
            let nearest = Nearest { within, property: "supplier".to_owned(), vector: at(0.0), limit: 3 };
            let nearest = guard::nearest(&principal(who), &ontology(), nearest).unwrap();
            let trace = Trace::default();
            assert_eq!(ids(&stores.vectors.nearest(&nearest, call(&trace)).await.unwrap()), wanted);
            assert_eq!(trace.count(StoreName::Graph), 0, "rows are asked, not the graph");
        }
    }
    let within = Within { of: "Contract".into(), row: true, filter: Predicate::True, visible: Predicate::True };
    let wanted = VectorOf { within, property: "supplier".into(), id: "c1".into() };
    let wanted = guard::vector_of(&principal("alpha"), &ontology(), wanted).unwrap();
    let read = || async { stores.vectors.vector(&wanted, call(&Trace::default())).await.unwrap() };
    assert_eq!(read().await, Some(at(0.0)));
    write(stores, "alpha", vec![delete("Contract", "c1")]).await;
    assert_eq!(read().await, None, "the record went, and its vector is there still");
}
