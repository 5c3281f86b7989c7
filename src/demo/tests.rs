//! The tenants as wholes: counts, order of references, determinism, and values against the ontologies.

use std::collections::{BTreeMap, HashSet};
use std::sync::LazyLock;

use sha2::{Digest, Sha256};

use super::*;

mod examples;
mod fits;

static LIBRARY: LazyLock<Vec<Record>> = LazyLock::new(|| library().unwrap().collect());
static CRYOX: LazyLock<Vec<Record>> = LazyLock::new(|| cryox(SEED).unwrap().collect());
static INSIGHTS: LazyLock<Vec<Record>> = LazyLock::new(|| insights(SEED).unwrap().collect());
static EMMA: LazyLock<Vec<Record>> = LazyLock::new(|| emma(SEED).unwrap().collect());
static SUPERTRACK: LazyLock<Vec<Record>> = LazyLock::new(|| supertrack(SEED).collect());

fn kind_of(record: &Record) -> String {
    match record {
        Record::Node { node, .. } => node.clone(),
        Record::Row { row, .. } => row.clone(),
        Record::Document { .. } => "Document".into(),
        Record::Relationship { relationship, from, to, .. } => format!("{} -{relationship}-> {}", from.of, to.of),
    }
}

fn counts(records: &[Record]) -> String {
    let mut counts = BTreeMap::new();
    for record in records {
        *counts.entry(kind_of(record)).or_insert(0u32) += 1;
    }
    counts.into_iter().map(|(kind, count)| format!("{kind}: {count}\n")).collect()
}

#[test]
fn counts_of_the_library() {
    insta::assert_snapshot!(counts(&LIBRARY));
}

#[test]
fn counts_of_the_cold_chain() {
    insta::assert_snapshot!(counts(&CRYOX));
}

#[test]
fn counts_of_the_insights() {
    insta::assert_snapshot!(counts(&INSIGHTS));
}

#[test]
fn counts_of_the_mortgage_desk() {
    insta::assert_snapshot!(counts(&EMMA));
}

#[test]
fn counts_of_the_figures() {
    insta::assert_snapshot!(counts(&SUPERTRACK));
}

/// Columns that hold ids, and the type of what they name.
const COLUMNS: [(&str, &str); 13] = [
    ("document_id", "Document"),
    ("facility_id", "Facility"),
    ("device_id", "Device"),
    ("user_id", "User"),
    ("entity_id", "NamedEntity"),
    ("source_id", "Source"),
    ("agent_id", "Agent"),
    ("rule_id", "ValidationRule"),
    ("mortgage_id", "Mortgage"),
    ("template_id", "OverrideTemplate"),
    ("metric_id", "Metric"),
    ("campaign_id", "Campaign"),
    ("connector_id", "Connector"),
];

/// Every reference is to something that came earlier, no record is made twice, and no relationship twice under one key.
#[test]
fn references_are_there_before_they_are_used() {
    for tenant in [&*LIBRARY, &*CRYOX, &*INSIGHTS, &*EMMA, &*SUPERTRACK] {
        let mut there: HashSet<(String, String)> = HashSet::new();
        let mut links = HashSet::new();
        for record in tenant {
            let of = kind_of(record);
            match record.clone() {
                Record::Node { id, .. } => assert!(there.insert((of, id.clone())), "{id}"),
                Record::Row { id, properties, .. } => {
                    for (column, target) in COLUMNS {
                        if let Some(value) = properties.get(column).filter(|value| !value.is_null()) {
                            let key = (target.to_owned(), value.as_str().unwrap().to_owned());
                            assert!(there.contains(&key), "{id}: {key:?}");
                        }
                    }
                    assert!(there.insert((of, id.clone())), "{id}");
                }
                Record::Document { id, .. } => {
                    assert!(there.insert(("Chunk".into(), format!("{id}#0"))));
                    assert!(there.insert((of, id)));
                }
                Record::Relationship { relationship, from, to, key, .. } => {
                    for end in [&from, &to] {
                        assert!(there.contains(&(end.of.clone(), end.id.clone())), "{of}: {end:?}");
                    }
                    assert!(links.insert((relationship, from.clone(), to.clone(), key)), "{of}: {from:?} {to:?}");
                }
            }
        }
    }
}

