use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU16;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::queue::{HandOut, MemoryQueue, Place, Stored};
use super::topic;
use crate::{Error, Publish, PublishError, Queue, QueueState};

/// The queues of a memory bus, behind one lock that is never held across an await.
#[derive(Debug, Default)]
pub(super) struct Broker {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    queues: BTreeMap<String, MemoryQueue>,
    links: HashMap<u64, watch::Sender<bool>>,
    last_id: u64,
}

impl State {
    fn new_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    fn end_link(&mut self, link: u64) {
        if let Some(ended) = self.links.remove(&link) {
            ended.send_replace(true);
        }
        self.queues.retain(|_, queue| queue.owner != Some(link));
        for queue in self.queues.values_mut() {
            queue.unseat_link(link);
        }
    }
}

impl Broker {
    /// A new link, with a receiver that turns true when the link has ended.
    pub(super) fn open_link(&self) -> (u64, watch::Receiver<bool>) {
        let mut state = self.lock();
        let link = state.new_id();
        let ended = watch::Sender::new(false);
        let receiver = ended.subscribe();
        state.links.insert(link, ended);
        (link, receiver)
    }

    pub(super) fn end_link(&self, link: u64) {
        self.lock().end_link(link);
    }

    pub(super) fn end_links(&self) {
        let mut state = self.lock();
        let links: Vec<u64> = state.links.keys().copied().collect();
        for link in links {
            state.end_link(link);
        }
    }

    pub(super) fn declare(&self, link: u64, queue: &Queue) -> Result<(), Error> {
        let mut state = self.lock();
        if !state.links.contains_key(&link) {
            return Err(Error::Lost("the link has ended".to_owned()));
        }
        let Some(existing) = state.queues.get_mut(&queue.name) else {
            state
                .queues
                .insert(queue.name.clone(), MemoryQueue::new(queue.clone(), link));
            return Ok(());
        };
        if existing.owner.is_some_and(|owner| owner != link) {
            return Err(Error::Refused(format!(
                "queue {:?} belongs to another link",
                queue.name
            )));
        }
        let arguments = |queue: &Queue| (queue.lifetime, queue.max_length, queue.delivery_limit);
        if arguments(&existing.spec) != arguments(queue) {
            let reason = format!("it has {:?}", arguments(&existing.spec));
            return Err(Error::Mismatch {
                name: queue.name.clone(),
                reason,
            });
        }
        for binding in &queue.bindings {
            if !existing.spec.bindings.contains(binding) {
                existing.spec.bindings.push(binding.clone());
            }
        }
        Ok(())
    }

    pub(super) fn consume(
        &self,
        link: u64,
        queue: &str,
        prefetch: Option<NonZeroU16>,
    ) -> Result<(u64, mpsc::Receiver<HandOut>), Error> {
        let mut state = self.lock();
        if !state.links.contains_key(&link) {
            return Err(Error::Lost("the link has ended".to_owned()));
        }
        let id = state.new_id();
        let Some(found) = state.queues.get_mut(queue) else {
            return Err(Error::Refused(format!("there is no queue {queue:?}")));
        };
        if found.owner.is_some_and(|owner| owner != link) {
            return Err(Error::Refused(format!(
                "queue {queue:?} belongs to another link"
            )));
        }
        let (place, receiver) = Place::new(id, link, prefetch);
        found.seat(place);
        Ok((id, receiver))
    }

    pub(super) fn publish(&self, publish: Publish, limit: usize) -> Result<(), PublishError> {
        let publish = Arc::new(publish);
        let Publish {
            exchange,
            routing_key,
            message,
            ..
        } = &*publish;
        message.check(exchange, routing_key, limit)?;
        let expires_at = message
            .expiration
            .map(|expiration| Instant::now() + expiration);
        let mut state = self.lock();
        let mut routed = false;
        let mut result = Ok(());
        let mut push = |queue: &mut MemoryQueue| {
            routed = true;
            let pushed = queue.push(Stored {
                publish: Arc::clone(&publish),
                expires_at,
                returns: 0,
            });
            result = std::mem::replace(&mut result, Ok(())).and(pushed);
        };
        if exchange.is_empty() {
            state.queues.get_mut(routing_key).map(&mut push);
        } else {
            let takes = |queue: &&mut MemoryQueue| {
                queue.spec.bindings.iter().any(|binding| {
                    binding.exchange == *exchange && topic::matches(&binding.pattern, routing_key)
                })
            };
            state.queues.values_mut().filter(takes).for_each(&mut push);
        }
        drop(state);
        if !routed && publish.mandatory {
            return Err(PublishError::Unroutable(routing_key.clone()));
        }
        result
    }

    pub(super) fn queue_state(&self, queue: &str) -> Option<QueueState> {
        self.lock().queues.get_mut(queue).map(MemoryQueue::state)
    }

    pub(super) fn unsettled(&self, queue: &str) -> usize {
        let state = self.lock();
        state.queues.get(queue).map_or(0, MemoryQueue::unsettled)
    }

    /// Does something to a queue, if it is still there.
    pub(super) fn at_queue(&self, queue: &str, act: impl FnOnce(&mut MemoryQueue)) {
        if let Some(queue) = self.lock().queues.get_mut(queue) {
            act(queue);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
