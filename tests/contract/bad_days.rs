//! A real Neo4j on bad days: a wire to it that lets statements fail in a way that passes, or stops in the middle of an answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use quipu::stores::neo4j::{Gathering, Options};
use quipu_resolvers::fault::{Code, Fault};
use quipu_resolvers::guard;
use quipu_resolvers::ports::{Call, Trace};
use quipu_resolvers::read::{Field, Predicate};
use quipu_resolvers::value::Value;
use serde_json::Value as Json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::fixture::*;
use super::{Stores, neo4j};
use crate::servers::proxy::Valve;

/// First bytes of messages of Bolt, behind the one that tells how many fields they have.
const RUN: u8 = 0x10;
const PULL: u8 = 0x3f;
const DISCARD: u8 = 0x2f;

/// `{code: "Neo.TransientError.General.DatabaseUnavailable", message: "bad"}`, and what is said to a message behind one that failed.
fn failure() -> Vec<u8> {
    let code = b"Neo.TransientError.General.DatabaseUnavailable";
    let mut message = vec![0xb1, 0x7f, 0xa2, 0x84];
    message.extend(b"code");
    message.extend([0xd0, u8::try_from(code.len()).unwrap()]);
    message.extend(code);
    message.push(0x87);
    message.extend(b"message");
    message.push(0x83);
    message.extend(b"bad");
    message
}
const IGNORED: [u8; 2] = [0xb0, 0x7e];

/// How the wire is.
#[derive(Default)]
struct Day {
    /// Every so manieth statement fails; none when 0.
    failing: AtomicU64,
    /// Statements that were sent.
    sent: AtomicU64,
    /// For what comes from the server.
    valve: Valve,
}

impl Day {
    /// A wire to the server that options name, which name the wire from then on.
    async fn before(options: &mut Options) -> Arc<Self> {
        let day = Arc::new(Self::default());
        let server = options.url.split_once("://").unwrap().1.to_owned();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        options.url = format!("bolt://{}", listener.local_addr().unwrap());
        let (listener, wire) = (TcpListener::from_std(listener).unwrap(), Arc::clone(&day));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(&server).await else { continue };
                // Answers come in bytes, which nobody should wait to be gathered.
                client.set_nodelay(true).and(far.set_nodelay(true)).unwrap();
                tokio::spawn(Arc::clone(&wire).carry(client, far));
            }
        });
        day
    }

    async fn carry(self: Arc<Self>, client: TcpStream, far: TcpStream) {
        let ((from, back), (answers, to)) = (client.into_split(), far.into_split());
        let back = Arc::new(tokio::sync::Mutex::new(back));
        let answering = tokio::spawn(Arc::clone(&self).answers(answers, Arc::clone(&back)));
        let _ = self.questions(from, to, &back).await;
        answering.abort();
    }

    /// Hands on what the client says, message by message; those that are to fail are answered here.
    async fn questions(
        &self,
        mut from: OwnedReadHalf,
        mut to: OwnedWriteHalf,
        back: &tokio::sync::Mutex<OwnedWriteHalf>,
    ) -> std::io::Result<()> {
        // The handshake has no messages.
        let mut hello = [0; 20];
        from.read_exact(&mut hello).await?;
        to.write_all(&hello).await?;
        let mut failed = false;
        loop {
            let (framed, message) = message(&mut from).await?;
            let kind = message.get(1).copied().unwrap_or_default();
            let is_next = kind == PULL || kind == DISCARD;
            if kind == RUN {
                let sent = self.sent.fetch_add(1, Ordering::Relaxed) + 1;
                let every = self.failing.load(Ordering::Relaxed);
                failed = every > 0 && sent.is_multiple_of(every);
            }
            match failed && (kind == RUN || is_next) {
                true if kind == RUN => back.lock().await.write_all(&frame(&failure())).await?,
                true => back.lock().await.write_all(&frame(&IGNORED)).await?,
                false => {
                    failed = false;
                    to.write_all(&framed).await?;
                }
            }
        }
    }

    /// Hands on what the server says, as many bytes as may come.
    async fn answers(self: Arc<Self>, mut answers: OwnedReadHalf, back: Arc<tokio::sync::Mutex<OwnedWriteHalf>>) {
        let mut bytes = vec![0; 1 << 16];
        while let Ok(count @ 1..) = answers.read(&mut bytes).await {
            let mut rest = &bytes[..count];
            while !rest.is_empty() {
                let (some, more) = rest.split_at(self.valve.some(rest.len()).await);
                if back.lock().await.write_all(some).await.is_err() {
                    return;
                }
                rest = more;
            }
        }
    }
}

