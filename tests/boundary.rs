//! The walls of the house (ARCHITECTURE.md, "What must stay true"), kept by reading the sources as git knows them.
//!
//! A wall names words and the only places where they may stand. Comments, documentation and tests may speak of anything: comments
//! are taken out before looking, and test code (`tests/`, `tests.rs`, and `#[cfg(test)] mod tests` at the end of a file) is passed
//! over. A failure tells file, line and rule, all of them at once.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

/// The project's folder.
const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Lines of a source file at most.
const LONGEST: usize = 500;

/// Words, and the only places where they may stand.
struct Wall {
    rule: &'static str,
    words: &'static [&'static str],
    /// Where it is looked for; every Rust file below, tests excepted.
    within: &'static [&'static str],
    /// Files, and folders ending in `/`, where the words may stand.
    except: &'static [&'static str],
}

const EVERYWHERE: &[&str] = &["src/", "schema/src/", "resolvers/src/"];
const PURE: &[&str] = &["schema/src/", "resolvers/src/"];

const WALLS: &[Wall] = &[
    Wall {
        rule: "the environment is read in src/config.rs only; add a setting instead",
        words: &["env::var", "env::set_var", "env::remove_var", "from_default_env", "use std::env::"],
        within: EVERYWHERE,
        except: &["src/config.rs", "src/config/"],
    },
    Wall {
        rule: "the time of day comes from the port `Clock`, which only src/stores/clock.rs implements",
        words: &["SystemTime::now", "Timestamp::now", "Utc::now", "Local::now", "Zoned::now", "UNIX_EPOCH.elapsed"],
        within: EVERYWHERE,
        except: &["src/stores/clock.rs"],
    },
    Wall {
        rule: "the time of day comes from the port `Clock`, not from the database",
        words: &["'now'", "CURRENT_TIMESTAMP", "unixepoch("],
        within: EVERYWHERE,
        except: &[],
    },
    // The time inside of such an id is never read: it only keeps neighbours in an index together.
    Wall {
        rule: "ids are made up by the engine only, for new records and for errors",
        words: &["Ulid::new"],
        within: EVERYWHERE,
        except: &["resolvers/src/engine/write/draft.rs", "resolvers/src/engine/reply.rs"],
    },
    Wall {
        rule: "async-graphql stays where documents are read, in src/http, and beside introspection as a peer to test with",
        words: &["async_graphql"],
        within: EVERYWHERE,
        except: &[
            "resolvers/src/lib.rs",
            "resolvers/src/document.rs",
            "resolvers/src/document/",
            "resolvers/src/plan.rs",
            "resolvers/src/plan/",
            "resolvers/src/value.rs",
            "resolvers/src/value/",
            "resolvers/src/fields/introspect/",
            "resolvers/src/engine/reply.rs",
            "src/http/",
        ],
    },
    Wall {
        rule: "databases are reached in src/stores only",
        words: &["sqlx", "libsqlite3_sys", "sqlite_vec", "neo4rs", "qdrant_client", "tonic::"],
        within: EVERYWHERE,
        except: &["src/stores/"],
    },
    Wall {
        rule: "what is asked of Qdrant is bound to a tenant in src/stores/qdrant/scope.rs only",
        words: &["Filter {", "Filter::", "GetPoints", "PointsIdsList", "Condition::matches(TENANT"],
        within: &["src/stores/qdrant.rs", "src/stores/qdrant/"],
        except: &["src/stores/qdrant/scope.rs"],
    },
    Wall {
        rule: "query text is written in src/stores only",
        words: &[
            "SELECT ",
            "INSERT INTO",
            "DELETE FROM",
            "CREATE TABLE",
            "PRAGMA ",
            "MATCH (",
            "UNWIND ",
            "AssertSqlSafe",
        ],
        within: EVERYWHERE,
        except: &["src/stores/"],
    },
    Wall {
        rule: "the compiler and the engine reach the world through ports only",
        words: &["std::fs", "std::net", "std::process", "tokio::fs", "tokio::net", "tokio::process"],
        within: PURE,
        except: &[],
    },
    Wall {
        rule: "the compiler has no async",
        words: &["async fn", "async move", ".await", "tokio"],
        within: &["schema/src/"],
        except: &[],
    },
];

