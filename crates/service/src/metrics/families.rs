//! The metrics with their names, help and labels.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry, Unit};

use super::Outcome;

/// Upper bounds of the duration buckets in seconds: from a reply within one process to the longest
/// scan.
const DURATION_BUCKETS: [f64; 15] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0,
];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct CategoryLabels {
    category: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct CallLabels {
    category: String,
    outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct RefusalLabels {
    category: String,
    reason: String,
}

#[derive(Clone, Debug)]
pub(super) struct Families {
    pub(super) calls: Family<CallLabels, Counter>,
    pub(super) call_duration: Family<CallLabels, Histogram, fn() -> Histogram>,
    pub(super) calls_in_flight: Family<CategoryLabels, Gauge>,
    pub(super) queue_depth: Family<CategoryLabels, Gauge>,
    pub(super) queue_consumers: Family<CategoryLabels, Gauge>,
    pub(super) reconnects: Counter,
    pub(super) redeliveries: Family<CategoryLabels, Counter>,
    pub(super) dead_letters: Family<CategoryLabels, Counter>,
    pub(super) expired_calls: Family<CategoryLabels, Counter>,
    pub(super) refusals: Family<RefusalLabels, Counter>,
    pub(super) replayed_answers: Family<CategoryLabels, Counter>,
    pub(super) not_granted_calls: Family<CategoryLabels, Counter>,
    pub(super) sessions: Gauge,
    pub(super) streams: Gauge,
    pub(super) pending_inputs: Gauge,
}

impl CategoryLabels {
    pub(super) fn new(category: &str) -> Self {
        Self {
            category: category.to_owned(),
        }
    }

    pub(super) fn with(&self, outcome: Outcome) -> CallLabels {
        CallLabels {
            category: self.category.clone(),
            outcome,
        }
    }
}

impl RefusalLabels {
    pub(super) fn new(category: &str, reason: &str) -> Self {
        Self {
            category: category.to_owned(),
            reason: reason.to_owned(),
        }
    }
}

impl Families {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let version = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("discovery_build", "Version of this binary", version);
        let mut r = Registrar(registry);
        Self {
            calls: r.add("discovery_calls", "Calls that have ended"),
            call_duration: r.add_as(
                "discovery_call_duration",
                "Time from the arrival of a call to its end",
                Unit::Seconds,
                durations(),
            ),
            calls_in_flight: r.add("discovery_calls_in_flight", "Calls that have not ended"),
            queue_depth: r.add_as(
                "discovery_queue_depth",
                "Messages that wait in the work queue",
                Unit::Other("messages".to_owned()),
                Family::default(),
            ),
            queue_consumers: r.add("discovery_queue_consumers", "Consumers of the work queue"),
            reconnects: r.add(
                "discovery_amqp_reconnects",
                "Connections to the broker that came back after a loss",
            ),
            redeliveries: r.add(
                "discovery_redeliveries",
                "Calls that the broker delivered again",
            ),
            dead_letters: r.add("discovery_dead_letters", "Calls that became dead letters"),
            expired_calls: r.add(
                "discovery_expired_calls",
                "Calls that came too late to be run",
            ),
            refusals: r.add(
                "discovery_refusals",
                "Requests that were refused for want of room or of a worker",
            ),
            replayed_answers: r.add(
                "discovery_replayed_answers",
                "Calls that got the answer of an earlier one with the same key",
            ),
            not_granted_calls: r.add(
                "discovery_not_granted_calls",
                "Calls that must not run twice and that their caller left to another worker",
            ),
            sessions: r.add(
                "discovery_sessions",
                "Sessions of which this gateway keeps something",
            ),
            streams: r.add(
                "discovery_streams",
                "Event streams that are open or can be resumed",
            ),
            pending_inputs: r.add(
                "discovery_pending_inputs",
                "Requests to clients that have no answer yet",
            ),
        }
    }
}

impl Families {
    /// The same, but with calls and reconnections that no registry shows.
    pub(super) fn with_own_calls(&self) -> Self {
        Self {
            calls: Family::default(),
            call_duration: durations(),
            calls_in_flight: Family::default(),
            reconnects: Counter::default(),
            ..self.clone()
        }
    }
}

fn durations() -> Family<CallLabels, Histogram, fn() -> Histogram> {
    Family::new_with_constructor(|| Histogram::new(DURATION_BUCKETS))
}

struct Registrar<'a>(&'a mut Registry);

impl Registrar<'_> {
    fn add<M: Metric + Clone + Default>(&mut self, name: &str, help: &str) -> M {
        let metric = M::default();
        self.0.register(name, help, metric.clone());
        metric
    }

    fn add_as<M: Metric + Clone>(&mut self, name: &str, help: &str, unit: Unit, metric: M) -> M {
        self.0.register_with_unit(name, help, unit, metric.clone());
        metric
    }
}