/// One message, with and without its chunks' lengths.
async fn message(from: &mut OwnedReadHalf) -> std::io::Result<(Vec<u8>, Vec<u8>)> {
    let (mut framed, mut message) = (Vec::new(), Vec::new());
    loop {
        let mut length = [0; 2];
        from.read_exact(&mut length).await?;
        framed.extend(length);
        let length = usize::from(u16::from_be_bytes(length));
        if length == 0 && !message.is_empty() {
            return Ok((framed, message));
        }
        let mut chunk = vec![0; length];
        from.read_exact(&mut chunk).await?;
        framed.extend(&chunk);
        message.extend(chunk);
    }
}

fn frame(message: &[u8]) -> Vec<u8> {
    let mut framed = u16::try_from(message.len()).unwrap().to_be_bytes().to_vec();
    framed.extend(message);
    framed.extend([0, 0]);
    framed
}

fn patience() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

async fn asked(stores: &Stores, who: &str, deadline: Instant) -> Result<Json, Fault> {
    let facility = all("Facility", vec![pick(Field::Id), pick(field("name"))]);
    let read = facility.filtered(Predicate::equals(Field::Id, Value::from("f1")));
    let read = guard::read(&principal(who), &ontology(), read).unwrap();
    let outcome = stores.graph.read(&read, Call { deadline, trace: &Trace::default() }).await?;
    Ok(outcome.to_json())
}

/// A store behind the wire, filled, and what is answered to each tenant.
async fn behind(test: &str, pool: usize) -> Option<(Arc<Stores>, Arc<Day>, [Json; 2])> {
    let mut options = neo4j::options()?;
    let day = Day::before(&mut options).await;
    let change = |to: &mut Options| {
        *to = Options { pool, wait: Duration::from_secs(20), gathering: Gathering::Never, ..options };
    };
    let stores = neo4j::graph(test, change).await?;
    fill(&stores).await;
    let mut expected = [Json::Null, Json::Null];
    for (who, expected) in TENANTS.iter().zip(&mut expected) {
        *expected = asked(&stores, who, patience()).await.unwrap();
    }
    assert_ne!(expected[0], expected[1]);
    Some((Arc::new(stores), day, expected))
}

/// Also where the driver tries again by itself, a server gets at most a fifth more than is asked of it; and when it is well again, all is
/// answered.
#[tokio::test(flavor = "multi_thread")]
async fn hostile_67_a_storm_of_transient_errors_is_not_made_stronger() {
    let test = "bad_days::hostile_67_a_storm_of_transient_errors_is_not_made_stronger";
    let Some((stores, day, expected)) = behind(test, 16).await else { return };
    for every in [1, 2, 10] {
        let before = day.sent.load(Ordering::Relaxed);
        day.failing.store(every, Ordering::Relaxed);
        let mut clients = JoinSet::new();
        for client in 0..16_usize {
            let (stores, expected) = (Arc::clone(&stores), expected.clone());
            clients.spawn(async move {
                let mut failed = 0_u64;
                for _ in 0..80 {
                    match asked(&stores, TENANTS[client % 2], patience()).await {
                        Ok(outcome) => assert_eq!(outcome, expected[client % 2]),
                        Err(fault) => {
                            assert_eq!(fault.code(), Code::StoreUnavailable, "{fault:?}");
                            failed += 1;
                        }
                    }
                }
                failed
            });
        }
        let failed: u64 = clients.join_all().await.into_iter().sum();
        let (sent, wanted) = (day.sent.load(Ordering::Relaxed) - before, 16 * 80);
        assert!(sent <= wanted + wanted / 5, "{sent} statements for {wanted} questions with every {every}th failing");
        assert!(if every == 1 { failed == wanted } else { failed < wanted / every }, "{failed} with every {every}th");
        day.failing.store(0, Ordering::Relaxed);
        for (who, expected) in TENANTS.iter().zip(&expected) {
            assert_eq!(asked(&stores, who, patience()).await.unwrap(), *expected);
        }
    }
}

/// Wherever an answer stops, its request ends at its deadline, and what comes of it later reaches nobody.
#[tokio::test(flavor = "multi_thread")]
async fn hostile_65_a_server_that_hangs_in_mid_record() {
    let test = "bad_days::hostile_65_a_server_that_hangs_in_mid_record";
    let Some((stores, day, expected)) = behind(test, 1).await else { return };
    let mut hung = 0;
    for bytes in (0..160).step_by(9) {
        day.valve.shut_after(bytes);
        let begun = Instant::now();
        match asked(&stores, "alpha", begun + Duration::from_millis(300)).await {
            // That was more than the answer has.
            Ok(outcome) => assert_eq!(outcome, expected[0], "{bytes} bytes"),
            Err(fault) => {
                assert_eq!(fault.code(), Code::Timeout, "{bytes} bytes: {fault:?}");
                hung += 1;
            }
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{bytes} bytes: {:?}", begun.elapsed());
        day.valve.open();
        assert_eq!(asked(&stores, "beta", patience()).await.unwrap(), expected[1], "{bytes} bytes");
    }
    assert!(hung >= 5, "most answers are longer: {hung}");
}
