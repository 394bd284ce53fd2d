use std::sync::Arc;

use protocol::mcp::{meta, method};
use protocol::response::RpcError;
use serde_json::value::RawValue;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use super::filter::Filter;
use super::inbox::Inbox;
use super::{Hub, message};
use crate::busy::Busy;
use crate::call::Step;
use crate::gateway::Gateway;
use crate::message::{Reply, server_info};
use crate::request::Request;

/// What a subscription occupies beside its filter, in bytes.
const OWN_SIZE: usize = 1024;

/// A stream of `subscriptions/listen` (MCP 2026-07-28, "Subscriptions"). Dropped, it is gone.
#[derive(Debug)]
pub(crate) struct Subscription {
    id: Box<RawValue>,
    filter: Filter,
    hub: Hub,
    leaving: CancellationToken,
    state: State,
    /// Given back with the subscription.
    _room: OwnedSemaphorePermit,
}

#[derive(Debug)]
enum State {
    /// Nothing was said yet.
    New,
    Open(Inbox),
    Over,
}

impl Subscription {
    /// Reads a request of `subscriptions/listen`. Resources that do not exist are accepted:
    /// they may come.
    ///
    /// # Errors
    /// Invalid params for a malformed filter; busy when the subscriptions of all clients fill
    /// the room for them.
    pub(crate) fn open(gateway: &Arc<Gateway>, request: &Request<'_>) -> Result<Self, RpcError> {
        let filter = Filter::read(&request.params)?;
        let room = gateway.hub.room(OWN_SIZE + filter.size()).ok_or_else(|| {
            let message = "there are too many subscriptions; try again later, or with fewer \
                           resources";
            Busy::Subscriptions.error(message)
        })?;
        Ok(Self {
            id: request.id.to_owned(),
            filter,
            hub: gateway.hub.clone(),
            leaving: gateway.leaving.clone(),
            state: State::New,
            _room: room,
        })
    }

    /// The next message for the client; `None` after the final one. Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<Step> {
        let change = match &mut self.state {
            State::New => {
                // What is acknowledged must be heard.
                self.leaving.run_until_cancelled(self.hub.begun()).await;
                self.state = State::Open(Inbox::new(self.hub.listen()));
                return Some(Step::Notification(self.acknowledged()));
            }
            State::Open(inbox) => {
                let next = inbox.next(&self.filter);
                self.leaving.run_until_cancelled(next).await.flatten()
            }
            State::Over => return None,
        };
        match change {
            Some(change) => {
                let body = message::notification(&change, Some(&self.id));
                Some(Step::Notification(body))
            }
            None => self.close(),
        }
    }

    /// Ends the stream from this side; gives the final message, unless it was given before.
    pub(crate) fn close(&mut self) -> Option<Step> {
        if matches!(self.state, State::Over) {
            return None;
        }
        self.state = State::Over;
        let result = format!(
            r#"{{"resultType":"complete","_meta":{{"{}":{},"{}":{}}}}}"#,
            meta::SUBSCRIPTION_ID,
            self.id,
            meta::SERVER_INFO,
            server_info(),
        );
        Some(Step::Final(Reply::result(&self.id, &result)))
    }

    fn acknowledged(&self) -> bytes::Bytes {
        let notifications = format!(r#""notifications":{}"#, self.filter.honoured());
        message::text(method::ACKNOWLEDGED, Some(&self.id), Some(&notifications))
    }
}
