use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use futures::future::{BoxFuture, ready};
use lapin::options::BasicPublishOptions;
use lapin::{BasicProperties, Channel, Confirmation};
use protocol::headers;
use tokio::sync::oneshot;

use super::bundle::{self, Lanes, Turn, Waiters};
use super::codec;
use super::encoding::Outgoing;
use super::woken::Woken;
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

/// What a confirmation says.
struct Confirmed {
    is_taken: bool,
    /// The message that was returned, which may be another one.
    returned: Option<Key>,
}

impl From<Confirmation> for Confirmed {
    fn from(confirmation: Confirmation) -> Self {
        let is_taken = !confirmation.is_nack();
        let returned = confirmation.take_message();
        Self {
            is_taken,
            returned: returned.map(|returned| Key::of_returned(&returned.properties)),
        }
    }
}

/// A publish: its first poll puts the message in its place among those that leave.
type Confirm = BoxFuture<'static, lapin::Result<Confirmed>>;

/// A message that was sent.
struct Sent {
    key: Key,
    routing_key: String,
    mandatory: bool,
    is_request: bool,
    bytes: usize,
    /// Gone once the sender was told that its message is not waited for.
    waiters: Option<Waiters>,
    /// Its turn among those that go where it goes, if others wait for it.
    _turn: Option<Turn>,
}

impl Sent {
    fn settle(self, result: Result<(), PublishError>) {
        if let Some(waiters) = self.waiters {
            waiters.tell(result);
        }
    }
}

struct Entry {
    sent: Sent,
    confirm: Confirm,
    waker: Waker,
}

/// The unconfirmed messages of one channel.
///
/// lapin gives the oldest returned message to whichever confirmation comes next, so a returned
/// message is matched by its own key. The broker sends a return before the confirmation of the
/// same message; therefore a confirmation counts only after every other confirmation that was
/// complete at that moment has been looked at. One that brings another message's return says
/// that more of them may be on their way: the confirmations after it decide.
#[derive(Default)]
pub(super) struct InFlight {
    entries: HashMap<u64, Entry>,
    bytes: usize,
    last: u64,
    lanes: Lanes,
    woken: Arc<Woken>,
    returned: HashSet<Key>,
    /// Confirmed, but their returns may be to come; with whether the broker took them.
    undecided: Vec<(Sent, bool)>,
}

/// What was complete at one moment, with whether the broker took it.
#[derive(Default)]
struct Found {
    decided: Vec<(Sent, bool)>,
    undecided: Vec<(Sent, bool)>,
    /// A confirmation brought no return: all before it are here.
    are_all_here: bool,
}

impl InFlight {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether another message may be sent.
    pub(super) fn has_room(&self) -> bool {
        self.entries.len() + self.lanes.len() < MAX_MESSAGES && self.bytes < MAX_BYTES
    }

    /// Takes a message that is to be sent. What may share a message waits for
    /// [`InFlight::send_shared`].
    pub(super) fn take(&mut self, channel: &Arc<Channel>, outgoing: Outgoing, done: Done) {
        if bundle::may_share(&outgoing) {
            self.lanes.add(outgoing.publish, done);
        } else {
            self.send(channel, outgoing, Waiters::One(done), None);
        }
    }

    /// Sends what waited to share a message and may leave now, in messages of at most `limit`
    /// bytes.
    pub(super) fn send_shared(&mut self, channel: &Arc<Channel>, limit: usize) {
        while let Some((publish, waiters, turn)) = self.lanes.next(limit) {
            let outgoing = Outgoing {
                publish,
                is_compressed: false,
            };
            self.send(channel, outgoing, waiters, Some(turn));
        }
        self.lanes.forget_idle();
    }

    /// Sends a message behind those that were sent before. It is not waited for: a broker that
    /// reads slowly, or not at all, holds up nothing but its own confirmations.
    fn send(
        &mut self,
        channel: &Arc<Channel>,
        outgoing: Outgoing,
        waiters: Waiters,
        turn: Option<Turn>,
    ) {
        let publish = &outgoing.publish;
        let sent = Sent {
            key: Key::of(&publish.message),
            routing_key: publish.routing_key.clone(),
            mandatory: publish.mandatory,
            is_request: publish.gives_way(),
            bytes: publish.message.body.len(),
            waiters: Some(waiters),
            _turn: turn,
        };
        self.push(sent, Box::pin(confirmed(Arc::clone(channel), outgoing)));
    }

