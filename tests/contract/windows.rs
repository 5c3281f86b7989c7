//! Windows: which part of the ordered records comes, and that no record is missed or seen twice.

use quipu_resolvers::read::{Field, Pick, Predicate, Read, Sort};
use quipu_resolvers::value::Value;
use quipu_schema::ontology::Direction;
use serde_json::{Value as Json, json};

use super::Stores;
use super::fixture::*;

/// Grades with ties and absent values, names that are the same in pairs.
async fn graded(stores: &Stores) {
    let grades = [Some(3), None, Some(1), Some(3), None, Some(2), Some(1), Some(3), None, Some(7)];
    for who in TENANTS {
        publish(stores, who).await;
        let ops = grades.iter().enumerate().map(|(index, grade)| {
            let mut set = json!({"name": format!("{who} {}", index / 2), "region": "r"});
            if let Some(grade) = grade {
                set["grade"] = json!(grade);
            }
            put("Facility", &format!("f{index}"), set)
        });
        write(stores, who, ops.collect()).await;
    }
}

fn ids(outcome: &Json) -> Vec<String> {
    outcome.as_array().unwrap().iter().map(|row| row[0].as_str().unwrap().to_owned()).collect()
}

pub async fn limits_and_offsets(stores: Stores) {
    graded(&stores).await;
    for who in TENANTS {
        let read = |limit, offset| {
            let mut read = all("Facility", vec![pick(Field::Id)]);
            read.window.limit = limit;
            read.window.offset = offset;
            read
        };
        assert_eq!(ids(&ask(&stores, who, read(Some(2), 3)).await), ["f3", "f4"]);
        assert_eq!(ids(&ask(&stores, who, read(None, 8)).await), ["f8", "f9"]);
        assert_eq!(ids(&ask(&stores, who, read(Some(5), 9)).await), ["f9"]);
        assert!(ids(&ask(&stores, who, read(Some(0), 0)).await).is_empty());
        assert!(ids(&ask(&stores, who, read(Some(5), 99)).await).is_empty());
    }
}

/// Absent values come last upwards and first downwards.
pub async fn absent_values_have_a_place(stores: Stores) {
    graded(&stores).await;
    for who in TENANTS {
        let read = |sort| all("Facility", vec![pick(Field::Id)]).sorted(sort);
        let rising = ask(&stores, who, read(vec![up(field("grade?")), up(Field::Id)])).await;
        assert_eq!(ids(&rising), ["f2", "f6", "f5", "f0", "f3", "f7", "f9", "f1", "f4", "f8"]);
        let falling = ask(&stores, who, read(vec![down(field("grade?")), up(Field::Id)])).await;
        assert_eq!(ids(&falling), ["f1", "f4", "f8", "f9", "f0", "f3", "f7", "f5", "f2", "f6"]);
    }
}

/// Orders with ties, absent values, and directions that differ.
fn orders() -> Vec<Vec<Sort>> {
    vec![
        vec![up(Field::Id)],
        vec![down(Field::Id)],
        vec![up(field("name")), up(Field::Id)],
        vec![down(field("name")), down(Field::Id)],
        vec![down(field("name")), up(Field::Id)],
        vec![up(field("grade?")), up(Field::Id)],
        vec![down(field("grade?")), up(Field::Id)],
        vec![up(field("grade?")), down(field("name")), down(Field::Id)],
        vec![up(field("name")), down(field("grade?")), up(Field::Id)],
    ]
}

/// A row's values of the sort fields, which are picked after the id.
fn place(row: &Value) -> Vec<Value> {
    row.as_list().unwrap()[1..].to_vec()
}

fn paged(sort: &[Sort], limit: u32) -> Read {
    let picks = std::iter::once(pick(Field::Id)).chain(sort.iter().map(|key| Pick::Field(key.field.clone())));
    all("Facility", picks.collect()).sorted(sort.to_vec()).first(limit)
}

async fn rows(stores: &Stores, who: &str, read: Read) -> Vec<Value> {
    answer(stores, who, read).await.as_list().unwrap().to_vec()
}

/// Going through pages of three gives every record once, in order.
pub async fn every_page_forwards(stores: Stores) {
    graded(&stores).await;
    for who in TENANTS {
        for sort in orders() {
            let whole = rows(&stores, who, paged(&sort, 100)).await;
            let mut seen: Vec<Value> = Vec::new();
            loop {
                let mut read = paged(&sort, 3);
                read.window.after = seen.last().map(place);
                let page = rows(&stores, who, read).await;
                if page.is_empty() {
                    break;
                }
                seen.extend(page);
            }
            assert_eq!(seen, whole, "{sort:?}");
        }
    }
}

/// From the end, pages of three come in reverse order.
pub async fn every_page_backwards(stores: Stores) {
    graded(&stores).await;
    for who in TENANTS {
        for sort in orders() {
            let mut whole = rows(&stores, who, paged(&sort, 100)).await;
            whole.reverse();
            let mut seen: Vec<Value> = Vec::new();
            loop {
                let mut read = paged(&sort, 3);
                read.window.backwards = true;
                read.window.before = seen.last().map(place);
                let page = rows(&stores, who, read).await;
                if page.is_empty() {
                    break;
                }
                seen.extend(page);
            }
            assert_eq!(seen, whole, "{sort:?}");
        }
    }
}

