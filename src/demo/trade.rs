//! What the cold chain is for: products, where they are kept, and the shipments that carry them.

use std::io;

use rand::Rng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;
use serde_json::{Value, json};

use super::climate::{HOURS, Kind, START};
use super::cryox::{Device, Site, chance, pick};
use super::{day, instant, json_lines, link, node};
use crate::ingest::records::{Properties, Record};

const PRODUCTS: &str = include_str!("../../playground/demo/cryox/products.jsonl");
/// Vehicles, two at each facility.
pub const VEHICLES: usize = 24;
const SHIPMENTS: usize = 180;
const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;
/// The present of the demo.
const NOW: i64 = START + HOUR * HOURS as i64;

#[derive(Deserialize)]
struct Product {
    id: String,
    category: String,
    #[serde(rename = "shelfLifeDays")]
    shelf_life: i64,
    #[serde(flatten)]
    rest: Properties,
}

/// Products, stocks, vehicles and shipments. Facilities and devices must be there already.
///
/// # Errors
/// `InvalidData` when the embedded list of products is damaged.
pub fn records(seed: u64, sites: &[Site], devices: &[Device]) -> io::Result<Vec<Record>> {
    let products: Vec<Product> = json_lines("products.jsonl", PRODUCTS)?;
    let mut records: Vec<Record> = products.iter().map(product).collect();
    let mut kept = Vec::with_capacity(sites.len());
    for (at, site) in sites.iter().enumerate() {
        let mut rng = chance(seed, 10, at);
        let stock = stock(site, &products, &mut rng);
        for product in &stock {
            let pallets: i64 = rng.random_range(3..140);
            let set = json!({ "pallets": pallets, "reorderAt": rng.random_range(2..20) });
            records.push(link("STORES", ("Facility", &site.id), ("Product", &product.id), set));
        }
        kept.push(stock);
    }
    for number in 0..VEHICLES {
        records.extend(vehicle(seed, number, &sites[number / 2]));
    }
    for number in 0..SHIPMENTS {
        records.extend(Shipment::planned(seed, number, sites, &kept).records(devices, sites));
    }
    Ok(records)
}

fn product(product: &Product) -> Record {
    let mut set = Properties::new();
    set.extend(product.rest.clone());
    set.insert("category".into(), product.category.clone().into());
    set.insert("shelfLifeDays".into(), product.shelf_life.into());
    node("Product", &product.id, Value::Object(set))
}

/// Whether a kind of site can keep a category of product.
fn suits(site: &Site, category: &str, id: &str) -> bool {
    let fresh = matches!(category, "fruit" | "vegetable" | "flowers" | "ready meal" | "meat");
    let food = matches!(category, "seafood" | "dairy" | "fruit" | "meat" | "bakery" | "ready meal");
    match site.kind.as_str() {
        "CROSS_DOCK" => fresh,
        // Sashimi-grade tuna needs minus sixty, which one site has.
        "FOOD_TERMINAL" => food && (id != "pr11" || site.id == "f11"),
        _ => !fresh && !food,
    }
}

fn stock<'a>(site: &Site, products: &'a [Product], rng: &mut ChaCha8Rng) -> Vec<&'a Product> {
    let mut suitable: Vec<&Product> = products.iter().filter(|p| suits(site, &p.category, &p.id)).collect();
    suitable.shuffle(rng);
    // The tuna is what its site is known for.
    suitable.sort_by_key(|product| product.id != "pr11");
    suitable.truncate(6);
    suitable
}

fn vehicle(seed: u64, number: usize, home: &Site) -> [Record; 2] {
    let mut rng = chance(seed, 11, number);
    let id = format!("v{}", number + 1);
    let model = pick(&mut rng, ["Thermoline T-1200", "Thermoline T-800 Whisper", "Polarwind MX"]);
    let status = if rng.random_bool(0.1) { "MAINTENANCE" } else { "ONLINE" };
    let set = json!({
        "serial": format!("{} {}{} {:04}", home.country, letter(&mut rng), letter(&mut rng), 1_000 + number * 353),
        "model": model,
        "status": status,
        "firmware": pick(&mut rng, ["11.2", "11.3", "11.3.1"]),
        "pallets": pick(&mut rng, [18, 24, 33]),
    });
    [node("Vehicle", &id, set), link("BASED_AT", ("Vehicle", &id), ("Facility", &home.id), json!({}))]
}

