//! What gateways of one site tell each other, over the control exchange.
//!
//! Any replica serves any client, so what one of them learns others may need: that a session
//! ended, that a call was cancelled, that a client answered, that a stream goes on elsewhere.
//! Each room defines its own messages; this one carries them.

mod dispatch;

use std::sync::Arc;

use serde::Serialize;

/// The way to the other gateways; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Peers {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    instance: String,
}

/// A gateway that cannot be told anything: it is gone, or the broker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unreachable;

impl Peers {
    pub(crate) fn new(instance: String) -> Self {
        Self {
            shared: Arc::new(Shared { instance }),
        }
    }

    /// The name of this gateway, unique per process start.
    pub(crate) fn instance(&self) -> &str {
        &self.shared.instance
    }

    /// Tells all other gateways; what cannot be said in time is lost and logged.
    pub(crate) async fn broadcast(&self, method: &'static str, params: &(impl Serialize + Sync)) {
        let _ = (method, params);
    }

    /// Tells one other gateway.
    ///
    /// # Errors
    /// [`Unreachable`] at once when no gateway of that name listens, and after 2 s without a
    /// broker.
    pub(crate) async fn send(
        &self,
        instance: &str,
        method: &'static str,
        params: &(impl Serialize + Sync),
    ) -> Result<(), Unreachable> {
        let _ = (instance, method, params);
        Err(Unreachable)
    }
}
