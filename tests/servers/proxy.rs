//! A wire between a client and a server that can be cut and mended, and on which answers can stop in the middle.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// Lets so many bytes through.
pub struct Valve {
    /// Without bound when `usize::MAX`.
    left: AtomicUsize,
    opened: Notify,
}

impl Default for Valve {
    fn default() -> Self {
        Self { left: AtomicUsize::new(usize::MAX), opened: Notify::new() }
    }
}

impl Valve {
    /// So many more, and then none until it is opened.
    pub fn shut_after(&self, bytes: usize) {
        self.left.store(bytes, Ordering::SeqCst);
    }

    /// All from now on.
    pub fn open(&self) {
        self.left.store(usize::MAX, Ordering::SeqCst);
        self.opened.notify_waiters();
    }

    /// Waits until some bytes may pass, and takes up to as many as are wanted.
    pub async fn some(&self, wanted: usize) -> usize {
        loop {
            let mut opened = pin!(self.opened.notified());
            // From here on it is not missed that it is opened.
            opened.as_mut().enable();
            match self.left.load(Ordering::SeqCst) {
                usize::MAX => return wanted,
                0 => opened.await,
                left => {
                    let some = left.min(wanted);
                    self.left.fetch_sub(some, Ordering::SeqCst);
                    return some;
                }
            }
        }
    }
}

/// Hands connections on to a server.
pub struct Proxy {
    /// Where it listens.
    pub address: SocketAddr,
    /// For answers.
    pub valve: Arc<Valve>,
    server: String,
    work: JoinSet<()>,
    /// The ends of its own connections to the server.
    ends: Arc<Mutex<HashSet<SocketAddr>>>,
}

impl Proxy {
    /// A wire to a server, `host:port`.
    pub async fn to(server: &str) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (valve, ends) = (Arc::default(), Arc::default());
        let mut proxy = Self { address, valve, server: server.to_owned(), work: JoinSet::new(), ends };
        proxy.serve(listener);
        proxy
    }

    fn serve(&mut self, listener: TcpListener) {
        let (server, ends, valve) = (self.server.clone(), self.ends.clone(), self.valve.clone());
        self.work.spawn(async move {
            let mut wires = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let (server, ends, valve) = (server.clone(), ends.clone(), valve.clone());
                wires.spawn(async move {
                    if let Ok(far) = TcpStream::connect(server).await {
                        ends.lock().unwrap().insert(far.local_addr().expect("an address"));
                        let _ = carry(client, far, &valve).await;
                    }
                });
            }
        });
    }

    /// Whether the server means one of its connections by this address.
    pub fn is_end(&self, address: &str) -> bool {
        address.parse().is_ok_and(|address| self.ends.lock().unwrap().contains(&address))
    }

    /// Cuts all connections and takes no new ones.
    pub async fn cut(&mut self) {
        self.work.shutdown().await;
    }

    /// Takes connections again, at the same address.
    pub async fn mend(&mut self) {
        let listener = TcpListener::bind(self.address).await.expect("its old port");
        self.serve(listener);
    }
}

/// Hands on what both say, until one of them has nothing more to say.
async fn carry(mut client: TcpStream, mut far: TcpStream, valve: &Valve) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let ((mut questions, mut back), (mut answers, mut to)) = (client.split(), far.split());
    let answering = async {
        let mut bytes = vec![0; 1 << 16];
        loop {
            let count = answers.read(&mut bytes).await?;
            let mut rest = &bytes[..count];
            if rest.is_empty() {
                return back.shutdown().await;
            }
            while !rest.is_empty() {
                let (some, more) = rest.split_at(valve.some(rest.len()).await);
                back.write_all(some).await?;
                rest = more;
            }
        }
    };
    let asking = async {
        copy(&mut questions, &mut to).await?;
        to.shutdown().await
    };
    tokio::try_join!(asking, answering).map(|_| ())
}