fn digest(records: &[Record]) -> String {
    let mut hash = Sha256::new();
    for record in records {
        hash.update(serde_json::to_vec(record).unwrap());
        hash.update(b"\n");
    }
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_same_records_every_time() {
    insta::assert_snapshot!(digest(&LIBRARY), @"3166001e8c019d19");
    insta::assert_snapshot!(digest(&CRYOX), @"248e1bf7b049e8ab");
    insta::assert_snapshot!(digest(&INSIGHTS), @"10fe23b54069cda6");
    insta::assert_snapshot!(digest(&EMMA), @"579a4502f243491e");
    insta::assert_snapshot!(digest(&SUPERTRACK), @"800263df8ceb3e3f");
    assert_ne!(digest(&CRYOX), digest(&cryox(SEED + 1).unwrap().collect::<Vec<_>>()));
    assert_ne!(digest(&INSIGHTS), digest(&insights(SEED + 1).unwrap().collect::<Vec<_>>()));
    assert_ne!(digest(&EMMA), digest(&emma(SEED + 1).unwrap().collect::<Vec<_>>()));
    assert_ne!(digest(&SUPERTRACK), digest(&supertrack(SEED + 1).collect::<Vec<_>>()));
}

#[test]
fn every_record_can_be_written_and_read_again() {
    for record in LIBRARY.iter().chain(&*CRYOX).chain(&*INSIGHTS).chain(&*EMMA).chain(&*SUPERTRACK) {
        let line = serde_json::to_string(&record).unwrap();
        assert_eq!(crate::ingest::records::parse(&line).as_ref(), Ok(record));
    }
}

#[test]
fn the_tenants_share_ids() {
    let ids = |tenant: &[Record]| -> HashSet<String> {
        let id = |record| match record {
            Record::Node { id, .. } | Record::Row { id, .. } | Record::Document { id, .. } => Some(id),
            Record::Relationship { .. } => None,
        };
        tenant.iter().cloned().filter_map(id).collect()
    };
    let (library, cryox, insights) = (ids(&LIBRARY), ids(&CRYOX), ids(&INSIGHTS));
    for id in ["p0000", "p0044", "d1", "d240", "f1", "c1"] {
        assert!(library.contains(id) && cryox.contains(id), "{id}");
    }
    for id in ["p0006", "united-states"] {
        assert!(library.contains(id) && insights.contains(id), "{id}");
    }
    assert!(cryox.contains("s1") && insights.contains("s1"));
}

/// A passage is cited by its first chunk; nearly all of them are short enough to have no other.
#[test]
fn passages_are_short() {
    let words = |record: &Record| match record {
        Record::Document { text, .. } => Some(text.split_whitespace().count()),
        _ => None,
    };
    let lengths: Vec<usize> = LIBRARY.iter().filter_map(words).collect();
    assert_eq!(lengths.len(), 1_890);
    assert!(lengths.iter().all(|length| (10..300).contains(length)));
    assert!(lengths.iter().filter(|length| **length > 200).count() < 80);
}

#[test]
fn manual_pages_are_prose_of_their_own() {
    let pages = manuals::pages().unwrap();
    assert!(pages.len() >= 36);
    let mut sentences = HashSet::new();
    for page in &pages {
        let words = page.text.split_whitespace().count();
        assert!((120..=250).contains(&words), "{}: {words}", page.title);
        for sentence in page.text.split(". ").filter(|s| s.split_whitespace().count() > 5) {
            assert!(sentences.insert(sentence.to_owned()), "{}: {sentence}", page.title);
        }
    }
}

/// Alerts tell what the readings show: a temperature alert of the measured days has readings beyond the limit when it opens.
#[test]
fn alerts_match_readings() {
    let records = &*CRYOX;
    let mut limits = BTreeMap::new();
    let mut readings = BTreeMap::new();
    let mut raised = BTreeMap::new();
    for record in records {
        match record {
            Record::Node { node, id, properties } if node == "Device" => {
                limits.insert(id.clone(), (properties["minCelsius"].as_f64(), properties["maxCelsius"].as_f64()));
            }
            Record::Row { row, properties, .. } if row == "Reading" => {
                let text = |name: &str| properties[name].as_str().unwrap().to_owned();
                readings.insert((text("device_id"), text("at")), properties["celsius"].as_f64().unwrap());
            }
            Record::Relationship { relationship, from, to, .. } if relationship == "RAISED" => {
                raised.insert(to.id.clone(), from.id.clone());
            }
            _ => {}
        }
    }
    let mut checked = 0;
    for record in records {
        let Record::Node { node, id, properties } = record else { continue };
        let opened = properties.get("openedAt").and_then(Value::as_str).unwrap_or_default();
        let kind = properties.get("kind").and_then(Value::as_str).unwrap_or_default();
        if node != "Alert" || !kind.starts_with("TEMPERATURE") || opened < "2026-10-28" {
            continue;
        }
        let device = &raised[id];
        let celsius = readings[&(device.clone(), opened.to_owned())];
        let (low, high) = limits[device];
        assert!(celsius > high.unwrap() || celsius < low.unwrap(), "{id}: {celsius}");
        checked += 1;
    }
    assert!(checked >= 10, "{checked}");
    assert!(checked <= 60, "{checked}");
}

/// Insights rest on articles that are there, are about something, and most of them are published.
#[test]
fn insights_rest_on_articles() {
    let ends = |of: &str| -> HashSet<&str> {
        let from = |record: &'static Record| match record {
            Record::Relationship { relationship, from, .. } if relationship == of => Some(from.id.as_str()),
            _ => None,
        };
        INSIGHTS.iter().filter_map(from).collect()
    };
    let (cite, speak) = (ends("CITES"), ends("SPEAKS_OF"));
    assert_eq!(cite.len(), 100);
    assert!(speak.len() >= 95, "{}", speak.len());
    let of = |name: &str| -> Vec<&Properties> {
        let properties = |record: &'static Record| match record {
            Record::Node { node, properties, .. } if node == name => Some(properties),
            _ => None,
        };
        INSIGHTS.iter().filter_map(properties).collect()
    };
    let drafts = of("Insight").iter().filter(|insight| insight["status"] == "DRAFT").count();
    assert!((5..=25).contains(&drafts), "{drafts}");
    let entities = of("NamedEntity");
    let unknown = entities.iter().filter(|entity| entity["kind"] == "UNKNOWN").count();
    assert!(unknown * 4 < entities.len() * 3, "{unknown} of {}", entities.len());
}

