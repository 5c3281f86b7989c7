//! Instances tell each other of changes over a real Redis.

use std::time::{Duration, Instant};

use quipu::stores::redis::{OpenError, Options, Redis, RedisBus};
use quipu_resolvers::guard::TenantId;
use quipu_resolvers::ports::Bus as _;
use tokio::time::timeout;

use super::address;
use super::proxy::Proxy;

/// Long enough for a busy machine.
pub const LONG: Duration = Duration::from_secs(30);

fn tenant(name: &str) -> TenantId {
    TenantId::parse(name).expect("a name")
}

/// Channels and keys of one test.
pub fn options(url: &str, prefix: &str) -> Options {
    Options { url: url.to_owned(), password: None, prefix: format!("test-{}-{prefix}", std::process::id()) }
}

async fn opened(options: Options) -> Result<RedisBus, OpenError> {
    Ok(RedisBus::new(&Redis::open(options).await?))
}

async fn bus(options: Options) -> RedisBus {
    let bus = opened(options).await.unwrap_or_else(|error| panic!("{error}"));
    until(|| bus.is_up()).await;
    bus
}

pub async fn until(holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < LONG, "it does not come to that");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn instances_hear_of_each_others_changes() {
    let Some(url) = address("QUIPU_TEST_REDIS", "instances_hear_of_each_others_changes") else { return };
    let (a, b) = (bus(options(&url, "heard")).await, bus(options(&url, "heard")).await);
    let elsewhere = bus(options(&url, "elsewhere")).await;
    let (mut one, other) = (b.listen(&tenant("one")), b.listen(&tenant("other")));
    let apart = elsewhere.listen(&tenant("one"));
    a.announce(&tenant("one"), 7).await;
    timeout(LONG, one.changed()).await.expect("it is heard").expect("the bus lives");
    assert_eq!(*one.borrow_and_update(), 7);
    assert!(!other.has_changed().expect("the bus lives"), "another tenant's listeners sleep on");
    assert!(!apart.has_changed().expect("the bus lives"), "so do those of another deployment");
    // The sender hears itself at once.
    assert_eq!(*a.listen(&tenant("one")).borrow(), 7);
}

#[tokio::test]
async fn a_server_that_is_away_holds_nothing_up_and_is_told_when_it_is_back() {
    let Some(url) = address("QUIPU_TEST_REDIS", "a_server_that_is_away_holds_nothing_up") else { return };
    let (credentials, server) = url.rsplit_once('@').expect("user and password");
    let mut proxy = Proxy::to(server).await;
    let a = bus(options(&format!("{credentials}@{}", proxy.address), "away")).await;
    let b = bus(options(&url, "away")).await;
    let mut heard = b.listen(&tenant("one"));
    proxy.cut().await;
    until(|| !a.is_up()).await;
    let mut own = a.listen(&tenant("one"));
    for seq in 1..=100 {
        timeout(LONG, a.announce(&tenant("one"), seq)).await.expect("nothing waits for redis");
    }
    own.changed().await.expect("the bus lives");
    assert_eq!(*own.borrow_and_update(), 100, "this process hears itself");
    assert!(!heard.has_changed().expect("the bus lives"));
    // What is said meanwhile at the other end is heard later, or found in the log.
    proxy.mend().await;
    timeout(LONG, heard.changed()).await.expect("it is said after all").expect("the bus lives");
    assert_eq!(*heard.borrow_and_update(), 100);
    until(|| a.is_up()).await;
    b.announce(&tenant("one"), 101).await;
    timeout(LONG, own.changed()).await.expect("it is heard again").expect("the bus lives");
    assert_eq!(*own.borrow_and_update(), 101);
}

#[tokio::test]
async fn what_is_wrong_is_told_without_the_password() {
    let Some(url) = address("QUIPU_TEST_REDIS", "what_is_wrong_is_told_without_the_password") else { return };
    let (_, server) = url.rsplit_once('@').expect("user and password");
    for wrong in [format!("redis://:hunter22@{server}"), format!("redis://{server}")] {
        let begun = Instant::now();
        let refused = opened(options(&wrong, "wrong")).await.expect_err("a wrong password").to_string();
        assert!(refused.contains("refuses user or password") && refused.contains("cache.password"), "{refused}");
        assert!(!refused.contains("hunter22"), "{refused}");
        assert!(begun.elapsed() < LONG, "{:?}", begun.elapsed());
    }
    let with_password =
        |url: &str, password: &str| Options { password: Some(password.into()), ..options(url, "wrong") };
    let password = url.trim_start_matches("redis://:").split('@').next().expect("a password");
    bus(with_password(&format!("redis://{server}"), password)).await;
    let unreadable = opened(options("redis://a b:x", "wrong")).await.expect_err("no URL").to_string();
    assert!(unreadable.contains("the URL cannot be read"), "{unreadable}");
    // One that is not there is no reason not to serve.
    let away = opened(options("redis://127.0.0.1:1", "wrong")).await.unwrap_or_else(|error| panic!("{error}"));
    assert!(!away.is_up());
}
