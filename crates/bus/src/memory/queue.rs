use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroU16;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::topology::{Lifetime, Overflow};
use crate::{Publish, PublishError, Queue, QueueState};

/// Messages handed out ahead to a consumer that settles nothing.
const UNSETTLED_AHEAD: usize = 1024;

/// A message in a queue.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) publish: Arc<Publish>,
    pub(super) expires_at: Option<Instant>,
    /// How often it was handed out and came back.
    pub(super) returns: u32,
}

/// A message on its way to a consumer.
#[derive(Debug)]
pub(super) struct HandOut {
    pub(super) tag: u64,
    pub(super) stored: Stored,
}

/// A consumer's place at a queue.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) id: u64,
    pub(super) link: u64,
    prefetch: Option<NonZeroU16>,
    deliveries: mpsc::Sender<HandOut>,
    /// Handed out and not settled, by tag; tags grow in the order of the queue.
    unsettled: BTreeMap<u64, Stored>,
    cancelled: bool,
}

impl Place {
    pub(super) fn new(
        id: u64,
        link: u64,
        prefetch: Option<NonZeroU16>,
    ) -> (Self, mpsc::Receiver<HandOut>) {
        let ahead = prefetch.map_or(UNSETTLED_AHEAD, |most| usize::from(most.get()));
        let (deliveries, receiver) = mpsc::channel(ahead);
        let unsettled = BTreeMap::new();
        (
            Self {
                id,
                link,
                prefetch,
                deliveries,
                unsettled,
                cancelled: false,
            },
            receiver,
        )
    }

    fn has_room(&self) -> bool {
        let settled_enough = self
            .prefetch
            .is_none_or(|most| self.unsettled.len() < usize::from(most.get()));
        !self.cancelled && settled_enough && self.deliveries.capacity() > 0
    }
}

/// One queue with what waits in it and who takes from it.
#[derive(Debug)]
pub(super) struct MemoryQueue {
    pub(super) spec: Queue,
    /// Link that owns it, if it is exclusive.
    pub(super) owner: Option<u64>,
    ready: VecDeque<Stored>,
    places: VecDeque<Place>,
    next_tag: u64,
}

impl MemoryQueue {
    pub(super) fn new(spec: Queue, link: u64) -> Self {
        let owner = (spec.lifetime == Lifetime::Exclusive).then_some(link);
        Self {
            spec,
            owner,
            ready: VecDeque::new(),
            places: VecDeque::new(),
            next_tag: 0,
        }
    }

    pub(super) fn push(&mut self, stored: Stored) -> Result<(), PublishError> {
        self.drop_expired();
        if let Some((most, overflow)) = self.spec.max_length
            && self.ready.len() >= usize::try_from(most).unwrap_or(usize::MAX)
        {
            match overflow {
                Overflow::RejectPublish => {
                    let routing_key = stored.publish.routing_key.clone();
                    return Err(PublishError::Busy(routing_key));
                }
                Overflow::DropHead => drop(self.ready.pop_front()),
            }
        }
        self.ready.push_back(stored);
        self.hand_out();
        Ok(())
    }

    pub(super) fn seat(&mut self, place: Place) {
        self.places.push_back(place);
        self.hand_out();
    }

    /// No more messages for this consumer; it keeps what it has.
    pub(super) fn cancel(&mut self, place: u64) {
        for place in self.places.iter_mut().filter(|seated| seated.id == place) {
            place.cancelled = true;
            // Dropping the only sender ends the consumer's stream after what is on its way.
            place.deliveries = mpsc::channel(1).0;
        }
    }

    pub(super) fn settle(&mut self, place: u64, tag: u64, requeue: bool) {
        let stored = self
            .places
            .iter_mut()
            .find(|seated| seated.id == place)
            .and_then(|seated| seated.unsettled.remove(&tag));
        if let Some(stored) = stored.filter(|_| requeue) {
            self.put_back(stored);
        }
        self.hand_out();
    }

    /// Takes a link's consumers away; what they had not settled goes back.
    pub(super) fn unseat_link(&mut self, link: u64) {
        let (gone, stay) = self.places.drain(..).partition(|place| place.link == link);
        self.places = stay;
        let gone: VecDeque<Place> = gone;
        let unsettled: BTreeMap<u64, Stored> =
            gone.into_iter().flat_map(|place| place.unsettled).collect();
        for stored in unsettled.into_values().rev() {
            self.put_back(stored);
        }
        self.hand_out();
    }

    pub(super) fn state(&mut self) -> QueueState {
        self.drop_expired();
        let consumers = self.places.iter().filter(|place| !place.cancelled).count();
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        QueueState {
            consumers: count(consumers),
            messages: count(self.ready.len()),
        }
    }

    pub(super) fn unsettled(&self) -> usize {
        self.places.iter().map(|place| place.unsettled.len()).sum()
    }

    /// Gives messages to consumers in turn while there are both.
    pub(super) fn hand_out(&mut self) {
        loop {
            self.drop_expired();
            if self.ready.is_empty() {
                return;
            }
            let Some(position) = self.places.iter().position(Place::has_room) else {
                return;
            };
            let (Some(mut place), Some(stored)) =
                (self.places.remove(position), self.ready.pop_front())
            else {
                return;
            };
            self.next_tag += 1;
            let tag = self.next_tag;
            let handed = place.deliveries.try_send(HandOut {
                tag,
                stored: stored.clone(),
            });
            if handed.is_err() {
                // The consumer was dropped: it takes no more, and its link will unseat it.
                place.cancelled = true;
                self.ready.push_front(stored);
            } else if place.prefetch.is_some() {
                place.unsettled.insert(tag, stored);
            }
            self.places.push_back(place);
        }
    }

    fn put_back(&mut self, mut stored: Stored) {
        stored.returns = stored.returns.saturating_add(1);
        if self
            .spec
            .delivery_limit
            .is_none_or(|limit| stored.returns <= limit)
        {
            self.ready.push_front(stored);
        }
    }

    /// RabbitMQ expires messages at the head only, and so does this queue.
    fn drop_expired(&mut self) {
        let now = Instant::now();
        while self
            .ready
            .front()
            .is_some_and(|head| head.expires_at.is_some_and(|at| at <= now))
        {
            self.ready.pop_front();
        }
    }
}
