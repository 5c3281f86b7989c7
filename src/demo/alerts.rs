//! Alerts of the cold chain: those of the four measured days follow from the measurements, those of the months before are history.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use super::climate::{HOURS, Kind, Reading, START, Story};
use super::cryox::{Device, pick};
use super::instant;

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;
/// People who take alerts on.
const ON_DUTY: [&str; 10] = [
    "a.okafor",
    "b.lindqvist",
    "c.moreau",
    "d.nowak",
    "e.tanaka",
    "f.ramirez",
    "g.iyer",
    "h.janssen",
    "k.tremblay",
    "l.goh",
];

/// An alert before it has an id.
#[derive(Debug, Clone, PartialEq)]
pub struct Alert {
    /// Value of `AlertKind`.
    pub kind: &'static str,
    /// Value of `Severity`.
    pub severity: &'static str,
    /// What it says.
    pub message: String,
    /// Unix seconds.
    pub opened: i64,
    /// Unix seconds; none while it lasts.
    pub closed: Option<i64>,
    /// Who took it on.
    pub acknowledged_by: Option<&'static str>,
}

impl Alert {
    /// Its properties in the ontology.
    pub fn properties(&self) -> Value {
        json!({
            "kind": self.kind,
            "severity": self.severity,
            "message": self.message,
            "openedAt": instant(self.opened),
            "closedAt": self.closed.map(instant),
            "acknowledgedBy": self.acknowledged_by,
        })
    }

    fn new(kind: &'static str, severity: &'static str, message: String, opened: i64, closed: Option<i64>) -> Self {
        Self { kind, severity, message, opened, closed, acknowledged_by: None }
    }

    /// Taken on by somebody, as everything that is over was, and every second thing that is not.
    fn seen(mut self, rng: &mut ChaCha8Rng) -> Self {
        let (who, whether) = (pick(rng, ON_DUTY), rng.random_bool(0.5));
        self.acknowledged_by = (self.closed.is_some() || whether).then_some(who);
        self
    }
}

/// All alerts of a device: history first, then what its readings and its story say.
pub fn alerts(device: &Device, rng: &mut ChaCha8Rng) -> Vec<Alert> {
    let mut alerts = history(device, rng);
    if let Some((low, high)) = device.limits() {
        alerts.extend(excursions(&device.readings, "TEMPERATURE_HIGH", |r| r.celsius - high, high));
        alerts.extend(excursions(&device.readings, "TEMPERATURE_LOW", |r| low - r.celsius, low));
    }
    alerts.extend(device.readings.iter().filter(|r| r.door > 600).map(door));
    alerts.extend(battery(device));
    match device.story {
        Story::PowerCut(from, hours) if device.kind == Kind::Gateway => {
            let message = format!("Mains lost; gateway runs on its battery, {hours} h until the grid returned");
            let (opened, closed) = (second(from), second(from + hours));
            alerts.push(Alert::new("POWER", "CRITICAL", message, opened, Some(closed)));
        }
        Story::Silent(last) => {
            let message = format!("No report since {} UTC", &instant(second(last))[..16].replace('T', " "));
            alerts.push(Alert::new("CONNECTIVITY", "WARNING", message, second(last + 2), None));
        }
        _ => {}
    }
    alerts.into_iter().map(|alert| alert.seen(rng)).collect()
}

/// Unix second of an hour of the four days.
fn second(hour: usize) -> i64 {
    START + HOUR * hour as i64
}

