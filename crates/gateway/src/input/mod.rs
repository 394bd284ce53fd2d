//! Requests to clients of the `initialize` era, and their answers.
//!
//! A worker asks for input by a result; clients of older revisions are asked by a request on
//! the stream of their call, and answer with a message of their own, at any replica.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::gateway::Gateway;
use crate::session::Session;

/// The requests to clients that wait for their answers; cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Inputs {}

impl Inputs {
    /// Takes a JSON-RPC response of a client; false when it answers nothing that was asked of
    /// this session.
    pub(crate) async fn answered(&self, session: &Session, id: &RawValue, message: &Bytes) -> bool {
        let _ = (session, id, message);
        false
    }

    /// Takes a message of another gateway, `opendiscovery/input/…`.
    pub(crate) async fn heard(
        &self,
        gateway: &Arc<Gateway>,
        sender: &str,
        method: &str,
        params: &RawValue,
    ) {
        let _ = (gateway, sender, method, params);
    }
}
