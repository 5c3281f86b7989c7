use std::ffi::OsString;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use quipu_resolvers::guard::TenantId;

use super::*;

fn variables(pairs: &[(&str, &str)]) -> std::vec::IntoIter<(OsString, OsString)> {
    pairs.iter().map(|(name, value)| (name.into(), value.into())).collect::<Vec<_>>().into_iter()
}

fn of_text(text: &str) -> Result<Config, ConfigError> {
    Config::read(Some((Path::new("/etc/quipu/quipu.toml"), text)), variables(&[]))
}

fn of_variables(pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
    Config::read(None, variables(pairs))
}

fn problem(result: Result<Config, ConfigError>) -> String {
    result.expect_err("should be refused").to_string()
}

#[test]
fn the_reference_names_every_default_and_means_nothing() {
    let reference = reference();
    let uncommented: String = reference
        .lines()
        .filter(|line| !line.starts_with("# ") && !line.contains("\"...\"") && !line.contains("/to/"))
        .map(|line| line.strip_prefix('#').unwrap_or(line).to_owned() + "\n")
        .filter(|line| {
            let examples =
                ["threads", "enabled", "keep = ", "tenant_share", "operators", "listen = \"127.0.0.1:8081\""];
            !line.contains("random characters") && !examples.iter().any(|name| line.starts_with(name))
        })
        .collect();
    let at_root = |text: &str| Config::read(Some((Path::new("quipu.toml"), text)), variables(&[]));
    assert_eq!(at_root(&uncommented).unwrap(), Config::default());
    assert_eq!(at_root(&reference).unwrap(), Config::default());
    insta::assert_snapshot!(reference);
}

#[test]
fn every_setting_can_be_set_by_the_environment() {
    let mut config = Config::default();
    let mut pairs = Vec::new();
    config.visit(&mut |key, setting| {
        let shown = setting.show();
        let text = shown.trim_matches('"').to_owned();
        pairs.push((key.variable(), text));
    });
    assert!(pairs.iter().any(|(name, _)| name == "QUIPU_LIMITS_DOCUMENT_BYTES"));
    for (name, text) in &pairs {
        of_variables(&[(name, text)]).unwrap_or_else(|error| panic!("{name}={text}: {error}"));
    }
}

#[test]
fn the_environment_wins_over_the_file() {
    let file = (Path::new("/etc/quipu/quipu.toml"), "[server]\nlisten = \"0.0.0.0:1\"\nbatch = 3");
    let config =
        Config::read(Some(file), variables(&[("QUIPU_SERVER_LISTEN", "127.0.0.1:2"), ("HOME", "/x")])).unwrap();
    assert_eq!(config.server.listen, "127.0.0.1:2".parse::<SocketAddr>().unwrap());
    assert_eq!(config.server.batch.get(), 3);
}

#[test]
fn forms_are_read() {
    let config = of_text(
        "[server]\nmode = \"production\"\nbody_bytes = \"64KiB\"\nrequest_timeout = \"1m 30s\"\n[limits]\nprice = 5\n[logs]\nformat = \"json\"",
    )
    .unwrap();
    assert!(config.is_production());
    assert!(!config.serves_playground());
    assert_eq!(config.server.body_bytes, ByteSize(64 << 10));
    assert_eq!(config.server.request_timeout, Duration::from_secs(90));
    assert_eq!(config.limits.engine().price, 5);
    assert_eq!(config.logs.format, LogFormat::Json);
}

#[test]
fn paths_are_relative_to_the_file_or_to_the_current_folder() {
    let config = of_text("[store]\npath = \"data/q.db\"\n[auth]\nsecret_file = \"/run/key\"").unwrap();
    assert_eq!(config.store.path, PathBuf::from("/etc/quipu/data/q.db"));
    assert_eq!(config.auth.secret_file.unwrap(), PathBuf::from("/run/key"));
    assert_eq!(config.embedding.model, PathBuf::from("/etc/quipu/models/all-MiniLM-L6-v2"));
    assert_eq!(of_variables(&[("QUIPU_STORE_PATH", "q.db")]).unwrap().store.path, PathBuf::from("q.db"));
}

