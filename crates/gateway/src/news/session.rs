use std::sync::Arc;

use bytes::Bytes;
use protocol::Change;

use super::inbox::{Inbox, Interest};
use super::{News, message};
use crate::session::Session;

/// What a client with a session is told beside the answers to its requests.
#[derive(Debug)]
pub(crate) struct SessionNews {
    session: Arc<Session>,
    inbox: Inbox,
}

impl SessionNews {
    pub(crate) fn new(session: Arc<Session>, news: News) -> Self {
        Self {
            session,
            inbox: Inbox::new(news),
        }
    }

    /// For a client that may have missed news before: it is told of everything that may have
    /// changed.
    pub(crate) fn after_a_gap(session: Arc<Session>, news: News) -> Self {
        let mut this = Self::new(session, news);
        this.inbox.missed(this.session.as_ref());
        this
    }

    /// The next JSON-RPC notification; `None` when there will be no more, because the session
    /// has ended. Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<Bytes> {
        let next = self.inbox.next(self.session.as_ref());
        let change = self.session.ended().run_until_cancelled(next).await??;
        Some(message::notification(&change, None))
    }
}

impl Interest for Session {
    fn wants(&self, change: &Change) -> bool {
        match change {
            Change::ResourceUpdated { uri } => self.is_subscribed(uri),
            Change::ToolsListChanged
            | Change::PromptsListChanged
            | Change::ResourcesListChanged => true,
        }
    }

    fn everything(&self) -> Vec<Change> {
        let lists = [
            Change::ToolsListChanged,
            Change::PromptsListChanged,
            Change::ResourcesListChanged,
        ];
        let resources = self.subscriptions().into_iter();
        lists
            .into_iter()
            .chain(resources.map(|uri| Change::ResourceUpdated { uri }))
            .collect()
    }
}
