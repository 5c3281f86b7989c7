//! Secrets stay where they were put: nothing that the process writes or answers holds one, whatever goes wrong, at the most talkative level of the
//! log.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use super::quipu::{Ended, FARM, Quipu};

/// In every secret. What follows it differs, and has characters that are written otherwise in URLs.
const MARK: &str = "Zq7planted";

/// Passwords as they are, and as they stand in a URL.
const PASSWORD: &str = "Zq7planted p@ss/w:rd%#é";
const ENCODED: &str = "Zq7planted%20p%40ss%2Fw%3Ard%25%23%C3%A9";

const SERVE: [&str; 3] = ["serve", "--listen", "127.0.0.1:0"];

/// Fails where a secret is in a text, as it is, encoded for a URL or for a header.
fn clean(what: &str, text: &str, tokens: &[&str]) {
    let mut planted = vec![MARK.to_owned(), "WnE3cGxhbnRlZ".into(), "pxN3BsYW50ZW".into(), "acTdwbGFudGVk".into()];
    planted.extend(tokens.iter().flat_map(|token| token.split('.').skip(1).map(str::to_owned)));
    for secret in planted {
        if let Some(at) = text.find(&secret) {
            let begin = text[..at].rfind('\n').map_or(0, |at| at + 1);
            panic!("{what} holds {secret}: {}", text[begin..].lines().next().unwrap_or_default());
        }
    }
}

fn clean_end(what: &str, ended: &Ended) {
    clean(what, &ended.out, &[]);
    clean(what, &ended.err, &[]);
}

#[test]
fn base64_hides_nothing_from_the_search() {
    for before in ["", "a", "ab"] {
        let encoded = STANDARD.encode(format!("{before}{PASSWORD}"));
        assert!(std::panic::catch_unwind(|| clean("", &encoded, &[])).is_err(), "{encoded}");
    }
}

/// A server of no known kind: takes connections, listens a moment, says nonsense, and hangs up.
fn nonsense() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.set_read_timeout(Some(Duration::from_millis(200)));
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"NONSENSE\r\n\r\n");
        }
    });
    address
}

/// Settings of each store at a place, with the secret in one of the ways in which it can be given.
fn stores(at: &str) -> Vec<(String, bool)> {
    let mut all = Vec::new();
    for (section, scheme, user, key) in [
        ("graph", "neo4j", "someone", "password"),
        ("metadata", "postgres", "someone", "password"),
        ("vectors", "qdrant", "", "key"),
        ("cache", "redis", "", "password"),
        ("graph.tenants.farm", "neo4j", "someone", "password"),
    ] {
        let path = if section == "metadata" { "/quipu?sslmode=disable" } else { "" };
        let named = if user.is_empty() { String::new() } else { format!("{user}@") };
        let given = format!("{scheme}://{named}{at}{path}");
        let inside = match section {
            "vectors" => format!("{scheme}://{ENCODED}@{at}"),
            _ => format!("{scheme}://{user}:{ENCODED}@{at}{path}"),
        };
        let is_optional = section == "cache" || section.contains('.');
        all.push((format!("[{section}]\nurl = \"{given}\"\n{key} = \"{PASSWORD}\"\n"), is_optional));
        all.push((format!("[{section}]\nurl = \"{given}\"\n{key}_file = \"planted\"\n"), is_optional));
        all.push((format!("[{section}]\nurl = \"{inside}\"\n"), is_optional));
        all.push((format!("[{section}]\nurl = \"{inside}\"\n{key} = \"{PASSWORD}\"\n"), false));
    }
    let owner = format!("postgres://owner:{ENCODED}@{at}/quipu");
    all.push((format!("[metadata]\nurl = \"postgres://someone@{at}/quipu\"\nowner_url = \"{owner}\"\n"), false));
    all
}

const BASIC: &str = "[auth]\nsecret = \"Zq7planted-0123456789abcdef0123456789abcdef\"\n[cursor]\n\
                     secret = \"Zq7planted-fedcba9876543210fedcba9876543210\"\n[logs]\nlevel = \"trace\"\n";

