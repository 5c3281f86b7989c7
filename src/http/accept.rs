//! Connections: how many, how slow they may be, and how they end.

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::{Request, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use super::state::{AppState, stopped};

/// Bytes of a request's line and headers at most.
const HEAD_BYTES: usize = 64 * 1024;
/// Bytes after which it is clear which version of HTTP a client speaks: the preface of HTTP/2.
const PREFACE: usize = 24;

/// What a connection holds while anything of it lives: also a WebSocket, which leaves the server's hands.
#[derive(Clone)]
pub(super) struct Connection {
    /// Who is at the other end.
    pub peer: IpAddr,
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
    let (alive, mut gone) = mpsc::channel(1);
    let builder = builder(server.header_timeout);
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let (stream, peer, place) = tokio::select! {
            () = &mut shutdown => break,
            next = next(&listener, &places) => next,
        };
        while connections.try_join_next().is_some() {}
        let speaker = Speaker {
            connection: Connection { peer, _place: Arc::new(place), _alive: alive.clone() },
            router: router.clone(),
            builder: builder.clone(),
            until: Instant::now() + server.header_timeout,
            idle: server.header_timeout,
            stall: server.stall_timeout,
            stopping: state.stopping.subscribe(),
        };
        let acceptor = state.tls.as_ref().map(|tls| tls.acceptor());
        connections.spawn(async move {
            let ended = match acceptor {
                Some(acceptor) => speaker.speak_over_tls(stream, acceptor).await,
                None => speaker.speak(stream).await,
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "connection ended");
            }
        });
    }
    drop(listener);
    while connections.try_join_next().is_some() {}
    tracing::info!(connections = connections.len(), "stopping: requests may finish");
    state.stopping.send_replace(true);
    drop(alive);
    if tokio::time::timeout(server.drain, gone.recv()).await.is_err() {
        tracing::warn!("not all requests finished in time (server.drain)");
    }
    Ok(())
}

/// What is said over one connection.
struct Speaker {
    connection: Connection,
    router: Router,
    builder: Builder<TokioExecutor>,
    /// Until when a client has to have begun: TLS agreed upon, and it is clear which HTTP it speaks.
    until: Instant,
    /// How long a connection is kept over which nothing is asked.
    idle: Duration,
    stall: Duration,
    stopping: watch::Receiver<bool>,
}

impl Speaker {
    async fn speak_over_tls(self, stream: TcpStream, acceptor: TlsAcceptor) -> Result<(), Ended> {
        match timeout_at(self.until, acceptor.accept(stream)).await {
            Ok(stream) => self.speak(stream?).await,
            Err(_) => Err("no TLS was agreed upon in time (server.header_timeout)".into()),
        }
    }

    async fn speak<S>(mut self, stream: S) -> Result<(), Ended>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let activity = Arc::new(Activity::new());
        let service = service_fn({
            let (router, connection, activity) = (self.router, self.connection, activity.clone());
            move |mut request: Request<Incoming>| {
                let busy = Busy::begin(&activity);
                request.extensions_mut().insert(connection.clone());
                let answer = router.clone().oneshot(request.map(Body::new));
                async move { answer.await.map(|answer| answer.map(|body| Held { body, _busy: busy })) }
            }
        });
        let io = TokioIo::new(Watched::new(stream, self.until, self.stall));
        let mut served = pin!(self.builder.serve_connection_with_upgrades(io, service));
        tokio::select! {
            ended = served.as_mut() => return ended,
            () = stopped(&mut self.stopping) => {
                served.as_mut().graceful_shutdown();
                return served.await;
            }
            // HTTP/1 sees to it by itself; a client of HTTP/2 could keep a connection by signs of life alone.
            () = activity.idle(self.idle) => served.as_mut().graceful_shutdown(),
        }
        tokio::select! {
            ended = served => ended,
            () = activity.idle(self.idle) => Err("the client does not go (server.header_timeout)".into()),
        }
    }
}

/// Why a connection ended, for the log.
type Ended = Box<dyn std::error::Error + Send + Sync>;

/// What goes on over one connection.
struct Activity {
    requests: AtomicUsize,
    began: Instant,
    /// When a request began or ended last, in milliseconds since the connection began.
    last_ms: AtomicU64,
}

impl Activity {
    fn new() -> Self {
        Self { requests: AtomicUsize::new(0), began: Instant::now(), last_ms: AtomicU64::new(0) }
    }

    fn note(&self) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_ms.store(now, Ordering::Relaxed);
    }

    /// Done when nothing was asked or answered for that long. It looks now and then, so that requests need not tell it.
    async fn idle(&self, span: Duration) {
        let mut until = Instant::now() + span;
        loop {
            sleep_until(until).await;
            let now = Instant::now();
            let since = self.began + Duration::from_millis(self.last_ms.load(Ordering::Relaxed));
            until = match since + span {
                _ if self.requests.load(Ordering::Acquire) > 0 => now + span,
                end if end > now => end,
                _ => return,
            };
        }
    }
}

/// A request that is worked on, or whose answer is being sent.
struct Busy(Arc<Activity>);

impl Busy {
    fn begin(activity: &Arc<Activity>) -> Self {
        activity.requests.fetch_add(1, Ordering::AcqRel);
        Self(activity.clone())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.note();
        self.0.requests.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The body of an answer, which is being sent until it is dropped.
struct Held {
    body: Body,
    _busy: Busy,
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The next connection that there is a place for. Errors of accepting pass: the client is gone, or files have run out for now.
async fn next(listener: &TcpListener, places: &Arc<Semaphore>) -> (TcpStream, IpAddr, OwnedSemaphorePermit) {
    loop {
        let Ok(place) = places.clone().acquire_owned().await else {
            // never closed
            return std::future::pending().await;
        };
        match listener.accept().await {
            Ok((stream, peer)) => {
                // answers are written whole; waiting to fill a packet would only delay them
                let _ = stream.set_nodelay(true);
                return (stream, peer.ip(), place);
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
struct Watched<S> {
    stream: S,
    seen: usize,
    /// When a client has to have begun.
    begin: Pin<Box<Sleep>>,
    stall: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<S> Watched<S> {
    fn new(stream: S, until: Instant, stall: Duration) -> Self {
        let begin = Box::pin(sleep_until(until));
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

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
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

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
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
        // With TLS this is where what was written is sent.
        let outcome = Pin::new(&mut self.stream).poll_flush(cx);
        self.watch_write(outcome, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.watch_write(outcome, cx)
    }
}
