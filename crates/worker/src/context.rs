use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::progress::{Progress, Step};
use crate::{HostIdentity, Scope};

/// What a tool knows of the call it runs for. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Context {
    call: Arc<Call>,
}

#[derive(Debug)]
struct Call {
    scope: Scope,
    host: Arc<HostIdentity>,
    deadline: Instant,
    cancellation: CancellationToken,
    progress: Progress,
}

impl Context {
    pub(crate) fn new(
        scope: Scope,
        host: Arc<HostIdentity>,
        deadline: Instant,
        cancellation: CancellationToken,
        progress: Progress,
    ) -> Self {
        let call = Arc::new(Call {
            scope,
            host,
            deadline,
            cancellation,
            progress,
        });
        Self { call }
    }

    /// The context of a call that nobody cancels, with 30 s to its deadline.
    #[must_use]
    pub fn for_test(scope: Scope) -> Self {
        Self::new(
            scope,
            Arc::default(),
            Instant::now() + Duration::from_secs(30),
            CancellationToken::new(),
            Progress::default(),
        )
    }

    /// Which targets the tool may touch; ask before touching any.
    #[must_use]
    pub fn scope(&self) -> &Scope {
        &self.call.scope
    }

    /// The host and site that host-local results speak for.
    #[must_use]
    pub fn host(&self) -> &HostIdentity {
        &self.call.host
    }

    /// When the runtime ends the call.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.call.deadline
    }

    /// Time left until the deadline; zero after it.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.call.deadline.saturating_duration_since(Instant::now())
    }

    /// Cancelled as soon as the call is over: cancelled by its caller, past its deadline,
    /// or answered. The tool's own future is dropped then; this is for what it started
    /// beside itself.
    #[must_use]
    pub fn cancellation(&self) -> &CancellationToken {
        &self.call.cancellation
    }

    /// Tells the caller how far the call has come, if it asked for that; never blocks.
    ///
    /// `done` must grow from step to step; a step that does not is left out, and to a slow
    /// caller only some of the steps are sent. The last step also tells the caller what
    /// was done when the deadline passes.
    pub fn progress(&self, done: f64, total: Option<f64>, message: impl Into<String>) {
        self.call.progress.push(Step {
            done,
            total: total.filter(|total| total.is_finite()),
            message: message.into(),
        });
    }
}
