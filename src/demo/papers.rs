//! The paper that proves the cold: audits, calibrations, mappings, and the contracts with suppliers.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde_json::json;

use super::climate::{Kind, START};
use super::cryox::{Device, Site, chance, pick};
use super::{day, link, node, row};
use crate::ingest::records::Record;

const DAY: i64 = 86_400;
const YEAR: i64 = 365 * DAY;

/// An examination before it has an id.
struct Examination {
    kind: &'static str,
    auditor: &'static str,
    /// Days of validity.
    valid: i64,
    /// Type and id of what was examined.
    subject: (&'static str, String),
    /// Unix second of the day.
    on: i64,
    findings: &'static [&'static str],
}

/// Compliance records and contracts. Facilities, devices and vehicles must be there already.
pub fn records(seed: u64, sites: &[Site], devices: &[Device]) -> Vec<Record> {
    let mut records = Vec::new();
    let mut number = 0;
    for (at, site) in sites.iter().enumerate() {
        let mut rng = chance(seed, 20, at);
        for examination in examinations(at, site, devices, &mut rng) {
            number += 1;
            records.extend(examination.records(&format!("k{number}"), &site.id, &mut rng));
        }
    }
    let contracts = sites.iter().enumerate().flat_map(|(at, site)| contracts(at, site, &mut chance(seed, 21, at)));
    records.extend(contracts);
    records
}

fn examinations(at: usize, site: &Site, devices: &[Device], rng: &mut ChaCha8Rng) -> Vec<Examination> {
    let (audit, auditor, findings) = match site.kind.as_str() {
        "PHARMA_HUB" => ("GDP", pick(rng, ["Regional inspectorate", "Sable & Wren Quality"]), GDP),
        _ => ("HACCP", pick(rng, ["Harbour Food Safety", "Verdant Certification"]), HACCP),
    };
    let here = || ("Facility", site.id.clone());
    let mut list: Vec<Examination> = (0..2)
        .map(|year| {
            let on = START - year * YEAR - rng.random_range(20..340) * DAY;
            Examination { kind: audit, auditor, valid: 365, subject: here(), on, findings }
        })
        .collect();
    let on = START - rng.random_range(60..1_000) * DAY;
    list.push(Examination {
        kind: "MAPPING",
        auditor: "Isotherm Surveys",
        valid: 1_095,
        subject: here(),
        on,
        findings: MAPPING,
    });
    let measuring: Vec<&Device> = devices.iter().filter(|d| d.site == at && d.kind != Kind::Gateway).collect();
    for nth in 0..5 {
        let device = measuring[(nth * 4 + rng.random_range(0..3)) % measuring.len()];
        let on = START - rng.random_range(5..400) * DAY;
        let subject = ("Device", device.id.clone());
        list.push(Examination {
            kind: "CALIBRATION",
            auditor: "Cold chain workshop",
            valid: 365,
            subject,
            on,
            findings: CALIBRATION,
        });
    }
    for vehicle in [2 * at + 1, 2 * at + 2] {
        let on = START - rng.random_range(10..700) * DAY;
        let subject = ("Vehicle", format!("v{vehicle}"));
        list.push(Examination {
            kind: "MAPPING",
            auditor: "Isotherm Surveys",
            valid: 730,
            subject,
            on,
            findings: VEHICLE,
        });
    }
    list
}

impl Examination {
    fn records(&self, id: &str, facility: &str, rng: &mut ChaCha8Rng) -> [Record; 3] {
        let (dice, which) = (rng.random_range(0..100), rng.random_range(0..self.findings.len()));
        let outcome = match dice {
            0..70 => "PASSED",
            70..95 => "CONDITIONAL",
            _ => "FAILED",
        };
        let set = json!({
            "kind": self.kind,
            "outcome": outcome,
            "auditor": self.auditor,
            "performedOn": day(self.on),
            "validUntil": day(self.on + self.valid * DAY),
            "finding": (outcome != "PASSED").then(|| self.findings[which]),
        });
        [
            node("ComplianceRecord", id, set),
            link("HELD_BY", ("ComplianceRecord", id), ("Facility", facility), json!({})),
            link("COVERS", ("ComplianceRecord", id), (self.subject.0, &self.subject.1), json!({})),
        ]
    }
}