/// Crates that must not be among the dependencies of a member. A name that ends in `-` stands for all that begin so.
const ARROWS: &[(&str, &[&str])] = &[
    (
        "schema/Cargo.toml",
        &["quipu", "quipu-resolvers", "tokio", "futures", "futures-", "async-", "sqlx", "axum", "hyper", "reqwest"],
    ),
    ("resolvers/Cargo.toml", &["quipu", "sqlx", "axum", "hyper", "hyper-", "tower", "tower-", "reqwest", "ort"]),
];

/// Module names that say nothing about what is inside.
const NAMELESS: &[&str] = &["util", "utils", "helper", "helpers", "common", "types"];

#[test]
fn words_stay_behind_their_walls() {
    let mut broken = Broken::default();
    for file in tracked(|path| path.ends_with(".rs")) {
        let walls = WALLS.iter().filter(|wall| file.lies_in(wall.within) && !file.lies_in(wall.except));
        let walls: Vec<_> = walls.collect();
        for (line, code) in file.code() {
            for wall in &walls {
                for word in wall.words.iter().filter(|word| code.contains(**word)) {
                    broken.add(&file.path, line, &format!("`{word}`: {}", wall.rule));
                }
            }
        }
    }
    broken.none();
}

#[test]
fn names_say_what_is_inside() {
    let mut broken = Broken::default();
    for file in tracked(is_source) {
        let mut parts = file.path.split('/').map(|part| part.split('.').next().unwrap_or(part));
        if let Some(name) = parts.find(|name| NAMELESS.contains(name)) {
            broken.add(&file.path, 1, &format!("nothing is named `{name}`: name it after what it does"));
        }
        for (line, code) in file.code() {
            let words: Vec<_> = code.split([' ', ';', '{']).filter(|word| !word.is_empty()).collect();
            if let Some(pair) = words.windows(2).find(|pair| pair[0] == "mod" && NAMELESS.contains(&pair[1])) {
                broken.add(&file.path, line, &format!("no module is named `{}`: name it after what it does", pair[1]));
            }
        }
    }
    broken.none();
}

#[test]
fn no_source_is_longer_than_a_reader_s_patience() {
    let mut broken = Broken::default();
    for file in tracked(is_source) {
        let lines = file.text.lines().count();
        if lines > LONGEST {
            broken.add(
                &file.path,
                lines,
                &format!("a source has at most {LONGEST} lines, 100 to 300 are usual: split it"),
            );
        }
    }
    broken.none();
}

#[test]
fn crates_point_one_way() {
    let mut broken = Broken::default();
    for (path, refused) in ARROWS {
        let text = std::fs::read_to_string(Path::new(ROOT).join(path)).expect("the member has a manifest");
        let manifest: toml::Table = text.parse().expect("the manifest is TOML");
        let sections = ["dependencies", "dev-dependencies", "build-dependencies"];
        let names =
            sections.iter().filter_map(|section| manifest.get(*section)?.as_table()).flat_map(toml::Table::keys);
        for name in names {
            let is_meant = |other: &&str| name == other || other.ends_with('-') && name.starts_with(other);
            if refused.iter().any(is_meant) {
                let line = text.lines().position(|line| line.starts_with(name.as_str())).unwrap_or(0) + 1;
                broken.add(
                    path,
                    line,
                    &format!("`{name}`: quipu -> quipu-resolvers -> quipu-schema, and only quipu does I/O"),
                );
            }
        }
    }
    broken.none();
}

/// Lock files and settings that name a registry's host tie a build to it, and paths of one machine tie it to that.
#[test]
fn nothing_names_a_registry_or_somebody_s_machine() {
    // Put together here, so that this file does not name them.
    let hosts = [
        concat!("registry.", "npmjs.org"),
        concat!("registry.", "yarnpkg.com"),
        concat!("static.", "crates.io"),
        concat!("index.", "crates.io"),
        concat!("pypi", ".org"),
        concat!("files.", "pythonhosted.org"),
        concat!("repo1.", "maven.org"),
        concat!("repo.", "maven.apache.org"),
        concat!("proxy.", "golang.org"),
    ];
    let folders = [concat!("/", "work/"), concat!("/", "root/"), concat!("/", "home/")];
    let mut broken = Broken::default();
    for file in tracked(|_| true) {
        for (at, text) in file.text.lines().enumerate() {
            if let Some(host) = hosts.iter().find(|host| text.contains(**host)) {
                broken.add(&file.path, at + 1, &format!("`{host}`: nothing names a package registry's host"));
            }
            if let Some(folder) = folders.iter().find(|folder| begins_a_path(text, folder)) {
                broken.add(&file.path, at + 1, &format!("`{folder}`: nothing names a folder of one machine"));
            }
        }
    }
    broken.none();
}

