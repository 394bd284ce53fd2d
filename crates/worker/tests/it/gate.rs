//! A tool whose calls the test holds in its hand.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use protocol::ToolError;
use tokio::sync::Semaphore;
use worker::{Context, Tool};

use crate::lab::{Nothing, Text};

/// Counts and holds the calls of a tool.
#[derive(Debug, Clone)]
pub(crate) struct Gate(Arc<State>);

#[derive(Debug)]
struct State {
    entered: Semaphore,
    open: Semaphore,
    runs: AtomicUsize,
    left: AtomicUsize,
}

/// Counts a call out, however it ends.
struct Leaving(Arc<State>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.left.fetch_add(1, Ordering::SeqCst);
    }
}

impl Gate {
    pub(crate) fn new() -> Self {
        Self(Arc::new(State {
            entered: Semaphore::new(0),
            open: Semaphore::new(0),
            runs: AtomicUsize::new(0),
            left: AtomicUsize::new(0),
        }))
    }

    /// A tool whose calls end when the test lets them.
    pub(crate) fn tool(&self, name: &'static str) -> Tool {
        let state = Arc::clone(&self.0);
        let run = move |_: Context, _: Nothing| {
            let state = Arc::clone(&state);
            async move {
                let run = state.runs.fetch_add(1, Ordering::SeqCst) + 1;
                let _leaving = Leaving(Arc::clone(&state));
                state.entered.add_permits(1);
                state.open.acquire().await.unwrap().forget();
                let text = format!("run {run}");
                Ok::<_, ToolError>(Text { text })
            }
        };
        Tool::new(name, run)
    }

    /// Waits until one more call runs.
    pub(crate) async fn entered(&self) {
        within("a call to run", self.0.entered.acquire())
            .await
            .unwrap()
            .forget();
    }

    /// Lets calls end.
    pub(crate) fn open(&self, calls: usize) {
        self.0.open.add_permits(calls);
    }

    /// Calls that ran, or began to.
    pub(crate) fn runs(&self) -> usize {
        self.0.runs.load(Ordering::SeqCst)
    }

    /// Calls that ended, or were ended.
    pub(crate) fn left(&self) -> usize {
        self.0.left.load(Ordering::SeqCst)
    }
}

/// What comes of waiting; fails with what was waited for after ten seconds.
pub(crate) async fn within<T>(what: &str, waiting: impl Future<Output = T>) -> T {
    let time = Duration::from_secs(10);
    tokio::time::timeout(time, waiting)
        .await
        .unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

/// Waits until something holds.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    within(what, async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}
