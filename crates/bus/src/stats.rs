use std::sync::atomic::{AtomicU64, Ordering};

/// What a bus has lived through, for metrics.
#[derive(Debug, Default)]
pub struct Stats {
    reconnects: AtomicU64,
}

impl Stats {
    /// Connections that were made again after a loss, since the start.
    #[must_use]
    pub fn reconnects(&self) -> u64 {
        self.reconnects.load(Ordering::Relaxed)
    }

    pub(crate) fn count_reconnect(&self) {
        self.reconnects.fetch_add(1, Ordering::Relaxed);
    }
}
