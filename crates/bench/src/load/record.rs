//! What became of the calls.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::measure::statistics::percentile;

/// The calls that ended between two marks.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Window {
    /// Time between the marks.
    pub(crate) length: Duration,
    /// Calls with the right answer.
    pub(crate) calls: u64,
    /// Calls without.
    pub(crate) errors: u64,
    /// Why the first of them failed.
    pub(crate) first_error: Option<String>,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    pub(crate) longest: Duration,
}

impl Window {
    /// Answered calls per second.
    #[expect(
        clippy::cast_precision_loss,
        reason = "there are fewer than 2^52 calls"
    )]
    pub(crate) fn rate(&self) -> f64 {
        self.calls as f64 / self.length.as_secs_f64()
    }
}

/// Where calls are entered while they end.
#[derive(Debug)]
pub(super) struct Record {
    entries: Mutex<Entries>,
}

#[derive(Debug)]
struct Entries {
    since: Instant,
    latencies: Vec<Duration>,
    errors: u64,
    first_error: Option<String>,
}

impl Entries {
    fn new() -> Self {
        Self {
            since: Instant::now(),
            latencies: Vec::with_capacity(1 << 17),
            errors: 0,
            first_error: None,
        }
    }
}

impl Record {
    pub(super) fn new() -> Self {
        Self {
            entries: Mutex::new(Entries::new()),
        }
    }

    pub(super) fn answered(&self, latency: Duration) {
        self.entries().latencies.push(latency);
    }

    pub(super) fn failed(&self, error: &anyhow::Error) {
        let mut entries = self.entries();
        entries.errors += 1;
        let first = &mut entries.first_error;
        first.get_or_insert_with(|| format!("{error:#}"));
    }

    /// Everything since the last mark.
    pub(super) fn mark(&self) -> Window {
        let mut entries = std::mem::replace(&mut *self.entries(), Entries::new());
        let length = entries.since.elapsed();
        entries.latencies.sort_unstable();
        let ascending = &entries.latencies;
        Window {
            length,
            calls: u64::try_from(ascending.len()).unwrap_or(u64::MAX),
            errors: entries.errors,
            p50: percentile(ascending, 500),
            p99: percentile(ascending, 990),
            longest: ascending.last().copied().unwrap_or_default(),
            first_error: entries.first_error,
        }
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
