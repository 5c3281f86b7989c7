//! What whoever runs the gateway sees of it: the log and the metrics.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::IsTerminal;
use std::panic::PanicHookInfo;
use std::sync::Arc;
use std::time::Duration;

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};
use quipu_resolvers::Answer;
use quipu_resolvers::guard::TenantId;
use quipu_resolvers::ports::{CACHED, Lookup, StoreName, Trace};
use tracing::{Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{ConfigError, LogFormat, Logs};

/// Starts the log on standard error, and has panics logged in the span in which they happen. Called once, at the start.
///
/// Fails when `logs.level` cannot be read.
pub fn start_log(logs: &Logs) -> Result<(), ConfigError> {
    // a second start in one process keeps the first log
    if subscriber(logs, std::io::stderr, std::io::stderr().is_terminal())?.try_init().is_ok() {
        std::panic::set_hook(Box::new(log_panic));
    }
    Ok(())
}

/// What writes the log.
fn subscriber<W>(logs: &Logs, writer: W, colours: bool) -> Result<Box<dyn Subscriber + Send + Sync>, ConfigError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = EnvFilter::builder().parse(&logs.level);
    let filter = filter.map_err(|error| ConfigError::one(format!("`logs.level`: {error}")))?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    let discreet =
        || filter_fn(|about| !TALKATIVE.contains(&crate_of(about.target())) || *about.level() <= Level::INFO);
    Ok(match logs.format {
        LogFormat::Text => Box::new(log.with_ansi(colours).finish().with(discreet())),
        LogFormat::Json => Box::new(log.json().flatten_event(true).with_span_list(false).finish().with(discreet())),
    })
}

/// Libraries that write whole messages into their finer logs, and with them tokens: no setting brings these to light.
const TALKATIVE: [&str; 2] = ["tungstenite", "tokio_tungstenite"];

fn crate_of(target: &str) -> &str {
    target.split_once("::").map_or(target, |(name, _)| name)
}

fn log_panic(info: &PanicHookInfo<'_>) {
    let payload = info.payload();
    let cause =
        payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let location = info.location().map(ToString::to_string);
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
    tracing::error!(cause = cause.unwrap_or("unknown"), location, backtrace, "panicked");
}

/// The counters of a process, all named `quipu_...`.
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    seconds: HistogramVec,
    /// Looking a counter up by its labels takes longer than counting: what most requests are has its own.
    queries: (IntCounter, Histogram),
    /// One for each of [`STORES`].
    statements: [IntCounter; STORES.len()],
    together: IntCounter,
    batch: Histogram,
    loads: Histogram,
    cache: IntCounterVec,
    streams: IntGaugeVec,
    refused: IntCounterVec,
    working: IntGauge,
    to_embed: IntGauge,
    positions: IntGaugeVec,
}

impl Metrics {
    /// Fresh counters. Fails only when two of them have the same name.
    pub fn new() -> prometheus::Result<Self> {
        let seconds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
        let counter = |name, help, labels: &[&str]| IntCounterVec::new(Opts::new(name, help), labels);
        let requests = counter("quipu_requests_total", "operations by kind and outcome", &["operation", "outcome"])?;
        let seconds = HistogramVec::new(
            HistogramOpts::new("quipu_request_seconds", "time to answer an operation").buckets(seconds.to_vec()),
            &["operation"],
        )?;
        let statements = counter("quipu_statements_total", "statements that stores ran", &["store"])?;
        let registry = Registry::new();
        registry.register(Box::new(statements.clone()))?;
        let metrics = Self {
            registry,
            queries: (requests.with_label_values(&["query", "ok"]), seconds.with_label_values(&["query"])),
            requests,
            seconds,
            statements: STORES.map(|store| statements.with_label_values(&[store.as_str()])),
            together: IntCounter::new(
                "quipu_statements_together_total",
                "of the statements, those that also asked what other requests wanted to know; each request counts its own",
            )?,
            batch: Histogram::with_opts(
                HistogramOpts::new("quipu_batch_operations", "operations in a batch of a client")
                    .buckets(vec![1.0, 2.0, 5.0, 10.0, 20.0, 50.0]),
            )?,
            loads: Histogram::with_opts(
                HistogramOpts::new(
                    "quipu_loader_keys",
                    "keys that a loader read at once, where a query crosses stores",
                )
                .buckets(vec![1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 1_000.0, 10_000.0]),
            )?,
            cache: counter(
                "quipu_cache_total",
                "what came of looking something up in the cache",
                &["kind", "outcome"],
            )?,
            streams: IntGaugeVec::new(Opts::new("quipu_streams", "open streams"), &["transport"])?,
            refused: counter("quipu_refused_total", "what was refused, by code", &["code"])?,
            working: IntGauge::new("quipu_requests_in_progress", "operations that are worked on")?,
            to_embed: IntGauge::new(
                "quipu_records_to_embed",
                "records that were there before their text was to be embedded, and have no vector yet",
            )?,
            positions: IntGaugeVec::new(
                Opts::new("quipu_position", "where a tenant's log stands, and how far the stores have followed it"),
                &["tenant", "of"],
            )?,
        };
        metrics.registry.register(Box::new(metrics.requests.clone()))?;
        metrics.registry.register(Box::new(metrics.seconds.clone()))?;
        metrics.registry.register(Box::new(metrics.together.clone()))?;
        metrics.registry.register(Box::new(metrics.batch.clone()))?;
        metrics.registry.register(Box::new(metrics.loads.clone()))?;
        metrics.registry.register(Box::new(metrics.cache.clone()))?;
        metrics.registry.register(Box::new(metrics.streams.clone()))?;
        metrics.registry.register(Box::new(metrics.refused.clone()))?;
        metrics.registry.register(Box::new(metrics.working.clone()))?;
        metrics.registry.register(Box::new(metrics.to_embed.clone()))?;
        metrics.registry.register(Box::new(metrics.positions.clone()))?;
        Ok(metrics)
    }

