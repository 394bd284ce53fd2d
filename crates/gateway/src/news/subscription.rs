use serde_json::value::RawValue;

use super::News;
use crate::call::Step;

/// A stream of `subscriptions/listen` (MCP 2026-07-28, "Subscriptions").
#[derive(Debug)]
pub(crate) struct Subscription {
    id: Box<RawValue>,
    news: News,
}

impl Subscription {
    /// The next message for the client; `None` after the final one. Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<Step> {
        let _ = &self.id;
        while self.news.next().await.is_some() {}
        None
    }
}
