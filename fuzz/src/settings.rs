//! Configuration, as a file and as variables: what is read is written and read again without a change, what is refused has a reason with its
//! place, and the environment says the same as the file.

use std::ffi::OsString;
use std::path::Path;

use quipu::config::{Config, ConfigError};
use toml::Value;

/// What separates the file from variables, each a line `NAME=VALUE`.
const BETWEEN: &str = "\n---\n";
/// Relative to no folder, so that paths stay as they are.
const FILE: &str = "quipu.toml";

/// Takes a text as a file, and what follows a line `---` as variables.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (file, variables) = text.split_once(BETWEEN).unwrap_or((text, ""));
    let variables: Vec<(OsString, OsString)> = variables
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned().into(), value.to_owned().into()))
        .collect();
    match Config::read(Some((Path::new(FILE), file)), variables.iter().cloned()) {
        Err(error) => told(file, &error, variables.len()),
        Ok(config) => {
            written(&config);
            if variables.is_empty() {
                in_the_environment(&config);
            }
        }
    }
}

/// Each problem is a line that says where it is: of the file, in the environment, or of a section.
fn told(file: &str, error: &ConfigError, variables: usize) {
    let shown = error.to_string();
    assert!(!shown.trim().is_empty(), "refused without a reason");
    let lines = file.split('\n').count();
    for place in shown.lines().filter_map(|line| line.strip_prefix("quipu.toml:")) {
        let number = place.split(':').next().and_then(|number| number.parse::<usize>().ok());
        let number = number.unwrap_or_else(|| panic!("a problem has no line: {place}"));
        assert!((1..=lines).contains(&number), "line {number} of {lines}: {place}");
    }
    assert!(variables > 0 || !shown.contains(" in the environment"), "{shown}");
}

fn read(text: &str) -> Config {
    Config::read(Some((Path::new(FILE), text)), std::iter::empty())
        .unwrap_or_else(|error| panic!("what was written is not read: {error}\n{text}"))
}

fn written(config: &Config) {
    let text = config.written();
    let again = read(&text);
    assert_eq!(again.written(), text, "it is written in another way");
    // Secrets are all shown alike.
    assert_eq!(format!("{again:?}"), format!("{config:?}"), "it was read as another one");
}

/// Sections that have variables say the same as variables.
fn in_the_environment(config: &Config) {
    let mut shared = config.clone();
    shared.graph_tenants.clear();
    shared.auth_issuers.clear();
    shared.own_plans.clear();
    let table: toml::Table = shared.written().parse().expect("what was written is TOML");
    let mut variables = Vec::new();
    for (section, keys) in &table {
        for (name, value) in keys.as_table().into_iter().flatten() {
            let value = match value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            variables.push((OsString::from(format!("QUIPU_{section}_{name}").to_uppercase()), OsString::from(value)));
        }
    }
    let read = Config::read(None, variables.iter().cloned())
        .unwrap_or_else(|error| panic!("the environment is not read: {error}"));
    assert_eq!(format!("{read:?}"), format!("{shared:?}"), "the environment says something else");
}
