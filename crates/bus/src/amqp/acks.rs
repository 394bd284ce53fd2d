use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use async_trait::async_trait;
use futures::FutureExt;
use futures::future::join_all;
use lapin::Channel;
use lapin::options::{BasicAckOptions, BasicNackOptions};
use lapin::types::DeliveryTag;
use tokio::task::yield_now;

use crate::{Error, Settle};

/// Acknowledges the deliveries of one channel, those that are done at the same time together.
///
/// A quorum queue writes every acknowledgement to its log. One for "this and all before"
/// costs the broker as much as one for a single delivery, so it is used as far as no
/// delivery before it is still open.
pub(super) struct Acks {
    channel: Channel,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Handed out and not settled.
    open: BTreeSet<DeliveryTag>,
    /// Done, and the broker is yet to be told.
    done: Vec<DeliveryTag>,
}

/// One delivery of a channel, which it does not keep open.
pub(super) struct AmqpSettle {
    acks: Weak<Acks>,
    tag: DeliveryTag,
}

/// A delivery that counted as settled when it was handed out.
pub(super) struct Settled;

impl Acks {
    pub(super) fn new(channel: Channel) -> Arc<Self> {
        let state = Mutex::default();
        Arc::new(Self { channel, state })
    }

    /// Enters a delivery.
    pub(super) fn settle(self: &Arc<Self>, tag: DeliveryTag) -> AmqpSettle {
        self.lock().open.insert(tag);
        AmqpSettle {
            acks: Arc::downgrade(self),
            tag,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_open(&self) -> bool {
        self.channel.status().connected()
    }
}

impl State {
    /// What to tell the broker: each delivery tag with whether it stands for all before it.
    fn take_done(&mut self) -> Vec<(DeliveryTag, bool)> {
        let first_open = self.open.first().copied().unwrap_or(DeliveryTag::MAX);
        let mut done = std::mem::take(&mut self.done);
        done.sort_unstable();
        let before = done.partition_point(|tag| *tag < first_open);
        let (before, between) = done.split_at(before);
        let up_to = before.last().map(|last| (*last, before.len() > 1));
        up_to
            .into_iter()
            .chain(between.iter().map(|tag| (*tag, false)))
            .collect()
    }
}

/// Tells the broker what is done, even when the call that began to is aborted.
struct Flush<'a>(&'a Acks);

impl Flush<'_> {
    /// Queues the frames, and gives what resolves once they are written: whoever closes the
    /// connection after that loses none of them.
    fn queue(&self) -> impl Future<Output = ()> + Send + use<> {
        let acks = self.0;
        // Held while the frames are queued, so that they leave in the order of their tags.
        let mut state = acks.lock();
        let mut written = Vec::new();
        for (tag, multiple) in state.take_done() {
            let channel = acks.channel.clone();
            let ack = async move { channel.basic_ack(tag, BasicAckOptions { multiple }).await };
            let mut ack = ack.boxed();
            // The first poll queues the frame. Whether the broker has it nobody is told.
            if (&mut ack).now_or_never().is_none() {
                written.push(ack);
            }
        }
        join_all(written).map(drop)
    }
}

impl Drop for Flush<'_> {
    fn drop(&mut self) {
        drop(self.queue());
    }
}

#[async_trait]
impl Settle for AmqpSettle {
    async fn ack(&self) -> Result<(), Error> {
        let acks = self.acks.upgrade().ok_or_else(ended)?;
        let is_first = {
            let mut state = acks.lock();
            if !state.open.remove(&self.tag) {
                return Err(Error::Lost("the delivery is settled already".to_owned()));
            }
            state.done.push(self.tag);
            state.done.len() == 1
        };
        if is_first {
            let flush = Flush(&acks);
            // Confirmations come in groups, so other calls are about to end now too.
            yield_now().await;
            flush.queue().await;
        }
        if acks.is_open() { Ok(()) } else { Err(ended()) }
    }

    async fn requeue(&self) -> Result<(), Error> {
        let acks = self.acks.upgrade().ok_or_else(ended)?;
        let options = BasicNackOptions {
            requeue: true,
            ..BasicNackOptions::default()
        };
        let nack = acks.channel.basic_nack(self.tag, options).await;
        // Open until now, or an acknowledgement of a later one could have overtaken it.
        acks.lock().open.remove(&self.tag);
        nack.map_err(|error| Error::Lost(error.to_string()))
    }
}

#[async_trait]
impl Settle for Settled {
    async fn ack(&self) -> Result<(), Error> {
        Ok(())
    }

    async fn requeue(&self) -> Result<(), Error> {
        Ok(())
    }
}

fn ended() -> Error {
    Error::Lost("the channel of the delivery has ended".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(open: &[DeliveryTag], done: &[DeliveryTag], expected: &[(DeliveryTag, bool)]) {
        let mut state = State {
            open: open.iter().copied().collect(),
            done: done.to_vec(),
        };
        assert_eq!(state.take_done(), expected);
        assert!(state.done.is_empty());
    }

    #[test]
    fn one_acknowledgement_stands_for_all_before_the_first_open_delivery() {
        check(&[], &[], &[]);
        check(&[], &[7], &[(7, false)]);
        check(&[], &[3, 1, 2], &[(3, true)]);
        check(&[3], &[2, 1, 5, 4], &[(2, true), (4, false), (5, false)]);
        check(&[1], &[2], &[(2, false)]);
        check(&[9], &[2], &[(2, false)]);
    }
}
