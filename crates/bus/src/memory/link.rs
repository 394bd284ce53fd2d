use std::num::NonZeroU16;
use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream;
use protocol::headers;
use tokio::sync::watch;

use super::broker::Broker;
use super::queue::HandOut;
use crate::bus::Cancel;
use crate::{Consumer, Delivery, Error, Link, Publish, Queue, Settle};

/// A link of the memory bus; it ends when it is dropped.
pub(super) struct MemoryLink {
    broker: Arc<Broker>,
    id: u64,
    ended: watch::Receiver<bool>,
}

impl MemoryLink {
    pub(super) fn open(broker: Arc<Broker>) -> Self {
        let (id, ended) = broker.open_link();
        Self { broker, id, ended }
    }
}

impl Drop for MemoryLink {
    fn drop(&mut self) {
        self.broker.end_link(self.id);
    }
}

#[async_trait]
impl Link for MemoryLink {
    async fn declare(&self, queue: &Queue) -> Result<(), Error> {
        self.broker.declare(self.id, queue)
    }

    async fn consume(&self, queue: &str, prefetch: Option<NonZeroU16>) -> Result<Consumer, Error> {
        let (place, receiver) = self.broker.consume(self.id, queue, prefetch)?;
        let seat = Seat {
            broker: Arc::clone(&self.broker),
            queue: queue.to_owned(),
            place,
        };
        let hand_outs = stream::unfold(
            (receiver, seat.clone()),
            move |(mut receiver, seat)| async move {
                let hand_out = receiver.recv().await?;
                if prefetch.is_none() {
                    // Room has come free, and nothing will be settled to say so.
                    seat.broker
                        .at_queue(&seat.queue, super::queue::MemoryQueue::hand_out);
                }
                Some((delivery(&seat, hand_out), (receiver, seat)))
            },
        );
        Ok(Consumer::new(hand_outs.boxed(), seat))
    }

    async fn lost(&self) -> Error {
        // A dropped sender means the link has ended as well.
        let _ = self.ended.clone().wait_for(|ended| *ended).await;
        Error::Lost("the link has ended".to_owned())
    }

    async fn close(&self) {
        self.broker.end_link(self.id);
    }
}

/// A consumer's place, by name.
#[derive(Clone)]
struct Seat {
    broker: Arc<Broker>,
    queue: String,
    place: u64,
}

#[async_trait]
impl Cancel for Seat {
    async fn cancel(&self) -> Result<(), Error> {
        self.broker
            .at_queue(&self.queue, |queue| queue.cancel(self.place));
        Ok(())
    }
}

struct MemorySettle {
    seat: Seat,
    tag: u64,
}

impl MemorySettle {
    fn settle(&self, requeue: bool) {
        let Seat {
            broker,
            queue,
            place,
        } = &self.seat;
        broker.at_queue(queue, |queue| queue.settle(*place, self.tag, requeue));
    }
}

#[async_trait]
impl Settle for MemorySettle {
    async fn ack(&self) -> Result<(), Error> {
        self.settle(false);
        Ok(())
    }

    async fn requeue(&self) -> Result<(), Error> {
        self.settle(true);
        Ok(())
    }
}

fn delivery(seat: &Seat, hand_out: HandOut) -> Delivery {
    let HandOut { tag, stored } = hand_out;
    let Publish {
        exchange,
        routing_key,
        mut message,
        ..
    } = Arc::unwrap_or_clone(stored.publish);
    if stored.returns > 0 {
        message
            .headers
            .insert(headers::DELIVERY_COUNT, i64::from(stored.returns));
    }
    let settle = MemorySettle {
        seat: seat.clone(),
        tag,
    };
    let redelivered = stored.returns > 0;
    Delivery::new(message, exchange, routing_key, redelivered, settle)
}
