//! What becomes of the calls of each category: work queues are looked at every second.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bus::{Bus, Error, QueueState};
use futures::StreamExt;
use protocol::{Category, Names};
use service::health::{CategoryReport, LONGEST_TURN, Pulse};
use service::{Health, Metrics};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tracing::{debug, info, warn};

use crate::catalogue::{Catalogue, Crew};

/// A category without a consumer takes calls for so long; then they are refused.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// How often each queue is looked at.
const EVERY: Duration = Duration::from_secs(1);
/// How long one look may take.
const LOOK_TIME: Duration = Duration::from_secs(5);
/// Queues that are looked at together.
const TOGETHER: usize = 8;

/// What is known of the work queues.
#[derive(Debug)]
pub(crate) struct Queues {
    bus: Arc<dyn Bus>,
    names: Names,
    metrics: Metrics,
    watched: Mutex<HashMap<Category, Watched>>,
}

/// What is known of the calls of one category.
#[derive(Debug, Default)]
struct Watched {
    /// What the last look showed; nothing while the broker does not answer.
    state: Option<QueueState>,
    /// Since when there has been no consumer.
    idle_since: Option<Instant>,
    /// When the queue was last seen empty.
    empty_at: Option<Instant>,
    /// See [`protocol::Digest::taken_up_to`]: of all workers there ever were.
    taken_up_to: Option<u64>,
    /// When a call through this gateway last had a result that is no error.
    last_success: Option<Instant>,
}

impl Queues {
    pub(crate) fn new(bus: Arc<dyn Bus>, names: Names, metrics: Metrics) -> Self {
        Self {
            bus,
            names,
            metrics,
            watched: Mutex::default(),
        }
    }

    /// Whether a category has had no consumer for longer than calls are kept waiting.
    pub(crate) fn is_deserted(&self, category: &Category) -> bool {
        self.watched()
            .get(category)
            .and_then(|watched| watched.idle_since)
            .is_some_and(|since| since.elapsed() >= PATIENCE)
    }

    /// Notes that a call had a result that is no error.
    pub(crate) fn succeeded(&self, category: &Category) {
        // A category that is not watched yet will be, within a second.
        if let Some(watched) = self.watched().get_mut(category) {
            watched.last_success = Some(Instant::now());
        }
    }

