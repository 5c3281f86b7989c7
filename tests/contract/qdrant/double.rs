//! A double of a Qdrant server, for what a real one does only on bad days: it greets, describes its collections, and fails or hangs when
//! it is asked about points.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, combinators::BoxBody};
use hyper::header::{HeaderMap, HeaderValue};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use qdrant_client::qdrant::vectors_config::Config;
use qdrant_client::qdrant::{
    CollectionConfig, CollectionExists, CollectionExistsResponse, CollectionInfo, CollectionParams, Distance,
    GetCollectionInfoRequest, GetCollectionInfoResponse, HealthCheckReply, PayloadSchemaInfo, PointsOperationResponse,
    QueryResponse, ScrollResponse, VectorParams, VectorsConfig,
};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// How it answers what is asked about points.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Mood {
    /// With nothing found.
    Empty,
    /// Every so many requests with "unavailable"; 1 for all.
    Unavailable(u64),
    /// Not at all.
    Silent,
}

/// A server that ends when it is dropped.
pub struct Double {
    pub address: SocketAddr,
    asked: Arc<AtomicU64>,
    _work: JoinSet<()>,
}

impl Double {
    /// With a version, and collections of vectors of 16 numbers (and of 1 for notes), whatever their name says.
    pub async fn start(version: &'static str, mood: Mood) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, asked) = (listener.local_addr().unwrap(), Arc::new(AtomicU64::new(0)));
        let mut work = JoinSet::new();
        let counted = asked.clone();
        work.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let asked = counted.clone();
                let service = hyper::service::service_fn(move |request| answer(request, version, mood, asked.clone()));
                connections.spawn(async move {
                    let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                    let _ = server.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { address, asked, _work: work }
    }

    /// How many requests about points there were.
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }
}

type Answered = Result<Response<BoxBody<Bytes, Infallible>>, Infallible>;

async fn answer(
    request: Request<hyper::body::Incoming>,
    version: &'static str,
    mood: Mood,
    asked: Arc<AtomicU64>,
) -> Answered {
    let path = request.uri().path().to_owned();
    let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    match path.as_str() {
        "/qdrant.Qdrant/HealthCheck" => {
            message(HealthCheckReply { title: "double".to_owned(), version: version.to_owned(), commit: None })
        }
        "/qdrant.Collections/CollectionExists" => {
            message(CollectionExistsResponse { result: Some(CollectionExists { exists: true }), time: 0.0 })
        }
        "/qdrant.Collections/Get" => {
            let asked = GetCollectionInfoRequest::decode(body.slice(5..)).unwrap();
            message(described(&asked.collection_name))
        }
        path if path.starts_with("/qdrant.Points/") => {
            let number = asked.fetch_add(1, Ordering::SeqCst);
            match mood {
                Mood::Silent => std::future::pending().await,
                Mood::Unavailable(every) if number.is_multiple_of(every) => status("14"),
                _ if path.ends_with("/Query") => message(QueryResponse::default()),
                _ if path.ends_with("/Scroll") => message(ScrollResponse::default()),
                _ => message(PointsOperationResponse::default()),
            }
        }
        _ => status("12"),
    }
}

fn described(name: &str) -> GetCollectionInfoResponse {
    let size = if name.ends_with("-notes") { 1 } else { 16 };
    let params = VectorParams { size, distance: Distance::Cosine as i32, ..VectorParams::default() };
    let params = CollectionParams {
        vectors_config: Some(VectorsConfig { config: Some(Config::Params(params)) }),
        ..CollectionParams::default()
    };
    let config = CollectionConfig { params: Some(params), ..CollectionConfig::default() };
    let indexed = |field: &str| (field.to_owned(), PayloadSchemaInfo::default());
    let info = CollectionInfo {
        config: Some(config),
        payload_schema: ["tenant", "type", "property"].map(indexed).into(),
        ..CollectionInfo::default()
    };
    GetCollectionInfoResponse { result: Some(info), time: 0.0 }
}

/// A message as gRPC frames it, and that all went well.
fn message(message: impl Message) -> Answered {
    let bytes = message.encode_to_vec();
    let mut framed = vec![0];
    framed.extend(u32::try_from(bytes.len()).unwrap().to_be_bytes());
    framed.extend(bytes);
    let trailers = HeaderMap::from_iter([("grpc-status".parse().unwrap(), HeaderValue::from_static("0"))]);
    let body = Full::new(Bytes::from(framed)).with_trailers(std::future::ready(Some(Ok(trailers))));
    Ok(Response::builder().header("content-type", "application/grpc").body(body.boxed()).unwrap())
}

fn status(code: &'static str) -> Answered {
    let answer = Response::builder().header("content-type", "application/grpc").header("grpc-status", code);
    Ok(answer.body(Full::new(Bytes::new()).boxed()).unwrap())
}
