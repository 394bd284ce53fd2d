use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Wake, Waker};

use futures::task::AtomicWaker;

/// Which messages were woken, so that the others need not be looked at.
#[derive(Default)]
pub(super) struct Woken {
    numbers: Mutex<Vec<u64>>,
    task: AtomicWaker,
}

/// Wakes the task for one message.
struct WakeOne {
    number: u64,
    woken: Arc<Woken>,
}

impl Woken {
    /// Wakes the task for one message.
    pub(super) fn waker(self: &Arc<Self>, number: u64) -> Waker {
        let woken = Arc::clone(self);
        Waker::from(Arc::new(WakeOne { number, woken }))
    }

    /// Those that were woken since this was asked before; the task is woken for later ones.
    pub(super) fn take(&self, cx: &Context<'_>) -> Vec<u64> {
        self.task.register(cx.waker());
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<u64>> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for WakeOne {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.lock().push(self.number);
        self.woken.task.wake();
    }
}
