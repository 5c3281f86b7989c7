//! Local users over HTTP: names and passwords become sessions, and guessing is slow.

use std::sync::Arc;
use std::time::{Duration, Instant};

use quipu::auth::{Passwords, User};
use quipu::config::{ByteSize, Config, Secret};
use quipu::stores::counters::LocalCounters;
use quipu_resolvers::ports::Clock;
use reqwest::Response;
use serde_json::{Value, json};

use super::double::Wall;
use super::server::{Server, refusal, start_beside, start_keeping};
use super::sessions::{Jar, post};
use super::vault::{Vault, claims, on_each_store, tenant};

on_each_store!(a_user_signs_in_and_is_signed_out_by_changes, wrong_names_and_passwords_are_told_alike);

const PASSWORD: &str = "correct horse battery";

fn cheap(config: &mut Config) {
    (config.passwords.memory, config.passwords.iterations) = (ByteSize(1 << 20), 1);
    config.auth.recheck = Duration::from_millis(200);
}

async fn add(vault: &Vault, of: &str, name: &str) -> User {
    add_with(vault, of, name, cheap).await
}

async fn add_with(vault: &Vault, of: &str, name: &str, change: impl FnOnce(&mut Config)) -> User {
    let mut config = Config::default();
    change(&mut config);
    let password = Passwords::new(&config.passwords).unwrap().hash(Secret::new(PASSWORD)).await.unwrap();
    let now = Wall.now_ms();
    let (roles, claims) = (vec!["reader".to_owned()], claims(json!({"regions": ["EU"]})));
    let user = User { name: name.to_owned(), roles, claims, password, created_ms: now, changed_ms: now };
    vault.credentials.add_user(&tenant(of), &user).await.unwrap();
    user
}

async fn sign_in(server: &Server, tenant: &str, user: &str, password: &str) -> Response {
    let request = server.client.post(server.url("/auth/sign-in")).header("quipu-csrf", "1");
    request.json(&json!({"tenant": tenant, "user": user, "password": password})).send().await.unwrap()
}

async fn a_user_signs_in_and_is_signed_out_by_changes(vault: Vault) {
    let server = start_keeping(vault.credentials.clone(), cheap).await;
    let mut user = add(&vault, "library", "ada").await;
    for round in 0..3 {
        let response = sign_in(&server, "library", "ada", PASSWORD).await;
        assert_eq!(response.status(), 200);
        let mut jar = Jar::default();
        assert!(jar.take(&response));
        let told: Value = response.json().await.unwrap();
        assert_eq!((&told["tenant"], &told["subject"]), (&json!("library"), &json!("ada")));
        assert_eq!(told["roles"], json!(user.roles));
        let ask = async || post(&server, "/graphql", &jar).json(&json!({"query": "{a}"})).send().await.unwrap();
        assert_eq!(
            ask().await.json::<Value>().await.unwrap()["data"],
            json!({"tenant": "library", "roles": user.roles})
        );
        user.roles = vec![format!("round {round}")];
        user.changed_ms = Wall.now_ms();
        assert!(vault.credentials.change_user(&tenant("library"), &user).await.unwrap());
        tokio::time::sleep(Duration::from_millis(400)).await;
        assert_eq!(ask().await.status(), 401, "new roles, new session");
    }
    vault.credentials.remove_user(&tenant("library"), "ada", Wall.now_ms()).await.unwrap();
    assert_eq!(refusal(sign_in(&server, "library", "ada", PASSWORD).await).await, (401, "UNAUTHENTICATED".into()));
}

