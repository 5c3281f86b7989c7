//! Asks an issuer for its keys: over HTTP(S), bounded in time, bytes and redirects, or from a file.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{ACCEPT, LOCATION, USER_AGENT};
use axum::http::{Request, StatusCode};
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::time::timeout;
use url::Url;

use crate::config::{ConfigError, Issuer, KeySource, may_be_asked};
use crate::json;

/// Bytes of a document or key set at most; the largest of known issuers have about 20 KiB.
const MOST_BYTES: usize = 256 << 10;
/// Times that an answer may lead elsewhere.
const REDIRECTS: usize = 3;
/// Objects and lists inside of each other in a discovery document.
const NESTING: usize = 16;

/// Gets the key set of one issuer.
pub(super) struct Fetcher {
    source: KeySource,
    issuer: String,
    insecure_http: bool,
    timeout: Duration,
    /// None where no server is asked.
    client: Option<Client<HttpsConnector<HttpConnector>, Body>>,
}

impl Fetcher {
    /// Looks at files and settings; no server is asked.
    ///
    /// # Errors
    /// When the place of the keys is not right, or the certificates cannot be read.
    pub fn new(section: &str, issuer: &Issuer) -> Result<Self, ConfigError> {
        let wrong = |problem: String| ConfigError::one(format!("`{section}`: {problem}"));
        let source = issuer.keys().map_err(wrong)?;
        let client = match &source {
            KeySource::File(_) => None,
            _ => Some(client(issuer.root_certificate.as_deref()).map_err(wrong)?),
        };
        Ok(Self {
            source,
            issuer: issuer.issuer.clone().unwrap_or_default(),
            insecure_http: issuer.insecure_http,
            timeout: issuer.timeout,
            client,
        })
    }

    /// The text of the key set.
    ///
    /// # Errors
    /// Why there is none; for the log.
    pub async fn key_set(&self) -> Result<Bytes, String> {
        timeout(self.timeout, self.asked()).await.unwrap_or_else(|_| Err("no answer in time (`timeout`)".into()))
    }

    async fn asked(&self) -> Result<Bytes, String> {
        match &self.source {
            KeySource::File(path) => {
                let text = read(path).await.map_err(|error| format!("{}: {error}", path.display()))?;
                Ok(text.into())
            }
            KeySource::Url(url) => self.get(url.clone()).await,
            KeySource::Discovery(url) => {
                let document = self.get(url.clone()).await?;
                let keys = self.named_keys(url, &document).map_err(|error| format!("{url}: {error}"))?;
                self.get(keys).await
            }
        }
    }

    /// Where a discovery document says that the keys are. It has to be the issuer's own: one that answers for another issuer could
    /// have its keys taken for this one's (OpenID Connect Discovery 1.0, section 4.3).
    fn named_keys(&self, at: &Url, document: &[u8]) -> Result<Url, String> {
        let document = json::parse(document, NESTING).map_err(|error| error.to_string())?;
        let text = |name: &str| document.get(name).and_then(Value::as_str);
        if text("issuer") != Some(&self.issuer) {
            return Err(format!("the document is of the issuer {:?}, and not {:?}", text("issuer"), self.issuer));
        }
        let keys = text("jwks_uri").ok_or("the document names no `jwks_uri`")?;
        let keys = Url::parse(keys).map_err(|_| "`jwks_uri` is no URL")?;
        self.may_lead(at, &keys).map_err(|problem| format!("`jwks_uri`: {problem}"))?;
        Ok(keys)
    }