pub async fn between_two_positions(stores: Stores) {
    graded(&stores).await;
    for who in TENANTS {
        for sort in orders() {
            let whole = rows(&stores, who, paged(&sort, 100)).await;
            let mut read = paged(&sort, 100);
            read.window.after = Some(place(&whole[1]));
            read.window.before = Some(place(&whole[8]));
            assert_eq!(rows(&stores, who, read.clone()).await, whole[2..8], "{sort:?}");
            read.window.backwards = true;
            read.window.limit = Some(2);
            assert_eq!(rows(&stores, who, read).await, [whole[7].clone(), whole[6].clone()], "{sort:?}");
        }
    }
}

/// The record that a cursor points to may go, and others may come before it: the rest is still seen, once.
pub async fn pages_while_data_changes(stores: Stores) {
    graded(&stores).await;
    for who in TENANTS {
        let sort = vec![up(field("grade?")), up(Field::Id)];
        let first = rows(&stores, who, paged(&sort, 4)).await;
        assert_eq!(first.last().unwrap().as_list().unwrap()[0], Value::from("f0"));
        let early = json!({"name": "early", "region": "r", "grade": 1});
        write(&stores, who, vec![delete("Facility", "f0"), put("Facility", "f10", early)]).await;
        let mut read = paged(&sort, 100);
        read.window.after = first.last().map(place);
        let rest = rows(&stores, who, read).await.iter().map(Value::to_json).collect();
        assert_eq!(ids(&rest), ["f3", "f7", "f9", "f1", "f4", "f8"]);
    }
}

/// Pages of the nodes at the other end, in the order of a relationship's property, for each parent on its own.
pub async fn pages_by_relationship_property(stores: Stores) {
    fill(&stores).await;
    for who in TENANTS {
        let page = |after: Option<Vec<Value>>| {
            let mut devices =
                along("HAS_DEVICE", Direction::Out, "Device", vec![pick(Field::Id), pick(edge("since?"))])
                    .sorted(vec![down(edge("since?")), up(Field::Id)])
                    .first(2);
            devices.window.after = after;
            all("Facility", vec![pick(Field::Id), Pick::Read(Box::new(devices))])
                .filtered(Predicate::one_of(Field::Id, vec![Value::from("f1"), Value::from("f2")]))
        };
        assert_eq!(
            ask(&stores, who, page(None)).await,
            json!([["f1", [["d3", "2021-01-01"], ["d1", "2020-01-01"]]], ["f2", [["d4", "2018-01-01"]]]])
        );
        let after = vec![Value::from("2020-01-01"), Value::from("d1")];
        assert_eq!(
            ask(&stores, who, page(Some(after))).await,
            json!([["f1", [["d2", "2019-01-01"]]], ["f2", [["d4", "2018-01-01"]]]])
        );
    }
}

/// Doubles with all their digits come back from a cursor to the very place.
pub async fn pages_by_exact_doubles(stores: Stores) {
    let scores = [
        0.1,
        0.1 + 0.2,
        0.3,
        1.0 / 3.0,
        2.0_f64.sqrt(),
        1e-300,
        1.7976931348623157e308,
        123456789.12345679,
        5e-324,
        2.5,
    ];
    for who in TENANTS {
        publish(&stores, who).await;
        let ops = scores.iter().enumerate().map(|(index, score)| {
            put("Facility", &format!("f{index}"), json!({"name": who, "region": "r", "score": score}))
        });
        write(&stores, who, ops.collect()).await;
        let sort = vec![up(field("score")), up(Field::Id)];
        let whole = rows(&stores, who, paged(&sort, 100)).await;
        let mut expected = scores.to_vec();
        expected.sort_by(f64::total_cmp);
        let found: Vec<f64> = whole.iter().map(|row| row.to_json()[1].as_f64().unwrap()).collect();
        assert_eq!(found, expected, "the very doubles that were written");
        for (index, row) in whole.iter().enumerate() {
            let mut read = paged(&sort, 100);
            read.window.after = Some(place(row));
            assert_eq!(rows(&stores, who, read).await, whole[index + 1..]);
            let same = Predicate::equals(field("score"), row.as_list().unwrap()[1].clone());
            assert_eq!(rows(&stores, who, paged(&sort, 100).filtered(same)).await, std::slice::from_ref(row));
        }
    }
}

/// Several types in one order.
pub async fn pages_over_several_types(stores: Stores) {
    fill(&stores).await;
    for who in TENANTS {
        let mut seen = Vec::new();
        let mut after = None;
        loop {
            let mut read =
                all("Facility", vec![]).sorted(vec![up(field("name")), up(Field::Type), up(Field::Id)]).first(3);
            let picks = vec![pick(field("name")), pick(Field::Type), pick(Field::Id)];
            read.targets = vec![target("Facility", picks.clone()), target("Device", picks)];
            read.window.after = after;
            let page = rows(&stores, who, read).await;
            let Some(last) = page.last() else { break };
            after = Some(place(last));
            seen.extend(page.iter().map(|row| row.to_json()[1].as_str().unwrap().to_owned()));
        }
        let names = ["Athens", "Bergen", "Cooler", "Fan", "Freezer", "Gate", "Oslo", "Porto", "Probe", "Spare"];
        assert_eq!(seen, names.map(|name| format!("{who} {name}")));
    }
}
