//! API keys over HTTP: what they open, and that what holds no longer opens nothing, on any instance.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use quipu_resolvers::ports::Clock;
use serde_json::{Value, json};
use sqlx::{Connection, Row};

use super::double::Wall;
use super::server::{Server, code, refusal, start_keeping};
use super::socket::Client;
use super::vault::{TENANTS, Vault, Watched, claims, new_key, on_each_store, tenant};

on_each_store!(
    a_key_opens_its_tenant_over_every_transport,
    hostile_50b_what_holds_no_longer_is_refused_like_any_bad_token,
    hostile_50b_no_secret_is_at_rest,
    hostile_50b_streams_of_a_revoked_key_end_on_every_instance,
);

/// What is believed of keys in these tests.
const RECHECK: Duration = Duration::from_millis(300);
/// Longer than any busy machine takes.
const LONG: Duration = Duration::from_secs(30);

async fn serve(vault: &Vault) -> Server {
    start_keeping(vault.credentials.clone(), |config| config.auth.recheck = RECHECK).await
}

async fn ask(server: &Server, key: &str) -> reqwest::Response {
    let request = server.client.post(server.url("/graphql")).bearer_auth(key).json(&json!({"query": "{a}"}));
    request.send().await.unwrap()
}

async fn a_key_opens_its_tenant_over_every_transport(vault: Vault) {
    let server = serve(&vault).await;
    for name in TENANTS {
        let key = vault.key(name, |key| key.roles = vec![name.to_owned()]).await.1;
        let expected = json!({"tenant": name, "roles": [name]});
        assert_eq!(ask(&server, &key).await.json::<Value>().await.unwrap()["data"], expected);
        let mut url = reqwest::Url::parse(&server.url("/graphql")).unwrap();
        url.query_pairs_mut().append_pair("query", "{a}");
        let got = server.client.get(url).bearer_auth(&key).send().await.unwrap();
        assert_eq!(got.json::<Value>().await.unwrap()["data"], expected);
        let mut socket = Client::plain(&server).await;
        socket.init(&key).await;
        socket.subscribe("1", "subscription { tick }").await;
        assert_eq!(socket.receive().await["payload"]["data"]["tenant"], name, "in the parameters of the connection");
        let mut socket = Client::open(&server, Some("graphql-transport-ws"), Some(&key)).await;
        socket.send(json!({"type": "connection_init"})).await;
        assert_eq!(socket.receive().await["type"], "connection_ack", "in the headers");
    }
}

async fn hostile_50b_what_holds_no_longer_is_refused_like_any_bad_token(vault: Vault) {
    let server = serve(&vault).await;
    let (good, text) = vault.key("library", |_| {}).await;
    assert_eq!(ask(&server, &text).await.status(), 200);
    let revoked = vault.key("library", |key| key.revoked_ms = Some(1)).await.1;
    let expired = vault.key("library", |key| key.expires_ms = Some(Wall.now_ms() - 1)).await.1;
    let unknown = new_key(&tenant("library"), |_| {}).1;
    let of_nobody = new_key(&tenant("nobody"), |_| {}).1;
    // The id of a key that is there, with another secret, or in the name of another tenant.
    let of_another = new_key(&tenant("cryox"), |_| {});
    vault.credentials.add_key(&tenant("library"), &of_another.0).await.unwrap();
    let other_secret = new_key(&tenant("library"), |_| {});
    let mut kept = other_secret.0.clone();
    kept.digest = good.digest;
    vault.credentials.add_key(&tenant("library"), &kept).await.unwrap();
    let typo = text.replace(&good.id, &"0".repeat(good.id.len()));
    let missing = server.client.post(server.url("/graphql")).json(&json!({"query": "{a}"})).send().await.unwrap();
    assert_eq!(missing.headers()["www-authenticate"], "Bearer");
    let missing = missing.text().await.unwrap();
    let cases = [
        ("revoked", revoked),
        ("expired", expired),
        ("unknown", unknown),
        ("of a tenant that is not there", of_nobody),
        ("of another tenant", of_another.1),
        ("another secret", other_secret.1),
        ("a typing error", typo),
        ("cut off", text[..text.len() - 1].to_owned()),
        ("a beginning", "quipu_".into()),
        ("a quote", "quipu_library'--.0.0".into()),
    ];
    for (case, key) in &cases {
        let response = ask(&server, key).await;
        assert_eq!(response.headers()["www-authenticate"], "Bearer", "{case}");
        assert_eq!(response.text().await.unwrap(), missing, "{case}: one answer for all reasons");
        assert_eq!(refusal(ask(&server, key).await).await, (401, "UNAUTHENTICATED".into()), "{case}");
        let mut socket = Client::plain(&server).await;
        socket.send(json!({"type": "connection_init", "payload": {"authorization": format!("Bearer {key}")}})).await;
        assert_eq!(socket.closed().await.0, 4403, "{case}");
    }
    assert_eq!(server.asked().len(), 1, "nothing reached the engine");
    assert_eq!(ask(&server, &text).await.status(), 200, "and the server lives");
}