async fn wrong_names_and_passwords_are_told_alike(vault: Vault) {
    let slow = |config: &mut Config| {
        cheap(config);
        config.passwords.memory = ByteSize(8 << 20);
        (config.passwords.account_tries, config.passwords.address_tries) = (1_000, 1_000);
    };
    let server = start_keeping(vault.credentials.clone(), slow).await;
    add_with(&vault, "library", "ada", slow).await;
    let mut texts = Vec::new();
    let cases = [
        ("library", "ada", "wrong"),
        ("library", "eva", PASSWORD),
        ("cryox", "ada", PASSWORD),
        ("nobody", "ada", PASSWORD),
        ("No Tenant", "ada", PASSWORD),
        ("library", "ada", ""),
    ];
    let mut took = [Duration::MAX; 6];
    // In turns, and the fastest of each: other work of the machine should not decide.
    for _ in 0..5 {
        for ((of, user, password), fastest) in cases.iter().zip(&mut took) {
            let begun = Instant::now();
            let response = sign_in(&server, of, user, password).await;
            *fastest = begun.elapsed().min(*fastest);
            assert_eq!((response.status().as_u16(), response.headers().get("set-cookie")), (401, None));
            texts.push(response.text().await.unwrap());
        }
    }
    texts.dedup();
    assert_eq!(texts.len(), 1, "one answer: {texts:?}");
    let (least, most) = (took.iter().min().unwrap(), took.iter().max().unwrap());
    assert!(*least * 2 > *most, "and one time, most of which is the hash: {took:?}");
}

#[tokio::test]
async fn tries_are_counted_by_account_and_by_address_over_all_instances() {
    let vault = Vault::in_file("").await.unwrap();
    let counters = Arc::new(LocalCounters::new(Arc::new(Wall)));
    let few = |config: &mut Config| {
        cheap(config);
        (config.passwords.account_tries, config.passwords.address_tries) = (3, 6);
        config.passwords.window = Duration::from_secs(90);
    };
    let kept = || (vault.credentials.clone(), counters.clone() as Arc<dyn quipu_resolvers::ports::Counters>);
    let servers = [start_beside(kept(), few).await, start_beside(kept(), few).await];
    for name in ["ada", "eva"] {
        add(&vault, "library", name).await;
    }
    for at in 0..3 {
        assert_eq!(sign_in(&servers[at % 2], "library", "ada", "wrong").await.status(), 401);
    }
    let fourth = sign_in(&servers[1], "library", "ada", PASSWORD).await;
    assert_eq!(fourth.headers()["retry-after"], "90");
    assert_eq!(refusal(fourth).await, (429, "TOO_MANY_TRIES".into()), "also with the right one");
    assert_eq!(sign_in(&servers[0], "library", "eva", PASSWORD).await.status(), 200, "nobody else is held up");
    assert_eq!(sign_in(&servers[0], "library", "none", PASSWORD).await.status(), 401);
    assert_eq!(
        sign_in(&servers[1], "library", "eva", PASSWORD).await.status(),
        429,
        "until the address has tried enough"
    );
    let forwarded = servers[1].client.post(servers[1].url("/auth/sign-in")).header("quipu-csrf", "1");
    let body = json!({"tenant": "library", "user": "eva", "password": PASSWORD});
    let forwarded = forwarded.header("x-forwarded-for", "1.2.3.4").json(&body).send().await.unwrap();
    assert_eq!(forwarded.status(), 429, "whatever it says of itself");
}

#[tokio::test]
async fn what_is_no_request_to_sign_in_is_told_so() {
    let vault = Vault::in_file("").await.unwrap();
    let server = start_keeping(vault.credentials.clone(), cheap).await;
    let send = |body: String, media_type: &str| {
        let request = server.client.post(server.url("/auth/sign-in")).header("quipu-csrf", "1");
        request.header("content-type", media_type.to_owned()).body(body).send()
    };
    let good = json!({"tenant": "library", "user": "ada", "password": "x"}).to_string();
    assert_eq!(send(good.clone(), "text/plain").await.unwrap().status(), 415);
    for bad in
        ["", "[]", "{}", "{\"tenant\": 1}", &good.replace("\"x\"", "null"), &good.replace('}', ",\"user\":\"b\"}")]
    {
        assert_eq!(send(bad.to_owned(), "application/json").await.unwrap().status(), 400, "{bad}");
    }
    let long = good.replace("\"x\"", &format!("\"{}\"", "x".repeat(1025)));
    assert_eq!(send(long, "application/json").await.unwrap().status(), 400);
    assert_eq!(send(format!("{good}{}", " ".repeat(9_000)), "application/json").await.unwrap().status(), 413);
    let without = server.client.post(server.url("/auth/sign-in")).json(&json!({})).send().await.unwrap();
    assert_eq!(without.status(), 403, "another site could sign somebody in as somebody else");
}
