//! What waits to be sent to one client: bounded in bytes, and waited for only so long.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The end that messages are put into. Clones share the room.
#[derive(Debug)]
pub(super) struct Outbox<T> {
    room: Arc<Semaphore>,
    whole: u32,
    patience: Duration,
    sender: UnboundedSender<Queued<T>>,
}

/// A message on its way; it holds its room until it is dropped, which is after it was sent.
#[derive(Debug)]
pub(super) struct Queued<T> {
    pub message: T,
    _room: Option<OwnedSemaphorePermit>,
}

/// Why a message was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotTaken {
    /// The client does not keep up.
    Slow,
    /// The client is gone.
    Gone,
}

impl<T> Clone for Outbox<T> {
    fn clone(&self) -> Self {
        Self { room: self.room.clone(), whole: self.whole, patience: self.patience, sender: self.sender.clone() }
    }
}

impl<T> Outbox<T> {
    /// An outbox with room for `bytes`, and the end that they are sent from.
    pub fn new(bytes: usize, patience: Duration) -> (Self, UnboundedReceiver<Queued<T>>) {
        let whole = bytes.clamp(1, Semaphore::MAX_PERMITS.min(u32::MAX as usize));
        let (sender, receiver) = unbounded_channel();
        let room = Arc::new(Semaphore::new(whole));
        (Self { room, whole: whole as u32, patience, sender }, receiver)
    }

    /// Puts a message of a size in, when there is room for it. One larger than the whole waits until it is the only one.
    pub async fn send(&self, message: T, bytes: usize) -> Result<(), NotTaken> {
        let wanted = u32::try_from(bytes).unwrap_or(u32::MAX).clamp(1, self.whole);
        let room = tokio::select! {
            () = self.sender.closed() => return Err(NotTaken::Gone),
            room = tokio::time::timeout(self.patience, self.room.clone().acquire_many_owned(wanted)) => room,
        };
        match room {
            Ok(Ok(room)) => self.put(message, Some(room)),
            Ok(Err(_)) => Err(NotTaken::Gone),
            Err(_) => Err(NotTaken::Slow),
        }
    }

    /// Puts the last message of a stream in, room or not: there is one for each, so they are few.
    pub fn send_last(&self, message: T) {
        // a client that is gone needs no last message
        let _ = self.put(message, None);
    }

    fn put(&self, message: T, room: Option<OwnedSemaphorePermit>) -> Result<(), NotTaken> {
        self.sender.send(Queued { message, _room: room }).map_err(|_| NotTaken::Gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn hostile_38_a_slow_consumer_costs_bounded_memory() {
        let (outbox, mut inbox) = Outbox::new(10, Duration::from_millis(20));
        assert_eq!(outbox.send('a', 6).await, Ok(()));
        assert_eq!(outbox.send('b', 6).await, Err(NotTaken::Slow));
        outbox.send_last('z');
        let first = inbox.recv().await.unwrap();
        assert_eq!(outbox.send('c', 6).await, Err(NotTaken::Slow), "taken out is not sent yet");
        assert_eq!(first.message, 'a');
        drop(first);
        assert_eq!(outbox.send('d', 1000).await, Ok(()), "a message larger than the whole can be sent alone");
        assert_eq!(inbox.recv().await.unwrap().message, 'z');
        assert_eq!(inbox.recv().await.unwrap().message, 'd');
        drop(inbox);
        assert_eq!(outbox.send('e', 1).await, Err(NotTaken::Gone));
    }
}
