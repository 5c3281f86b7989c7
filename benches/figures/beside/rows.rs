//! Rows in Postgres, two levels of them joined, asked through the gateway and by hand.

use std::path::Path;
use std::time::Duration;

use serde_json::json;

use super::super::process::Process;
use super::super::world::TENANT;
use super::{Question, Who, compare, database, quipu, same_answers, serving, settled};

const SDL: &str = include_str!("../../suppliers.graphql");
const JOINED: &str = "query Joined($region: String!) { suppliers(where: {region: {eq: $region}}, sort: [{name: ASC}], limit: 50) \
    { id name contracts(sort: [{value: DESC}], limit: 20) { id title value } } }";
const SUPPLIERS: u64 = 400;
/// Contracts of each supplier.
const CONTRACTS: u64 = 25;
const REGIONS: u64 = 4;

/// Runs the comparison. The addresses are of a role that owns nothing, and of the one that owns the tables; the schema is made anew.
pub async fn measure(directory: &Path, login: &str, owner: &str, pid: Option<u32>, turns: (usize, Duration)) {
    let folder = directory.join("rows");
    let schema = format!("bench_{}", std::process::id());
    let settings = format!("[metadata]\nurl = \"{login}\"\nowner_url = \"{owner}\"\nschema = \"{schema}\"\n");
    let folder = settled(&folder, &settings, SDL);
    std::fs::write(folder.join("records.jsonl"), lines()).expect("records");
    quipu(&folder, &["import", "--tenant", TENANT, "--no-embed", "records.jsonl"]);
    let by_hand = json!({"url": login, "owner": owner, "schema": schema}).to_string();
    std::fs::write(folder.join("by-hand.json"), by_hand).expect("settings");
    let questions = [Question {
        name: "joined",
        query: JOINED,
        variables: (0..REGIONS).map(|n| json!({"region": format!("region-{n}")})).collect(),
    }];
    let all = [
        Who::asked("Quipu", serving(&folder), "/graphql", &questions),
        Who::by_hand("sqlx by hand", Process::start("serve-sqlx", &folder.join("by-hand.json")), &questions),
    ];
    let answer = same_answers(&all, 0).await;
    let suppliers = answer["data"]["suppliers"].as_array().cloned().unwrap_or_default();
    assert!(
        suppliers.len() == 50 && suppliers.iter().all(|s| s["contracts"].as_array().is_some_and(|c| c.len() == 20))
    );
    let bytes = answer.to_string().len().to_string();
    let title = format!("Rows 50 x 20 of {} in Postgres", SUPPLIERS * (CONTRACTS + 1));
    compare(&title, &all, &questions, turns, &database(pid), ("bytes", &|_, _| bytes.clone())).await;
}

fn lines() -> String {
    let suppliers = (0..SUPPLIERS).map(|n| {
        json!({"row": "Supplier", "id": format!("s{n}"), "properties": {
            "name": format!("Supplier {:04}", n * 7919 % SUPPLIERS), "region": format!("region-{}", n % REGIONS)}})
    });
    let contracts = (0..SUPPLIERS * CONTRACTS).map(|n| {
        json!({"row": "Contract", "id": format!("c{n}"), "properties": {
            "title": format!("Delivery of parts, lot {n}"), "value": n * 31 % 9973, "supplier_id": format!("s{}", n / CONTRACTS)}})
    });
    suppliers.chain(contracts).map(|line| format!("{line}\n")).collect()
}