    fn push(&mut self, sent: Sent, mut confirm: Confirm) {
        self.last += 1;
        let number = self.last;
        let waker = self.woken.waker(number);
        let first = confirm.as_mut().poll(&mut Context::from_waker(&waker));
        if let Poll::Ready(confirmed) = first {
            confirm = Box::pin(ready(confirmed));
            waker.wake_by_ref();
        }
        self.bytes += sent.bytes;
        let entry = Entry {
            sent,
            confirm,
            waker,
        };
        self.entries.insert(number, entry);
    }

    /// Tells the senders of requests that the broker takes none for this reason. The messages
    /// are on their way nevertheless.
    pub(super) fn refuse_requests(&mut self, reason: &str) {
        let entries = self.entries.values_mut().map(|entry| &mut entry.sent);
        for sent in entries.filter(|sent| sent.is_request) {
            if let Some(waiters) = sent.waiters.take() {
                waiters.tell(Err(PublishError::Blocked {
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
        let entries = self.entries.into_values().map(|entry| entry.sent);
        let undecided = self.undecided.into_iter().map(|(sent, _)| sent);
        for sent in entries.chain(undecided) {
            sent.settle(Err(PublishError::Lost));
        }
        for done in self.lanes.into_waiting() {
            let _ = done.send(Err(PublishError::Disconnected));
        }
    }

    fn poll_settle(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), lapin::Error>> {
        let mut found = Found::default();
        // One round more than finds anything: see the type's documentation.
        loop {
            let numbers = self.woken.take(cx);
            if numbers.is_empty() {
                break;
            }
            for number in numbers {
                if let Err(error) = self.look_at(number, &mut found) {
                    for (sent, _) in found.decided.into_iter().chain(found.undecided) {
                        sent.settle(Err(PublishError::Lost));
                    }
                    return Poll::Ready(Err(error));
                }
            }
        }
        if found.decided.is_empty() && found.undecided.is_empty() {
            return Poll::Pending;
        }
        self.settle(found);
        Poll::Ready(Ok(()))
    }

    fn look_at(&mut self, number: u64, found: &mut Found) -> Result<(), lapin::Error> {
        // A message may have been woken twice.
        let Some(entry) = self.entries.get_mut(&number) else {
            return Ok(());
        };
        let mut cx = Context::from_waker(&entry.waker);
        let Poll::Ready(confirmed) = entry.confirm.as_mut().poll(&mut cx) else {
            return Ok(());
        };
        let Some(Entry { sent, .. }) = self.entries.remove(&number) else {
            return Ok(());
        };
        self.bytes = self.bytes.saturating_sub(sent.bytes);
        let Confirmed { is_taken, returned } = match confirmed {
            Ok(confirmed) => confirmed,
            Err(error) => {
                sent.settle(Err(PublishError::Lost));
                return Err(error);
            }
        };
        let brought_its_own = returned.as_ref().is_none_or(|key| *key == sent.key);
        found.are_all_here |= returned.is_none();
        self.returned.extend(returned);
        if brought_its_own || !sent.mandatory {
            found.decided.push((sent, is_taken));
        } else {
            found.undecided.push((sent, is_taken));
        }
        Ok(())
    }

    fn settle(&mut self, found: Found) {
        let nothing_follows = self.entries.is_empty();
        let before = std::mem::take(&mut self.undecided);
        let are_all_here = found.are_all_here || nothing_follows;
        let decided = found.decided.into_iter().map(|sent| (sent, true));
        let before = before.into_iter().map(|sent| (sent, are_all_here));
        let undecided = found.undecided.into_iter();
        let undecided = undecided.map(|sent| (sent, nothing_follows));
        for ((sent, is_taken), is_decided) in decided.chain(before).chain(undecided) {
            let routing_key = || sent.routing_key.clone();
            let result = if sent.mandatory && self.returned.remove(&sent.key) {
                Err(PublishError::Unroutable(routing_key()))
            } else if !is_decided {
                self.undecided.push((sent, is_taken));
                continue;
            } else if is_taken {
                Ok(())
            } else {
                Err(PublishError::Busy(routing_key()))
            };
            sent.settle(result);
        }
    }
}

/// Hands a message to the connection, and waits for the broker's word.
async fn confirmed(channel: Arc<Channel>, outgoing: Outgoing) -> lapin::Result<Confirmed> {
    let confirm = {
        let Outgoing {
            publish:
                Publish {
                    exchange,
                    routing_key,
                    mandatory,
                    message,
                    ..
                },
            is_compressed,
        } = outgoing;
        let options = BasicPublishOptions {
            mandatory,
            ..BasicPublishOptions::default()
        };
        let properties = codec::properties(&message, is_compressed);
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
    Ok(confirm.await?.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message that was sent: its confirmation is given and its result taken here.
    struct Message {
        key: Key,
        confirm: oneshot::Sender<lapin::Result<Confirmed>>,
        result: oneshot::Receiver<Result<(), PublishError>>,
    }

    fn send(in_flight: &mut InFlight, id: &str) -> Message {
        let key = Key(Some(id.to_owned()), None, None);
        let (done, result) = oneshot::channel();
        let (confirm, confirmed) = oneshot::channel();
        let sent = Sent {
            key: key.clone(),
            routing_key: id.to_owned(),
            mandatory: true,
            is_request: false,
            bytes: 0,
            waiters: Some(Waiters::One(done)),
            _turn: None,
        };
        let confirmed = async { confirmed.await.unwrap() };
        in_flight.push(sent, Box::pin(confirmed));
        Message {
            key,
            confirm,
            result,
        }
    }

    impl Message {
        fn confirm(self, returned: Option<&Key>) -> oneshot::Receiver<Result<(), PublishError>> {
            let confirmed = Confirmed {
                is_taken: true,
                returned: returned.cloned(),
            };
            assert!(self.confirm.send(Ok(confirmed)).is_ok());
            self.result
        }
    }

    async fn became(result: oneshot::Receiver<Result<(), PublishError>>) -> &'static str {
        match result.await.unwrap() {
            Ok(()) => "taken",
            Err(PublishError::Unroutable(_)) => "unroutable",
            Err(PublishError::Lost) => "lost",
            Err(error) => panic!("{error}"),
        }
    }

    #[tokio::test]
    async fn a_confirmation_that_brings_anothers_return_waits_for_its_own() {
        let mut in_flight = InFlight::default();
        let [one, two, three, four] = ["1", "2", "3", "4"].map(|id| send(&mut in_flight, id));
        let (key_one, key_two) = (one.key.clone(), two.key.clone());
        // Both were returned, in this order, and confirmed in the other one.
        let mut two = two.confirm(Some(&key_one));
        in_flight.settle_some().await.unwrap();
        assert!(two.try_recv().is_err(), "its return may be to come");
        let three = three.confirm(Some(&key_two));
        in_flight.settle_some().await.unwrap();
        assert_eq!(became(two).await, "unroutable");
        let one = one.confirm(None);
        in_flight.settle_some().await.unwrap();
        assert_eq!(became(one).await, "unroutable");
        assert_eq!(became(three).await, "taken");
        assert_eq!(in_flight.len(), 1);
        let four = four.confirm(None);
        in_flight.settle_some().await.unwrap();
        assert_eq!(became(four).await, "taken");
        assert!(in_flight.returned.is_empty());
    }

    #[tokio::test]
    async fn the_last_confirmation_decides_about_all() {
        let mut in_flight = InFlight::default();
        let [one, two] = ["1", "2"].map(|id| send(&mut in_flight, id));
        let key = two.key.clone();
        let one = one.confirm(Some(&key));
        let two = two.confirm(None);
        in_flight.settle_some().await.unwrap();
        assert_eq!(became(one).await, "taken");
        assert_eq!(became(two).await, "unroutable");
    }

    #[tokio::test]
    async fn what_is_unconfirmed_when_the_channel_ends_is_lost() {
        let mut in_flight = InFlight::default();
        let [one, two, three] = ["1", "2", "3"].map(|id| send(&mut in_flight, id));
        let key = three.key.clone();
        let two = two.confirm(Some(&key));
        in_flight.settle_some().await.unwrap();
        in_flight.lose_all();
        assert_eq!(became(one.result).await, "lost");
        assert_eq!(became(two).await, "lost");
    }
}
