use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What an event takes beside its message, in bytes.
const OVERHEAD: usize = 64;

/// The bytes that all streams of a gateway keep together.
#[derive(Debug)]
pub(super) struct Budget {
    used: AtomicUsize,
    most: usize,
}

/// Bytes that are given back when this is dropped.
#[derive(Debug)]
pub(super) struct Charge {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Budget {
    pub(super) fn new(most: usize) -> Self {
        Self {
            used: AtomicUsize::new(0),
            most,
        }
    }

    /// Counts a message of so many bytes.
    pub(super) fn charge(self: &Arc<Self>, bytes: usize) -> Charge {
        let bytes = bytes + OVERHEAD;
        self.used.fetch_add(bytes, Ordering::Relaxed);
        Charge {
            budget: Arc::clone(self),
            bytes,
        }
    }

    /// Whether more is kept than there is room for.
    pub(super) fn is_over(&self) -> bool {
        self.used() > self.most
    }

    /// Whether a message of so many bytes can be kept too.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        self.used() + bytes + OVERHEAD <= self.most
    }

    pub(super) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }
}

impl Charge {
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
