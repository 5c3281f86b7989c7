//! The tenant `cryox`: a cold chain of 12 facilities, made from a seed.

use std::io;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;
use serde_json::{Value, json};

use super::alerts::{self, Alert};
use super::climate::{self, Kind, Reading, START, Story};
use super::manuals::{self, Page};
use super::{instant, json_lines, link, node, papers, properties, row, trade};
use crate::ingest::records::{Properties, Record};

const FACILITIES: &str = include_str!("../../playground/demo/cryox/facilities.jsonl");
const HOUR: i64 = 3_600;
const DEVICES_EACH: usize = 20;

/// A facility as the embedded file gives it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Site {
    pub id: String,
    pub region: String,
    pub kind: String,
    pub country: String,
    #[serde(flatten)]
    rest: Properties,
}

/// A device with all that was measured.
pub(super) struct Device {
    pub id: String,
    /// Index of its facility.
    pub site: usize,
    pub kind: Kind,
    pub story: Story,
    /// Per cent; none on mains.
    pub battery: Option<u8>,
    pub readings: Vec<Reading>,
    deep: bool,
}

impl Device {
    /// Lowest and highest temperature allowed.
    pub fn limits(&self) -> Option<(f64, f64)> {
        self.kind.range(self.deep).map(|(_, low, high)| (low, high))
    }
}

/// A stream of chance of its own for each purpose and number, so that adding to one part changes no other.
pub(super) fn chance(seed: u64, purpose: u32, number: usize) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(u64::from(purpose) << 32 | number as u64);
    rng
}

/// One of some, each as likely as the other.
pub(super) fn pick<T: Copy, const N: usize>(rng: &mut ChaCha8Rng, items: [T; N]) -> T {
    items[rng.random_range(0..N)]
}

/// All records of the tenant, in an order in which everything is there before it is referred to. The same seed gives the same records.
/// The present of the data is 1 November 2026, 00:00 UTC.
///
/// # Errors
/// `InvalidData` when one of the embedded files is damaged.
pub fn cryox(seed: u64) -> io::Result<impl Iterator<Item = Record>> {
    let sites: Vec<Site> = json_lines("facilities.jsonl", FACILITIES)?;
    let pages = manuals::pages()?;
    let devices = devices(seed, &sites);
    let mut records: Vec<Record> = sites.iter().map(facility).collect();
    records.extend(pages.iter().enumerate().map(|(at, page)| document(at, page)));
    let alerts = alerts_in_order(seed, &devices);
    for (at, device) in devices.iter().enumerate() {
        records.extend(installed(seed, at, device, &sites[device.site], &alerts));
    }
    records.extend(trade::records(seed, &sites, &devices)?);
    records.extend(described(&pages, &sites, &devices));
    for (at, (device, alert)) in alerts.iter().enumerate() {
        let id = format!("a{}", at + 1);
        records.push(node("Alert", &id, alert.properties()));
        records.push(link("RAISED", ("Device", device), ("Alert", &id), json!({})));
    }
    records.extend(papers::records(seed, &sites, &devices));
    Ok(records.into_iter().chain(devices.into_iter().flat_map(measured)))
}

fn facility(site: &Site) -> Record {
    let mut set = properties(json!({ "region": site.region, "country": site.country, "kind": site.kind }));
    set.extend(site.rest.clone());
    node("Facility", &site.id, Value::Object(set))
}

/// Hours between local time and UTC, roughly.
fn offset(region: &str) -> i64 {
    match region {
        "EU" => 1,
        "NA" => -6,
        _ => 8,
    }
}

/// How many of each kind there are at a facility; 20 in all.
fn layout(site: &Site) -> [(Kind, usize); 5] {
    let [freezers, ultra_low, refrigerators, loggers] = match site.kind.as_str() {
        "PHARMA_HUB" => [3, 5, 6, 4],
        "FOOD_TERMINAL" => [10, 0, 4, 4],
        _ => [2, 0, 11, 5],
    };
    [
        (Kind::Freezer, freezers),
        (Kind::UltraLow, ultra_low),
        (Kind::Refrigerator, refrigerators),
        (Kind::Logger, loggers),
        (Kind::Gateway, 2),
    ]
}

