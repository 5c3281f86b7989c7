//! Counts the statements that somebody sends over Bolt, from between them and the database.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The message that runs a statement.
const RUN: u8 = 0x10;

/// What stands among the proposed versions of somebody who wants to choose from the server's own.
const LIST: [u8; 4] = [0, 0, 1, 0xff];

/// Stands between, and counts.
pub struct Counter {
    /// Where it listens.
    pub address: String,
    run: Arc<AtomicU64>,
}

impl Counter {
    /// Stands before a database.
    pub fn before(database: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let run = Arc::new(AtomicU64::new(0));
        let (database, counted) = (database.to_owned(), run.clone());
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(&database) else { continue };
                // Small messages are handed on at once.
                if client.set_nodelay(true).and_then(|()| server.set_nodelay(true)).is_err() {
                    continue;
                }
                let (back, forth) = (client.try_clone(), server.try_clone());
                let (Ok(mut back), Ok(mut forth)) = (back, forth) else { continue };
                let counted = counted.clone();
                std::thread::spawn(move || pass(client, server, &counted));
                std::thread::spawn(move || std::io::copy(&mut forth, &mut back));
            }
        });
        Self { address, run }
    }

    /// Statements so far.
    pub fn statements(&self) -> u64 {
        self.run.load(Ordering::Relaxed)
    }
}

/// Hands on what a client sends: the handshake, then messages in chunks, each message ended by an empty one.
fn pass(mut from: TcpStream, mut to: TcpStream, counted: &AtomicU64) -> Option<()> {
    let mut handshake = [0; 20];
    from.read_exact(&mut handshake).ok()?;
    // Of the versions that are proposed, the one that asks for a list is taken out: it would have more said before the messages begin.
    for proposed in handshake[4..].chunks_mut(4).filter(|proposed| *proposed == LIST) {
        proposed.fill(0);
    }
    to.write_all(&handshake).ok()?;
    let mut begins = true;
    loop {
        let mut size = [0; 2];
        from.read_exact(&mut size).ok()?;
        let mut chunk = vec![0; usize::from(u16::from_be_bytes(size))];
        from.read_exact(&mut chunk).ok()?;
        // A structure's marker, then the message's own.
        if begins && chunk.get(1) == Some(&RUN) {
            counted.fetch_add(1, Ordering::Relaxed);
        }
        begins = chunk.is_empty();
        to.write_all(&[&size[..], &chunk].concat()).ok()?;
    }
}
