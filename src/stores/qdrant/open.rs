//! Connecting: what is wrong with a server is told at once, and how to put it right; and making the collections.

use std::fmt;
use std::time::{Duration, Instant};

use qdrant_client::qdrant::payload_index_params::IndexParams;
use qdrant_client::qdrant::qdrant_client::QdrantClient;
use qdrant_client::qdrant::vectors_config::Config;
use qdrant_client::qdrant::{
    CollectionExistsRequest, CollectionInfo, CreateCollection, CreateFieldIndexCollection, Distance, FieldType,
    GetCollectionInfoRequest, HealthCheckRequest, KeywordIndexParams, PayloadIndexParams, VectorParams, VectorsConfig,
};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{ClientTlsConfig, Endpoint};

use super::failure::{Broken, Failure, broken, described};
use super::notes::NOTE;
use super::scope::{PROPERTY, TENANT, TYPE};
use super::session::{Session, collections, points};

/// Longest time for looking whether a server can be used.
const LOOK: Duration = Duration::from_secs(4);
/// Longest time for making collections, which a server writes to its disk.
const MAKING: Duration = Duration::from_secs(60);
/// Longest time for a connection.
const CONNECTING: Duration = Duration::from_secs(3);
/// How often a connection is asked for a sign of life, and how long that may take.
const ALIVE: Duration = Duration::from_secs(10);
const SIGN: Duration = Duration::from_secs(5);

/// The oldest version that is tried: it has the requests that are made here.
const OLDEST: (u32, u32) = (1, 14);

/// Where a server is and how it is used.
#[derive(Clone)]
pub struct Options {
    /// `qdrant://host:6334`, or `qdrants://` with TLS; `http` and `https` mean the same. The port is that of gRPC. No credentials.
    pub url: String,
    /// The API key, if the server asks for one.
    pub key: Option<String>,
    /// What the names of collections begin with, so that several deployments can share a server.
    pub prefix: String,
    /// Name of the model that makes the vectors.
    pub model: String,
    /// Numbers of a vector.
    pub dimension: usize,
    /// Connections.
    pub connections: usize,
    /// Most requests at once; further ones wait.
    pub requests: usize,
    /// Longest wait.
    pub wait: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            url: "qdrant://127.0.0.1:6334".to_owned(),
            key: None,
            prefix: "quipu".to_owned(),
            model: String::new(),
            dimension: 0,
            connections: 2,
            requests: 64,
            wait: Duration::from_secs(5),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("prefix", &self.prefix).field("model", &self.model).finish_non_exhaustive()
    }
}

/// Why a server cannot be used. Names no key.
#[derive(Debug, thiserror::Error)]
#[error("Qdrant at {address} {message}")]
pub struct OpenError {
    /// Host and port.
    pub address: String,
    /// What is wrong.
    pub message: String,
    /// How to put it right.
    pub help: String,
}

/// Names of collections.
pub(super) struct Names {
    /// That of the vectors.
    pub(super) vectors: String,
    /// That of the notes.
    pub(super) notes: String,
}

impl Names {
    /// A collection has vectors of one model and length: those of another cannot be compared with them.
    fn of(options: &Options) -> Self {
        let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' };
        let model: String = options.model.chars().map(plain).collect();
        let vectors = format!("{}-{model}-{}", options.prefix, options.dimension);
        Self { notes: format!("{vectors}-notes"), vectors }
    }
}

/// Where a URL leads to.
struct Place {
    /// For the driver.
    uri: String,
    /// Host and port.
    address: String,
    tls: bool,
}

/// Reads a URL; `None` when it cannot be understood.
fn place(url: &str) -> Option<Place> {
    let (scheme, rest) = url.split_once("://")?;
    let tls = match scheme {
        "qdrant" | "http" => false,
        "qdrants" | "https" => true,
        _ => return None,
    };
    // Credentials have no place here, and none in messages.
    let rest = rest.rsplit('@').next().unwrap_or(rest);
    let host = rest.strip_suffix('/').unwrap_or(rest);
    if host.is_empty() || host.contains(['/', '?', '#', ' ']) {
        return None;
    }
    let port = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
    let address = if port.is_some() { host.to_owned() } else { format!("{host}:6334") };
    Some(Place { uri: format!("{}://{address}", if tls { "https" } else { "http" }), address, tls })
}

