//! What a process counts, in the `OpenMetrics` text format.
//!
//! A registry is handed in, so nothing here is global and a test has metrics of its own.
//! The format adds suffixes itself: a counter registered as `discovery_calls` is read as
//! `discovery_calls_total`, and a unit is appended to the name it belongs to.
//!
//! To add one: a field of `Families`, its registration, a method, and the snapshot of the tests.

mod call;
mod families;

use std::sync::Arc;

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

pub use call::{Call, Outcome};
use families::{CategoryLabels, Families, RefusalLabels};

/// Content type of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The metrics of one process. Clones share their numbers.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registry: Arc<Registry>,
    families: Families,
}

impl Metrics {
    /// Adds the metrics of the platform to this registry and keeps it.
    #[must_use]
    pub fn new(mut registry: Registry) -> Self {
        let families = Families::register(&mut registry);
        let registry = Arc::new(registry);
        Self(Arc::new(Inner { registry, families }))
    }

    /// For a worker in the same process as its gateway: calls and reconnections are counted
    /// once, by the gateway, and everything else by both in the same place.
    #[must_use]
    pub fn behind_a_gateway(&self) -> Self {
        let Inner { registry, families } = &*self.0;
        Self(Arc::new(Inner {
            registry: Arc::clone(registry),
            families: families.with_own_calls(),
        }))
    }

    /// Counts a call as in flight until it is finished or dropped.
    pub fn call(&self, category: &str) -> Call {
        Call::start(self.clone(), category)
    }

    /// Sets how many messages wait in the work queue of a category.
    pub fn set_queue_depth(&self, category: &str, messages: u32) {
        let labels = CategoryLabels::new(category);
        self.families()
            .queue_depth
            .get_or_create(&labels)
            .set(messages.into());
    }

    /// Sets how many consumers the work queue of a category has.
    pub fn set_queue_consumers(&self, category: &str, consumers: u32) {
        let labels = CategoryLabels::new(category);
        self.families()
            .queue_consumers
            .get_or_create(&labels)
            .set(consumers.into());
    }

    /// Counts a connection to the broker that came back after a loss.
    pub fn reconnected(&self) {
        self.families().reconnects.inc();
    }

    /// Counts a call that the broker delivered again.
    pub fn redelivered(&self, category: &str) {
        let labels = CategoryLabels::new(category);
        self.families().redeliveries.get_or_create(&labels).inc();
    }

    /// Counts a call that became a dead letter.
    pub fn dead_lettered(&self, category: &str) {
        let labels = CategoryLabels::new(category);
        self.families().dead_letters.get_or_create(&labels).inc();
    }

    /// Counts a request that a gateway has refused, by the word for why. The category is empty
    /// where it was not even looked at.
    pub fn refused(&self, category: &str, reason: &str) {
        let labels = RefusalLabels::new(category, reason);
        self.families().refusals.get_or_create(&labels).inc();
    }

    /// Counts a call that came too late to be run.
    pub fn expired(&self, category: &str) {
        let labels = CategoryLabels::new(category);
        self.families().expired_calls.get_or_create(&labels).inc();
    }

    /// Counts a call that got the answer of an earlier one with the same key.
    pub fn replayed(&self, category: &str) {
        let labels = CategoryLabels::new(category);
        self.families()
            .replayed_answers
            .get_or_create(&labels)
            .inc();
    }

    /// Counts a call that must not run twice and that its caller left to another worker.
    pub fn not_granted(&self, category: &str) {
        let labels = CategoryLabels::new(category);
        self.families()
            .not_granted_calls
            .get_or_create(&labels)
            .inc();
    }

    /// Sets what a gateway keeps for its clients: sessions, event streams that are open or can be
    /// resumed, and requests to clients that have no answer yet.
    pub fn set_kept(&self, sessions: usize, streams: usize, pending_inputs: usize) {
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        self.families().sessions.set(count(sessions));
        self.families().streams.set(count(streams));
        self.families().pending_inputs.set(count(pending_inputs));
    }

    /// All metrics of the registry in the `OpenMetrics` text format.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.0.registry);
        text
    }

    fn families(&self) -> &Families {
        &self.0.families
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new(Registry::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One of each.
    fn sample() -> Metrics {
        let metrics = Metrics::default();
        metrics.call("network").finish(Outcome::Ok);
        metrics.set_queue_depth("network", 3);
        metrics.set_queue_consumers("network", 2);
        metrics.reconnected();
        metrics.redelivered("network");
        metrics.dead_lettered("network");
        metrics.expired("network");
        metrics.refused("network", "category_limit");
        metrics.replayed("network");
        metrics.not_granted("network");
        metrics.set_kept(4, 5, 6);
        metrics
    }

    #[test]
    fn names_help_types_and_units_are_stable() {
        let text = sample().encode();
        // A duration differs from run to run; its buckets do not.
        let is_duration = |line: &&str| {
            line.starts_with("discovery_call_duration_seconds_sum")
                || line.starts_with("discovery_call_duration_seconds_bucket")
        };
        let buckets: Vec<&str> = text
            .lines()
            .filter_map(|line| line.split_once("le=\"")?.1.split('"').next())
            .collect();
        let lines: Vec<&str> = text.lines().filter(|line| !is_duration(line)).collect();
        insta::assert_snapshot!(format!(
            "{}\nbuckets: {}\n",
            lines.join("\n"),
            buckets.join(" ")
        ));
    }

    #[test]
    fn clones_share_their_numbers() {
        let metrics = Metrics::default();
        metrics.clone().reconnected();
        assert!(
            metrics
                .encode()
                .contains("discovery_amqp_reconnects_total 1\n")
        );
    }

    #[test]
    fn a_call_through_gateway_and_worker_of_one_process_counts_once() {
        let metrics = Metrics::default();
        let of_worker = metrics.behind_a_gateway();
        let (outer, inner) = (metrics.call("network"), of_worker.call("network"));
        inner.finish(Outcome::Ok);
        outer.finish(Outcome::Ok);
        of_worker.redelivered("network");
        let text = metrics.encode();
        assert!(text.contains("discovery_calls_total{category=\"network\",outcome=\"ok\"} 1\n"));
        assert!(text.contains("discovery_redeliveries_total{category=\"network\"} 1\n"));
    }

    #[test]
    fn a_registry_may_hold_other_metrics_too() {
        let mut registry = Registry::default();
        let other = prometheus_client::metrics::counter::Counter::<u64>::default();
        registry.register("other", "Something else", other);
        assert!(Metrics::new(registry).encode().contains("other_total 0\n"));
    }
}
