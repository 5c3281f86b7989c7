//! A wire between a client and a server that can be cut and mended.

use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Hands connections on to a server.
pub struct Proxy {
    /// Where it listens.
    pub address: SocketAddr,
    server: String,
    work: JoinSet<()>,
}

impl Proxy {
    /// A wire to a server, `host:port`.
    pub async fn to(server: &str) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let mut proxy = Self { address, server: server.to_owned(), work: JoinSet::new() };
        proxy.serve(listener);
        proxy
    }

    fn serve(&mut self, listener: TcpListener) {
        let server = self.server.clone();
        self.work.spawn(async move {
            let mut wires = JoinSet::new();
            while let Ok((mut client, _)) = listener.accept().await {
                let server = server.clone();
                wires.spawn(async move {
                    if let Ok(mut far) = TcpStream::connect(server).await {
                        let _ = copy_bidirectional(&mut client, &mut far).await;
                    }
                });
            }
        });
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