/// Connects, looks whether the server can be used, and makes the collections that are not there.
pub(super) async fn connect(options: &Options) -> Result<(Session, Names), OpenError> {
    let unknown = OpenError {
        address: "an unknown place".to_owned(),
        message: "has a URL that cannot be understood".to_owned(),
        help: "write it as qdrant://host:6334, or qdrants://host:6334 with TLS".to_owned(),
    };
    let Some(place) = place(&options.url) else { return Err(unknown) };
    let Ok(endpoint) = Endpoint::from_shared(place.uri.clone()) else { return Err(unknown) };
    let told = Told { address: &place.address, has_key: options.key.is_some() };
    let mut endpoint = endpoint
        .connect_timeout(CONNECTING)
        .http2_keep_alive_interval(ALIVE)
        .keep_alive_timeout(SIGN)
        .keep_alive_while_idle(true);
    if place.tls {
        let tls = ClientTlsConfig::new().with_native_roots();
        endpoint = endpoint
            .tls_config(tls)
            .map_err(|_| told.wrong("cannot be reached with TLS", "check the certificates that this system trusts"))?;
    }
    let key = told.key(options)?;
    let session = Session::new(&endpoint, options.connections, options.requests, options.wait, key);
    let names = Names::of(options);
    look(&session, &names, &told).await?;
    make(&session, &names, options.dimension, &told).await?;
    Ok((session, names))
}

/// Tries the key of these options over the connections that there are, and uses it from then on; whether it is another one.
pub(super) async fn renew(session: &Session, names: &Names, options: &Options) -> Result<bool, OpenError> {
    let address = place(&options.url).map(|place| place.address).unwrap_or_default();
    let told = Told { address: &address, has_key: options.key.is_some() };
    let key = told.key(options)?;
    if session.has_key(key.as_ref()) {
        return Ok(false);
    }
    let trying = session.with_key(key);
    exists(&trying, &names.vectors, Instant::now() + LOOK).await.map_err(|failure| told.failed(failure))?;
    session.take_key(&trying);
    Ok(true)
}

/// Whether the server is there, new enough, and takes the key.
async fn look(session: &Session, names: &Names, told: &Told<'_>) -> Result<(), OpenError> {
    let deadline = Instant::now() + LOOK;
    let greet = |channel, request| async move { QdrantClient::new(channel).health_check(request).await };
    let server = session.ask(deadline, HealthCheckRequest {}, greet).await.map_err(|failure| told.failed(failure))?;
    if parsed(&server.version).is_none_or(|version| version < OLDEST) {
        let (major, minor) = OLDEST;
        let message = format!("is version {:?}, and {major}.{minor} or newer is needed", server.version);
        return Err(told.wrong(message, "upgrade it"));
    }
    // Everybody may ask for the version; the key is looked at from here on.
    exists(session, &names.vectors, deadline).await.map(drop).map_err(|failure| told.failed(failure))
}

async fn exists(session: &Session, name: &str, deadline: Instant) -> Result<bool, Failure> {
    let asked = CollectionExistsRequest { collection_name: name.to_owned() };
    let ask = |channel, request| async move { collections(channel).collection_exists(request).await };
    Ok(session.ask(deadline, asked, ask).await?.result.is_some_and(|answer| answer.exists))
}

/// Makes what is not there, and looks at what is.
async fn make(session: &Session, names: &Names, dimension: usize, told: &Told<'_>) -> Result<(), OpenError> {
    let deadline = Instant::now() + MAKING;
    let parts = [(&names.vectors, dimension, &[TENANT, TYPE, PROPERTY][..]), (&names.notes, NOTE.len(), &[TENANT][..])];
    for (name, dimension, indexed) in parts {
        let info = collection(session, name, dimension, deadline).await.map_err(|failure| told.failed(failure))?;
        let held = dimensions(&info);
        if held != Some((dimension as u64, Distance::Cosine as i32)) {
            let held =
                held.map_or_else(|| "other vectors".to_owned(), |(size, _)| format!("vectors of {size} numbers"));
            let message = format!("has a collection {name:?} with {held}, and the model's have {dimension}, by cosine");
            return Err(told
                .wrong(message, "remove the collection, whose vectors are made anew, or set another vectors.prefix"));
        }
        for field in indexed {
            if !info.payload_schema.contains_key(*field) {
                index(session, name, field, deadline).await.map_err(|failure| told.failed(failure))?;
            }
        }
    }
    Ok(())
}

/// A collection, which is made when it is not there. Another instance may be just about to make it as well.
async fn collection(
    session: &Session,
    name: &str,
    dimension: usize,
    deadline: Instant,
) -> Result<CollectionInfo, Failure> {
    if !exists(session, name, deadline).await? {
        let params =
            VectorParams { size: dimension as u64, distance: Distance::Cosine as i32, ..VectorParams::default() };
        let create = CreateCollection {
            collection_name: name.to_owned(),
            vectors_config: Some(VectorsConfig { config: Some(Config::Params(params)) }),
            ..CreateCollection::default()
        };
        let ask = |channel, request| async move { collections(channel).create(request).await };
        if let Err(failure) = session.ask(deadline, create, ask).await
            && !exists(session, name, deadline).await?
        {
            return Err(failure);
        }
    }
    let asked = GetCollectionInfoRequest { collection_name: name.to_owned() };
    let ask = |channel, request| async move { collections(channel).get(request).await };
    let info = session.ask(deadline, asked, ask).await?.result;
    info.ok_or_else(|| Failure::Answer("a collection without a description".to_owned()))
}

