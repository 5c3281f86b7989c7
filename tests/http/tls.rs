//! TLS of the server: what is agreed upon, who is let in, and certificates that change while it serves.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http_body_util::BodyExt;
use hyper_util::rt::{TokioExecutor, TokioIo};
use quipu::config::{ClientCertificate, Config};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::server::{Server, eventually, start_config};

/// Somebody who vouches for servers and clients.
struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate with its key.
struct Pair {
    certificate: CertificateDer<'static>,
    key: KeyPair,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "an authority for a test");
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn signs(&self, name: &str) -> Pair {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &self.0).unwrap();
        Pair { pem: certificate.pem(), certificate: certificate.der().clone(), key }
    }
}

/// The files of a server.
struct Files {
    folder: tempfile::TempDir,
    authority: Authority,
}

impl Files {
    fn new() -> Self {
        let files = Self { folder: tempfile::tempdir().unwrap(), authority: Authority::new() };
        files.hold(&files.authority.signs("localhost"));
        std::fs::write(files.path("authority.pem"), files.authority.0.pem()).unwrap();
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn hold(&self, pair: &Pair) {
        std::fs::write(self.path("certificate.pem"), &pair.pem).unwrap();
        std::fs::write(self.path("key.pem"), pair.key.serialize_pem()).unwrap();
    }

    fn name(&self, config: &mut Config) {
        config.tls.certificate = Some(self.path("certificate.pem"));
        config.tls.key = Some(self.path("key.pem"));
        config.server.reload = Duration::from_millis(100);
    }

    /// Speaks TLS with the server, showing a certificate if there is one.
    async fn connect(
        &self,
        at: SocketAddr,
        shows: Option<&Pair>,
        speaks: &[&[u8]],
    ) -> io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.0.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let tls = tls.with_root_certificates(roots);
        let mut tls = match shows {
            None => tls.with_no_client_auth(),
            Some(pair) => {
                let key = PrivateKeyDer::try_from(pair.key.serialize_der()).unwrap();
                tls.with_client_auth_cert(vec![pair.certificate.clone()], key).unwrap()
            }
        };
        tls.alpn_protocols = speaks.iter().map(|name| name.to_vec()).collect();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(tls)).connect(name, TcpStream::connect(at).await?).await
    }
}

/// What is answered to a request without a body. A server that refuses a certificate says so only now (TLS 1.3).
async fn get(mut stream: TlsStream<TcpStream>, path: &str) -> io::Result<String> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

async fn healthy(files: &Files, server: &Server, shows: Option<&Pair>) -> io::Result<bool> {
    let stream = files.connect(server.address, shows, &[b"http/1.1"]).await?;
    Ok(get(stream, "/healthz").await?.starts_with("HTTP/1.1 200 "))
}

/// `/readyz`: the word, and how its part `tls` is.
async fn ready(files: &Files, server: &Server) -> (Value, Value) {
    let stream = files.connect(server.address, None, &[b"http/1.1"]).await.unwrap();
    let answer = get(stream, "/readyz").await.unwrap();
    let body: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
    (body["status"].clone(), body["parts"]["tls"].clone())
}

#[tokio::test]
async fn both_versions_of_http_are_spoken_over_tls() {
    let files = Files::new();
    let server = start_config(|config| files.name(config)).await;
    let stream = files.connect(server.address, None, &[b"http/1.1"]).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    let answer = get(stream, "/healthz").await.unwrap().to_lowercase();
    assert!(answer.starts_with("http/1.1 200 "), "{answer}");
    assert!(answer.contains("strict-transport-security: max-age=31536000\r\n"), "{answer}");

    let stream = files.connect(server.address, None, &[b"h2", b"http/1.1"]).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]), "the better one is taken");
    let (mut sender, speaking) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(speaking);
    let request = hyper::Request::post("https://localhost/graphql")
        .header("authorization", format!("Bearer {}", server.token("cryox")))
        .header("content-type", "application/json")
        .body(Body::from(json!({"query": "{a}"}).to_string()));
    let answer = sender.send_request(request.unwrap()).await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.version()), (200, hyper::Version::HTTP_2));
    let body: Value = serde_json::from_slice(&answer.into_body().collect().await.unwrap().to_bytes()).unwrap();
    assert_eq!(body["data"]["tenant"], "cryox");

    let stream = files.connect(server.address, None, &[]).await.unwrap();
    let mut request =
        tokio_tungstenite::tungstenite::client::IntoClientRequest::into_client_request("wss://localhost/graphql")
            .unwrap();
    request.headers_mut().insert("sec-websocket-protocol", "graphql-transport-ws".parse().unwrap());
    let (socket, _) = tokio_tungstenite::client_async(request, stream).await.unwrap();
    drop(socket);
    assert!(server.client.get(server.url("/healthz")).send().await.is_err(), "plain HTTP is not answered");
}

