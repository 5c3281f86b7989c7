//! What the documents say of the code, compared with the code: settings, error codes, directives, names of files.

use std::collections::BTreeSet;
use std::path::Path;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn text(path: &str) -> String {
    std::fs::read_to_string(Path::new(ROOT).join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The rows of the README's table of settings, made of the reference: every key with its default or an example.
fn settings() -> Vec<String> {
    let (mut section, mut about, mut rows) = (String::new(), Vec::new(), Vec::new());
    for line in quipu::config::reference().lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']').to_owned();
            about.clear();
        } else if let Some(comment) = line.strip_prefix("# ") {
            about.push(comment.to_owned());
        } else if let Some((name, value)) = line.strip_prefix('#').and_then(|line| line.split_once(" = ")) {
            rows.push(format!("| `{section}.{name}` | `{value}` | {} |", about.join(" ")));
            about.clear();
        }
    }
    rows
}

#[test]
fn the_readme_has_every_setting() {
    let readme = text("README.md");
    let rows = settings();
    assert!(rows.len() > 40, "the reference is read");
    let shown: Vec<_> = readme.lines().filter(|line| is_setting(line)).collect();
    assert_eq!(shown, rows, "the table of settings in README.md should be\n{}\n", rows.join("\n"));
}

#[test]
fn the_readme_has_every_setting_of_an_issuer() {
    let rows: Vec<String> = quipu::config::issuer_settings()
        .into_iter()
        .map(|(name, value, about)| format!("| `{name}` | `{value}` | {about} |"))
        .collect();
    let readme = text("README.md");
    let below = readme.split_once("\n### Tokens of identity providers").expect("a section on issuers").1;
    let table =
        below.lines().skip_while(|line| !line.starts_with("| setting")).take_while(|line| line.starts_with('|'));
    let shown: Vec<_> = table.skip(2).collect();
    assert_eq!(shown, rows, "the table of an issuer's settings in README.md should be\n{}\n", rows.join("\n"));
}

#[test]
fn the_issuers_of_the_readme_are_settings() {
    let readme = text("README.md");
    let below = readme.split_once("\n### Tokens of identity providers").expect("a section on issuers").1;
    let example = below.split_once("```toml\n").and_then(|(_, rest)| rest.split_once("```")).expect("an example").0;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("quipu.toml");
    std::fs::write(&path, example).expect("a file");
    let config = quipu::config::Config::load(Some(&path)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(config.auth_issuers.len(), 3);
}

/// A row of a table that begins with `section.key`.
fn is_setting(line: &str) -> bool {
    let name = line.strip_prefix("| `").and_then(|rest| rest.split_once('`')).map(|(name, _)| name);
    name.and_then(|name| name.split_once('.')).is_some_and(|(section, key)| {
        let is_word = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        is_word(section) && is_word(key)
    })
}

/// The names, in backticks and without arguments, that begin the rows of the table below a heading.
fn column(document: &str, heading: &str) -> BTreeSet<String> {
    let below = document.split_once(heading).unwrap_or_else(|| panic!("there is no heading {heading:?}")).1;
    let rows = below.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    rows.filter_map(|row| Some(row.strip_prefix("| `")?.split(['`', '(']).next()?.to_owned())).collect()
}

#[test]
fn the_readme_has_every_error_code() {
    let source = text("resolvers/src/fault.rs");
    let names =
        source.split_once("fn as_str").and_then(|(_, rest)| rest.split_once("fn status")).expect("two functions").0;
    let codes: BTreeSet<String> =
        names.lines().filter_map(|line| Some(line.split_once("=> \"")?.1.split_once('"')?.0.to_owned())).collect();
    assert!(codes.len() > 20, "the codes are read");
    assert_eq!(column(&text("README.md"), "\n## Errors"), codes);
}

#[test]
fn the_readme_has_every_directive() {
    let source = text("schema/src/directives.rs");
    let table = source.split_once("const SIGNATURES").and_then(|(_, rest)| rest.split_once("];")).expect("a table").0;
    let names = table.split("on(").skip(1).filter_map(|rest| rest.split('"').nth(1));
    let names: BTreeSet<String> = names.filter(|name| *name != "specifiedBy").map(|name| format!("@{name}")).collect();
    assert!(names.len() > 10, "the directives are read");
    assert_eq!(column(&text("README.md"), "\n### Directives"), names);
}

/// Names of all functions in the Rust files below some folders, tests among them.
fn functions(folders: &[&str]) -> BTreeSet<String> {
    let (mut open, mut names) =
        (folders.iter().map(|name| Path::new(ROOT).join(name)).collect::<Vec<_>>(), BTreeSet::new());
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(std::fs::read_dir(&path).expect("a folder").map(|entry| entry.expect("an entry").path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).expect("a source");
            let declared = text.lines().filter_map(|line| line.trim_start().split_once("fn ")?.1.split_once('('));
            names.extend(declared.map(|(name, _)| name.to_owned()));
        }
    }
    names
}