/// Indexes what is asked for in every search; points of a tenant are kept together.
async fn index(session: &Session, name: &str, field: &str, deadline: Instant) -> Result<(), Failure> {
    let params = KeywordIndexParams { is_tenant: Some(field == TENANT), ..KeywordIndexParams::default() };
    let index = CreateFieldIndexCollection {
        collection_name: name.to_owned(),
        wait: Some(true),
        field_name: field.to_owned(),
        field_type: Some(FieldType::Keyword as i32),
        field_index_params: Some(PayloadIndexParams { index_params: Some(IndexParams::KeywordIndexParams(params)) }),
        ..CreateFieldIndexCollection::default()
    };
    let ask = |channel, request| async move { points(channel).create_field_index(request).await };
    session.ask(deadline, index, ask).await.map(drop)
}

/// Numbers of a collection's vectors, and how they are compared.
fn dimensions(info: &CollectionInfo) -> Option<(u64, i32)> {
    match info.config.as_ref()?.params.as_ref()?.vectors_config.as_ref()?.config.as_ref()? {
        Config::Params(params) => Some((params.size, params.distance)),
        Config::ParamsMap(_) => None,
    }
}

/// Tells whoever configured the server what is wrong with it.
struct Told<'a> {
    address: &'a str,
    has_key: bool,
}

impl Told<'_> {
    fn wrong(&self, message: impl Into<String>, help: &str) -> OpenError {
        OpenError { address: self.address.to_owned(), message: message.into(), help: help.to_owned() }
    }

    /// The key as it is sent.
    fn key(&self, options: &Options) -> Result<Option<MetadataValue<Ascii>>, OpenError> {
        let Some(key) = &options.key else { return Ok(None) };
        let mut value = MetadataValue::try_from(key.as_str())
            .map_err(|_| self.wrong("cannot be given the key", "a key has no other than printable ASCII characters"))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    fn failed(&self, failure: Failure) -> OpenError {
        let unreachable =
            "check that it runs, that the URL names its host and gRPC port, and that no firewall is between";
        let foreign = "name the gRPC port in the URL, mostly 6334, and not that of HTTP; with TLS write qdrants://";
        let status = match failure {
            Failure::Late | Failure::Busy => {
                return self.wrong(format!("did not answer within {} seconds", LOOK.as_secs()), unreachable);
            }
            Failure::Answer(cause) => {
                return self.wrong(format!("gave an answer that makes no sense: {cause}"), "check its version");
            }
            Failure::Store(status) => status,
        };
        match broken(&status) {
            Some(Broken::Io(kind)) => return self.wrong(format!("cannot be reached: {kind}"), unreachable),
            Some(Broken::Tls) => {
                let help =
                    "write qdrant:// for a server without TLS; with TLS this system has to trust its certificate";
                return self.wrong("cannot be reached with TLS", help);
            }
            Some(Broken::Protocol) => return self.wrong("does not speak gRPC, or hangs up", foreign),
            None => {}
        }
        match status.code() {
            tonic::Code::Unauthenticated | tonic::Code::PermissionDenied if self.has_key => {
                let help = "check vectors.key, or the file that vectors.key_file names; it has to be allowed to write";
                self.wrong("refuses the key", help)
            }
            tonic::Code::Unauthenticated | tonic::Code::PermissionDenied => {
                self.wrong("asks for a key", "set vectors.key, or vectors.key_file to a file with it")
            }
            tonic::Code::Unimplemented => self.wrong("does not speak the protocol of Qdrant", foreign),
            _ => self.wrong(format!("cannot be used: {}", described(&status)), unreachable),
        }
    }
}

fn parsed(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split(['.', '-']).map(|part| part.parse().ok());
    Some((parts.next()??, parts.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let read = |url: &str| place(url).map(|place| (place.uri, place.address, place.tls));
        let plain = |uri: &str, address: &str, tls| Some((uri.to_owned(), address.to_owned(), tls));
        assert_eq!(read("qdrant://h:1"), plain("http://h:1", "h:1", false));
        assert_eq!(read("qdrants://h/"), plain("https://h:6334", "h:6334", true));
        assert_eq!(read("https://h:6334"), plain("https://h:6334", "h:6334", true));
        assert_eq!(read("qdrant://[::1]"), plain("http://[::1]:6334", "[::1]:6334", false));
        assert_eq!(read("qdrant://any:secret@h:1"), plain("http://h:1", "h:1", false));
        for wrong in ["", "h:1", "redis://h", "qdrant://", "qdrant://k@", "qdrant://h/path"] {
            assert!(place(wrong).is_none(), "{wrong}");
        }
        assert_eq!((parsed("1.18.3"), parsed("1.14.0-dev"), parsed("x")), (Some((1, 18)), Some((1, 14)), None));
    }

    #[test]
    fn names_of_collections() {
        let names = |model: &str| Names::of(&Options { model: model.into(), dimension: 384, ..Options::default() });
        assert_eq!(names("all-MiniLM-L6-v2").vectors, "quipu-all-MiniLM-L6-v2-384");
        assert_eq!(names("team/a b").notes, "quipu-team-a-b-384-notes");
    }
}