/// Whether a folder stands in a text as the beginning of a path: not inside of a longer one, and not in an address.
fn begins_a_path(text: &str, folder: &str) -> bool {
    text.match_indices(folder).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        before.is_none_or(|c| !c.is_alphanumeric() && !matches!(c, '/' | '.' | '-' | '_' | '}' | '~'))
    })
}

fn is_source(path: &str) -> bool {
    let source = [".rs", ".ts", ".tsx", ".mjs", ".js"].iter().any(|end| path.ends_with(end));
    source && !path.contains("/fixtures/") && !path.contains("/generated/")
}

/// What is wrong, to be told all at once.
#[derive(Default)]
struct Broken(String);

impl Broken {
    fn add(&mut self, path: &str, line: usize, rule: &str) {
        let _ = write!(self.0, "\n  {path}:{line}: {rule}");
    }

    fn none(&self) {
        assert!(self.0.is_empty(), "walls are broken:{}", self.0);
    }
}

/// A file that git knows of.
struct Source {
    path: String,
    text: String,
}

/// The files of the project, also new ones, but nothing that is ignored. Those that are no text are left out.
fn tracked(wanted: impl Fn(&str) -> bool) -> Vec<Source> {
    let arguments = ["-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let listed = Command::new("git").args(arguments).current_dir(ROOT).output().expect("git runs");
    assert!(listed.status.success(), "git lists no files: {}", String::from_utf8_lossy(&listed.stderr));
    let paths = String::from_utf8(listed.stdout).expect("names of files are UTF-8");
    let paths = paths.split('\0').filter(|path| !path.is_empty() && wanted(path));
    // A file that was deleted is still listed until that is committed.
    let files = paths.filter_map(|path| Some((path, std::fs::read(Path::new(ROOT).join(path)).ok()?)));
    let files: Vec<_> = files
        .filter_map(|(path, bytes)| Some(Source { path: path.into(), text: String::from_utf8(bytes).ok()? }))
        .collect();
    assert!(!files.is_empty(), "git lists no files that are wanted");
    files
}

impl Source {
    fn lies_in(&self, places: &[&str]) -> bool {
        places.iter().any(|place| self.path == *place || place.ends_with('/') && self.path.starts_with(place))
    }

    /// Lines with their numbers, without comments and test code.
    fn code(&self) -> Vec<(usize, &str)> {
        let is_test = self.path.contains("tests/") || self.path.ends_with("/tests.rs");
        let mut lines = Vec::new();
        let mut rest = self.text.lines().enumerate().peekable();
        while let Some((at, line)) = rest.next() {
            let ends = line == "#[cfg(test)]" && rest.peek().is_some_and(|(_, next)| next.ends_with('{'));
            if is_test || ends {
                break;
            }
            let code = if line.trim_start().starts_with("//") { "" } else { line.split(" // ").next().unwrap_or(line) };
            lines.push((at + 1, code));
        }
        lines
    }
}

#[test]
fn comments_and_tests_are_passed_over() {
    let source = |path: &str, text: &str| Source { path: path.to_owned(), text: text.to_owned() };
    let text =
        "//! SELECT\nfn a() {} // SELECT\n    /// SELECT\nlet b = \"a//b\";\n#[cfg(test)]\nmod tests {\nSELECT\n}\n";
    let file = source("src/a.rs", text);
    assert_eq!(file.code(), [(1, ""), (2, "fn a() {}"), (3, ""), (4, "let b = \"a//b\";")]);
    assert!(source("src/a/tests.rs", text).code().is_empty());
    assert!(source("tests/a.rs", text).code().is_empty());
    assert_eq!(source("src/a.rs", "#[cfg(test)]\nmod tests;\nfn b() {}").code().len(), 3);
}

#[test]
fn paths_of_a_machine_are_told_from_other_paths() {
    assert!(begins_a_path("see /srv/x", "/srv/") && begins_a_path("\"/srv/x\"", "/srv/"));
    assert!(!begins_a_path("https://a.example/srv/x", "/srv/") && !begins_a_path("{dir}/srv/x", "/srv/"));
}