#[test]
fn unknown_names_are_refused_with_the_nearest() {
    let said = problem(of_text("[server]\nlisten = \"0.0.0.0:1\"\nmax_conections = 4\n\n[servr]\nlisten = \"x\"\n"));
    assert_eq!(
        said,
        "/etc/quipu/quipu.toml:3: unknown setting `server.max_conections`; did you mean `server.max_connections`?\n\
         /etc/quipu/quipu.toml:6: unknown setting `servr.listen`; did you mean `server.listen`?"
    );
    assert_eq!(
        problem(of_variables(&[("QUIPU_SERVER_LISTN", "x")])),
        "unknown setting `QUIPU_SERVER_LISTN`; did you mean `QUIPU_SERVER_LISTEN`? in the environment"
    );
    assert!(problem(of_text("colour = 1")).contains("`colour` belongs in a section"));
    assert!(problem(of_text("[colour]")).contains("unknown section `colour`"));
}

#[test]
fn wrong_forms_name_the_key_and_what_was_expected() {
    let expect = [
        ("[server]\nlisten = 8080", "expected an address and port like \"127.0.0.1:8080\", found 8080"),
        ("[server]\nmode = \"prod\"", "`server.mode`: expected \"development\" or \"production\""),
        ("[server]\ndrain = 5", "expected a duration like \"30s\", \"500ms\" or \"1h\", found 5"),
        ("[server]\ndrain = \"-5s\"", "expected a duration"),
        ("[server]\nbody_bytes = \"1MB\"", "expected a size like \"1MiB\""),
        ("[server]\nbody_bytes = \"99999999999999GiB\"", "expected a size"),
        ("[server]\nbatch = 0", "expected a whole number from 1, found 0"),
        ("[limits]\npage = -1", "expected a whole number from 0 to 4294967295, found -1"),
        ("[playground]\nenabled = \"yes\"", "expected true or false"),
        ("[graph]\nurl = \"http://x\"", "expected \"embedded\""),
        ("[server]\nlisten = ", "quipu.toml:2: "),
    ];
    for (text, part) in expect {
        let said = problem(of_text(text));
        assert!(said.contains(part), "{text}: {said}");
    }
    assert!(
        problem(of_variables(&[("QUIPU_SERVER_BATCH", "ten")])).contains("`QUIPU_SERVER_BATCH` in the environment")
    );
}

#[test]
fn secrets_come_from_files_and_stay_hidden() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "0123456789abcdef0123456789abcdef").unwrap();
    let path = file.path().to_str().unwrap();
    let config = of_variables(&[("QUIPU_AUTH_SECRET_FILE", path)]).unwrap();
    assert_eq!(config.auth_key().unwrap().expose(), b"0123456789abcdef0123456789abcdef");
    let config = of_variables(&[("QUIPU_AUTH_SECRET", "0123456789abcdef0123456789abcdef")]).unwrap();
    assert!(!format!("{config:?}").contains("0123456789"));
    let both = of_variables(&[("QUIPU_AUTH_SECRET_FILE", path), ("QUIPU_AUTH_SECRET", "x")]).unwrap();
    assert!(both.auth_key().unwrap_err().to_string().contains("not both"));
    assert!(!problem(of_text("[auth]\nleeway = \"hush-hush\"")).contains("hush"));
}

#[test]
fn hostile_43_a_public_key_or_a_short_word_is_no_secret() {
    let key = |text| of_variables(&[("QUIPU_AUTH_SECRET", text)]).unwrap().auth_key();
    let pem = "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A\n-----END PUBLIC KEY-----";
    assert!(key(pem).unwrap_err().to_string().contains("PEM"));
    assert!(key("changeme").unwrap_err().to_string().contains("at least 32"));
}

#[test]
fn without_a_key_there_is_no_serving_but_help() {
    let said = Config::default().auth_key().unwrap_err().to_string();
    assert!(said.contains("help: set `auth.secret_file`"), "{said}");
    assert!(Config::default().engine_settings().is_err());
}

#[test]
fn the_cursor_key_is_derived_or_given() {
    let a = of_variables(&[("QUIPU_AUTH_SECRET", "0123456789abcdef0123456789abcdef")]).unwrap();
    let b = of_variables(&[("QUIPU_AUTH_SECRET", "1123456789abcdef0123456789abcdef")]).unwrap();
    assert_eq!(a.cursor_key().unwrap().len(), 32);
    assert_ne!(a.cursor_key().unwrap(), b.cursor_key().unwrap());
    assert_ne!(a.cursor_key().unwrap(), a.auth_key().unwrap().expose());
    let own = of_variables(&[("QUIPU_CURSOR_SECRET", "2123456789abcdef0123456789abcdef")]).unwrap();
    assert_eq!(own.cursor_key().unwrap(), b"2123456789abcdef0123456789abcdef");
}

