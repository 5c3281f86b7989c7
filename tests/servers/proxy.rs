//! A wire between a client and a server that can be cut and mended.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Hands connections on to a server.
pub struct Proxy {
    /// Where it listens.
    pub address: SocketAddr,
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
        let mut proxy = Self { address, server: server.to_owned(), work: JoinSet::new(), ends: Arc::default() };
        proxy.serve(listener);
        proxy
    }

    fn serve(&mut self, listener: TcpListener) {
        let (server, ends) = (self.server.clone(), self.ends.clone());
        self.work.spawn(async move {
            let mut wires = JoinSet::new();
            while let Ok((mut client, _)) = listener.accept().await {
                let (server, ends) = (server.clone(), ends.clone());
                wires.spawn(async move {
                    if let Ok(mut far) = TcpStream::connect(server).await {
                        ends.lock().unwrap().insert(far.local_addr().expect("an address"));
                        let _ = copy_bidirectional(&mut client, &mut far).await;
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