/// Every store that can be away is, or talks nonsense, or refuses the password: each start that fails says so without the secret.
#[test]
fn no_secret_is_in_what_is_said_of_a_store_that_cannot_be_used() {
    let quipu = Quipu::empty();
    quipu.file("planted", format!("{PASSWORD}\n"));
    let model = format!("[embedding]\nmodel = \"{}/models/all-MiniLM-L6-v2\"\n", env!("CARGO_MANIFEST_DIR"));
    let mut places = vec!["127.0.0.1:1".to_owned(), nonsense().to_string()];
    // Real ones, which refuse the password.
    for variable in ["QUIPU_TEST_POSTGRES", "QUIPU_TEST_REDIS", "QUIPU_TEST_NEO4J"] {
        let url = std::env::var(variable).unwrap_or_default();
        let place = url.rsplit('@').next().and_then(|place| place.split(['/', '?']).next());
        places.extend(place.filter(|place| !place.is_empty()).map(str::to_owned));
    }
    let mut starts = Vec::new();
    for (n, place) in places.iter().enumerate() {
        let real = ["postgres://", "redis://", "neo4j://"].get(n.wrapping_sub(2));
        for (settings, is_optional) in stores(place) {
            if real.is_some_and(|scheme| !settings.contains(scheme)) {
                continue;
            }
            let name = format!("{}.toml", starts.len());
            quipu.file(&name, format!("{BASIC}{model}{settings}"));
            starts.push((name, settings, is_optional));
        }
    }
    // Each takes its seconds to find out that nobody is there.
    let (next, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..12 {
            scope.spawn(|| {
                while let Some((name, settings, is_optional)) = starts.get(next.fetch_add(1, Ordering::Relaxed)) {
                    for args in [&["serve", "--listen", "127.0.0.1:0"][..], &["migrate", "--plan"]] {
                        // It would serve without.
                        if *is_optional && args[0] == "serve" {
                            continue;
                        }
                        let ended = quipu.run(&[args, &["--config", name]].concat());
                        failed.fetch_add(usize::from(ended.code != Some(0)), Ordering::Relaxed);
                        clean_end(&format!("{args:?} with {settings}"), &ended);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner();
    assert!(failed > 30, "{failed} failed");
}

/// Settings that are wrong are told by their names.
#[test]
fn no_secret_is_in_what_is_said_of_settings() {
    let quipu = Quipu::empty();
    quipu.file("planted", format!("{PASSWORD}\n"));
    quipu.file("pem", format!("-----BEGIN PRIVATE KEY-----\n{MARK}\n-----END PRIVATE KEY-----\n"));
    for settings in [
        format!("[auth]\nsecret = \"{MARK}\"\n"),
        format!("[auth]\nsecret = \"{MARK}-0123456789abcdef0123456789abcdef\"\nsecret_file = \"planted\"\n"),
        "[auth]\nsecret_file = \"planted\"\n".into(),
        "[auth]\nsecret_file = \"pem\"\n".into(),
        format!("[auth]\nsecret = [\"{MARK}\"]\n"),
        format!("[auth]\nsecret = {{ value = \"{MARK}\" }}\n"),
        format!("[auth]\nsecret = \"{MARK}\n"),
        format!("[auth]\nsecret = {MARK}\n"),
        format!("[auth]\nsecrets = \"{MARK}\"\n"),
        format!("[graph]\nurl = \"http://someone:{MARK}@127.0.0.1\"\n"),
        format!("[graph]\nurl = \"someone:{MARK}@127.0.0.1\"\n"),
        format!("[metadata]\nurl = \"postgres://someone:{MARK}@127.0.0.1:port/quipu\"\n{BASIC}"),
        format!("[metadata]\nurl = \"postgres://someone:{MARK}@127.0.0.1/quipu?sslmode={MARK}\"\n{BASIC}"),
        format!("[cache]\nurl = \"redis://:{MARK}@127.0.0.1:port\"\n{BASIC}"),
        format!("[graph]\nurl = \"neo4j://someone:{MARK}@\"\n{BASIC}"),
        format!("[server]\nlisten = \"{MARK}\"\n"),
        format!("[tls]\ncertificate = \"pem\"\nkey = \"pem\"\n{BASIC}"),
    ] {
        quipu.file("quipu.toml", settings.clone());
        let ended = quipu.run(&SERVE);
        assert_ne!(ended.code, Some(0), "{settings}: {ended:?}");
        clean_end(&settings, &ended);
        assert!(!ended.err.trim().is_empty());
    }
    for (name, value) in [
        ("QUIPU_AUTH_SECRET", MARK),
        ("QUIPU_AUTH_SECRT", MARK),
        ("QUIPU_GRAPH_URL", "http://someone:Zq7planted@127.0.0.1"),
        ("QUIPU_METADATA_PASSWORD", PASSWORD),
    ] {
        quipu.file("quipu.toml", "[embedding]\nmodel = \"none\"\n");
        let ended = quipu.run_with(&SERVE, &[(name, value)]);
        assert_ne!(ended.code, Some(0), "{name}: {ended:?}");
        clean_end(name, &ended);
    }
}

/// A server with everything in it that can be secret, asked for all that it has, and in all the ways that are wrong.
#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_what_a_server_says_and_answers() {
    let quipu = Quipu::empty();
    quipu.file("planted", format!("{PASSWORD}\n"));
    quipu.file("secret", "Zq7planted-0123456789abcdef0123456789abcdef\nZq7planted-2-0123456789abcdef0123456789abc\n");
    quipu.file("farm.graphql", FARM);
    let away = nonsense();
    let settings = format!(
        "[server]\nreload = \"100ms\"\n[auth]\nsecret_file = \"secret\"\n[cursor]\nsecret = \"Zq7planted-fedcba9876543210fedcba9876543210\"\n\
         [embedding]\nmodel = \"none\"\n[logs]\nlevel = \"trace\"\n\
         [cache]\nurl = \"redis://someone@{away}\"\npassword_file = \"planted\"\n\
         [graph.tenants.acme]\nurl = \"neo4j://someone:{ENCODED}@127.0.0.1:1\"\n\
         [auth.issuers.house]\nissuer = \"https://id.example\"\naudience = \"quipu\"\ntenant = \"farm\"\njwks_url = \"http://{away}/keys\"\n"
    );
    quipu.file("quipu.toml", &settings);
    let ended = quipu.run(&["ontology", "publish", "--tenant", "farm", "farm.graphql"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    clean_end("publishing", &ended);
    let token = quipu.token("farm", &["--role", "admin", "--subject", "Zq7planted-subject"]);
    let running = quipu.start(&SERVE);
    let at = |path: &str| format!("http://{}{path}", running.address);
    let client = reqwest::Client::new();
    let mut said = String::new();
    for path in ["/readyz", "/healthz", "/metrics", "/playground", "/playground/config.json", "/graphql", "/nothing"] {
        let answer = client.get(at(path)).send().await.expect("it answers");
        said += &format!("{:?}\n{}\n", answer.headers().clone(), answer.text().await.expect("text"));
    }
    let forged = format!("{}x", token);
    let unknown = "eyJhbGciOiJIUzI1NiJ9.eyJaaq7planted6MX0.Zq7planted";
    for authorization in [
        format!("Bearer {token}"),
        format!("Bearer {forged}"),
        format!("Bearer {unknown}"),
        format!("Basic {}", STANDARD.encode(format!("someone:{PASSWORD}"))),
        format!("{MARK} {token}"),
    ] {
        for query in ["{ farms { id } }", "{ farms { nothing } }", "{", "mutation { deleteFarms { nodesDeleted } }"] {
            let request = client.post(at("/graphql")).header("authorization", &authorization);
            let answer = request.json(&json!({"query": query})).send().await.expect("it answers");
            said += &format!("{:?}\n{}\n", answer.headers().clone(), answer.text().await.expect("text"));
        }
        let query = [("query", "{ farms { id } }")];
        let answer = client.get(at("/graphql")).query(&query).header("authorization", &authorization).send().await;
        said += &answer.expect("it answers").text().await.expect("text");
    }
    // A tenant whose own graph is away, and one that is not there.
    for tenant in ["acme", "nobody"] {
        let token = quipu.token(tenant, &[]);
        said += &running.ask(&token, "{ farms { id } }").await.to_string();
    }
    for token in [&token, &forged] {
        let mut request = format!("ws://{}/graphql", running.address).into_client_request().expect("a request");
        request.headers_mut().insert("sec-websocket-protocol", "graphql-transport-ws".parse().expect("a name"));
        let (mut socket, _) = tokio_tungstenite::connect_async(request).await.expect("a socket");
        let init = json!({"type": "connection_init", "payload": {"authorization": format!("Bearer {token}")}});
        socket.send(Message::text(init.to_string())).await.expect("it is taken");
        let subscribe = json!({"type": "subscribe", "id": "1", "payload": {"query": "{ farms { id } }"}});
        let _ = socket.send(Message::text(subscribe.to_string())).await;
        while let Ok(Some(Ok(message))) = tokio::time::timeout(Duration::from_secs(2), socket.next()).await {
            said += &message.to_string();
        }
    }
    // Files that change into something that cannot be used.
    quipu.file("secret", MARK);
    quipu.file("planted", format!("{PASSWORD} and another"));
    tokio::time::sleep(Duration::from_millis(600)).await;
    said += &running.text("/readyz").await;
    let ended = running.stop();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.err.contains("TRACE") && ended.err.contains("DEBUG"), "the log is talkative");
    assert!(ended.err.contains("credentials refused"), "and tells what was refused");
    clean("an answer", &said, &[&token]);
    clean("the log", &ended.err, &[&token, unknown]);
    clean("the output", &ended.out, &[&token]);
    quipu.file("secret", "Zq7planted-0123456789abcdef0123456789abcdef");
    quipu.file("query.graphql", "{ farms { id name } }");
    for args in
        [&["explain", "--tenant", "farm", "query.graphql", "--role", "admin"][..], &["status"], &["migrate", "--plan"]]
    {
        clean_end(&format!("{args:?}"), &quipu.run(args));
    }
}