#[test]
fn variables_of_the_scripts_are_no_settings() {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
    let mut names = Vec::new();
    let folders = [scripts.clone(), scripts.join("servers")];
    let entries =
        folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()));
    for script in entries.filter(|path| path.is_file()) {
        let text = std::fs::read_to_string(script).unwrap();
        let words = text.split(|next: char| next != '_' && !next.is_ascii_uppercase() && !next.is_ascii_digit());
        names.extend(words.filter(|word| word.len() > PREFIX.len() && word.starts_with(PREFIX)).map(ToOwned::to_owned));
    }
    assert!(names.iter().any(|name| name == "QUIPU_CACHE"), "{names:?}");
    for name in names {
        let own = of_variables(&[(&name, "x")]).err().map(|error| error.to_string());
        assert!(own.is_none_or(|error| !error.contains("unknown setting")), "{name} of a script is refused");
    }
}

#[test]
fn the_library_of_the_model_is_found_by_its_usual_variable() {
    let dylib = |pairs: &[(&str, &str)]| of_variables(pairs).unwrap().embedding.dylib;
    assert_eq!(dylib(&[("ORT_DYLIB_PATH", "/a")]), Some(PathBuf::from("/a")));
    assert_eq!(dylib(&[("ORT_DYLIB_PATH", "/a"), ("QUIPU_EMBEDDING_DYLIB", "/b")]), Some(PathBuf::from("/b")));
    assert_eq!(dylib(&[]), None);
}

#[test]
fn defaults_of_limits_are_the_engines() {
    assert_eq!(Config::default().limits.engine(), quipu_resolvers::Limits::default());
}

#[test]
fn tenants_may_have_databases_of_their_own() {
    let config = of_text(
        "[graph]\nurl = \"neo4j://a\"\n[graph.tenants.acme]\nurl = \"neo4j://b\"\npassword_file = \"key\"\n\
         [graph.tenants.beta-2]\nurl = \"neo4j+s://u:hush@c\"\ndatabase = \"beta\"\ntenancy = \"property\"\n",
    )
    .unwrap();
    let of = |name: &str| config.graph_tenants[&TenantId::parse(name).unwrap()].clone();
    assert_eq!(of("acme").password_file, Some(PathBuf::from("/etc/quipu/key")));
    assert_eq!((of("acme").user.as_str(), of("acme").tenancy), ("neo4j", Tenancy::Database));
    assert_eq!((of("beta-2").database.as_deref(), of("beta-2").tenancy), (Some("beta"), Tenancy::Property));
    assert!(!format!("{config:?}").contains("hush"));
    let expect = [
        ("[graph]\ntenants = 3", "`graph.tenants`: write a section [graph.tenants.NAME] for each tenant"),
        ("[graph.tenants]\nacme = 3", "quipu.toml:2: `graph.tenants.acme`: expected a section with `url`"),
        ("[graph.tenants.Acme]\nurl = \"neo4j://b\"", "`graph.tenants.Acme`: \"Acme\" is no name of a tenant"),
        ("[graph.tenants.acme]\nuser = \"u\"", "quipu.toml:1: `graph.tenants.acme.url`: expected the URL of a server"),
        ("[graph.tenants.acme]\nurl = \"embedded\"", "a tenant whose graph is where `graph.url` says needs no section"),
        (
            "[graph.tenants.acme]\nurl = \"hush\"",
            "quipu.toml:2: `graph.tenants.acme.url`: expected \"embedded\", or a URL",
        ),
        (
            "[graph.tenants.acme]\nurl = \"neo4j://b\"\npasswrd = \"hush\"",
            "unknown setting `graph.tenants.acme.passwrd`; did you mean `graph.tenants.acme.password`?",
        ),
    ];
    for (text, part) in expect {
        let said = problem(of_text(text));
        assert!(said.contains(part) && !said.contains("hush"), "{text}: {said}");
    }
    let said = problem(of_variables(&[("QUIPU_GRAPH_TENANTS_ACME_URL", "neo4j://hush")]));
    assert!(said.contains("named in the file, as [graph.tenants.NAME]") && !said.contains("hush"), "{said}");
    let both = of_text("[graph.tenants.acme]\nurl = \"neo4j://b\"\npassword = \"x\"\npassword_file = \"y\"").unwrap();
    let tenant = TenantId::parse("acme").unwrap();
    let said = both.graph_tenants[&tenant].password(&tenant).unwrap_err().to_string();
    assert_eq!(said, "set `graph.tenants.acme.password` or `graph.tenants.acme.password_file`, not both");
}