/// What happens where: the facility, and the device by its kind and place in the list of that kind.
fn story(facility: &str, kind: Kind, nth: usize) -> Story {
    match (facility, kind, nth) {
        ("f2", Kind::UltraLow, 4) => Story::Fading(58),
        ("f3", Kind::Refrigerator, 2) => Story::Freezing(25, 7),
        // The only large site without a generator loses the grid for nine hours.
        ("f4", Kind::Logger, _) => Story::Quiet,
        ("f4", _, _) => Story::PowerCut(50, 9),
        ("f5", Kind::Refrigerator, 0) => Story::DoorAjar(64),
        ("f7", Kind::Freezer, 3) => Story::Fading(41),
        ("f8", Kind::Logger, 1) | ("f10", Kind::Logger, 3) => Story::Silent(70),
        ("f9", Kind::Freezer, 1) => Story::Defrost(20),
        ("f12", Kind::Refrigerator, 5) => Story::Stuck,
        _ => Story::Quiet,
    }
}

fn devices(seed: u64, sites: &[Site]) -> Vec<Device> {
    let mut devices = Vec::with_capacity(sites.len() * DEVICES_EACH);
    for (site, facility) in sites.iter().enumerate() {
        for (kind, count) in layout(facility) {
            for nth in 0..count {
                let mut rng = chance(seed, 1, devices.len());
                let deep = facility.id == "f11";
                let story = story(&facility.id, kind, nth);
                let battery = matches!(kind, Kind::Logger | Kind::Gateway).then(|| rng.random_range(6..=100));
                let readings = climate::course(kind, deep, offset(&facility.region), story, &mut rng);
                let id = format!("d{}", devices.len() + 1);
                devices.push(Device { id, site, kind, story, battery, readings, deep });
            }
        }
    }
    devices
}

/// All alerts with the ids of their devices, by the time they began.
fn alerts_in_order(seed: u64, devices: &[Device]) -> Vec<(String, Alert)> {
    let of = |(at, device): (usize, &Device)| {
        let found = alerts::alerts(device, &mut chance(seed, 2, at));
        found.into_iter().map(|alert| (device.id.clone(), alert)).collect::<Vec<_>>()
    };
    let mut alerts: Vec<_> = devices.iter().enumerate().flat_map(of).collect();
    alerts.sort_by_key(|(_, alert)| alert.opened);
    alerts
}

/// A device and its installation.
fn installed(seed: u64, at: usize, device: &Device, site: &Site, alerts: &[(String, Alert)]) -> [Record; 2] {
    let mut rng = chance(seed, 3, at);
    let troubled = alerts.iter().any(|(id, alert)| *id == device.id && alert.closed.is_none());
    let (model, prefix, firmwares) = make(device.kind, &mut rng);
    let serviced = rng.random_bool(0.03);
    let status = match device.story {
        Story::Silent(_) => "OFFLINE",
        _ if troubled => "DEGRADED",
        _ if serviced => "MAINTENANCE",
        _ => "ONLINE",
    };
    let year = rng.random_range(18..=25);
    let tags: Vec<&str> = TAGS.into_iter().filter(|_| rng.random_bool(0.12)).collect();
    let interval = if device.kind == Kind::Logger { 600 } else { 60 };
    let set = json!({
        "serial": format!("{year}-{prefix}{:05}", 10_000 + at * 37 + rng.random_range(0..37)),
        "model": model,
        "kind": device.kind.name(),
        "status": status,
        "battery": device.battery,
        "firmware": pick(&mut rng, firmwares),
        "minCelsius": device.limits().map(|(low, _)| low),
        "maxCelsius": device.limits().map(|(_, high)| high),
        "tags": tags,
        "settings": { "sampleSeconds": interval, "radio": { "channel": rng.random_range(11..=26), "dBm": 14 } },
        "pairingKey": format!("{:016x}", rng.random::<u64>()),
    });
    let day = 24 * HOUR;
    let since = START - rng.random_range(30..2_400) * day + rng.random_range(7..17) * HOUR;
    let surveyed = rng.random_bool(0.4);
    let confidence = f64::from(rng.random_range(52..=99)) / 100.0;
    let installation = json!({
        "since": instant(since),
        "slot": format!("{}{}-{:02}", pick(&mut rng, ["A", "B", "C"]), rng.random_range(1..=4), at % DEVICES_EACH + 1),
        "confidence": surveyed.then_some(confidence),
    });
    [node("Device", &device.id, set), link("HAS_DEVICE", ("Facility", &site.id), ("Device", &device.id), installation)]
}

