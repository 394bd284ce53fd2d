use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// What a bus has lived through, for metrics.
#[derive(Debug, Default)]
pub struct Stats {
    reconnects: AtomicU64,
    last_reconnect: Mutex<Option<Instant>>,
}

impl Stats {
    /// Connections that were made again after a loss, since the start.
    #[must_use]
    pub fn reconnects(&self) -> u64 {
        self.reconnects.load(Ordering::Relaxed)
    }

    /// Whether a connection was made again within this time.
    pub(crate) fn has_reconnected_within(&self, time: Duration) -> bool {
        let last = *self.last();
        last.is_some_and(|at| at.elapsed() < time)
    }

    pub(crate) fn count_reconnect(&self) {
        self.reconnects.fetch_add(1, Ordering::Relaxed);
        *self.last() = Some(Instant::now());
    }

    fn last(&self) -> MutexGuard<'_, Option<Instant>> {
        self.last_reconnect
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