/// A mortgage that was agreed keeps the rule on loan to value that is nearest to its scope, or an override says why not.
#[test]
fn mortgages_keep_their_rules_or_were_overridden() {
    let (mut rules, mut agreed, mut overridden) = (Vec::new(), Vec::new(), HashSet::new());
    for record in EMMA.iter() {
        match record {
            Record::Node { node, properties, .. } if node == "ValidationRule" && properties["code"] == "LTV" => {
                rules.push((properties["scope"].as_str().unwrap(), properties["limit"].as_f64().unwrap()));
            }
            Record::Node { node, id, properties } if node == "Mortgage" => {
                let status = properties["status"].as_str().unwrap();
                if ["CONDITIONALLY_APPROVED", "APPROVED", "FUNDED"].contains(&status) {
                    let scope = properties["scope"].as_str().unwrap();
                    agreed.push((id.as_str(), scope, properties["loanToValue"].as_f64().unwrap()));
                }
            }
            Record::Row { row, properties, .. } if row == "Override" => {
                assert_ne!(properties["reason"], "");
                if properties["code"] == "LTV" {
                    overridden.insert(properties["mortgage_id"].as_str().unwrap());
                }
            }
            _ => {}
        }
    }
    let mut broken = 0;
    for (id, scope, value) in &agreed {
        let above = rules.iter().filter(|(at, _)| scope.starts_with(at));
        let (_, limit) = above.max_by_key(|(at, _)| at.len()).unwrap();
        broken += usize::from(value > limit);
        assert_eq!(value > limit, overridden.contains(id), "{id}: {value} with {limit}");
    }
    assert!(agreed.len() > 100 && (5..60).contains(&broken), "{} of {}", broken, agreed.len());
}
