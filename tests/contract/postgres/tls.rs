//! TLS to a server whose certificate an authority of the tests has signed.

use std::path::{Path, PathBuf};

use quipu::stores::postgres::{OpenError, Options, Postgres};
use quipu_resolvers::ports::Metadata as _;
use sqlx::query_scalar;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::super::skipped;
use super::{plain, server};

/// A server with TLS, and the file of the authority that vouches for it.
fn secured(case: &str) -> Option<(super::Server, PathBuf)> {
    let server = server(case)?;
    match std::env::var("QUIPU_TEST_POSTGRES_CA") {
        Ok(authority) => Some((server, authority.into())),
        Err(_) => {
            skipped(case, "QUIPU_TEST_POSTGRES_CA names no certificate");
            None
        }
    }
}

/// Both addresses with other parameters.
fn with(options: &Options, parameters: &str) -> Options {
    let other = |url: &str| url.replace("?sslmode=disable", parameters);
    Options { url: other(&options.url), owner_url: options.owner_url.as_deref().map(other), ..options.clone() }
}

async fn refused(options: Options) -> OpenError {
    Postgres::open(options).await.expect_err("it must be refused")
}

/// An authority that has nothing to do with the server.
fn another_authority(folder: &Path) -> PathBuf {
    let made = std::process::Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=somebody else"])
        .args(["-keyout", "else.key", "-out", "else.pem"])
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    folder.join("else.pem")
}

/// What the address or the settings ask for is had, and the server says so.
#[tokio::test]
async fn what_is_asked_for_is_had() {
    let Some((server, authority)) = secured("contract::postgres::tls::what_is_asked_for_is_had") else { return };
    let fresh = server.fresh();
    let ca = authority.display();
    for (parameters, root) in [
        ("?sslmode=require".to_owned(), None),
        (format!("?sslmode=verify-ca&sslrootcert={ca}"), None),
        (format!("?sslmode=verify-full&sslrootcert={ca}"), None),
        ("?sslmode=verify-full".to_owned(), Some(authority.clone())),
        // Who is told whom to trust asks for TLS.
        (String::new(), Some(authority.clone())),
    ] {
        let options = Options { root_certificate: root, ..with(&fresh, &parameters) };
        let opened = Postgres::open(options.clone()).await.unwrap_or_else(|error| panic!("{parameters}: {error}"));
        assert!(opened.published().await.unwrap().is_empty());
        opened.close().await;
    }
    let mut login = plain(&with(&fresh, "?sslmode=require").url, &fresh).await;
    let spoken = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    assert!(query_scalar::<_, bool>(spoken).fetch_one(&mut login).await.unwrap());
    // All connections of the store, not the first alone.
    let name = format!("{}_named", fresh.schema);
    let options = Options { root_certificate: Some(authority), ..with(&fresh, &format!("?application_name={name}")) };
    let opened = Postgres::open(options).await.unwrap();
    assert!(opened.published().await.unwrap().is_empty());
    let admin = server.admin.expect("the script names an administrator");
    let mut admin = plain(&admin, &fresh).await;
    let all = "SELECT count(*) > 0 AND bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = $1";
    assert!(query_scalar::<_, bool>(all).bind(&name).fetch_one(&mut admin).await.unwrap());
}

/// Who cannot be trusted is told at the start, with what can be done.
#[tokio::test]
async fn who_cannot_be_trusted_is_told() {
    let Some((server, authority)) = secured("contract::postgres::tls::who_cannot_be_trusted_is_told") else { return };
    let folder = tempfile::tempdir().unwrap();
    let other = another_authority(folder.path());
    let no_certificate = folder.path().join("empty.pem");
    std::fs::write(&no_certificate, "nothing").unwrap();
    let fresh = server.fresh();
    let ca = authority.display();
    let localhost = |options: &Options| Options {
        url: options.url.replace("127.0.0.1", "localhost"),
        owner_url: None,
        ..options.clone()
    };
    let nobody = "its certificate is not trusted: nobody who is trusted vouches for it";
    for (options, message) in [
        (with(&fresh, "?sslmode=verify-full"), nobody),
        (with(&fresh, "?sslmode=verify-ca"), nobody),
        (with(&fresh, &format!("?sslmode=verify-full&sslrootcert={}", other.display())), nobody),
        (with(&fresh, &format!("?sslmode=verify-ca&sslrootcert={}", other.display())), nobody),
        (Options { root_certificate: Some(other), ..with(&fresh, "") }, nobody),
        (
            localhost(&with(&fresh, &format!("?sslmode=verify-full&sslrootcert={ca}"))),
            "its certificate is not trusted: it is for another name",
        ),
        (
            with(&fresh, "?sslmode=verify-full&sslrootcert=/no/such/file"),
            "the root certificate /no/such/file cannot be read",
        ),
        (Options { root_certificate: Some(no_certificate), ..with(&fresh, "") }, "holds no certificate"),
        (with(&fresh, "?sslmode=always"), "the address has an unknown sslmode"),
    ] {
        let error = refused(options).await;
        assert!(error.message.contains(message), "{error}: {message}");
        assert!(!error.help.is_empty() && !format!("{error} {}", error.help).contains(":login"), "{error}");
    }
    // By another name of the same server an authority is enough where only that is asked for.
    let by_name = localhost(&with(&fresh, &format!("?sslmode=verify-ca&sslrootcert={ca}")));
    let error = refused(by_name).await;
    assert!(error.message.contains("is not migrated"), "{error}");
}

/// A server without TLS is told apart from one that is away.
#[tokio::test]
async fn a_server_without_tls() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut asked = [0; 8];
        socket.read_exact(&mut asked).await.unwrap();
        // Protocol 3.0, SSLRequest: N is no.
        socket.write_all(b"N").await.unwrap();
        asked
    });
    let url = format!("postgres://quipu_login:login@{address}/quipu?sslmode=require");
    let error = refused(Options { url, ..Options::default() }).await;
    assert_eq!(error.message, "does not speak TLS, which is asked for");
    assert_eq!(serving.await.unwrap(), [0, 0, 0, 8, 4, 210, 22, 47]);
}
