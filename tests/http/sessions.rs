//! Sessions over HTTP: cookies instead of tokens, how they are refreshed and end, and which pages may use them.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use quipu_resolvers::ports::Clock;
use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use super::double::Wall;
use super::server::{Server, refusal, start_keeping};
use super::socket::Client;
use super::vault::{Vault, on_each_store, tenant};

on_each_store!(
    a_token_becomes_a_session_that_asks_over_every_transport,
    hostile_50a_a_token_to_refresh_with_that_comes_back_ends_the_family,
    two_windows_that_refresh_at_once_keep_their_session,
    what_was_refreshed_at_one_instance_is_good_at_another,
    sessions_end_when_signed_out_and_with_what_they_were_made_of,
    only_pages_that_may_use_cookies_do,
);

const RECHECK: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(30);

async fn serve(vault: &Vault, change: impl FnOnce(&mut quipu::config::Config)) -> Server {
    start_keeping(vault.credentials.clone(), |config| {
        config.auth.recheck = RECHECK;
        change(config);
    })
    .await
}

/// The cookies of a browser.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Jar {
    pub access: String,
    pub refresh: String,
}

impl Jar {
    /// Takes what an answer sets; false when it sets nothing.
    pub fn take(&mut self, response: &Response) -> bool {
        let mut set = 0;
        for line in response.headers().get_all("set-cookie") {
            let (name, value) = line.to_str().unwrap().split(';').next().unwrap().split_once('=').unwrap();
            match name {
                "__Host-quipu-access" => self.access = value.to_owned(),
                "__Host-quipu-refresh" => self.refresh = value.to_owned(),
                other => panic!("a cookie {other}"),
            }
            set += 1;
        }
        assert!(set == 0 || set == 2);
        set == 2
    }

    pub fn header(&self) -> String {
        format!("a=b; __Host-quipu-access={}; __Host-quipu-refresh={}", self.access, self.refresh)
    }
}

pub fn post(server: &Server, path: &str, jar: &Jar) -> RequestBuilder {
    server.client.post(server.url(path)).header("cookie", jar.header()).header("quipu-csrf", "1")
}

async fn begin(server: &Server, token: &str) -> (Jar, Value) {
    let request = server.client.post(server.url("/auth/session")).bearer_auth(token).header("quipu-csrf", "1");
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200);
    let mut jar = Jar::default();
    assert!(jar.take(&response));
    (jar, response.json().await.unwrap())
}

async fn ask(server: &Server, jar: &Jar) -> u16 {
    post(server, "/graphql", jar).json(&json!({"query": "{a}"})).send().await.unwrap().status().as_u16()
}

async fn refresh(server: &Server, jar: &mut Jar) -> (u16, bool) {
    let response = post(server, "/auth/refresh", jar).send().await.unwrap();
    (response.status().as_u16(), jar.take(&response))
}

/// A socket that shows a cookie, of a page of some origin.
async fn socket(server: &Server, jar: &Jar, origin: Option<&str>) -> Client {
    let mut request = format!("ws://{}/graphql", server.address).into_client_request().unwrap();
    let headers = request.headers_mut();
    headers.insert("sec-websocket-protocol", "graphql-transport-ws".parse().unwrap());
    headers.insert("cookie", jar.header().parse().unwrap());
    if let Some(origin) = origin {
        headers.insert("origin", origin.parse().unwrap());
    }
    let mut socket = Client(connect_async(request).await.unwrap().0);
    socket.send(json!({"type": "connection_init"})).await;
    socket
}

fn own(server: &Server) -> String {
    format!("https://{}", server.address)
}