    /// Where other parts of the process register counters of their own.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Counts an operation that was answered, or an event that was sent, which takes no time of its own.
    pub fn answered(&self, answer: &Answer, took: Option<Duration>) {
        let operation = answer.operation.unwrap_or("unknown");
        let outcome = match answer {
            Answer { refused: Some(_), .. } => "refused",
            Answer { errors: 0, .. } => "ok",
            Answer { .. } => "partial",
        };
        match (operation, outcome) {
            ("query", "ok") => self.queries.0.inc(),
            _ => self.requests.with_label_values(&[operation, outcome]).inc(),
        }
        match (operation, took) {
            ("query", Some(took)) => self.queries.1.observe(took.as_secs_f64()),
            (_, Some(took)) => self.seconds.with_label_values(&[operation]).observe(took.as_secs_f64()),
            (_, None) => {}
        }
        if let Some(code) = answer.refused {
            self.refused(code.as_str());
        }
    }

    /// A trace whose statements are counted.
    pub fn tracing(&self) -> Traced<'_> {
        Traced {
            metrics: self,
            trace: Arc::default(),
            seen: [0; STORES.len()],
            together: 0,
            looked_up: Default::default(),
        }
    }

    /// Counts something that was refused.
    pub fn refused(&self, code: &str) {
        self.refused.with_label_values(&[code]).inc();
    }

    /// Counts a batch of a client.
    pub fn batch(&self, operations: usize) {
        self.batch.observe(operations as f64);
    }

    /// Counts a stream as open until the guard is dropped.
    pub fn stream(&self, transport: &'static str) -> Counted {
        Counted::begin(self.streams.with_label_values(&[transport]))
    }

    /// Counts an operation as worked on until the guard is dropped.
    pub fn working(&self) -> Counted {
        Counted::begin(self.working.clone())
    }

    /// Notes how many records that were there before wait for a vector.
    pub fn to_embed(&self, records: u64) {
        self.to_embed.set(i64::try_from(records).unwrap_or(i64::MAX));
    }

    /// Notes where something of a tenant stands: its `log`, or a store that follows it.
    pub fn position(&self, tenant: &TenantId, of: &str, position: u64) {
        let position = i64::try_from(position).unwrap_or(i64::MAX);
        self.positions.with_label_values(&[tenant.as_str(), of]).set(position);
    }

    /// All counters in Prometheus' text format.
    pub fn text(&self) -> prometheus::Result<String> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

const STORES: [StoreName; 3] = [StoreName::Graph, StoreName::Rows, StoreName::Vectors];

/// The trace of one operation. What was not counted yet is counted when it is dropped, also when the client is gone.
pub struct Traced<'a> {
    metrics: &'a Metrics,
    trace: Arc<Trace>,
    seen: [u64; STORES.len()],
    together: u64,
    looked_up: [[u64; Lookup::ALL.len()]; CACHED.len()],
}

impl Traced<'_> {
    /// The trace, for the engine.
    pub fn trace(&self) -> Arc<Trace> {
        self.trace.clone()
    }

    /// Counts the statements, batches and lookups since the last time.
    pub fn count(&mut self) {
        for keys in self.trace.take_batches() {
            self.metrics.loads.observe(keys as f64);
        }
        for ((store, counter), seen) in STORES.into_iter().zip(&self.metrics.statements).zip(&mut self.seen) {
            let total = self.trace.count(store);
            counter.inc_by(total - *seen);
            *seen = total;
        }
        let together = self.trace.together();
        self.metrics.together.inc_by(together - self.together);
        self.together = together;
        for (kind, seen) in CACHED.into_iter().zip(&mut self.looked_up) {
            for (lookup, seen) in Lookup::ALL.into_iter().zip(seen) {
                let total = self.trace.lookups(kind, lookup);
                if total > *seen {
                    self.metrics.cache.with_label_values(&[kind.as_str(), lookup.as_str()]).inc_by(total - *seen);
                    *seen = total;
                }
            }
        }
    }
}

