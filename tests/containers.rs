//! The compose file, the Dockerfile and the settings between them: what one names, the others have. `scripts/compose check` has
//! docker-compose read the first.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use quipu::config::Config;

const COMPOSE: &str = include_str!("../playground/compose.yaml");
const DOCKERFILE: &str = include_str!("../playground/Dockerfile");
const SETTINGS: &str = include_str!("../playground/quipu.toml");

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The names two spaces deep below a heading of the compose file.
fn named(heading: &str) -> BTreeSet<&'static str> {
    let below = COMPOSE.split_once(&format!("\n{heading}:\n")).expect("the heading").1;
    let lines = below.lines().take_while(|line| line.is_empty() || line.starts_with([' ', '#']));
    let names = lines.filter_map(|line| line.strip_prefix("  ").filter(|rest| !rest.starts_with([' ', '#'])));
    names.filter_map(|rest| rest.split(':').next()).collect()
}

#[test]
fn the_settings_are_read_and_name_what_compose_brings() {
    // What the environment of a test sets would win over the file.
    let config = Config::load(Some(&root().join("playground/quipu.toml"))).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(config.server.listen.port(), 8080);
    assert!(config.server.listen.ip().is_unspecified(), "compose publishes the port");
    let (services, secrets) = (named("services"), named("secrets"));
    assert_eq!(services, ["demo-data", "neo4j", "postgres", "qdrant", "quipu", "redis"].into());
    let mut hosts = BTreeSet::new();
    for line in SETTINGS.lines().filter(|line| !line.trim_start().starts_with('#')) {
        let Some((key, value)) = line.split_once(" = \"") else { continue };
        let value = value.split('"').next().unwrap();
        if let Some((_, rest)) = value.split_once("://") {
            let address = rest.rsplit_once('@').map_or(rest, |(_, address)| address);
            let host = address.split([':', '/']).next().unwrap();
            assert!(services.contains(host), "{line}");
            assert!(!rest.split('@').next().unwrap_or_default().starts_with(':'), "a password in {line}");
            hosts.insert(host);
        }
        if key.ends_with("_file") {
            let name = value.strip_prefix("/run/secrets/").unwrap_or_else(|| panic!("{line}"));
            assert!(secrets.contains(name), "{name} is no secret of compose.yaml");
        }
        assert!(!key.ends_with("password") && !key.ends_with("secret") && key != "key", "{line}");
    }
    assert_eq!(hosts, ["neo4j", "postgres", "qdrant", "redis"].into());
    let library = DOCKERFILE.lines().find_map(|line| line.strip_prefix("ENV ORT_DYLIB_PATH=")).expect("the library");
    assert!(library.starts_with("/opt/quipu/"));
    assert!(config.embedding.model.starts_with("/opt/quipu/models"));
    assert!(root().join("models").join(config.embedding.model.file_name().unwrap()).is_dir());
}

/// A tag says exactly which release it is: three numbers, two for Postgres, a day for Debian. Nothing is `latest`, nothing names a registry.
#[test]
fn images_are_pinned() {
    let images: Vec<&str> = COMPOSE
        .lines()
        .filter_map(|line| line.trim().strip_prefix("image: "))
        .chain(DOCKERFILE.lines().filter_map(|line| line.strip_prefix("FROM ")?.split(' ').next()))
        .collect();
    assert_eq!(images.len(), 9, "{images:?}");
    for image in images {
        let (name, tag) = image.split_once(':').unwrap_or_else(|| panic!("{image} has no tag"));
        assert!(!name.split('/').next().unwrap().contains('.'), "{image} names a registry");
        let version =
            tag.trim_start_matches('v').split('-').find(|part| part.starts_with(|c: char| c.is_ascii_digit()));
        let numbers: Vec<&str> = version.unwrap_or_default().split('.').collect();
        let exact = match name {
            "postgres" => numbers.len() == 2,
            "debian" => numbers[0].len() == 8,
            _ => numbers.len() == 3,
        };
        assert!(exact && numbers.iter().all(|number| number.parse::<u32>().is_ok()), "{image} is not pinned");
    }
    let rust = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let rust = rust.lines().find_map(|line| line.strip_prefix("rust-version = ")).unwrap().trim_matches('"');
    assert!(DOCKERFILE.contains(&format!("FROM rust:{rust}.")), "the Dockerfile builds with Rust {rust}");
}

/// Everybody is checked, nobody is root, and only Neo4j's root can be written to.
#[test]
fn services_are_careful() {
    let body = COMPOSE.split_once("\nservices:\n").unwrap().1.split_once("\nvolumes:\n").unwrap().0;
    let mut services: Vec<(&str, String)> = Vec::new();
    for line in body.lines() {
        match line.strip_prefix("  ").filter(|rest| !rest.starts_with([' ', '#']) && rest.ends_with(':')) {
            Some(name) => services.push((name.trim_end_matches(':'), String::new())),
            None => services.last_mut().unwrap().1.push_str(&format!("{line}\n")),
        }
    }
    assert_eq!(services.len(), 6);
    for (name, text) in &services {
        let ours = text.contains("<<: *quipu");
        assert!(ours || text.contains("<<: *careful"), "{name}");
        assert!(ours || text.contains("    user: ") || text.contains("-unprivileged"), "{name} runs as root");
        assert!(ours || text.contains("    healthcheck:\n      "), "{name} is not checked");
        assert!(ours || *name == "neo4j" || text.contains("    read_only: true"), "{name} can be written to");
        assert_eq!(text.contains("ports:"), *name == "quipu", "{name}");
    }
    // No password stands here: what is called so is the path of a file.
    for line in COMPOSE.lines().filter(|line| line.contains("PASSWORD") || line.contains("AUTH_FILE")) {
        assert!(line.contains("_FILE: /run/secrets/"), "{line}");
    }
    let last = DOCKERFILE.rsplit_once("\nFROM ").unwrap().1;
    for part in ["\nUSER quipu\n", "\nHEALTHCHECK ", "\nENTRYPOINT [\"quipu\"]\n"] {
        assert!(last.contains(part), "{part}");
    }
}

/// What the build copies is in the tree, and not kept out of the context.
#[test]
fn what_the_build_copies_is_there() {
    let ignore = include_str!("../playground/Dockerfile.dockerignore");
    let taken: Vec<&str> = ignore.lines().filter_map(|line| line.strip_prefix('!')).collect();
    let mut count = 0;
    for line in
        DOCKERFILE.lines().filter_map(|line| line.strip_prefix("COPY ")).filter(|line| !line.starts_with("--from"))
    {
        let words: Vec<&str> = line.split(' ').collect();
        for source in &words[..words.len() - 1] {
            let source = source.trim_end_matches('/');
            assert!(root().join(source).exists(), "{source} is not there");
            assert!(taken.contains(&source.split('/').next().unwrap()), "{source} is kept out of the context");
            count += 1;
        }
    }
    assert!(count >= 12, "{count}");
    // Whatever the source takes in while it is compiled.
    for folder in ["graph-migrations", "playground", "schema", "tests", "benches"] {
        assert!(taken.contains(&folder) && Path::new(&root()).join(folder).is_dir(), "{folder}");
    }
}
