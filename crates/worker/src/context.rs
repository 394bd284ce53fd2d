use std::sync::Arc;
use std::time::Duration;

use protocol::{Change, LogLevel};
use serde_json::Value;
use service::telemetry::trace;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Span;

use crate::events::Events;
use crate::notifications::{Notifications, Step};
use crate::{CallKey, ClientCapabilities, HostIdentity, Inputs, Scope};

/// What a handler knows of the request it runs for, and its way back to the caller. Cheap to
/// clone.
#[derive(Debug, Clone)]
pub struct Context {
    parts: Arc<Parts>,
}

/// What a context is made of.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) scope: Scope,
    pub(crate) host: Arc<HostIdentity>,
    pub(crate) deadline: Instant,
    pub(crate) cancellation: CancellationToken,
    pub(crate) notifications: Notifications,
    pub(crate) inputs: Inputs,
    pub(crate) client: ClientCapabilities,
    /// Where events go; nowhere in a test without a bus.
    pub(crate) events: Option<Events>,
    /// What the call is known by when it comes again.
    pub(crate) call_key: Option<CallKey>,
    /// The caller's, for a process that exports no spans.
    pub(crate) traceparent: Option<String>,
}

impl Context {
    pub(crate) fn new(parts: Parts) -> Self {
        let parts = Arc::new(parts);
        Self { parts }
    }

    /// The context of a call that nobody cancels, with 30 s to its deadline.
    #[must_use]
    pub fn for_test(scope: Scope) -> Self {
        let deadline = Instant::now() + Duration::from_secs(30);
        Self::new(Parts::without_bus(scope, Arc::default(), deadline))
    }

    /// Which targets the tool may touch; ask before touching any.
    #[must_use]
    pub fn scope(&self) -> &Scope {
        &self.parts.scope
    }

    /// The host and site that host-local results speak for.
    #[must_use]
    pub fn host(&self) -> &HostIdentity {
        &self.parts.host
    }

    /// When the runtime ends the call.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.parts.deadline
    }

    /// Time left until the deadline; zero after it.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.parts
            .deadline
            .saturating_duration_since(Instant::now())
    }

    /// Cancelled as soon as the call is over: cancelled by its caller, past its deadline,
    /// or answered. The handler's own future is dropped then; this is for what it started
    /// beside itself.
    #[must_use]
    pub fn cancellation(&self) -> &CancellationToken {
        &self.parts.cancellation
    }

    /// What the client answered to what was asked in earlier rounds.
    #[must_use]
    pub fn inputs(&self) -> &Inputs {
        &self.parts.inputs
    }

    /// What the client can be asked.
    #[must_use]
    pub fn client(&self) -> &ClientCapabilities {
        &self.parts.client
    }

    /// What the call is known by when it comes again. Every call of a tool that is
    /// [`crate::Tool::stored`] has it; of other calls only those that their caller gave a key.
    #[must_use]
    pub fn call_key(&self) -> Option<&CallKey> {
        self.parts.call_key.as_ref()
    }

    /// Tells the caller how far the call has come, if it asked for that; never blocks.
    ///
    /// `done` must grow from step to step; a step that does not is left out, and to a slow
    /// caller only some of the steps are sent. The last step also tells the caller what
    /// was done when the deadline passes.
    pub fn progress(&self, done: f64, total: Option<f64>, message: impl Into<String>) {
        self.parts.notifications.progress(Step {
            done,
            total: total.filter(|total| total.is_finite()),
            message: message.into(),
        });
    }

    /// Sends the client a log message, if its request asks for messages of this severity;
    /// never blocks.
    ///
    /// Messages come in order with [`Context::progress`]; of more than 64 that wait for a slow
    /// caller the oldest are dropped. They are for whoever runs the client: no secrets.
    pub fn log(&self, level: LogLevel, logger: Option<&str>, data: impl Into<Value>) {
        let message = || (logger.map(str::to_owned), data.into());
        self.parts.notifications.log(level, message);
    }

    /// Says that the call will be quiet for long, so that a gateway may end the event stream
    /// of a client that can resume it; in order with the other notifications.
    pub fn detach(&self) {
        self.parts.notifications.detach();
    }

    /// Tells all gateways, and through them the clients that want to know, of a change; never
    /// blocks.
    ///
    /// The event is published in the background and may get lost with the connection to the
    /// broker; of more than 64 that wait the newest are dropped. Without a bus nothing happens.
    pub fn notify(&self, change: Change) {
        let Some(events) = &self.parts.events else {
            return;
        };
        let current = trace::current(&Span::current()).and_then(|context| context.traceparent);
        let traceparent = current.or_else(|| self.parts.traceparent.clone());
        events.notify(change, traceparent);
    }
}

impl Parts {
    /// Those of a request that nobody sent.
    pub(crate) fn without_bus(scope: Scope, host: Arc<HostIdentity>, deadline: Instant) -> Self {
        Self {
            scope,
            host,
            deadline,
            cancellation: CancellationToken::new(),
            notifications: Notifications::default(),
            inputs: Inputs::default(),
            client: ClientCapabilities::default(),
            events: None,
            call_key: Some(CallKey::for_test()),
            traceparent: None,
        }
    }
}
