use std::collections::HashSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::{BoxFuture, MaybeDone, maybe_done};
use lapin::options::BasicPublishOptions;
use lapin::{BasicProperties, Channel, Confirmation};
use protocol::headers;
use tokio::sync::oneshot;

use super::codec;
use crate::{Message, Publish, PublishError};

/// Messages that wait for their confirmation; beyond, sending pauses.
const MAX_MESSAGES: usize = 4096;
/// Bytes of their bodies; beyond, sending pauses too.
const MAX_BYTES: usize = 64 << 20;

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
    is_request: bool,
    bytes: usize,
    confirm: MaybeDone<BoxFuture<'static, lapin::Result<Confirmation>>>,
    /// Gone once the sender was told that its message is not waited for.
    done: Option<Done>,
}

impl Entry {
    /// Whoever does not wait any more need not know.
    fn settle(self, result: Result<(), PublishError>) {
        if let Some(done) = self.done {
            let _ = done.send(result);
        }
    }
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
    bytes: usize,
    returned: HashSet<Key>,
}

impl InFlight {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether another message may be sent.
    pub(super) fn has_room(&self) -> bool {
        self.entries.len() < MAX_MESSAGES && self.bytes < MAX_BYTES
    }

    /// Sends a message behind those that were sent before. It is not waited for: a broker that
    /// reads slowly, or not at all, holds up nothing but its own confirmations.
    pub(super) fn send(&mut self, channel: &Arc<Channel>, publish: Publish, done: Done) {
        let key = Key::of(&publish.message);
        let (is_request, bytes) = (publish.gives_way(), publish.message.body.len());
        let (routing_key, mandatory) = (publish.routing_key.clone(), publish.mandatory);
        let mut confirm = maybe_done(confirmed(Arc::clone(channel), publish).boxed());
        // The first poll puts the message in its place among those that leave.
        let _ = (&mut confirm).now_or_never();
        self.bytes += bytes;
        self.entries.push(Entry {
            key,
            routing_key,
            mandatory,
            is_request,
            bytes,
            confirm,
            done: Some(done),
        });
    }

    /// Tells the senders of requests that the broker takes none for this reason. The messages
    /// are on their way nevertheless.
    pub(super) fn refuse_requests(&mut self, reason: &str) {
        for entry in self.entries.iter_mut().filter(|entry| entry.is_request) {
            if let Some(done) = entry.done.take() {
                let _ = done.send(Err(PublishError::Blocked {
                    reason: reason.to_owned(),
                    may_arrive: true,
                }));
            }
        }
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
            entry.settle(Err(PublishError::Lost));
        }
    }

    fn poll_settle(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), lapin::Error>> {
        let mut settled: Vec<(Entry, bool)> = Vec::new();
        // One round more than finds anything: see the type's documentation.
        loop {
            let before = settled.len();
            if let Err(error) = self.collect_complete(cx, &mut settled) {
                for (entry, _) in settled {
                    entry.settle(Err(PublishError::Lost));
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
                Err(PublishError::Unroutable(entry.routing_key.clone()))
            } else if acked {
                Ok(())
            } else {
                Err(PublishError::Busy(entry.routing_key.clone()))
            };
            entry.settle(result);
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
            let mut confirm = Pin::new(&mut entry.confirm);
            let is_done = confirm.as_mut().poll(cx).is_ready();
            let Some(confirmation) = is_done.then(|| confirm.take_output()).flatten() else {
                position += 1;
                continue;
            };
            let entry = self.entries.swap_remove(position);
            self.bytes = self.bytes.saturating_sub(entry.bytes);
            let (acked, returned) = match confirmation {
                Ok(Confirmation::Ack(returned)) => (true, returned),
                Ok(Confirmation::Nack(returned)) => (false, returned),
                Ok(Confirmation::NotRequested) => (true, None),
                Err(error) => {
                    entry.settle(Err(PublishError::Lost));
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

/// Hands a message to the connection, and waits for the broker's word.
async fn confirmed(channel: Arc<Channel>, publish: Publish) -> lapin::Result<Confirmation> {
    let confirm = {
        let Publish {
            exchange,
            routing_key,
            mandatory,
            message,
        } = publish;
        let options = BasicPublishOptions {
            mandatory,
            ..BasicPublishOptions::default()
        };
        let properties = codec::properties(&message);
        channel
            .basic_publish(
                exchange.as_str().into(),
                routing_key.as_str().into(),
                options,
                &message.body,
                properties,
            )
            .await?
    };
    confirm.await
}
