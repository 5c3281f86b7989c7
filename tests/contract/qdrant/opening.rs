//! What is wrong with a server is told when it is opened, with what to do, and without the key.

use std::time::Duration;

use qdrant_client::qdrant::{CreateCollectionBuilder, Distance, VectorParamsBuilder};
use quipu::stores::qdrant::{OpenError, Options, Qdrant};

use super::double::{Double, Mood};
use super::*;

const KEY: &str = "wr0ng-secret";

/// Opens what cannot be used. Looking takes four seconds at most; a busy machine gets more.
async fn refused(options: Options) -> OpenError {
    let opening = Qdrant::open(options);
    let opened = tokio::time::timeout(Duration::from_secs(20), opening).await.expect("it is told soon");
    opened.err().expect("it cannot be used")
}

fn at(url: impl Into<String>) -> Options {
    Options { url: url.into(), key: Some(KEY.to_owned()), model: "m".into(), dimension: 16, ..Options::default() }
}

async fn told(cases: Vec<(Options, &str, &str)>) {
    for (options, message, help) in cases {
        let error = refused(options).await;
        let told = format!("{error}; {}; {error:?}", error.help);
        assert!(told.contains(message) && told.contains(help), "{told}");
        assert!(!told.contains(KEY), "{told}");
    }
}

#[tokio::test]
async fn what_is_no_server_is_told() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let other = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (silence, http) = (silent.local_addr().unwrap(), other.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = other.accept().await.unwrap();
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    let old = Double::start("1.9.2", Mood::Empty).await;
    let good = Double::start("1.18.3", Mood::Empty).await;
    let mut unprintable = at(format!("qdrant://{}", good.address));
    unprintable.key = Some(format!("{KEY}\n"));
    told(vec![
        (at("qdrant://127.0.0.1:1"), "cannot be reached: connection refused", "check that it runs"),
        (at("qdrant://nowhere.invalid:6334"), "cannot be reached", "check that it runs"),
        (at(format!("qdrant://{silence}")), "did not answer within 4 seconds", "check that it runs"),
        (at(format!("qdrant://{http}")), "does not speak gRPC", "name the gRPC port"),
        (at(format!("qdrants://{}", good.address)), "cannot be reached with TLS", "write qdrant://"),
        (at("redis://127.0.0.1"), "has a URL that cannot be understood", "qdrant://host:6334"),
        (at(format!("qdrant://{KEY}@127.0.0.1:1")), "cannot be reached", "check that it runs"),
        (at(format!("qdrant://{}", old.address)), "is version \"1.9.2\", and 1.14 or newer is needed", "upgrade it"),
        (unprintable, "cannot be given the key", "printable ASCII"),
        (Options { dimension: 8, ..at(format!("qdrant://{}", good.address)) }, "with vectors of 16 numbers", "prefix"),
    ])
    .await;
    let opened = Qdrant::open(at(format!("qdrant://{}", good.address))).await.unwrap();
    assert_eq!(opened.collections(), ["quipu-m-16", "quipu-m-16-notes"]);
}

#[tokio::test]
async fn keys_that_do_not_fit_are_told() {
    let Some(good) = options_for("opening::keys_that_do_not_fit_are_told") else { return };
    let wrong = Options { key: Some(KEY.to_owned()), ..good.clone() };
    let none = Options { key: None, ..good.clone() };
    told(vec![
        (wrong, "refuses the key", "vectors.key"),
        (none, "asks for a key", "vectors.key_file"),
        (
            Options { key: Some(KEY.into()), url: good.url.replace("qdrant", "qdrants"), ..good },
            "with TLS",
            "qdrant://",
        ),
    ])
    .await;
}

/// Vectors of another length are in another collection; one of the same name that has others is not touched.
#[tokio::test]
async fn a_collection_of_other_vectors_is_told() {
    let Some(good) = options_for("opening::a_collection_of_other_vectors_is_told") else { return };
    let _stores = beside(&good).await;
    let other = Options { dimension: 8, ..good.clone() };
    let _others = beside(&other).await;
    let client = plain(&good);
    let name = format!("{}-test-4", good.prefix);
    let params = VectorParamsBuilder::new(7, Distance::Cosine);
    client.create_collection(CreateCollectionBuilder::new(&name).vectors_config(params)).await.unwrap();
    let error = refused(Options { dimension: 4, ..good }).await;
    client.delete_collection(&name).await.unwrap();
    assert!(error.message.contains("with vectors of 7 numbers, and the model's have 4"), "{error}");
}

/// Ten instances that start together make the collections once.
#[tokio::test(flavor = "multi_thread")]
async fn many_open_at_once() {
    let Some(good) = options_for("opening::many_open_at_once") else { return };
    let mut together = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let options = good.clone();
        together.spawn(async move { drop(open(&options).await) });
    }
    together.join_all().await;
    let _stores = beside(&good).await;
}