#[tokio::test]
async fn plain_http_says_nothing_of_transport_security() {
    let server = start_config(|_| {}).await;
    let answer = server.client.get(server.url("/healthz")).send().await.unwrap();
    assert!(!answer.headers().contains_key("strict-transport-security"));
    let behind = start_config(|config| {
        config.tls.by_proxy = true;
        config.tls.hsts = Duration::from_secs(60);
    })
    .await;
    let answer = behind.client.get(behind.url("/healthz")).send().await.unwrap();
    assert_eq!(answer.headers()["strict-transport-security"], "max-age=60");
}

#[tokio::test]
async fn a_new_certificate_is_taken_up_and_a_broken_one_is_not() {
    let files = Files::new();
    let server = start_config(|config| files.name(config)).await;
    let shown = async || {
        let stream = files.connect(server.address, None, &[]).await.unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].clone()
    };
    let until = async |expected: &CertificateDer<'static>| {
        for _ in 0..300 {
            if shown().await == *expected {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the certificate is not shown");
    };
    let first = shown().await;
    assert_eq!(ready(&files, &server).await, (json!("ready"), json!("up")));
    // A connection that is open stays so.
    let mut open = files.connect(server.address, None, &[b"http/1.1"]).await.unwrap();
    let (second, third) = (files.authority.signs("localhost"), files.authority.signs("localhost"));
    files.hold(&second);
    until(&second.certificate).await;
    assert_ne!(first, second.certificate);

    // A certificate without its key, no certificate at all, and nothing there.
    let broken: [&dyn Fn(); 3] = [
        &|| std::fs::write(files.path("certificate.pem"), &third.pem).unwrap(),
        &|| std::fs::write(files.path("certificate.pem"), "nonsense").unwrap(),
        &|| std::fs::remove_file(files.path("certificate.pem")).unwrap(),
    ];
    for (n, breaks) in broken.iter().enumerate() {
        breaks();
        let mut told = (Value::Null, Value::Null);
        for _ in 0..300 {
            told = ready(&files, &server).await;
            if told.1 == "down" {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(told, (json!("degraded"), json!("down")), "{n}");
        assert_eq!(shown().await, second.certificate, "{n}: the one before is used on");
        files.hold(&second);
        for _ in 0..300 {
            if ready(&files, &server).await.1 == "up" {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    files.hold(&third);
    until(&third.certificate).await;
    assert_eq!(ready(&files, &server).await, (json!("ready"), json!("up")));
    open.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    open.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn clients_show_certificates_where_they_have_to() {
    let files = Files::new();
    let (good, stranger) = (files.authority.signs("client.example"), Authority::new().signs("client.example"));
    let start = async |client| {
        start_config(|config| {
            files.name(config);
            config.tls.client_authority = Some(files.path("authority.pem"));
            config.tls.client_certificate = client;
        })
        .await
    };
    let strict = start(ClientCertificate::Required).await;
    assert!(healthy(&files, &strict, Some(&good)).await.unwrap());
    assert!(healthy(&files, &strict, None).await.is_err(), "without a certificate");
    assert!(healthy(&files, &strict, Some(&stranger)).await.is_err(), "for which somebody else vouches");
    assert!(healthy(&files, &strict, Some(&good)).await.unwrap(), "and the server lives");
    assert!(strict.asked().is_empty());
    let lenient = start(ClientCertificate::Optional).await;
    assert!(healthy(&files, &lenient, None).await.unwrap());
    assert!(healthy(&files, &lenient, Some(&good)).await.unwrap());
    assert!(healthy(&files, &lenient, Some(&stranger)).await.is_err(), "what is shown has to be good");
}

#[tokio::test]
async fn hostile_24_whoever_does_not_agree_on_tls_in_time_is_let_go() {
    let files = Files::new();
    let server = start_config(|config| {
        files.name(config);
        config.server.max_connections = 2.try_into().unwrap();
        config.server.header_timeout = Duration::from_millis(300);
    })
    .await;
    // One says nothing, one begins and stops, one agrees and then says nothing.
    let silent = TcpStream::connect(server.address).await.unwrap();
    let mut halting = TcpStream::connect(server.address).await.unwrap();
    halting.write_all(&[0x16, 0x03, 0x01, 0x02, 0x00]).await.unwrap();
    for mut stream in [silent, halting] {
        let closed = tokio::time::timeout(Duration::from_secs(20), stream.read(&mut [0; 64])).await;
        assert!(!matches!(closed, Err(_) | Ok(Ok(1..))), "{closed:?}");
    }
    let mut agreed = files.connect(server.address, None, &[b"http/1.1"]).await.unwrap();
    let closed = tokio::time::timeout(Duration::from_secs(20), agreed.read(&mut [0; 64])).await;
    assert!(!matches!(closed, Err(_) | Ok(Ok(1..))), "{closed:?}");
    // Their places are free again.
    let answers = futures_util::future::join_all((0..4).map(|_| healthy(&files, &server, None))).await;
    assert!(answers.into_iter().all(|answer| answer.unwrap()));
}

/// What is encrypted waits in another place than plain bytes do, so a client that does not read is to be noticed there as well.
#[tokio::test]
async fn hostile_24_a_client_that_does_not_read_over_tls_is_let_go() {
    let files = Files::new();
    let server = start_config(|config| {
        files.name(config);
        config.server.stall_timeout = Duration::from_millis(300);
        config.live.patience = Duration::from_secs(60);
    })
    .await;
    let mut stream = files.connect(server.address, None, &[b"http/1.1"]).await.unwrap();
    let body = r#"{"query":"subscription {flood}"}"#;
    let request = format!(
        "POST /graphql HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\nAccept: text/event-stream\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        server.token("library"),
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    eventually("it has begun", || server.working() == 1).await;
    eventually("a connection that does not take anything ends", || server.working() == 0).await;
}

#[tokio::test]
async fn settings_that_cannot_work_are_told_before_anything_begins() {
    let files = Files::new();
    std::fs::write(files.path("other.pem"), files.authority.signs("localhost").key.serialize_pem()).unwrap();
    let said = |change: &dyn Fn(&mut Config)| {
        let mut config = Config::default();
        change(&mut config);
        quipu::http::Tls::of(&config).err().map(|error| error.to_string()).unwrap_or_default()
    };
    let both = |config: &mut Config| files.name(config);
    assert_eq!(said(&both), "");
    for (change, expected) in [
        (
            &(|config: &mut Config| config.tls.certificate = Some("c".into())) as &dyn Fn(&mut Config),
            "`tls.key` is not set\nhelp: ",
        ),
        (&|config| config.tls.key = Some("k".into()), "`tls.certificate` is not set"),
        (&|config| config.tls.client_authority = Some("a".into()), "`tls.certificate` is not set"),
        (
            &|config| (config.tls.certificate, config.tls.key) = (Some("/no/c".into()), Some("/no/k".into())),
            "cannot read /no/c",
        ),
        (
            &|config| {
                both(config);
                config.tls.key = Some(files.path("other.pem"))
            },
            "do not belong together",
        ),
        (
            &|config| {
                both(config);
                config.tls.key = Some(files.path("certificate.pem"))
            },
            "there is no private key in PEM form",
        ),
        (
            &|config| {
                both(config);
                config.tls.certificate = Some(files.path("key.pem"))
            },
            "there is no certificate in PEM form",
        ),
        (
            &|config| {
                both(config);
                config.tls.client_authority = Some(files.path("key.pem"))
            },
            "there is no certificate in PEM form",
        ),
    ] {
        let said = said(change);
        assert!(said.contains(expected), "{expected}: {said}");
        assert!(!said.contains("PRIVATE KEY-----"), "{said}");
    }
}
