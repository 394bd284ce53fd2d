use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What is kept takes so much beside its text, in bytes.
const OVERHEAD: usize = 64;

/// The bytes that a gateway keeps for all its clients together, of one kind.
#[derive(Debug)]
pub(crate) struct Budget {
    used: AtomicUsize,
    most: usize,
}

/// Bytes that are given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Charge {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Budget {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            used: AtomicUsize::new(0),
            most,
        }
    }

    /// Counts a text of so many bytes.
    pub(crate) fn charge(self: &Arc<Self>, bytes: usize) -> Charge {
        let bytes = bytes + OVERHEAD;
        self.used.fetch_add(bytes, Ordering::Relaxed);
        Charge {
            budget: Arc::clone(self),
            bytes,
        }
    }

    /// Whether more is kept than there is room for.
    pub(crate) fn is_over(&self) -> bool {
        self.used() > self.most
    }

    /// Whether a text of so many bytes can be kept too.
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        self.used() + bytes + OVERHEAD <= self.most
    }

    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }
}

impl Charge {
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