async fn a_token_becomes_a_session_that_asks_over_every_transport(vault: Vault) {
    let server = serve(&vault, |_| {}).await;
    let request = server.client.post(server.url("/auth/session")).bearer_auth(server.token("cryox"));
    let response = request.header("quipu-csrf", "1").send().await.unwrap();
    let lines: Vec<_> = response.headers().get_all("set-cookie").iter().map(|line| line.to_str().unwrap()).collect();
    assert_eq!(lines.len(), 2);
    for line in lines {
        assert!(line.starts_with("__Host-quipu-") && line.ends_with("; Secure"), "{line}");
        assert!(line.contains("; Path=/; HttpOnly; SameSite=Strict; Max-Age="), "{line}");
    }
    assert_eq!(response.headers()["cache-control"], "no-store");
    let mut jar = Jar::default();
    jar.take(&response);
    let told: Value = response.json().await.unwrap();
    assert_eq!(
        (&told["tenant"], &told["subject"], &told["roles"]),
        (&json!("cryox"), &json!("ann"), &json!(["reader"]))
    );
    assert!(!told.to_string().contains(&jar.access) && !told.to_string().contains(&jar.refresh), "no script sees them");
    let asked = post(&server, "/graphql", &jar).json(&json!({"query": "{a}"})).send().await.unwrap();
    assert_eq!(asked.json::<Value>().await.unwrap()["data"], json!({"tenant": "cryox", "roles": ["reader"]}));
    let mut url = reqwest::Url::parse(&server.url("/graphql")).unwrap();
    url.query_pairs_mut().append_pair("query", "{a}");
    let get = server.client.get(url).header("cookie", jar.header()).header("quipu-csrf", "1");
    assert_eq!(get.send().await.unwrap().status(), 200);
    let events = post(&server, "/graphql", &jar).header("accept", "text/event-stream");
    let events = events.json(&json!({"query": "subscription { tick }"})).send().await.unwrap().text().await.unwrap();
    assert!(events.contains("cryox"), "{events}");
    let mut socket = socket(&server, &jar, Some(&own(&server))).await;
    assert_eq!(socket.receive().await["type"], "connection_ack");
    for (token, status) in [(&jar.access, 401), (&jar.refresh, 401)] {
        let request = server.client.post(server.url("/graphql")).bearer_auth(token).json(&json!({"query": "{a}"}));
        assert_eq!(request.send().await.unwrap().status(), status, "what is in a cookie is no bearer token");
    }
    if let Some(file) = &vault.file {
        let mut bytes = std::fs::read(file).unwrap();
        bytes.extend(std::fs::read(format!("{}-wal", file.display())).unwrap_or_default());
        let text = String::from_utf8_lossy(&bytes);
        for secret in [&jar.access, &jar.refresh] {
            let secret = secret.rsplit_once('.').unwrap().1;
            assert!(!text.contains(&secret[..20]) && !text.contains(&secret[20..40]), "a secret is at rest");
        }
    }
}

async fn hostile_50a_a_token_to_refresh_with_that_comes_back_ends_the_family(vault: Vault) {
    let (server, other) = (serve(&vault, |c| c.sessions.grace = Duration::ZERO).await, serve(&vault, |_| {}).await);
    let (first, _) = begin(&server, &server.token("library")).await;
    let (bystander, _) = begin(&server, &server.token("library")).await;
    let mut now = first.clone();
    assert_eq!(refresh(&server, &mut now).await, (200, true));
    assert!(now.access != first.access && now.refresh != first.refresh);
    assert_eq!((ask(&server, &now).await, ask(&other, &now).await), (200, 200));
    // Somebody who knows the id and no token of the family ends nothing.
    let (head, secret) = now.refresh.rsplit_once('.').unwrap();
    let (head, family) = head.rsplit_once('.').unwrap();
    let backwards = |text: &str| text.chars().rev().collect::<String>();
    for forged in [format!("{head}.{}.{secret}", backwards(family)), format!("{head}.{family}"), "x".into()] {
        let mut forged = Jar { refresh: forged, ..Jar::default() };
        assert_eq!(refresh(&server, &mut forged).await.0, 401);
    }
    assert_eq!(ask(&server, &now).await, 200);
    let mut socket = socket(&other, &now, Some(&own(&other))).await;
    assert_eq!(socket.receive().await["type"], "connection_ack");
    // The old one comes back: whoever has which, all of them end.
    let mut stolen = first.clone();
    let response = post(&server, "/auth/refresh", &stolen).send().await.unwrap();
    assert!(stolen.take(&response) && stolen == Jar::default(), "the browser forgets them");
    assert_eq!(refusal(response).await, (401, "UNAUTHENTICATED".into()));
    assert_eq!(ask(&server, &now).await, 401, "at once where it was noticed");
    assert_eq!(socket.closed().await.0, 4403, "and everywhere within auth.recheck");
    assert_eq!(ask(&other, &now).await, 401);
    assert_eq!(refresh(&other, &mut now).await.0, 401);
    assert_eq!(ask(&server, &bystander).await, 200, "another session of the same subject goes on");
}