async fn hostile_50b_no_secret_is_at_rest(vault: Vault) {
    let server = serve(&vault).await;
    let (key, text) = vault.key("library", |key| key.claims = claims(json!({"mark": "easily found"}))).await;
    assert_eq!(ask(&server, &text).await.status(), 200);
    let secret = text.rsplit_once('.').unwrap().1;
    // Long enough to be no accident, wherever it is cut.
    let parts = [&secret[..20], &secret[20..40], &text[..text.len() - 10]];
    let everything = match (&vault.file, &vault.postgres) {
        (Some(file), _) => {
            let mut bytes = Vec::new();
            for end in ["", "-wal", "-shm"] {
                bytes.extend(std::fs::read(format!("{}{end}", file.display())).unwrap_or_default());
            }
            String::from_utf8_lossy(&bytes).into_owned()
        }
        (None, Some(options)) => {
            let admin = crate::contract::postgres::plain(&options.url, options).await;
            let mut admin = admin;
            let shown = "SELECT set_config('quipu.tenant', tenant_key('library')::text, false)";
            sqlx::raw_sql(shown).execute(&mut admin).await.unwrap();
            let rows = sqlx::query("SELECT to_jsonb(api_key)::text FROM api_key").fetch_all(&mut admin).await.unwrap();
            let text = rows.iter().map(|row| row.get::<String, _>(0)).collect();
            admin.close().await.unwrap();
            text
        }
        _ => unreachable!("it is somewhere"),
    };
    assert!(everything.contains(&key.id) && everything.contains("easily found"), "this is where keys are");
    for part in parts {
        assert!(!everything.contains(part), "a part of the secret is at rest");
    }
}

/// Two servers over one store, as two instances are.
async fn hostile_50b_streams_of_a_revoked_key_end_on_every_instance(vault: Vault) {
    let servers = [serve(&vault).await, serve(&vault).await];
    let (revoked, text) = vault.key("library", |_| {}).await;
    let (_, other) = vault.key("library", |_| {}).await;
    let mut sockets = Vec::new();
    let mut streams = Vec::new();
    let mut unharmed = Vec::new();
    for server in &servers {
        for (key, open) in [(&text, &mut sockets), (&other, &mut unharmed)] {
            let mut socket = Client::plain(server).await;
            socket.init(key).await;
            socket.subscribe("1", "subscription { forever }").await;
            assert_eq!(socket.receive().await["type"], "next");
            open.push(socket);
        }
        let request = server.client.post(server.url("/graphql")).bearer_auth(&text);
        let request = request.header("accept", "text/event-stream").json(&json!({"query": "subscription { forever }"}));
        streams.push(request.send().await.unwrap().bytes_stream());
    }
    tokio::time::sleep(RECHECK * 3).await;
    for socket in &mut sockets {
        socket.send(json!({"type": "ping"})).await;
        assert_eq!(socket.receive().await["type"], "pong", "as long as the key holds, so do they");
    }
    assert!(vault.credentials.revoke_key(&tenant("library"), &revoked.id, Wall.now_ms()).await.unwrap());
    let begun = Instant::now();
    for socket in sockets {
        assert_eq!(socket.closed().await.0, 4403);
    }
    for mut stream in streams {
        let mut text = String::new();
        while let Some(chunk) = tokio::time::timeout(LONG, stream.next()).await.unwrap() {
            text.push_str(std::str::from_utf8(&chunk.unwrap()).unwrap());
        }
        assert!(text.contains("UNAUTHENTICATED") && text.ends_with("event: complete\ndata:\n\n"), "{text}");
    }
    assert!(begun.elapsed() < RECHECK * 2 + Duration::from_secs(5), "within auth.recheck: {:?}", begun.elapsed());
    for server in &servers {
        assert_eq!(ask(server, &text).await.status(), 401);
        assert_eq!(ask(server, &other).await.status(), 200);
    }
    for socket in &mut unharmed {
        socket.send(json!({"type": "ping"})).await;
        assert_eq!(socket.receive().await["type"], "pong");
    }
}

