//! What the devices of the cold chain measured: four days, hour by hour, with the rhythm of day and night, doors that open, and the
//! few devices that something happens to.
//!
//! Only additions and multiplications, and no function of the platform's mathematics library: the same seed gives the same
//! hundredths of a degree everywhere.

use rand::Rng;

/// First hour: 28 October 2026, 00:00 UTC, a Wednesday, in Unix seconds.
pub const START: i64 = 1_793_145_600;
/// Hours that are covered; the present of the demo is the hour after the last.
pub const HOURS: usize = 96;

/// Kinds of device, in the order in which they are listed at a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Walk-in freezer.
    Freezer,
    /// Ultra-low freezer.
    UltraLow,
    /// Cold room or refrigerator.
    Refrigerator,
    /// Battery-powered logger.
    Logger,
    /// Radio gateway.
    Gateway,
}

/// What happens to a device within the four days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Story {
    /// Nothing.
    Quiet,
    /// The compressor loses its strength from this hour on, without end.
    Fading(usize),
    /// The heater of the evaporator stays on for some hours, again and again, from this hour on.
    Defrost(usize),
    /// No power from this hour, for that many hours.
    PowerCut(usize, usize),
    /// The controller cools far too much from this hour, for that many hours.
    Freezing(usize, usize),
    /// The door stands open in this hour and the two after it.
    DoorAjar(usize),
    /// The last report comes in this hour.
    Silent(usize),
    /// The probe has come loose and shows one value for ever. Nothing raises an alert; the figures give it away.
    Stuck,
}

/// A measurement.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// Hour after the start.
    pub hour: usize,
    /// Degrees Celsius, hundredths.
    pub celsius: f64,
    /// Relative humidity in per cent, tenths; none where it is too cold for the sensor.
    pub humidity: Option<f64>,
    /// Seconds that the door was open in the hour before.
    pub door: u32,
}

/// How a kind of device behaves.
struct Character {
    /// Share of a deviation that is left after an hour.
    keeps: f64,
    /// Degrees gained in a minute of open door.
    door: f64,
    /// Degrees that a warm afternoon adds.
    day: f64,
    /// Degrees gained in an hour without cooling.
    drift: f64,
    /// Degrees above the set point at which a failing compressor just keeps up.
    fades: f64,
}

impl Kind {
    /// Its name in the ontology.
    pub fn name(self) -> &'static str {
        match self {
            Self::Freezer => "FREEZER",
            Self::UltraLow => "ULT_FREEZER",
            Self::Refrigerator => "REFRIGERATOR",
            Self::Logger => "DATA_LOGGER",
            Self::Gateway => "GATEWAY",
        }
    }

    /// Set point and the limits around it, °C; none for a gateway. A deep store keeps its freezers at minus sixty.
    pub fn range(self, deep: bool) -> Option<(f64, f64, f64)> {
        match self {
            Self::Freezer if deep => Some((-60.0, -65.0, -55.0)),
            Self::Freezer => Some((-22.0, -28.0, -18.0)),
            Self::UltraLow => Some((-80.0, -90.0, -65.0)),
            Self::Refrigerator | Self::Logger => Some((5.0, 2.0, 8.0)),
            Self::Gateway => None,
        }
    }

    fn character(self) -> Character {
        match self {
            Self::Freezer => Character { keeps: 0.35, door: 0.30, day: 0.4, drift: 0.55, fades: 9.0 },
            Self::UltraLow => Character { keeps: 0.50, door: 0.55, day: 0.8, drift: 6.5, fades: 36.0 },
            Self::Refrigerator => Character { keeps: 0.25, door: 0.19, day: 0.5, drift: 0.9, fades: 8.0 },
            Self::Logger | Self::Gateway => Character { keeps: 0.60, door: 0.02, day: 0.4, drift: 1.2, fades: 8.0 },
        }
    }
}

/// The measurements of one device. `offset` is its local time in hours before or after UTC.
pub fn course(kind: Kind, deep: bool, offset: i64, story: Story, rng: &mut impl Rng) -> Vec<Reading> {
    let Some((target, ..)) = kind.range(deep) else {
        return Vec::new();
    };
    let mut character = kind.character();
    // No two doors seal alike.
    character.drift *= rng.random_range(0.85..1.15);
    let mut readings = Vec::with_capacity(HOURS);
    let mut above = 0.0;
    for hour in 0..HOURS {
        let door = open_door(kind, hour, offset, story, rng);
        above = deviation(&character, above, hour, story);
        above += f64::from(door) / 60.0 * character.door;
        let noise = rng.random_range(-0.12..0.12);
        let celsius = target + above + character.day * RHYTHM[local_hour(hour, offset)] + noise;
        let damp = rng.random_range(62.0..74.0) + f64::from(door) / 60.0;
        if matches!(story, Story::Silent(last) if hour > last) {
            continue;
        }
        let celsius = if story == Story::Stuck { target + 0.37 } else { celsius };
        let humidity = (celsius > -40.0).then(|| rounded(damp.min(97.0), 10.0));
        readings.push(Reading { hour, celsius: rounded(celsius, 100.0), humidity, door });
    }
    readings
}

/// Degrees above the set point after one more hour.
fn deviation(character: &Character, above: f64, hour: usize, story: Story) -> f64 {
    match story {
        Story::PowerCut(from, hours) if (from..from + hours).contains(&hour) => above + character.drift,
        Story::Fading(from) if hour >= from => above * 0.92 + character.fades * 0.08,
        Story::Defrost(from) if hour >= from && (hour - from) % 11 < 3 => above * character.keeps + 3.6,
        Story::Freezing(from, hours) if (from..from + hours).contains(&hour) => above * 0.5 - 2.7,
        _ => above * character.keeps,
    }
}

/// Seconds of open door: now and then while people work, hardly at night and on Saturday, and for long by mistake.
fn open_door(kind: Kind, hour: usize, offset: i64, story: Story, rng: &mut impl Rng) -> u32 {
    let (busy, slip, usual) = (rng.random_bool(0.55), rng.random_bool(0.004), rng.random_range(20..200));
    let local = local_hour(hour, offset);
    let working = (6..20).contains(&local) && !is_saturday(hour, offset);
    match story {
        Story::DoorAjar(from) if (from..from + 3).contains(&hour) => 2_400 - 300 * (hour - from) as u32,
        Story::PowerCut(from, hours) if (from..from + hours).contains(&hour) => 0,
        _ if matches!(kind, Kind::Logger | Kind::Gateway) => 0,
        _ if working && slip => 780 + usual,
        _ if working && busy => usual,
        _ if !working && slip => usual,
        _ => 0,
    }
}

fn local_hour(hour: usize, offset: i64) -> usize {
    usize::try_from((hour as i64 + offset).rem_euclid(24)).unwrap_or_default()
}

fn is_saturday(hour: usize, offset: i64) -> bool {
    // The first day is a Wednesday.
    (hour as i64 + offset).div_euclid(24) == 3
}

fn rounded(value: f64, steps: f64) -> f64 {
    // Adding zero turns a negative zero into a plain one.
    (value * steps).round() / steps + 0.0
}

/// How warm it is outside through a local day: coldest before sunrise, warmest in the afternoon.
const RHYTHM: [f64; 24] = [
    -0.55, -0.66, -0.76, -0.86, -0.95, -1.00, -0.94, -0.75, -0.48, -0.16, 0.18, 0.50, 0.75, 0.92, 1.00, 0.98, 0.86,
    0.66, 0.43, 0.20, -0.01, -0.18, -0.32, -0.44,
];
