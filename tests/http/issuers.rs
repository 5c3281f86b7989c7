//! Tokens of an identity provider over HTTP: how keys come, change, and stay when their server misbehaves.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::issuer::{Mood, Provider};
use super::server::{Server, eventually, refusal, start_config};
use super::signing::{Pair, key_set};
use super::socket::Client;

/// Longer than the floor of a test's issuer.
const FLOOR: Duration = Duration::from_millis(450);

async fn ask(server: &Server, token: &str) -> reqwest::Response {
    let request = server.client.post(server.url("/graphql")).bearer_auth(token).json(&json!({"query": "{a}"}));
    request.send().await.unwrap()
}

async fn status(server: &Server, token: &str) -> u16 {
    ask(server, token).await.status().as_u16()
}

/// What every refusal says, whatever the reason.
async fn refused(server: &Server, token: &str) {
    let response = ask(server, token).await;
    assert_eq!(response.headers()["www-authenticate"], "Bearer");
    let text = response.text().await.unwrap();
    let missing = server.client.post(server.url("/graphql")).json(&json!({"query": "{a}"})).send().await.unwrap();
    assert_eq!(missing.status(), 401);
    assert_eq!(text, missing.text().await.unwrap(), "one answer for all reasons");
    assert_eq!(refusal(ask(server, token).await).await, (401, "UNAUTHENTICATED".into()));
}

async fn part(server: &Server, name: &str) -> (String, Value) {
    let body: Value = server.client.get(server.url("/readyz")).send().await.unwrap().json().await.unwrap();
    (body["status"].as_str().unwrap().to_owned(), body["parts"][name].clone())
}

#[tokio::test]
async fn an_issuer_is_discovered_and_its_tokens_are_taken() {
    let provider = Provider::with(&[Pair::Rsa.public("r"), Pair::Ed25519.public("e")]).await;
    let server = start_config(provider.trusted(|_| {})).await;
    for (pair, kid) in [(Pair::Rsa, "r"), (Pair::Ed25519, "e")] {
        let response = ask(&server, &provider.token(pair, kid)).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.json::<Value>().await.unwrap()["data"], json!({"tenant": "cryox", "roles": []}));
    }
    assert_eq!(status(&server, &server.token("library")).await, 200, "and our own beside them");
    assert_eq!((provider.documents(), provider.asked()), (1, 1), "once for all");
    assert_eq!(part(&server, "auth.house").await, ("ready".into(), json!("up")));
}

#[tokio::test]
async fn two_issuers_are_told_apart() {
    let (one, two) =
        (Provider::with(&[Pair::P256A.public("k")]).await, Provider::with(&[Pair::P256B.public("k")]).await);
    let server = start_config(|config| {
        one.trusted(|_| {})(config);
        let mut second = two.issuer();
        second.tenants = None;
        second.tenant = quipu_resolvers::guard::TenantId::parse("library");
        second.jwks_url = Some(format!("{}/keys", two.url()));
        config.auth_issuers.insert("second".into(), second);
    })
    .await;
    assert_eq!(status(&server, &one.token(Pair::P256A, "k")).await, 200);
    let response: Value = ask(&server, &two.token(Pair::P256B, "k")).await.json().await.unwrap();
    assert_eq!(response["data"]["tenant"], "library", "whatever its claims say");
    for token in [one.token(Pair::P256B, "k"), two.token(Pair::P256A, "k")] {
        refused(&server, &token).await;
    }
    assert_eq!(two.documents(), 0, "its key set is named");
}

#[tokio::test]
async fn hostile_42_to_50_every_reason_has_one_answer() {
    let provider = Provider::with(&[Pair::Rsa.public("r"), Pair::P256A.public("a")]).await;
    let server = start_config(provider.trusted(|_| {})).await;
    let changed = |change: Value| {
        let mut claims = provider.claims();
        claims.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        Pair::P256A.token("a", &claims)
    };
    assert_eq!(status(&server, &changed(json!({}))).await, 200);
    let claims = provider.claims().to_string();
    let es256 = |header: Value| Pair::P256B.signed(jsonwebtoken::Algorithm::ES256, &header.to_string(), &claims);
    let none = es256(json!({"alg": "none", "kid": "a"}));
    let unsigned = format!("{}.", none.rsplit_once('.').unwrap().0);
    let long = changed(json!({"pad": "x".repeat(9_000)}));
    for (number, token) in [
        (42, none),
        (42, unsigned),
        (43, es256(json!({"alg": "HS256", "kid": "r"}))),
        (43, es256(json!({"alg": "RS256", "kid": "r"}))),
        (44, provider.token(Pair::P256A, "../../../../dev/null")),
        (45, es256(json!({"alg": "ES256", "kid": "a", "jku": format!("{}/keys", provider.url())}))),
        (46, changed(json!({"exp": "9999999999"}))),
        (47, changed(json!({"aud": "other"}))),
        (47, changed(json!({"iss": "https://elsewhere.example"}))),
        (48, changed(json!({"exp": 1}))),
        (50, changed(json!({"tenant": ["cryox"]}))),
        (50, changed(json!({"tenant": "nobody"}))),
        (50, long),
    ] {
        println!("{number}");
        refused(&server, &token).await;
    }
    assert!(provider.asked() <= 2, "one flood, one fetch: {}", provider.asked());
    assert_eq!(server.asked().len(), 1, "nothing reached the engine");
    assert_eq!(status(&server, &changed(json!({}))).await, 200, "and the server lives");
}