async fn two_windows_that_refresh_at_once_keep_their_session(vault: Vault) {
    let server = serve(&vault, |_| {}).await;
    let (before, _) = begin(&server, &server.token("library")).await;
    let windows = (0..5).map(|_| {
        let (server, mut jar) = (&server, before.clone());
        async move { (refresh(server, &mut jar).await, jar) }
    });
    let windows = join_all(windows).await;
    assert!(windows.iter().all(|((status, _), _)| *status == 200));
    let given: Vec<_> = windows.into_iter().filter(|((_, set), _)| *set).map(|(_, jar)| jar).collect();
    assert_eq!(given.len(), 1, "one is given tokens, and the browser has them for all");
    assert_eq!(ask(&server, &before).await, 200, "what was on its way with the old one arrives");
    let mut now = given[0].clone();
    assert_eq!(ask(&server, &now).await, 200);
    assert_eq!(refresh(&server, &mut now).await, (200, true));
    assert_eq!(ask(&server, &before).await, 401, "two refreshes ago is too old");
}

async fn what_was_refreshed_at_one_instance_is_good_at_another(vault: Vault) {
    let long = |config: &mut quipu::config::Config| config.auth.recheck = LONG;
    let servers = [serve(&vault, long).await, serve(&vault, long).await];
    let (mut jar, _) = begin(&servers[0], &servers[0].token("library")).await;
    for at in 0..4 {
        assert_eq!((ask(&servers[0], &jar).await, ask(&servers[1], &jar).await), (200, 200));
        assert_eq!(refresh(&servers[at % 2], &mut jar).await, (200, true));
    }
}

async fn sessions_end_when_signed_out_and_with_what_they_were_made_of(vault: Vault) {
    let server = serve(&vault, |config| config.sessions.per_subject = 2.try_into().unwrap()).await;
    let (jar, _) = begin(&server, &server.token("library")).await;
    let events = post(&server, "/graphql", &jar).header("accept", "text/event-stream");
    let events = events.json(&json!({"query": "subscription { forever }"})).send().await.unwrap();
    let response = post(&server, "/auth/sign-out", &jar).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let mut left = jar.clone();
    assert!(left.take(&response) && left == Jar::default());
    assert_eq!(ask(&server, &jar).await, 401);
    assert_eq!(refresh(&server, &mut jar.clone()).await.0, 401);
    let mut stream = events.bytes_stream();
    let mut text = String::new();
    while let Some(chunk) = tokio::time::timeout(LONG, stream.next()).await.unwrap() {
        text.push_str(std::str::from_utf8(&chunk.unwrap()).unwrap());
    }
    assert!(text.contains("UNAUTHENTICATED"), "{text}");
    assert_eq!(post(&server, "/auth/sign-out", &jar).send().await.unwrap().status(), 200, "once more is no error");
    // A key that is revoked takes its sessions along.
    let (key, text) = vault.key("library", |key| key.expires_ms = Some(Wall.now_ms() + 60_000)).await;
    let (jar, told) = begin(&server, &text).await;
    assert_eq!(
        told["ends"],
        quipu_resolvers::value::scalar::stamp_ms(key.expires_ms.unwrap()),
        "no later than the key"
    );
    assert_eq!(ask(&server, &jar).await, 200);
    vault.credentials.revoke_key(&tenant("library"), &key.id, Wall.now_ms()).await.unwrap();
    tokio::time::sleep(RECHECK * 2).await;
    assert_eq!(ask(&server, &jar).await, 401);
    // No later than a token of our own; and the oldest goes when there are too many.
    let (first, told) = begin(&server, &server.token_for("library", Duration::from_secs(90))).await;
    assert!(
        told["ends"].as_str().unwrap() < &*quipu_resolvers::value::scalar::stamp_ms(Wall.now_ms() + 200_000),
        "{told}"
    );
    tokio::time::sleep(Duration::from_millis(5)).await;
    let (second, _) = begin(&server, &server.token("library")).await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    let (third, _) = begin(&server, &server.token("library")).await;
    assert_eq!((ask(&server, &first).await, ask(&server, &second).await, ask(&server, &third).await), (401, 200, 200));
    let with_cookie = post(&server, "/auth/session", &third).send().await.unwrap();
    assert_eq!(with_cookie.status(), 401, "a session makes no session");
}

