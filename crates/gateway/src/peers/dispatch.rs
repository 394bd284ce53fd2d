//! Which room a message of another gateway belongs to.

use std::sync::Arc;

use serde_json::value::RawValue;

use crate::gateway::Gateway;

impl Gateway {
    /// Takes a message of another gateway.
    pub(crate) async fn heard(self: &Arc<Self>, sender: &str, method: &str, params: &RawValue) {
        let _ = params;
        tracing::debug!(
            sender,
            method,
            "a message of another gateway is not known here"
        );
    }
}