#[tokio::test]
async fn hostile_49_keys_rotate_and_what_was_verified_by_the_old_one_ends() {
    let provider = Provider::with(&[Pair::P256A.public("a")]).await;
    let server = start_config(provider.trusted(|_| {})).await;
    let (old, new) = (provider.token(Pair::P256A, "a"), provider.token(Pair::P256B, "b"));
    assert_eq!(status(&server, &old).await, 200);
    provider.has(&[Pair::P256A.public("a"), Pair::P256B.public("b")]);
    tokio::time::sleep(FLOOR).await;
    assert_eq!(status(&server, &new).await, 200, "a new key is asked for when a token names it");
    assert_eq!((status(&server, &old).await, provider.asked()), (200, 2));
    provider.has(&[Pair::P256B.public("b")]);
    tokio::time::sleep(FLOOR).await;
    refused(&server, &provider.token(Pair::P384, "made-up")).await;
    assert_eq!(provider.asked(), 3);
    refused(&server, &old).await;
    assert_eq!(status(&server, &new).await, 200);
}

#[tokio::test]
async fn hostile_49_keys_are_refreshed_in_the_background() {
    let provider = Provider::with(&[Pair::P256A.public("a")]).await;
    let refreshed = provider.trusted(|issuer| {
        issuer.fetch_floor = Duration::from_millis(100);
        issuer.refresh = Duration::from_millis(200);
    });
    let server = start_config(refreshed).await;
    let old = provider.token(Pair::P256A, "a");
    assert_eq!(status(&server, &old).await, 200);
    // The same name for another key: no token can tell that there is a new one.
    provider.has(&[Pair::P256B.public("a")]);
    let before = provider.asked();
    eventually("keys are not refreshed", || provider.asked() >= before + 2).await;
    refused(&server, &old).await;
    assert_eq!(status(&server, &provider.token(Pair::P256B, "a")).await, 200);
}

#[tokio::test]
async fn hostile_49_a_flood_of_unknown_keys_asks_once_per_interval() {
    let provider = Provider::with(&[Pair::P256A.public("a")]).await;
    let server = start_config(provider.trusted(|issuer| issuer.fetch_floor = Duration::from_secs(2))).await;
    let good = provider.token(Pair::P256A, "a");
    assert_eq!(status(&server, &good).await, 200);
    let began = Instant::now();
    let flood: Vec<String> = (0..100).map(|n| provider.token(Pair::P256B, &format!("made-up-{n}"))).collect();
    let mut sent = 0;
    while began.elapsed() < Duration::from_millis(4_500) {
        let statuses = join_all(flood.iter().map(|token| status(&server, token))).await;
        assert!(statuses.iter().all(|status| *status == 401));
        sent += statuses.len();
        assert_eq!(status(&server, &good).await, 200);
    }
    let most = 2 + began.elapsed().as_secs() as usize / 2;
    assert!(sent >= 200 && (2..=most).contains(&provider.asked()), "{sent} tokens, asked {} times", provider.asked());
}

#[tokio::test]
async fn hostile_49_many_at_once_wait_for_one_fetch() {
    let provider = Provider::with(&[Pair::P256A.public("a")]).await;
    let server = start_config(provider.trusted(|_| {})).await;
    assert_eq!(status(&server, &provider.token(Pair::P256A, "a")).await, 200);
    provider.has(&[Pair::P256B.public("b")]);
    tokio::time::sleep(FLOOR).await;
    let token = provider.token(Pair::P256B, "b");
    let statuses = join_all((0..50).map(|_| status(&server, &token))).await;
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    assert_eq!(provider.asked(), 2);
}

