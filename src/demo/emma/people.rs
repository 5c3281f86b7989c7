//! Who lends, sells and borrows, and what they talk about.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde_json::json;

use super::super::cryox::pick;
use super::super::{instant, link, node};
use super::{Borrower, DAY, HOUR, NOW};
use crate::ingest::records::Record;

/// Id, name, kind and scope of each organisation.
pub const ORGANISATIONS: [(&str, &str, &str, &str); 4] = [
    ("harbour", "Harbour Building Society", "LENDER", "/global/mortgage/harbour"),
    ("northgate", "Northgate Bank", "LENDER", "/global/mortgage/northgate"),
    ("linden", "Linden Brokers", "BROKER", "/global/mortgage/linden"),
    ("keystone", "Keystone Valuers", "VALUER", "/global/valuation"),
];

/// Towns.
pub const CITIES: [&str; 6] = ["Rotterdam", "Ghent", "Aarhus", "Porto", "Galway", "Leipzig"];

/// Somebody who works at an organisation.
pub struct Agent {
    pub id: &'static str,
    pub organisation: &'static str,
    /// Number in the register of advisers; none for underwriters.
    pub licence: Option<&'static str>,
    name: &'static str,
    authority: Option<u32>,
}

const fn agent(id: &'static str, name: &'static str, organisation: &'static str, licence: &'static str) -> Agent {
    Agent { id, organisation, licence: Some(licence), name, authority: None }
}

const fn underwriter(id: &'static str, name: &'static str, organisation: &'static str, authority: u32) -> Agent {
    Agent { id, organisation, licence: None, name, authority: Some(authority) }
}

/// Agents and underwriters.
pub const AGENTS: [Agent; 14] = [
    agent("tom", "Tom Ferreira", "harbour", "ADV-20117"),
    agent("mira", "Mira Olsen", "harbour", "ADV-20118"),
    agent("jonas", "Jonas Peeters", "harbour", "ADV-20201"),
    underwriter("ines", "Inês Duarte", "harbour", 400_000),
    underwriter("pat", "Pat Byrne", "harbour", 900_000),
    agent("lena", "Lena Fischer", "northgate", "ADV-31004"),
    agent("hugo", "Hugo Marques", "northgate", "ADV-31040"),
    agent("siri", "Siri Dahl", "northgate", "ADV-31041"),
    underwriter("omar", "Omar Haddad", "northgate", 600_000),
    underwriter("bea", "Bea Janssens", "northgate", 1_500_000),
    agent("finn", "Finn Kelly", "linden", "ADV-40002"),
    agent("rosa", "Rosa Lopes", "linden", "ADV-40003"),
    underwriter("karl", "Karl Winter", "linden", 750_000),
    agent("vera", "Vera Smit", "keystone", "VAL-00071"),
];

/// Id and scope of the organisations that hold mortgages.
pub fn lenders() -> [(&'static str, &'static str); 3] {
    [0, 1, 2].map(|at| (ORGANISATIONS[at].0, ORGANISATIONS[at].3))
}

/// Organisations and who works there.
pub fn records() -> Vec<Record> {
    let mut records: Vec<Record> = ORGANISATIONS
        .iter()
        .map(|(id, name, kind, scope)| node("Organisation", *id, json!({ "name": name, "kind": kind, "scope": scope })))
        .collect();
    for agent in &AGENTS {
        let email = format!("{}@{}.example", agent.id, agent.organisation);
        let set = json!({ "name": agent.name, "email": email, "licence": agent.licence, "authority": agent.authority, "organisation_id": agent.organisation });
        records.push(node("Agent", agent.id, set));
    }
    records
}

/// Makes a borrower.
pub fn borrower(rng: &mut ChaCha8Rng, at: usize, scope: &str, records: &mut Vec<Record>) -> Borrower {
    let first =
        pick(rng, ["Aoife", "Bram", "Clara", "Davi", "Elif", "Frida", "Gil", "Hana", "Ivo", "Jule", "Kasper", "Lia"]);
    let last = pick(
        rng,
        ["Andersen", "Barros", "Claes", "de Wit", "Eriksen", "Fonseca", "Gallagher", "Hofmann", "Janssen", "Keane"],
    );
    let income = rng.random_range(22..130) * 1_000;
    let debts = if rng.random_bool(0.6) { 0 } else { rng.random_range(1..19) * 100 };
    let score = 560 + rng.random_range(0..150) + rng.random_range(0..140);
    let id = format!("c{}", at + 1);
    let set = json!({
        "name": format!("{first} {last}"),
        "email": format!("{}.{}@mail.example", first.to_lowercase(), at + 1),
        "employment": pick(rng, ["EMPLOYED", "EMPLOYED", "EMPLOYED", "SELF_EMPLOYED", "RETIRED"]),
        "income": income, "debts": debts, "creditScore": score,
        "taxNumber": format!("{:03} {:03} {:03}", at % 900 + 100, rng.random_range(0..1_000), rng.random_range(0..1_000)),
        "scope": scope,
    });
    records.push(node("Contact", &id, set));
    Borrower { id, income, debts, score }
}

/// Up to three talks with a contact, from the time of the application on.
pub fn talks(rng: &mut ChaCha8Rng, at: usize, contact: &str, agent: &str, applied: i64) -> Vec<Record> {
    let mut records = Vec::new();
    for n in 0..rng.random_range(1..=3) {
        let id = format!("i{}-{}", at + 1, n + 1);
        let summary = pick(
            rng,
            [
                "Asked for the statements of the last three months",
                "Went through the offer line by line",
                "Told them about the valuation and what it means",
                "Wants to know whether the rate can be fixed for longer",
                "Brought the contract of the seller",
                "Asked what happens when the second income falls away",
            ],
        );
        let notes = pick(
            rng,
            [
                "Sounds sure",
                "Compares us with another lender",
                "Nervous about the rate",
                "Call back after the holidays",
            ],
        );
        let when = (applied + n * rng.random_range(2..9) * DAY + rng.random_range(0..6) * HOUR).min(NOW - HOUR);
        let set = json!({
            "channel": pick(rng, ["CALL", "EMAIL", "MEETING"]), "at": instant(when), "summary": summary, "notes": notes,
        });
        records.push(node("Interaction", &id, set));
        records.push(link("WITH", ("Interaction", &id), ("Contact", contact), json!({})));
        records.push(link("HELD_BY", ("Interaction", &id), ("Agent", agent), json!({})));
    }
    records
}