    /// Looks at the queues of all known categories for ever, and tells `health` of them.
    pub(crate) async fn watch(&self, catalogue: &Catalogue, health: &Health) {
        let pulse = health.pulse("queue watch", LONGEST_TURN);
        let mut tick = interval(EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut reconnects = 0;
        loop {
            tick.tick().await;
            pulse.beat();
            let categories = self.known(catalogue);
            futures::stream::iter(categories)
                .for_each_concurrent(TOGETHER, |category| self.look_at(category, &pulse))
                .await;
            health.set_categories(self.report(&catalogue.crews(), SystemTime::now()));
            let now = self.bus.stats().reconnects();
            for _ in reconnects..now {
                self.metrics.reconnected();
            }
            reconnects = now;
        }
    }

    /// The categories that there are; what was known of others is forgotten.
    fn known(&self, catalogue: &Catalogue) -> BTreeSet<Category> {
        let catalogue = catalogue.now();
        let known: BTreeSet<&Category> = catalogue.known().map(|item| &item.category).collect();
        let mut watched = self.watched();
        watched.retain(|category, _| known.contains(category));
        known.into_iter().cloned().collect()
    }

    async fn look_at(&self, category: Category, pulse: &Pulse) {
        let queue = self.names.work_queue(&category);
        let state = match timeout(LOOK_TIME, self.bus.queue_state(&queue)).await {
            Ok(Ok(state)) => Ok(state.unwrap_or(QueueState {
                consumers: 0,
                messages: 0,
            })),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(Error::Timeout(LOOK_TIME)),
        };
        pulse.beat();
        match state {
            Ok(state) => self.note(&category, state),
            Err(error) => {
                // Nothing is known of the workers while the broker is away: calls wait for it,
                // and the workers get their time to come back with it.
                debug!(%category, %error, "a work queue could not be looked at");
                if let Some(watched) = self.watched().get_mut(&category) {
                    watched.state = None;
                    watched.idle_since = None;
                }
            }
        }
    }

    fn note(&self, category: &Category, state: QueueState) {
        self.metrics
            .set_queue_depth(category.as_str(), state.messages);
        self.metrics
            .set_queue_consumers(category.as_str(), state.consumers);
        let now = Instant::now();
        let mut all = self.watched();
        if !all.contains_key(category) {
            all.insert(category.clone(), Watched::default());
        }
        let Some(watched) = all.get_mut(category) else {
            return;
        };
        watched.state = Some(state);
        if state.messages == 0 {
            watched.empty_at = Some(now);
        }
        if state.consumers > 0 {
            if watched.idle_since.take().is_some() {
                info!(%category, "a worker takes calls again");
            }
        } else if watched.idle_since.is_none() {
            warn!(%category, "no worker takes calls");
            watched.idle_since = Some(now);
        }
    }

    /// What there is to say of every category.
    fn report(
        &self,
        crews: &BTreeMap<Category, Crew>,
        wall: SystemTime,
    ) -> BTreeMap<String, CategoryReport> {
        let now = Instant::now();
        let mut all = self.watched();
        all.iter_mut()
            .map(|(category, watched)| {
                let crew = crews.get(category).copied().unwrap_or_default();
                watched.taken_up_to = watched.taken_up_to.max(crew.taken_up_to);
                let report = watched.report(crew.workers, now, wall);
                (category.to_string(), report)
            })
            .collect()
    }

    fn watched(&self) -> MutexGuard<'_, HashMap<Category, Watched>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watched {
    fn report(&self, workers: usize, now: Instant, wall: SystemTime) -> CategoryReport {
        CategoryReport {
            workers,
            consumers: self.state.map(|state| state.consumers),
            depth: self.state.map(|state| state.messages),
            oldest_message_age_ms: self.oldest(now, wall).map(milliseconds),
            last_success_seconds_ago: self.last_success.map(|at| (now - at).as_secs()),
        }
    }

    /// The longest that the oldest waiting message can have waited. Nobody looks into the queue,
    /// which would count as handing the message out; but what waits came after the queue was
    /// empty, and after what workers have taken from it.
    fn oldest(&self, now: Instant, wall: SystemTime) -> Option<Duration> {
        self.state.filter(|state| state.messages > 0)?;
        let since_empty = self.empty_at.map(|at| now - at);
        let since_taken = self.taken_up_to.map(|at| {
            let at = SystemTime::UNIX_EPOCH + Duration::from_millis(at);
            // Clocks differ a little.
            wall.duration_since(at).unwrap_or_default()
        });
        match (since_empty, since_taken) {
            (Some(empty), Some(taken)) => Some(empty.min(taken)),
            (either, other) => either.or(other),
        }
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
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
        queues.note(&network, state(0));
        tokio::time::advance(Duration::from_millis(9_999)).await;
        queues.note(&network, state(0));
        assert!(!queues.is_deserted(&network));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(queues.is_deserted(&network));
        queues.note(&network, state(1));
        assert!(!queues.is_deserted(&network));
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_message_came_after_the_queue_was_empty_and_after_what_was_taken() {
        let queues = Queues::new(
            Arc::new(MemoryBus::new()),
            Names::default(),
            Metrics::default(),
        );
        let network = Category::network();
        let note = |messages| {
            let consumers = 1;
            queues.note(
                &network,
                QueueState {
                    consumers,
                    messages,
                },
            );
        };
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        let check = |seconds: u64, taken_up_to: Option<u64>, expected: Option<u64>| {
            let crew = Crew {
                workers: 1,
                taken_up_to,
            };
            let crews = BTreeMap::from([(network.clone(), crew)]);
            let report = queues.report(&crews, start + Duration::from_secs(seconds));
            let network = &report["network"];
            assert_eq!(network.oldest_message_age_ms, expected, "after {seconds} s");
            assert_eq!((network.workers, network.consumers), (1, Some(1)));
        };
        note(3);
        check(0, None, None);
        check(1, Some(1_000_600), Some(400));
        note(0);
        check(1, Some(1_000_600), None);
        tokio::time::advance(Duration::from_secs(10)).await;
        note(3);
        // It was empty later than the newest message was made that was taken.
        check(11, Some(1_000_600), Some(10_000));
        check(11, Some(1_008_000), Some(3000));
        // The worker that took it has gone, and a new one has taken nothing yet.
        check(11, None, Some(3000));
        // The clock of who made it is ahead.
        check(11, Some(1_012_000), Some(0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_success_counts_from_when_it_was() {
        let queues = Queues::new(
            Arc::new(MemoryBus::new()),
            Names::default(),
            Metrics::default(),
        );
        let network = Category::network();
        let last = || {
            queues.report(&BTreeMap::new(), SystemTime::now())["network"].last_success_seconds_ago
        };
        queues.note(
            &network,
            QueueState {
                consumers: 0,
                messages: 0,
            },
        );
        assert_eq!(last(), None);
        queues.succeeded(&network);
        tokio::time::advance(Duration::from_millis(2500)).await;
        assert_eq!(last(), Some(2));
        queues.succeeded(&Category::of_core_tool("snmp_get").unwrap());
        assert_eq!(queues.watched().len(), 1, "only what is looked at is kept");
    }
}