#[tokio::test]
async fn hostile_49_who_goes_away_stops_no_fetch_and_others_do_not_wait() {
    let provider = Provider::with(&[Pair::P256A.public("a")]).await;
    let server = start_config(provider.trusted(|issuer| {
        issuer.fetch_floor = Duration::from_secs(3);
        issuer.timeout = Duration::from_secs(1);
    }))
    .await;
    let good = provider.token(Pair::P256A, "a");
    assert_eq!(status(&server, &good).await, 200);
    tokio::time::sleep(Duration::from_millis(3_050)).await;
    provider.answers(Mood::Silent);
    let unknown = provider.token(Pair::P256B, "b");
    let gone = tokio::time::timeout(Duration::from_millis(300), ask(&server, &unknown)).await;
    assert!(gone.is_err(), "it waits for the keys");
    let began = Instant::now();
    assert_eq!(status(&server, &good).await, 200);
    assert!(began.elapsed() < Duration::from_millis(600), "a known key waits for nothing");
    assert_eq!(provider.asked(), 2);
    refused(&server, &unknown).await;
    assert_eq!(provider.asked(), 2, "the fetch that was under way went on, and its end is when the next may begin");
}

#[tokio::test]
async fn a_socket_is_opened_by_a_token_of_an_issuer() {
    let provider = Provider::with(&[Pair::P256A.public("a")]).await;
    let server = start_config(provider.trusted(|_| {})).await;
    let mut client = Client::plain(&server).await;
    client.init(&provider.token(Pair::P256A, "a")).await;
    client.subscribe("1", "subscription {a}").await;
    assert_eq!(client.receive().await["payload"]["data"]["tenant"], "cryox");
    let mut other = Client::plain(&server).await;
    let token = format!("Bearer {}", provider.token(Pair::P256B, "a"));
    other.send(json!({"type": "connection_init", "payload": {"authorization": token}})).await;
    assert_eq!(other.closed().await, (4403, "Forbidden".into()));
}

