//! Connections: how many, how slow they may be, and how they end.

use std::convert::Infallible;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::{Request, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep, sleep_until};
use tower::ServiceExt;

use super::state::AppState;

/// Bytes of a request's line and headers at most.
const HEAD_BYTES: usize = 64 * 1024;
/// Bytes after which it is clear which version of HTTP a client speaks: the preface of HTTP/2.
const PREFACE: usize = 24;

/// What a connection holds while anything of it lives: also a WebSocket, which leaves the server's hands.
#[derive(Clone)]
pub(super) struct Connection {
    _place: Arc<OwnedSemaphorePermit>,
    _alive: mpsc::Sender<Infallible>,
}

/// Accepts connections until `shutdown` is done, then lets requests finish for as long as `server.drain` says.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    state: &AppState,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let server = &state.config.server;
    let places = Arc::new(Semaphore::new(server.max_connections.get().min(Semaphore::MAX_PERMITS)));
    let graceful = GracefulShutdown::new();
    let (alive, mut gone) = mpsc::channel(1);
    let builder = builder(server.header_timeout);
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let (stream, place) = tokio::select! {
            () = &mut shutdown => break,
            next = next(&listener, &places) => next,
        };
        while connections.try_join_next().is_some() {}
        let connection = Connection { _place: Arc::new(place), _alive: alive.clone() };
        let service = service_fn({
            let router = router.clone();
            move |mut request: Request<Incoming>| {
                request.extensions_mut().insert(connection.clone());
                router.clone().oneshot(request.map(Body::new))
            }
        });
        let io = TokioIo::new(Watched::new(stream, server.header_timeout, server.stall_timeout));
        let served = graceful.watch(builder.serve_connection_with_upgrades(io, service).into_owned());
        connections.spawn(async move {
            if let Err(error) = served.await {
                tracing::debug!(%error, "connection ended");
            }
        });
    }
    drop(listener);
    tracing::info!(connections = graceful.count(), "stopping: requests may finish");
    state.stopping.send_replace(true);
    let finished = async {
        graceful.shutdown().await;
        drop(alive);
        gone.recv().await;
    };
    if tokio::time::timeout(server.drain, finished).await.is_err() {
        tracing::warn!("not all requests finished in time (server.drain)");
    }
    Ok(())
}

/// The next connection that there is a place for. Errors of accepting pass: the client is gone, or files have run out for now.
async fn next(listener: &TcpListener, places: &Arc<Semaphore>) -> (TcpStream, OwnedSemaphorePermit) {
    loop {
        let Ok(place) = places.clone().acquire_owned().await else {
            // never closed
            return std::future::pending().await;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                // answers are written whole; waiting to fill a packet would only delay them
                let _ = stream.set_nodelay(true);
                return (stream, place);
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

fn builder(header_timeout: Duration) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(header_timeout).max_buf_size(HEAD_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(header_timeout)
        .keep_alive_timeout(header_timeout)
        .max_concurrent_streams(100)
        .max_header_list_size(HEAD_BYTES as u32);
    builder
}

/// A connection that fails when the client does not say which HTTP it speaks, or does not read what it is sent. `hyper` has no
/// limit for either.
struct Watched {
    stream: TcpStream,
    seen: usize,
    begin: Pin<Box<Sleep>>,
    stall: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Watched {
    fn new(stream: TcpStream, begin: Duration, stall: Duration) -> Self {
        let begin = Box::pin(sleep_until(Instant::now() + begin));
        Self { stream, seen: 0, begin, stall, stalled: None }
    }

    /// Passes on the outcome of writing, unless it has been pending for too long.
    fn watch_write<T>(&mut self, outcome: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.stalled = None;
            return outcome;
        }
        let stall = self.stall;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + stall)));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read")))
    }
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let outcome = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.seen = self.seen.saturating_add(buffer.filled().len() - before);
        if outcome.is_pending() && self.seen < PREFACE {
            ready!(self.begin.as_mut().poll(cx));
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client sends no request")));
        }
        outcome
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.watch_write(outcome, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.watch_write(outcome, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
