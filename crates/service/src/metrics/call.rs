//! One call, from its arrival to its end.

use std::fmt::{self, Write};
use std::time::Instant;

use prometheus_client::encoding::{EncodeLabelValue, LabelValueEncoder};

use super::Metrics;
use super::families::CategoryLabels;

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The tool gave its result.
    Ok,
    /// The tool gave a result that says why it failed.
    ToolError,
    /// The request was answered with a JSON-RPC error.
    ProtocolError,
    /// The call was not accepted: no worker, queue full, shutting down.
    Refused,
    /// The deadline passed first.
    Timeout,
    /// The caller cancelled it or went away.
    Cancelled,
    /// The call may have run, and nobody knows how it ended.
    Unknown,
}

/// A call in flight. Dropped without an outcome it counts as cancelled: whoever waited for it is
/// gone.
#[derive(Debug)]
#[must_use = "a dropped call counts as cancelled"]
pub struct Call {
    metrics: Metrics,
    labels: CategoryLabels,
    started: Instant,
    outcome: Outcome,
    counts: bool,
}

impl Outcome {
    /// The value of the label `outcome`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::ToolError => "tool_error",
            Self::ProtocolError => "protocol_error",
            Self::Refused => "refused",
            Self::Timeout => "timeout",
            Self::Cancelled => "cancelled",
            Self::Unknown => "unknown",
        }
    }
}

impl Call {
    pub(super) fn start(metrics: Metrics, category: &str) -> Self {
        let labels = CategoryLabels::new(category);
        metrics
            .families()
            .calls_in_flight
            .get_or_create(&labels)
            .inc();
        Self {
            metrics,
            labels,
            started: Instant::now(),
            outcome: Outcome::Cancelled,
            counts: true,
        }
    }

    /// Counts nothing: the call is another process's.
    pub fn forget(mut self) {
        self.counts = false;
    }

    /// Counts the call with its duration and outcome.
    pub fn finish(mut self, outcome: Outcome) {
        self.outcome = outcome;
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let families = self.metrics.families();
        families.calls_in_flight.get_or_create(&self.labels).dec();
        if !self.counts {
            return;
        }
        let labels = self.labels.with(self.outcome);
        families.calls.get_or_create(&labels).inc();
        let seconds = self.started.elapsed().as_secs_f64();
        families
            .call_duration
            .get_or_create(&labels)
            .observe(seconds);
    }
}

impl EncodeLabelValue for Outcome {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
        encoder.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(metrics: &Metrics, line: &str) {
        let text = metrics.encode();
        assert!(
            text.lines().any(|other| other == line),
            "{line} is not in:\n{text}"
        );
    }

    #[test]
    fn a_call_is_in_flight_until_it_ends() {
        let metrics = Metrics::default();
        let call = metrics.call("network");
        check(
            &metrics,
            r#"discovery_calls_in_flight{category="network"} 1"#,
        );
        call.finish(Outcome::ToolError);
        check(
            &metrics,
            r#"discovery_calls_in_flight{category="network"} 0"#,
        );
        check(
            &metrics,
            r#"discovery_calls_total{category="network",outcome="tool_error"} 1"#,
        );
        check(
            &metrics,
            r#"discovery_call_duration_seconds_count{category="network",outcome="tool_error"} 1"#,
        );
    }

    #[test]
    fn a_call_of_another_process_does_not_count() {
        let metrics = Metrics::default();
        metrics.call("network").forget();
        check(
            &metrics,
            r#"discovery_calls_in_flight{category="network"} 0"#,
        );
        assert!(!metrics.encode().contains("discovery_calls_total{"));
    }

    #[test]
    fn a_dropped_call_counts_as_cancelled() {
        let metrics = Metrics::default();
        drop(metrics.call("network"));
        check(
            &metrics,
            r#"discovery_calls_total{category="network",outcome="cancelled"} 1"#,
        );
    }
}
