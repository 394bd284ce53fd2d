//! Calls that must not run twice: their caller says which worker runs them.
//!
//! A worker that is handed such a call asks for it, and holds the delivery meanwhile. Only one
//! instance is ever granted it, so whatever happens to deliveries and connections, no second one
//! begins. An instance that has asked and will not run the call withdraws, so that the caller can
//! give it to another.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::Runtime;
use super::grants::Claim;
use super::reply::{Replies, Sent};

/// How long a caller may take with its word; it has waited for nothing but the broker.
const WORD_TIME: Duration = Duration::from_secs(10);

/// Where and for whom a call is asked for.
#[derive(Debug)]
pub(super) struct Question<'a> {
    pub(super) correlation_id: &'a str,
    /// The queue on which the caller's word is heard.
    pub(super) control_queue: &'a str,
    pub(super) cancelled: &'a CancellationToken,
    /// When the caller stops waiting for the call.
    pub(super) until: Instant,
}

/// The right to run a call that must not run twice; it counts as running until this is dropped.
#[derive(Debug)]
pub(super) struct Granted {
    _claim: Claim,
    _counted: Counted,
}

/// A call among those that must not run twice, until it is dropped.
#[derive(Debug)]
struct Counted(watch::Sender<usize>);

/// A question that its caller has not answered. Dropped, it is withdrawn: the connection ended, or
/// the caller said nothing in time.
struct Asking {
    runtime: Arc<Runtime>,
    tokio: Handle,
    /// Absent once nothing is to be withdrawn.
    parts: Option<(Claim, Counted, Replies)>,
}

/// Asks the caller for the call, and waits for its word within a bound. `None` when this instance
/// is not to run it; the request can be forgotten then.
pub(super) async fn ask(
    runtime: &Arc<Runtime>,
    replies: &mut Replies,
    question: Question<'_>,
) -> Option<Granted> {
    let Some(claim) = runtime.grants.claim(question.correlation_id) else {
        tracing::debug!("a call that was here before came again and is dropped");
        return None;
    };
    let mut asking = Asking::new(runtime, claim, replies.clone());
    let word = tokio::select! {
        biased;
        () = question.cancelled.cancelled() => Some(false),
        word = asking.word(replies, &question) => word,
    };
    match word {
        Some(true) => return asking.granted(),
        Some(false) => asking.forget(),
        None => tracing::warn!("the caller did not say in time whether to run a call"),
    }
    None
}

impl Asking {
    fn new(runtime: &Arc<Runtime>, claim: Claim, replies: Replies) -> Self {
        let counted = Counted::new(&runtime.once);
        Self {
            runtime: Arc::clone(runtime),
            tokio: Handle::current(),
            parts: Some((claim, counted, replies)),
        }
    }

    /// The caller's word; `None` when it did not come in time.
    async fn word(&mut self, replies: &mut Replies, question: &Question<'_>) -> Option<bool> {
        let (claim, ..) = self.parts.as_mut()?;
        if replies.started(question.control_queue).await != Sent::Confirmed {
            return Some(false);
        }
        let until = (Instant::now() + WORD_TIME).min(question.until);
        tokio::select! {
            biased;
            word = claim.word() => {
                if !word {
                    tracing::debug!("the call is another worker's");
                    let category = self.runtime.worker.category().as_str();
                    self.runtime.metrics.not_granted(category);
                }
                Some(word)
            }
            // Past its deadline the caller waits for nothing.
            () = sleep_until(until) => (until == question.until).then_some(false),
        }
    }

    fn granted(mut self) -> Option<Granted> {
        let (claim, counted, _) = self.parts.take()?;
        Some(Granted {
            _claim: claim,
            _counted: counted,
        })
    }

    fn forget(mut self) {
        self.parts = None;
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        let Some((claim, counted, replies)) = self.parts.take() else {
            return;
        };
        // It is remembered, so that this instance keeps to what it says.
        drop(claim);
        let withdraw = async move {
            if let Sent::Late(fault) = replies.withdraw().await {
                tracing::warn!(fault, "the caller of a call could not be told to ask again");
            }
            // Goodbye comes after it.
            drop(counted);
        };
        self.runtime.run_beside(withdraw, &self.tokio);
    }
}

impl Counted {
    fn new(running: &watch::Sender<usize>) -> Self {
        running.send_modify(|running| *running += 1);
        Self(running.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.send_modify(|running| *running -= 1);
    }
}