const TAGS: [&str; 6] = ["loaner", "recalibrate", "near door", "customer stock", "warranty", "top shelf"];

/// Model, letter of its serial numbers and versions in the field.
fn make(kind: Kind, rng: &mut ChaCha8Rng) -> (&'static str, char, [&'static str; 4]) {
    let second = rng.random_bool(0.35);
    match (kind, second) {
        (Kind::Freezer, false) => ("Borealis WF-40", 'F', ["3.8.0", "3.8.2", "3.9.1", "3.9.1"]),
        (Kind::Freezer, true) => ("Skadi Room 2", 'K', ["2.1.7", "2.2.0", "2.2.0", "2.2.1"]),
        (Kind::UltraLow, false) => ("Helix ULT-86", 'U', ["5.0.3", "5.1.0", "5.1.0", "5.1.2"]),
        (Kind::UltraLow, true) => ("Njord Deep 700", 'N', ["1.14.0", "1.14.0", "1.15.0", "1.15.0"]),
        (Kind::Refrigerator, false) => ("Vialta VR-15", 'V', ["3.8.2", "3.9.0", "3.9.1", "3.9.1"]),
        (Kind::Refrigerator, true) => ("Frigo Linea 9", 'L', ["6.2", "6.3", "6.3", "6.4"]),
        (Kind::Logger, false) => ("CX-200", 'C', ["4.2.0", "4.2.1", "4.2.3", "4.3.0"]),
        (Kind::Logger, true) => ("CX-210 Multi", 'D', ["4.2.3", "4.3.0", "4.3.0", "4.3.1"]),
        (Kind::Gateway, _) => ("Hearth G3", 'G', ["7.0.4", "7.1.0", "7.1.0", "7.1.1"]),
    }
}

fn document(at: usize, page: &Page) -> Record {
    let id = format!("p{at:04}");
    Record::Document {
        url: Some(format!("https://manuals.cryox.example/{id}")),
        occurred_at: Some(format!("{}T00:00:00.000Z", page.issued)),
        title: page.title.clone(),
        text: page.text.clone(),
        properties: properties(json!({ "revision": page.revision, "issued": page.issued, "appliesTo": page.kinds })),
        id,
    }
}

/// Which pages apply to which facilities, devices and vehicles, and which products the first chunk of a page mentions.
fn described(pages: &[Page], sites: &[Site], devices: &[Device]) -> Vec<Record> {
    let mut records = Vec::new();
    for (at, page) in pages.iter().enumerate() {
        let id = format!("p{at:04}");
        let has = |list: &[String], item: &str| list.iter().any(|i| i == item);
        let mut describe = |of: &str, subject: &str| {
            records.push(link("DESCRIBED_IN", (of, subject), ("Document", &id), json!({})));
        };
        sites.iter().filter(|s| has(&page.facilities, &s.id)).for_each(|s| describe("Facility", &s.id));
        devices.iter().filter(|d| has(&page.kinds, d.kind.name())).for_each(|d| describe("Device", &d.id));
        if has(&page.kinds, "VEHICLE") {
            (1..=trade::VEHICLES).for_each(|v| describe("Vehicle", &format!("v{v}")));
        }
        let chunk = format!("{id}#0");
        records.extend(page.products.iter().map(|p| link("MENTIONS", ("Chunk", &chunk), ("Product", p), json!({}))));
    }
    records
}

fn measured(device: Device) -> impl Iterator<Item = Record> {
    let id = device.id;
    device.readings.into_iter().map(move |reading| {
        row(
            "Reading",
            format!("{id}-{:03}", reading.hour),
            json!({
                "device_id": id,
                "at": instant(START + HOUR * reading.hour as i64),
                "celsius": reading.celsius,
                "humidity": reading.humidity,
                "doorSeconds": reading.door,
            }),
        )
    })
}