/// Each line of the table names tests that are there, or says that it is open; and each test with a number is in the table.
#[test]
fn security_names_a_test_for_each_line() {
    let document = text("SECURITY.md");
    let below = document.split_once("\n## How it is tested").expect("a section on tests").1;
    let rows = below.lines().skip_while(|line| !line.starts_with("| line")).take_while(|line| line.starts_with('|'));
    let rows: Vec<Vec<&str>> =
        rows.skip(2).map(|row| row.trim_matches('|').split(" | ").map(str::trim).collect()).collect();
    let numbers: Vec<&str> = rows.iter().map(|row| row[0]).collect();
    let after = |number: u32| match number {
        50 => &["a", "b"][..],
        63 => &["a", "b", "c", "d"],
        _ => &[],
    };
    let expected = (1..=80).flat_map(|number| {
        let letters = after(number).iter().map(move |letter| format!("{number}{letter}"));
        std::iter::once(number.to_string()).chain(letters)
    });
    assert_eq!(numbers, expected.collect::<Vec<_>>(), "every line once, in order");
    let there = functions(&["src", "resolvers/src", "schema/src", "tests"]);
    let mut named = BTreeSet::new();
    for row in &rows {
        let tests: Vec<&str> = row[2].split('`').skip(1).step_by(2).filter(|word| !word.contains(['/', '.'])).collect();
        assert!(!tests.is_empty() || row[2].starts_with("open: "), "line {} has neither a test nor a reason", row[0]);
        named.extend(tests);
    }
    let missing: Vec<_> = named.iter().filter(|name| !there.contains(**name)).collect();
    assert!(missing.is_empty(), "SECURITY.md names tests that are not there: {missing:#?}");
    let is_numbered = |name: &&String| {
        name.strip_prefix("hostile_").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    let unnamed: Vec<_> = there.iter().filter(is_numbered).filter(|name| !named.contains(name.as_str())).collect();
    assert!(unnamed.is_empty(), "these belong into the table of SECURITY.md: {unnamed:#?}");
}

/// Documents that name files, and the folders in which a name may be meant.
#[test]
fn documents_name_files_that_are_there() {
    let mut missing = Vec::new();
    for document in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md"] {
        let text = text(document);
        let linked = text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
        // The picture is taken of the running demo, and committed after what it shows.
        let linked =
            linked.filter(|target| !target.contains("://") && !target.starts_with('#') && !target.ends_with(".png"));
        let quoted = text.split('`').skip(1).step_by(2).map(|word| word.split("::").next().unwrap_or(word));
        let quoted = quoted.filter(|word| word.ends_with(".rs") && !word.contains([' ', '<', '*']));
        for name in linked.chain(quoted) {
            let name = name.split('#').next().unwrap_or(name);
            let roots = [
                "",
                "src",
                "resolvers/src",
                "schema/src",
                "resolvers/src/engine",
                "resolvers/src/document",
                "src/http",
            ];
            if !roots.iter().any(|root| Path::new(ROOT).join(root).join(name).exists()) {
                missing.push(format!("{document}: {name}"));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}