    /// Whether an answer may lead to a URL: to one that may be asked, and never out of TLS, also not to this machine.
    fn may_lead(&self, from: &Url, to: &Url) -> Result<(), &'static str> {
        may_be_asked(to, self.insecure_http)?;
        let leaves_tls = from.scheme() == "https" && to.scheme() != "https";
        if leaves_tls { Err("it leads away from https://") } else { Ok(()) }
    }

    async fn get(&self, mut url: Url) -> Result<Bytes, String> {
        let client = self.client.as_ref().ok_or("there is no client")?;
        for _ in 0..=REDIRECTS {
            let failed = |problem: &str| format!("{url}: {problem}");
            let request = Request::get(url.as_str()).header(ACCEPT, "application/json").header(USER_AGENT, "quipu");
            let request = request.body(Body::empty()).map_err(|error| failed(&error.to_string()))?;
            let answer = client.request(request).await.map_err(|error| failed(&causes(&error)))?;
            match answer.status() {
                StatusCode::OK => {
                    let body = Limited::new(answer.into_body(), MOST_BYTES).collect().await;
                    return Ok(body.map_err(|error| failed(&causes(&*error)))?.to_bytes());
                }
                status if status.is_redirection() => {
                    let target = answer.headers().get(LOCATION).and_then(|target| target.to_str().ok());
                    let target = target.and_then(|target| url.join(target).ok());
                    let target = target.ok_or_else(|| failed("it leads nowhere"))?;
                    self.may_lead(&url, &target).map_err(|problem| failed(&format!("to {target}: {problem}")))?;
                    url = target;
                }
                status => return Err(failed(&format!("the answer is {status}"))),
            }
        }
        Err(format!("{url}: more than {REDIRECTS} redirects"))
    }
}

/// Reads a file that is no longer than a key set may be.
async fn read(path: &Path) -> Result<Vec<u8>, String> {
    use tokio::io::AsyncReadExt;
    let file = tokio::fs::File::open(path).await.map_err(|error| error.to_string())?;
    let mut text = Vec::new();
    file.take(MOST_BYTES as u64 + 1).read_to_end(&mut text).await.map_err(|error| error.to_string())?;
    if text.len() > MOST_BYTES { Err(format!("it has more than {MOST_BYTES} bytes")) } else { Ok(text) }
}

/// An error with what caused it: the outer ones alone say little.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// A client that trusts who is named, or whom the system trusts. The provider is named, so that the process needs no default one.
fn client(root_certificate: Option<&Path>) -> Result<Client<HttpsConnector<HttpConnector>, Body>, String> {
    let mut roots = RootCertStore::empty();
    match root_certificate {
        Some(path) => {
            let wrong = |problem: &str| format!("`root_certificate`: {}: {problem}", path.display());
            let read = CertificateDer::pem_file_iter(path).map_err(|error| wrong(&error.to_string()))?;
            for certificate in read {
                let certificate = certificate.map_err(|error| wrong(&error.to_string()))?;
                roots.add(certificate).map_err(|error| wrong(&error.to_string()))?;
            }
            if roots.is_empty() {
                return Err(wrong("there is no certificate in it"));
            }
        }
        // Without any, no server over TLS is trusted, and each fetch says so.
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let tls = tls.map_err(|error| error.to_string())?.with_root_certificates(roots).with_no_client_auth();
    let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
    // Keys are asked for now and then: no connection is worth keeping.
    Ok(Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leads_out_of_tls() {
        let issuer = Issuer { issuer: Some("https://id.example".into()), ..Issuer::default() };
        let fetcher = Fetcher::new("auth.issuers.house", &issuer).unwrap();
        let url = |text: &str| Url::parse(text).unwrap();
        let leads = |from: &str, to: &str| fetcher.may_lead(&url(from), &url(to)).is_ok();
        assert!(
            leads("https://id.example", "https://keys.example/k") && leads("http://localhost/a", "http://localhost/b")
        );
        assert!(leads("http://localhost/a", "https://keys.example/k"));
        for to in ["http://127.0.0.1:8080/admin", "http://localhost/k", "http://keys.example/k", "file:///etc/passwd"] {
            assert!(!leads("https://id.example", to), "{to}");
            let document = serde_json::json!({"issuer": "https://id.example", "jwks_uri": to}).to_string();
            assert!(fetcher.named_keys(&url("https://id.example"), document.as_bytes()).is_err(), "{to}");
        }
    }
}
