//! TLS of the server: its certificate, what clients have to show, and both taken up anew when their files change.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};
use sha2::{Digest, Sha256};
use tokio_rustls::TlsAcceptor;

use crate::config::{ClientCertificate, Config, ConfigError};
use crate::reload::Looks;

/// Versions of HTTP that are offered, the better one first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// The server's side of TLS. Connections take what was in place when they began.
pub struct Tls {
    files: Files,
    current: ArcSwap<ServerConfig>,
    /// What the files held when they were looked at last, whether it could be used or not.
    seen: Mutex<Option<[u8; 32]>>,
    is_well: AtomicBool,
}

/// Where everything is.
#[derive(Debug, Clone)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
    authority: Option<PathBuf>,
    client: ClientCertificate,
}

/// What the files hold.
struct Texts {
    certificate: Vec<u8>,
    key: Vec<u8>,
    authority: Option<Vec<u8>>,
}

impl Tls {
    /// Reads what the settings name; `None` where they name no certificate.
    ///
    /// # Errors
    /// When a setting is missing that belongs to another, or the files cannot be used.
    pub fn of(config: &Config) -> Result<Option<Arc<Self>>, ConfigError> {
        let tls = &config.tls;
        let (certificate, key) = match (&tls.certificate, &tls.key) {
            (Some(certificate), Some(key)) => (certificate.clone(), key.clone()),
            (None, None) if tls.client_authority.is_none() => return Ok(None),
            (None, _) => return Err(missing("tls.certificate")),
            (_, None) => return Err(missing("tls.key")),
        };
        let files = Files { certificate, key, authority: tls.client_authority.clone(), client: tls.client_certificate };
        let loaded = files.read().and_then(|texts| Ok((files.use_of(&texts)?, texts.digest())));
        let (current, digest) = loaded.map_err(|problem| ConfigError::one(format!("`tls`: {problem}")))?;
        Ok(Some(Arc::new(Self {
            files,
            current: ArcSwap::from_pointee(current),
            seen: Mutex::new(Some(digest)),
            is_well: AtomicBool::new(true),
        })))
    }

    /// What is in place, for a connection that begins.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.current.load_full())
    }

    /// Whether the files held something that could be used when they were looked at last.
    pub(super) fn is_well(&self) -> bool {
        self.is_well.load(Ordering::Relaxed)
    }

    /// Looks at the files again and again; never ends.
    pub(super) async fn follow(self: Arc<Self>, every: Duration) {
        let mut looks = Looks::new(every);
        loop {
            looks.next().await;
            let tls = self.clone();
            // Files may be on a disk that hangs.
            if let Err(error) = tokio::task::spawn_blocking(move || tls.look()).await {
                tracing::error!(%error, "looking at the certificate failed");
            }
        }
    }

    /// Takes up what the files hold, when it is something new. What cannot be used changes nothing, and is said once.
    fn look(&self) {
        let read = self.files.read();
        let digest = read.as_ref().ok().map(Texts::digest);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen == digest {
            return;
        }
        *seen = digest;
        drop(seen);
        match read.and_then(|texts| self.files.use_of(&texts)) {
            Ok(fresh) => {
                self.current.store(Arc::new(fresh));
                self.is_well.store(true, Ordering::Relaxed);
                tracing::info!("connections that begin now get the new certificate");
            }
            Err(problem) => {
                self.is_well.store(false, Ordering::Relaxed);
                tracing::error!(problem, "the new certificate cannot be used; the one before is used on");
            }
        }
    }
}

fn missing(name: &str) -> ConfigError {
    ConfigError::one(format!(
        "`{name}` is not set\nhelp: TLS needs `tls.certificate` and `tls.key`; leave all of [tls] out to serve plain HTTP"
    ))
}

impl Files {
    fn read(&self) -> Result<Texts, String> {
        Ok(Texts {
            certificate: read(&self.certificate)?,
            key: read(&self.key)?,
            authority: self.authority.as_deref().map(read).transpose()?,
        })
    }

    /// What a server needs, of the texts. The provider is named, so that the process needs no default one.
    fn use_of(&self, texts: &Texts) -> Result<ServerConfig, String> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let chain = certificates(&self.certificate, &texts.certificate)?;
        // The library's message could only repeat the file.
        let key = PrivateKeyDer::from_pem_slice(&texts.key)
            .map_err(|_| format!("{}: there is no private key in PEM form in it", self.key.display()))?;
        let builder = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
        let builder = builder.map_err(|error| error.to_string())?;
        let builder = match (&self.authority, &texts.authority) {
            (Some(path), Some(text)) => builder.with_client_cert_verifier(self.verifier(path, text, provider)?),
            _ => builder.with_no_client_auth(),
        };
        let mut config = builder.with_single_cert(chain, key).map_err(|error| {
            format!("{} and {} do not belong together: {error}", self.certificate.display(), self.key.display())
        })?;
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        Ok(config)
    }

    fn verifier(
        &self,
        path: &Path,
        text: &[u8],
        provider: Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ClientCertVerifier>, String> {
        let wrong = |problem: String| format!("{}: {problem}", path.display());
        let mut roots = RootCertStore::empty();
        for certificate in certificates(path, text)? {
            roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        let verifier = match self.client {
            ClientCertificate::Required => verifier,
            ClientCertificate::Optional => verifier.allow_unauthenticated(),
        };
        verifier.build().map_err(|error| wrong(error.to_string()))
    }
}

impl Texts {
    fn digest(&self) -> [u8; 32] {
        let parts = [&self.certificate, &self.key, self.authority.as_ref().unwrap_or(&self.key)];
        let mut digest = Sha256::new();
        for part in parts {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        digest.finalize().into()
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

/// The certificates of a file in PEM form, at least one.
fn certificates(path: &Path, text: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let all = CertificateDer::pem_slice_iter(text).collect::<Result<Vec<_>, _>>();
    let all = all.map_err(|error| format!("{}: {error}", path.display()))?;
    if all.is_empty() { Err(format!("{}: there is no certificate in PEM form in it", path.display())) } else { Ok(all) }
}