#[tokio::test]
async fn hostile_49_known_keys_serve_on_while_their_server_is_away() {
    let mut provider = Provider::with(&[Pair::P256A.public("a")]).await;
    let away = provider.trusted(|issuer| {
        issuer.fetch_floor = Duration::from_millis(100);
        issuer.refresh = Duration::from_millis(200);
        issuer.keep = Duration::from_millis(2_500);
    });
    let server = start_config(away).await;
    let token = provider.token(Pair::P256A, "a");
    assert_eq!(status(&server, &token).await, 200);
    provider.end().await;
    let began = Instant::now();
    loop {
        let (word, part) = part(&server, "auth.house").await;
        if part == "down" {
            assert_eq!(word, "degraded");
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(5), "nobody noticed");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    if began.elapsed() < Duration::from_secs(2) {
        assert_eq!(status(&server, &token).await, 200, "known keys are used on");
    }
    tokio::time::sleep(Duration::from_millis(2_800)).await;
    refused(&server, &token).await;
    assert_eq!(status(&server, &server.token("library")).await, 200, "others are served");
    provider.begin().await;
    let began = Instant::now();
    while status(&server, &token).await != 200 {
        assert!(began.elapsed() < Duration::from_secs(10), "the keys do not come back");
    }
    assert_eq!(part(&server, "auth.house").await.1, "up");
}

#[tokio::test]
async fn hostile_49_a_server_that_is_away_at_the_start_is_tried_again() {
    let mut provider = Provider::with(&[Pair::P256A.public("a")]).await;
    provider.end().await;
    let server = start_config(provider.trusted(|issuer| issuer.fetch_floor = Duration::from_millis(100))).await;
    let token = provider.token(Pair::P256A, "a");
    refused(&server, &token).await;
    assert_eq!(part(&server, "auth.house").await, ("degraded".into(), json!("down")));
    provider.begin().await;
    eventually("it is not tried again", || provider.asked() > 0).await;
    let began = Instant::now();
    while status(&server, &token).await != 200 {
        assert!(began.elapsed() < Duration::from_secs(5), "its keys are not used");
    }
}

#[tokio::test]
async fn hostile_49_answers_that_are_no_key_set_change_nothing() {
    let provider = Provider::with(&[Pair::P256A.public("a")]).await;
    let quick = provider.trusted(|issuer| {
        issuer.fetch_floor = Duration::from_millis(100);
        issuer.timeout = Duration::from_millis(500);
    });
    let server = start_config(quick).await;
    let good = provider.token(Pair::P256A, "a");
    assert_eq!(status(&server, &good).await, 200);
    let here = provider.url();
    let other = key_set(&[Pair::P256B.public("b")]);
    for mood in [
        Mood::Status(500),
        Mood::Status(404),
        Mood::Status(204),
        Mood::Keys("<html>sign in</html>".into()),
        Mood::Keys("{}".into()),
        Mood::Keys("[".repeat(100_000)),
        Mood::Keys(other.clone() + &" ".repeat(1 << 20)),
        Mood::Silent,
        Mood::Endless,
        Mood::Slow(Duration::from_millis(50)),
        Mood::Redirect(format!("{here}/keys")),
        Mood::Redirect("file:///etc/passwd".into()),
        Mood::Redirect("http://10.255.255.1/keys".into()),
        Mood::Redirect("http://user:word@127.0.0.1/keys".into()),
    ] {
        provider.answers(mood.clone());
        // It is tried again by itself as well, so it may have been asked when the tokens come.
        let before = provider.asked();
        tokio::time::sleep(Duration::from_millis(150)).await;
        let began = Instant::now();
        refused(&server, &provider.token(Pair::P256B, "b")).await;
        // Two of its three requests may have waited for a fetch each.
        assert!(began.elapsed() < Duration::from_secs(3), "{mood:?}: {:?}", began.elapsed());
        assert!(provider.asked() > before, "{mood:?}");
        assert!(provider.asked() <= before + 4 * 8, "{mood:?}: redirects are bounded");
        assert_eq!(status(&server, &good).await, 200, "{mood:?}: known keys are used on");
    }
    provider.answers(Mood::Keys(other));
    let began = Instant::now();
    while status(&server, &provider.token(Pair::P256B, "b")).await != 200 {
        assert!(began.elapsed() < Duration::from_secs(10), "a good answer is taken again");
    }
}

#[tokio::test]
async fn a_discovery_document_of_another_issuer_is_not_believed() {
    let provider = Provider::with(&[Pair::P256A.public("a")]).await;
    let keys = format!("{}/keys", provider.url());
    let server = start_config(provider.trusted(|issuer| issuer.fetch_floor = Duration::from_millis(100))).await;
    let token = provider.token(Pair::P256A, "a");
    assert_eq!(status(&server, &token).await, 200);
    let asked = provider.asked();
    for wrong in [
        json!({"issuer": "https://elsewhere.example", "jwks_uri": keys}),
        json!({"issuer": format!("{}/", provider.url()), "jwks_uri": keys}),
        json!({"jwks_uri": keys}),
        json!({"issuer": provider.url()}),
        json!({"issuer": provider.url(), "jwks_uri": "http://keys.example/"}),
        json!({"issuer": provider.url(), "jwks_uri": "file:///etc/passwd"}),
        json!([]),
    ] {
        provider.says(wrong.clone());
        let before = provider.documents();
        tokio::time::sleep(Duration::from_millis(150)).await;
        refused(&server, &provider.token(Pair::P256B, "b")).await;
        assert!(provider.documents() > before, "{wrong}");
    }
    assert_eq!(provider.asked(), asked, "keys were asked for where none of these led");
    assert_eq!(status(&server, &token).await, 200);
}

/// Serves a key set over TLS, as `localhost`, with the certificate of the fixtures.
async fn serve_over_tls(keys: String) -> u16 {
    let file = |name: &str| format!("{}/tests/fixtures/keys/{name}", env!("CARGO_MANIFEST_DIR"));
    let chain = vec![CertificateDer::from_pem_file(file("localhost.pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_file(file("localhost.key.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let tls = tls.with_no_client_auth().with_single_cert(chain, key).unwrap();
    let listener = tokio::net::TcpListener::bind("localhost:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(tls));
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            // Who does not trust the certificate says so, and goes.
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let _ = stream.read(&mut [0; 4096]).await;
            let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", keys.len());
            let _ = stream.write_all((head + &keys).as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    port
}

#[tokio::test]
async fn keys_are_fetched_over_tls_from_whom_the_authority_vouches_for() {
    let port = serve_over_tls(key_set(&[Pair::P256A.public("a")])).await;
    let provider = Provider::with(&[]).await;
    let authority = format!("{}/tests/fixtures/keys/authority.pem", env!("CARGO_MANIFEST_DIR"));
    let over_tls = |host: &str, authority: Option<String>| {
        let (url, authority) = (format!("https://{host}:{port}/keys"), authority.map(Into::into));
        provider.trusted(move |issuer| (issuer.jwks_url, issuer.root_certificate) = (Some(url), authority))
    };
    let token = provider.token(Pair::P256A, "a");
    let trusting = start_config(over_tls("localhost", Some(authority.clone()))).await;
    assert_eq!(status(&trusting, &token).await, 200);
    let distrusting = start_config(over_tls("localhost", None)).await;
    refused(&distrusting, &token).await;
    let elsewhere = start_config(over_tls("127.0.0.1", Some(authority))).await;
    refused(&elsewhere, &token).await;
}
