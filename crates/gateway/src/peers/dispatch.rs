//! Which room a message of another gateway belongs to.

use std::sync::Arc;

use serde_json::value::RawValue;
use tracing::debug;

use crate::gateway::Gateway;

impl Gateway {
    /// Takes a message of another gateway.
    ///
    /// Messages are taken one after the other, in the order in which each gateway sent them. So
    /// whatever has to wait, for an answer to the sender above all, goes to [`Gateway::tasks`].
    pub(crate) fn heard(self: &Arc<Self>, sender: &str, method: &str, params: &RawValue) {
        let room = method.strip_prefix("opendiscovery/").unwrap_or_default();
        match room.split('/').next() {
            Some("session" | "cancel") => self.sessions.heard(self, sender, method, params),
            Some("stream") => self.heard_of_streams(sender, method, params),
            Some("input") => self.inputs.heard(sender, method, params),
            _ => debug!(
                sender,
                method, "a message of another gateway is not known here"
            ),
        }
    }
}