/// Runs of at least two readings beyond a limit. `beyond` is positive outside of it, in degrees.
fn excursions(readings: &[Reading], kind: &'static str, beyond: impl Fn(&Reading) -> f64, limit: f64) -> Vec<Alert> {
    let outside = |r: &Reading| beyond(r) > 0.0;
    let runs = readings.chunk_by(|a, b| outside(a) == outside(b)).filter(|run| run.len() > 1 && outside(&run[0]));
    runs.map(|run| {
        let worst = run.iter().max_by(|a, b| beyond(a).total_cmp(&beyond(b))).unwrap_or(&run[0]);
        let last = run[run.len() - 1].hour;
        let closed = (last + 1 < HOURS).then(|| second(last + 1));
        let severity = if beyond(worst) > 4.0 || run.len() > 6 || closed.is_none() { "CRITICAL" } else { "WARNING" };
        let message = format!("{:.1} °C against a limit of {limit:.0} °C, {} h", worst.celsius, run.len());
        Alert::new(kind, severity, message, second(run[0].hour), closed)
    })
    .collect()
}

fn door(reading: &Reading) -> Alert {
    let minutes = reading.door / 60;
    let severity = if minutes >= 30 { "WARNING" } else { "INFO" };
    let opened = second(reading.hour) - i64::from(reading.door);
    let message = format!("Door open for {minutes} min within an hour");
    Alert::new("DOOR", severity, message, opened, Some(second(reading.hour)))
}

fn battery(device: &Device) -> Option<Alert> {
    let charge = device.battery.filter(|charge| *charge < 20)?;
    let severity = if charge < 10 { "WARNING" } else { "INFO" };
    let opened = START + 7 * HOUR * i64::from(charge);
    Some(Alert::new("BATTERY", severity, format!("Battery at {charge} %, change the cell"), opened, None))
}

/// What happened within the three months before.
fn history(device: &Device, rng: &mut ChaCha8Rng) -> Vec<Alert> {
    let count = rng.random_range(0..=2);
    (0..count).map(|_| past(device.kind, rng)).collect()
}

fn past(kind: Kind, rng: &mut ChaCha8Rng) -> Alert {
    let opened = START - rng.random_range(2 * DAY..90 * DAY) / 60 * 60;
    let (long, short) = (rng.random_range(35..380), rng.random_range(12..48));
    let dice = rng.random_range(0..100);
    let is_door = matches!(kind, Kind::Freezer | Kind::Refrigerator) && (25..55).contains(&dice);
    let minutes = if is_door { short } else { long };
    let closed = Some(opened + 60 * minutes);
    let (kind, severity, message) = match kind {
        Kind::Gateway if dice < 60 => {
            ("CONNECTIVITY", "INFO", format!("Uplink lost for {minutes} min, readings were kept and sent later"))
        }
        Kind::Gateway => ("POWER", "WARNING", format!("Mains lost for {minutes} min, on battery")),
        Kind::Logger if dice < 45 => {
            ("CONNECTIVITY", "INFO", format!("Out of reach for {minutes} min behind a full rack"))
        }
        Kind::Logger if dice < 70 => ("BATTERY", "INFO", "Battery below 20 %, cell was changed".to_owned()),
        Kind::Logger => {
            ("TEMPERATURE_HIGH", "INFO", format!("{:.1} °C on the dock during loading", 8.4 + f64::from(dice) / 20.0))
        }
        Kind::UltraLow if dice < 40 => {
            ("TEMPERATURE_HIGH", "WARNING", format!("{} °C after a long search in the racks", dice / 3 - 64))
        }
        Kind::UltraLow => {
            ("TEMPERATURE_HIGH", "INFO", format!("Slow to recover, {minutes} min; condenser filter cleaned"))
        }
        Kind::Refrigerator if dice < 25 => {
            ("TEMPERATURE_LOW", "WARNING", format!("{:.1} °C beside the air outlet", f64::from(dice) / 20.0))
        }
        _ if is_door => ("DOOR", "INFO", format!("Door open for {minutes} min, delivery")),
        _ if dice < 80 => {
            ("TEMPERATURE_HIGH", "WARNING", format!("Above the limit for {minutes} min after a delivery"))
        }
        _ => (
            "TEMPERATURE_HIGH",
            "CRITICAL",
            format!("Above the limit for {minutes} min, compressor tripped on high pressure"),
        ),
    };
    Alert::new(kind, severity, message, opened, closed)
}