async fn only_pages_that_may_use_cookies_do(vault: Vault) {
    let app = "https://app.example";
    let origins = quipu::config::Origins::parse(&[app]).unwrap();
    let server = serve(&vault, |config| config.server.cors_origins = origins).await;
    let (jar, _) = begin(&server, &server.token("library")).await;
    let body = json!({"query": "{a}"});
    let plain = || server.client.post(server.url("/graphql")).header("cookie", jar.header()).json(&body);
    assert_eq!(refusal(plain().send().await.unwrap()).await, (403, "FORBIDDEN".into()), "a form cannot set the header");
    let mut url = reqwest::Url::parse(&server.url("/graphql")).unwrap();
    url.query_pairs_mut().append_pair("query", "{a}");
    let get = server.client.get(url).header("cookie", jar.header()).send().await.unwrap();
    assert_eq!(get.status(), 403, "nor a link");
    for path in ["/auth/refresh", "/auth/sign-out", "/auth/session"] {
        let request = server.client.post(server.url(path)).header("cookie", jar.header());
        assert_eq!(request.bearer_auth(server.token("library")).send().await.unwrap().status(), 403, "{path}");
        let request = post(&server, path, &jar).header("origin", "https://evil.example");
        assert_eq!(request.send().await.unwrap().status(), 403, "{path}");
        assert_eq!(server.client.get(server.url(path)).send().await.unwrap().status(), 405, "{path}");
    }
    for (origin, status) in [(app, 200), (&*own(&server), 200), ("https://evil.example", 403), ("null", 403)] {
        let response = post(&server, "/graphql", &jar).header("origin", origin).json(&body).send().await.unwrap();
        let headers = response.headers().clone();
        assert_eq!(response.status(), status, "{origin}");
        let read = headers.get("access-control-allow-origin").map(|value| value.to_str().unwrap());
        assert_eq!(read, (origin == app).then_some(app));
        assert_eq!(headers.contains_key("access-control-allow-credentials"), origin == app, "{origin}");
        assert!(headers["vary"].to_str().unwrap().to_lowercase().contains("origin"));
        let preflight =
            server.client.request(reqwest::Method::OPTIONS, server.url("/graphql")).header("origin", origin);
        let preflight = preflight.header("access-control-request-method", "POST").send().await.unwrap();
        assert_eq!(preflight.headers().contains_key("access-control-allow-origin"), origin == app, "{origin}");
        let mut socket = socket(&server, &jar, Some(origin)).await;
        match status {
            200 => assert_eq!(socket.receive().await["type"], "connection_ack", "{origin}"),
            _ => assert_eq!(socket.closed().await.0, 4403, "{origin}"),
        }
    }
    assert_eq!(socket(&server, &jar, None).await.closed().await.0, 4403, "a browser names its page");
    assert_eq!(ask(&server, &jar).await, 200, "and nothing of this signed it out");
    let twice = post(&server, "/graphql", &jar).header("cookie", jar.header()).json(&body).send().await.unwrap();
    assert_eq!(twice.status(), 401, "nobody can tell which cookie was meant");
    let bearer = plain().bearer_auth(server.token("cryox")).header("origin", "https://evil.example");
    let answer: Value = bearer.send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["data"]["tenant"], "cryox", "a token needs none of it, and wins over a cookie");
}