fn letter(rng: &mut ChaCha8Rng) -> char {
    char::from(b"BCDFGHJKLMNPRSTVWXZ"[rng.random_range(0..19)])
}

/// A journey, decided but not written.
struct Shipment {
    id: String,
    reference: String,
    origin: usize,
    destination: usize,
    mode: &'static str,
    departs: i64,
    arrives: i64,
    held: bool,
    pallets: i64,
    /// Id of a product, its lot, boxes and last day.
    load: Vec<(String, Value)>,
    rng: ChaCha8Rng,
}

impl Shipment {
    fn planned(seed: u64, number: usize, sites: &[Site], kept: &[Vec<&Product>]) -> Self {
        let mut rng = chance(seed, 12, number);
        let origin = rng.random_range(0..sites.len());
        let (near, far) = (rng.random_bool(0.6), rng.random_range(1..sites.len()));
        let neighbours: Vec<usize> =
            (0..sites.len()).filter(|at| *at != origin && sites[*at].region == sites[origin].region).collect();
        let destination = if near { neighbours[far % neighbours.len()] } else { (origin + far) % sites.len() };
        let by_land = sites[origin].region == sites[destination].region && sites[origin].region != "APAC";
        let perishable = sites[origin].kind != "FOOD_TERMINAL";
        let (mode, hours) = match (by_land, perishable) {
            (true, _) => ("ROAD", rng.random_range(9..52)),
            (false, true) => ("AIR", rng.random_range(20..66)),
            (false, false) => ("SEA", rng.random_range(15 * 24..33 * 24)),
        };
        let departs = NOW - 48 * DAY + rng.random_range(0..50 * DAY) / 300 * 300;
        let arrives = departs + hours * HOUR + rng.random_range(0..60) * 60;
        let mut goods = kept[origin].clone();
        goods.shuffle(&mut rng);
        goods.truncate(rng.random_range(1..=3));
        let load =
            goods.into_iter().map(|product| (product.id.clone(), consignment(product, departs, &mut rng))).collect();
        Self {
            id: format!("s{}", number + 1),
            reference: format!("CRX-{}-{:05}", &day(departs)[2..4], 20_000 + number * 17),
            held: rng.random_bool(0.05),
            pallets: rng.random_range(1..=18),
            origin,
            destination,
            mode,
            departs,
            arrives,
            load,
            rng,
        }
    }

    fn records(mut self, devices: &[Device], sites: &[Site]) -> Vec<Record> {
        let (left, arrived) = (self.departs <= NOW, self.arrives <= NOW);
        let status = match (left, arrived) {
            (_, true) if self.held => "QUARANTINED",
            (_, true) => "DELIVERED",
            (true, false) => "IN_TRANSIT",
            (false, false) => "PLANNED",
        };
        let set = json!({
            "reference": self.reference,
            "status": status,
            "mode": self.mode,
            "pallets": self.pallets,
            "departedAt": left.then(|| instant(self.departs)),
            "arrivedAt": arrived.then(|| instant(self.arrives)),
        });
        let this = ("Shipment", self.id.as_str());
        let mut records = vec![
            node("Shipment", &self.id, set),
            link("SHIPS_FROM", this, ("Facility", &sites[self.origin].id), json!({})),
            link("SHIPS_TO", this, ("Facility", &sites[self.destination].id), json!({})),
        ];
        if self.mode == "ROAD" {
            let vehicle = format!("v{}", 2 * self.origin + self.rng.random_range(1..=2));
            records.push(link("CARRIED_BY", this, ("Vehicle", &vehicle), json!({})));
        }
        let loggers: Vec<_> = devices.iter().filter(|d| d.site == self.origin && d.kind == Kind::Logger).collect();
        if left && !loggers.is_empty() {
            let logger = loggers[self.rng.random_range(0..loggers.len())];
            records.push(link("MONITORED_BY", this, ("Device", &logger.id), json!({})));
        }
        for (product, consignment) in self.load {
            records.push(link("CARRIES", this, ("Product", &product), consignment));
        }
        records
    }
}

fn consignment(product: &Product, departs: i64, rng: &mut ChaCha8Rng) -> Value {
    let age = rng.random_range(0..=product.shelf_life / 3);
    json!({
        "lot": format!("{}{}{:04}", letter(rng), letter(rng), rng.random_range(0..10_000)),
        "units": rng.random_range(8..=480),
        "expires": day(departs + (product.shelf_life - age) * DAY),
    })
}