impl Drop for Traced<'_> {
    fn drop(&mut self) {
        self.count();
    }
}

/// Something that is counted while it lives.
pub struct Counted(IntGauge);

impl Counted {
    fn begin(gauge: IntGauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use bytes::Bytes;
    use quipu_resolvers::fault::Code;
    use quipu_resolvers::ports::KeyKind;

    use super::*;

    #[test]
    fn operations_are_counted_by_kind_and_outcome() {
        let metrics = Metrics::new().unwrap();
        let mut traced = metrics.tracing();
        let statement = || traced.trace().ran(StoreName::Graph, Duration::ZERO, || unreachable!("nothing is kept"));
        statement();
        statement();
        traced.trace().batched(7);
        traced.trace().asked_together();
        traced.trace().looked_up(KeyKind::Result, Lookup::Hit);
        traced.count();
        traced.trace().ran(StoreName::Graph, Duration::ZERO, || unreachable!("nothing is kept"));
        traced.trace().looked_up(KeyKind::Result, Lookup::Hit);
        traced.trace().looked_up(KeyKind::Embedding, Lookup::Failed);
        drop(traced);
        let answer = |refused, errors, operation| Answer {
            body: Bytes::new(),
            refused,
            errors,
            codes: Vec::new(),
            operation,
            position: None,
        };
        metrics.answered(&answer(None, 0, Some("query")), Some(Duration::from_millis(3)));
        metrics.answered(&answer(None, 1, Some("query")), Some(Duration::from_millis(3)));
        metrics.answered(&answer(Some(Code::TooExpensive), 1, None), None);
        let open = metrics.stream("sse");
        let text = metrics.text().unwrap();
        for line in [
            "quipu_requests_total{operation=\"query\",outcome=\"ok\"} 1",
            "quipu_requests_total{operation=\"query\",outcome=\"partial\"} 1",
            "quipu_requests_total{operation=\"unknown\",outcome=\"refused\"} 1",
            "quipu_request_seconds_bucket{operation=\"query\",le=\"0.005\"} 2",
            "quipu_statements_total{store=\"graph\"} 3",
            "quipu_statements_together_total 1",
            "quipu_cache_total{kind=\"result\",outcome=\"hit\"} 2",
            "quipu_cache_total{kind=\"embedding\",outcome=\"error\"} 1",
            "quipu_loader_keys_bucket{le=\"10\"} 1",
            "quipu_loader_keys_sum 7",
            "quipu_refused_total{code=\"TOO_EXPENSIVE\"} 1",
            "quipu_streams{transport=\"sse\"} 1",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        drop(open);
        assert!(metrics.text().unwrap().contains("quipu_streams{transport=\"sse\"} 0"));
    }

    /// What is logged with these settings, a line each.
    fn logged(logs: &Logs) -> Vec<String> {
        let written = Arc::new(Mutex::new(Vec::new()));
        let writer = written.clone();
        let log = subscriber(logs, move || Written(writer.clone()), false).unwrap();
        tracing::subscriber::with_default(log, || {
            let span = tracing::info_span!("request", id = "r1", tenant = "cryox");
            span.in_scope(|| tracing::info!(status = 200, "answered"));
            tracing::debug!("not shown");
        });
        let written = written.lock().unwrap();
        String::from_utf8_lossy(&written).lines().map(ToOwned::to_owned).collect()
    }

    struct Written(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_of_the_log_name_the_request() {
        let lines = logged(&Logs { format: LogFormat::Json, ..Logs::default() });
        assert_eq!(lines.len(), 1, "{lines:?}");
        let line: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
        assert_eq!(
            (&line["level"], &line["message"], &line["status"]),
            (&"INFO".into(), &"answered".into(), &200.into())
        );
        assert_eq!(line["span"], serde_json::json!({"name": "request", "id": "r1", "tenant": "cryox"}));
        let lines = logged(&Logs::default());
        assert!(lines.len() == 1 && lines[0].contains("id=\"r1\"") && lines[0].contains("answered"), "{lines:?}");
        assert!(logged(&Logs { level: "error".into(), ..Logs::default() }).is_empty());
    }

    #[test]
    fn a_level_that_cannot_be_read_is_refused() {
        let logs = Logs { level: "quipu=loud".into(), ..Logs::default() };
        assert!(start_log(&logs).unwrap_err().to_string().contains("`logs.level`"));
    }
}