fn contracts(at: usize, site: &Site, rng: &mut ChaCha8Rng) -> Vec<Record> {
    // Smallest units of the currency for one of a large one: yen has none, the others a hundred. Prices follow the currency.
    let (currency, factor) = match site.country.as_str() {
        "US" => ("USD", 100),
        "CA" => ("CAD", 135),
        "MX" => ("MXN", 1_800),
        "SG" => ("SGD", 135),
        "JP" => ("JPY", 150),
        "IN" => ("INR", 8_300),
        "PL" => ("PLN", 420),
        _ => ("EUR", 95),
    };
    let special = match site.kind.as_str() {
        "PHARMA_HUB" => ("dry ice", &["Carbonix Ice", "Polar Pellets"]),
        "FOOD_TERMINAL" => ("pest control", &["Quietwall Pest Care", "Sentry Hygiene"]),
        _ => ("transport", &["Levante Haulage", "Sierra Reefer Lines"]),
    };
    let services = [
        ("energy", &["Northlight Energy", "Meridian Power"], 400_000_i64..2_600_000, None),
        (
            "refrigeration service",
            &["Nordfrost Service", "Kelvin & Sons"],
            60_000..310_000,
            Some(rng.random_range(2..=8)),
        ),
        (special.0, special.1, 18_000..240_000, Some(rng.random_range(8..=48))),
    ];
    let each = services.into_iter().enumerate().map(|(nth, (service, suppliers, price, hours))| {
        let starts = START - rng.random_range(30..900) * DAY;
        let years = rng.random_range(1..=4);
        let set = json!({
            "facility_id": site.id,
            "supplier": pick(rng, *suppliers),
            "service": service,
            "startsOn": day(starts),
            "endsOn": day(starts + years * YEAR),
            // 64-bit integers are text in JSON.
            "annualValue": (rng.random_range(price) * factor).to_string(),
            "currency": currency,
            "responseHours": hours,
        });
        row("Contract", format!("c{}", 3 * at + nth + 1), set)
    });
    each.collect()
}

const GDP: &[&str] = &[
    "Two deputies of the responsible person had not been trained on the current recall procedure",
    "Returned goods stood in the release area without a quarantine card for four hours",
    "The audit trail was reviewed monthly instead of with each release",
    "A carrier had been used for six weeks before its qualification was signed",
    "The probe at the warmest point of the last mapping had been moved to make room for a shelf",
];
const HACCP: &[&str] = &[
    "Core temperatures on receipt were written down for one pallet in ten instead of one in five",
    "Drain swab in the packing room positive for Listeria, closed after two negative repeats",
    "The plan did not mention the glazing line that was installed in spring",
    "Thermometer of the receiving dock was three weeks past its calibration",
    "Strip curtains of gate 4 tied up during loading",
];
const MAPPING: &[&str] = &[
    "The top shelf beside the door reached 8.4 °C in the summer run; now kept empty",
    "Winter run missing for the south room",
    "Two loggers failed on the third day, their grid points were repeated",
];
const CALIBRATION: &[&str] = &[
    "Found 0.4 °C too low at 5 °C, offset corrected, records since the last calibration reviewed",
    "Slope outside of the tolerance, probe replaced",
    "Certificate of the reference had expired on the day of the measurement, repeated",
];
const VEHICLE: &[&str] = &[
    "Rear door corner 1.8 °C warmer than the mean at 30 °C outside; gasket replaced",
    "Cool-down took 140 minutes instead of 90",
    "Return-air sensor and recorder differ by 0.9 °C",
];