#[tokio::test]
async fn the_store_is_asked_once_for_many_requests_and_told_once_of_their_use() {
    let vault = Vault::in_file("").await.unwrap();
    let watched = Watched::over(&vault);
    let mut server = start_keeping(watched.clone(), |config| config.auth.recheck = LONG * 10).await;
    let (key, text) = vault.key("library", |_| {}).await;
    for _ in 0..100 {
        assert_eq!(ask(&server, &text).await.status(), 200);
    }
    assert_eq!((watched.looked.load(Ordering::SeqCst), watched.noted.load(Ordering::SeqCst)), (1, 0));
    let wrong = new_key(&tenant("library"), |_| {}).1;
    let nobody = new_key(&tenant("nobody"), |_| {}).1;
    for _ in 0..20 {
        for key in [&wrong, &nobody, &text[1..].to_owned(), &text.replace(&key.id, &wrong[14..34])] {
            assert_eq!(ask(&server, key).await.status(), 401);
        }
    }
    assert_eq!(
        watched.looked.load(Ordering::SeqCst),
        2,
        "what is not there is remembered, too, and forms are looked at first"
    );
    let before = vault.credentials.key(&tenant("library"), &key.id).await.unwrap().unwrap();
    assert_eq!(before.used_ms, None, "nothing is written for a request");
    server.stop();
    (&mut server.served).await.unwrap().unwrap();
    assert_eq!(watched.noted.load(Ordering::SeqCst), 1, "at the latest when the process ends");
    let after = vault.credentials.key(&tenant("library"), &key.id).await.unwrap().unwrap();
    assert!(after.used_ms.is_some_and(|at| at >= key.created_ms && at <= Wall.now_ms()), "{after:?}");
}

#[tokio::test]
async fn a_store_that_is_away_is_told_apart_from_a_bad_key() {
    let vault = Vault::in_file("").await.unwrap();
    let watched = Watched::over(&vault);
    let server = start_keeping(watched.clone(), |config| config.auth.recheck = RECHECK).await;
    let (revoked, text) = vault.key("library", |_| {}).await;
    let mut socket = Client::plain(&server).await;
    socket.init(&text).await;
    watched.away.store(true, Ordering::SeqCst);
    tokio::time::sleep(RECHECK * 2).await;
    let response = ask(&server, &text).await;
    assert_eq!(response.headers()["retry-after"], "1");
    let body: Value = response.json().await.unwrap();
    assert_eq!(code(&body), "STORE_UNAVAILABLE");
    assert!(!body.to_string().contains("secret"), "{body}");
    assert_eq!(ask(&server, &server.token("library")).await.status(), 200, "tokens need no store");
    socket.send(json!({"type": "ping"})).await;
    assert_eq!(socket.receive().await["type"], "pong", "a stream is forgiven for a while");
    vault.credentials.revoke_key(&tenant("library"), &revoked.id, 1).await.unwrap();
    watched.away.store(false, Ordering::SeqCst);
    assert_eq!(socket.closed().await.0, 4403, "and looked at again");
}
