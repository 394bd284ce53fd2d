//! Whether anybody takes the calls of a category: work queues are looked at every second.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bus::{Bus, QueueState};
use futures::StreamExt;
use protocol::{Category, Names};
use service::Metrics;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tracing::{debug, info, warn};

use crate::catalogue::Catalogue;

/// A category without a consumer takes calls for so long; then they are refused.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// How often each queue is looked at.
const EVERY: Duration = Duration::from_secs(1);
/// Queues that are looked at together.
const TOGETHER: usize = 8;

/// What is known of the work queues.
#[derive(Debug)]
pub(crate) struct Queues {
    bus: Arc<dyn Bus>,
    names: Names,
    metrics: Metrics,
    /// Since when a category has had no consumer.
    idle_since: Mutex<HashMap<Category, Instant>>,
}

impl Queues {
    pub(crate) fn new(bus: Arc<dyn Bus>, names: Names, metrics: Metrics) -> Self {
        Self {
            bus,
            names,
            metrics,
            idle_since: Mutex::default(),
        }
    }

    /// Whether a category has had no consumer for longer than calls are kept waiting.
    pub(crate) fn is_deserted(&self, category: &Category) -> bool {
        self.idle_since()
            .get(category)
            .is_some_and(|since| since.elapsed() >= PATIENCE)
    }

    /// Looks at the queues of all known categories for ever.
    pub(crate) async fn watch(&self, catalogue: &Catalogue) {
        let mut tick = interval(EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut reconnects = 0;
        loop {
            tick.tick().await;
            let categories: BTreeSet<Category> = catalogue
                .now()
                .known()
                .map(|tool| tool.category.clone())
                .collect();
            futures::stream::iter(categories)
                .for_each_concurrent(TOGETHER, |category| self.look_at(category))
                .await;
            let now = self.bus.stats().reconnects();
            for _ in reconnects..now {
                self.metrics.reconnected();
            }
            reconnects = now;
        }
    }

    async fn look_at(&self, category: Category) {
        match self
            .bus
            .queue_state(&self.names.work_queue(&category))
            .await
        {
            Ok(state) => self.note(
                category,
                state.unwrap_or(QueueState {
                    consumers: 0,
                    messages: 0,
                }),
            ),
            Err(error) => {
                // Nothing is known of the workers while the broker is away: calls wait for it,
                // and the workers get their time to come back with it.
                debug!(%category, %error, "a work queue could not be looked at");
                self.idle_since().remove(&category);
            }
        }
    }

    fn note(&self, category: Category, state: QueueState) {
        self.metrics
            .set_queue_depth(category.as_str(), state.messages);
        self.metrics
            .set_queue_consumers(category.as_str(), state.consumers);
        let mut idle_since = self.idle_since();
        if state.consumers > 0 {
            if idle_since.remove(&category).is_some() {
                info!(%category, "a worker takes calls again");
            }
        } else if let Entry::Vacant(entry) = idle_since.entry(category) {
            warn!(category = %entry.key(), "no worker takes calls");
            entry.insert(Instant::now());
        }
    }

    fn idle_since(&self) -> MutexGuard<'_, HashMap<Category, Instant>> {
        self.idle_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use bus::memory::MemoryBus;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_category_is_deserted_after_ten_seconds_without_a_consumer() {
        let queues = Queues::new(
            Arc::new(MemoryBus::new()),
            Names::default(),
            Metrics::default(),
        );
        let network = Category::network();
        let state = |consumers| QueueState {
            consumers,
            messages: 0,
        };
        assert!(!queues.is_deserted(&network), "nothing is known yet");
        queues.note(network.clone(), state(0));
        tokio::time::advance(Duration::from_millis(9_999)).await;
        queues.note(network.clone(), state(0));
        assert!(!queues.is_deserted(&network));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(queues.is_deserted(&network));
        queues.note(network.clone(), state(1));
        assert!(!queues.is_deserted(&network));
    }
}
