use std::collections::HashSet;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use lapin::{BasicProperties, Confirmation, PublisherConfirm};
use protocol::headers;
use tokio::sync::oneshot;

use super::codec;
use crate::{Message, PublishError};

/// What tells one unconfirmed message of a channel from every other: the call, the place in
/// its stream of replies, and the type.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key(Option<String>, Option<i64>, Option<String>);

impl Key {
    fn of(message: &Message) -> Self {
        let seq = message.headers.int(headers::SEQ);
        Self(message.correlation_id.clone(), seq, message.kind.clone())
    }

    fn of_returned(properties: &BasicProperties) -> Self {
        Self::of(&codec::message(properties, Vec::new()))
    }
}

/// Who waits for a confirmation.
pub(super) type Done = oneshot::Sender<Result<(), PublishError>>;

struct Entry {
    key: Key,
    routing_key: String,
    mandatory: bool,
    confirm: PublisherConfirm,
    done: Done,
}

/// The unconfirmed messages of one channel.
///
/// lapin hands a returned message to whichever confirmation completes next, so a returned
/// message is matched by its own key. The broker sends a return before the confirmation of
/// the same message; therefore a confirmation counts only after every other confirmation
/// that was complete at that moment has been looked at.
#[derive(Default)]
pub(super) struct InFlight {
    entries: Vec<Entry>,
    returned: HashSet<Key>,
}

impl InFlight {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn push(
        &mut self,
        message: &Message,
        routing_key: String,
        mandatory: bool,
        confirm: PublisherConfirm,
        done: Done,
    ) {
        let key = Key::of(message);
        self.entries.push(Entry {
            key,
            routing_key,
            mandatory,
            confirm,
            done,
        });
    }

    /// Waits until at least one message is confirmed, and tells those who wait. Cancel safe.
    ///
    /// # Errors
    /// When the channel has ended.
    pub(super) async fn settle_some(&mut self) -> Result<(), lapin::Error> {
        std::future::poll_fn(|cx| self.poll_settle(cx)).await
    }

    /// Everything that is still unconfirmed may or may not have arrived.
    pub(super) fn lose_all(self) {
        for entry in self.entries {
            // Whoever does not wait any more need not know.
            let _ = entry.done.send(Err(PublishError::Lost));
        }
    }

    fn poll_settle(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), lapin::Error>> {
        let mut settled: Vec<(Entry, bool)> = Vec::new();
        // One round more than finds anything: see the type's documentation.
        loop {
            let before = settled.len();
            if let Err(error) = self.collect_complete(cx, &mut settled) {
                for (entry, _) in settled {
                    let _ = entry.done.send(Err(PublishError::Lost));
                }
                return Poll::Ready(Err(error));
            }
            if settled.len() == before {
                break;
            }
        }
        if settled.is_empty() {
            return Poll::Pending;
        }
        for (entry, acked) in settled {
            let result = if entry.mandatory && self.returned.remove(&entry.key) {
                Err(PublishError::Unroutable(entry.routing_key))
            } else if acked {
                Ok(())
            } else {
                Err(PublishError::Busy(entry.routing_key))
            };
            // Whoever does not wait any more need not know.
            let _ = entry.done.send(result);
        }
        Poll::Ready(Ok(()))
    }

    fn collect_complete(
        &mut self,
        cx: &mut Context<'_>,
        settled: &mut Vec<(Entry, bool)>,
    ) -> Result<(), lapin::Error> {
        let mut position = 0;
        while let Some(entry) = self.entries.get_mut(position) {
            let Poll::Ready(confirmation) = Pin::new(&mut entry.confirm).poll(cx) else {
                position += 1;
                continue;
            };
            let entry = self.entries.swap_remove(position);
            let (acked, returned) = match confirmation {
                Ok(Confirmation::Ack(returned)) => (true, returned),
                Ok(Confirmation::Nack(returned)) => (false, returned),
                Ok(Confirmation::NotRequested) => (true, None),
                Err(error) => {
                    let _ = entry.done.send(Err(PublishError::Lost));
                    return Err(error);
                }
            };
            if let Some(returned) = returned {
                self.returned.insert(Key::of_returned(&returned.properties));
            }
            settled.push((entry, acked));
        }
        Ok(())
    }
}