#[test]
fn issuers_have_sections_of_their_own() {
    let config = of_text(
        "[auth]\nroles_claim = \"groups\"\n[auth.issuers.house]\nissuer = \"https://id.example/\"\naudience = [\"a\", \"b\"]\ntenants = \"*\"\n\
         [auth.issuers.second-1]\nissuer = \"second\"\njwks_file = \"keys.json\"\ntenant = \"acme\"\nalgorithms = [\"ES256\"]\n\
         required_claims = { azp = \"quipu\" }\nrefresh = \"1h\"\n",
    )
    .unwrap();
    let keys = |name: &str| config.auth_issuers[name].keys().unwrap();
    let discovery = "https://id.example/.well-known/openid-configuration".parse().unwrap();
    assert_eq!(keys("house"), KeySource::Discovery(discovery), "derived of the issuer");
    assert_eq!(keys("second-1"), KeySource::File("/etc/quipu/keys.json".into()));
    assert_eq!(config.auth_issuers["house"].audience.0, ["a", "b"]);
    let said = config.token_keys().unwrap();
    assert!(said.is_none(), "no token is of our own");
    assert!(config.cursor_key().unwrap_err().to_string().contains("help: set `cursor.secret_file`"));
}

#[test]
fn wrong_issuers_are_told_with_a_way_out() {
    let whole = "issuer = \"https://id.example\"\naudience = \"a\"\ntenants = \"*\"\n";
    let in_section = |text: &str| format!("[auth.issuers.house]\n{text}");
    let expect = [
        ("[auth]\nissuers = 3".to_owned(), "`auth.issuers`: write a section [auth.issuers.NAME] for each issuer"),
        ("[auth.issuers]\nhouse = 3".into(), "quipu.toml:2: `auth.issuers.house`: expected a section with `issuer`"),
        ("[auth.issuers.House]\nissuer = \"x\"".into(), "expected a name of small letters"),
        (in_section(""), "`issuer` is not set"),
        (in_section("issuer = \"house\""), "its keys are nowhere"),
        (
            in_section("issuer = \"https://id.example\"\ntenant = \"acme\""),
            "`audience` is not set: tokens that the issuer gives to",
        ),
        (in_section("issuer = \"https://id.example\"\naudience = \"a\""), "set one of `tenant`"),
        (in_section(&format!("{whole}tenant = \"acme\"")), "set one of `tenant`"),
        (in_section("tenants = []"), "expected a list of names of tenants"),
        (in_section(&format!("{whole}jwks_url = \"http://id.example/k\"")), "`jwks_url`: expected https://"),
        (in_section(&format!("{whole}jwks_url = \"hush\"")), "`jwks_url`: expected a URL like"),
        (in_section(&format!("{whole}jwks_url = \"https://a.example\"\njwks_file = \"k\"")), "set one of `discovery`"),
        (in_section(&format!("{whole}algorithms = [\"HS256\"]")), "(HS256 is by `auth.secret` alone)"),
        (in_section(&format!("{whole}fetch_floor = \"1ms\"")), "`fetch_floor`: expected 100ms or more"),
        (in_section(&format!("{whole}refresh = \"1s\"")), "`refresh`: expected no less than `fetch_floor`"),
        (in_section(&format!("{whole}keep = \"1m\"")), "`keep`: expected no less than `refresh`"),
        (in_section(&format!("{whole}timeout = \"1m\"")), "`timeout`: expected more than nothing"),
        (in_section(&format!("{whole}audiense = \"hush\"")), "did you mean `auth.issuers.house.audience`?"),
        (in_section(&format!("{whole}[auth.issuers.other]\n{whole}")), "one section speaks for it"),
        (
            format!("[auth]\nissuer = \"https://id.example\"\n[auth.issuers.house]\n{whole}"),
            "`issuer` is that of `auth.issuer`",
        ),
    ];
    for (text, part) in expect {
        let said = problem(of_text(&text));
        assert!(said.contains(part) && !said.contains("hush"), "{text}: {said}");
    }
    let said = problem(of_variables(&[("QUIPU_AUTH_ISSUERS_HOUSE_ISSUER", "hush")]));
    assert!(said.contains("named in the file, as [auth.issuers.NAME]") && !said.contains("hush"), "{said}");
}
