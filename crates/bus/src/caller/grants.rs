//! Which instance may run a call that must not run twice.
//!
//! An instance asks with a message of type `started` before it begins, and the caller grants the
//! call to the first one that asks. Whatever becomes of the request on the broker, nobody else
//! begins it then; and as long as nothing was granted, the call may be asked for again.

use std::sync::Arc;
use std::time::Duration;

use protocol::{control, headers, response};
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{debug, warn};
use uuid::Uuid;

use super::replies::Replies;
use crate::{Headers, Message, Publish, PublishError};

/// How long a caller tries to get its word to an instance that asked; so long does one wait.
const TELL_TIME: Duration = Duration::from_secs(10);
/// Pause before it is tried again.
const PAUSE: Duration = Duration::from_millis(100);

/// An instance that asks whether it may run a call.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    pub(super) correlation_id: String,
    pub(super) instance: String,
    /// Where it waits for the word.
    control_queue: String,
}

impl Ask {
    /// `None` when the message does not say who asks, or where the answer goes.
    pub(super) fn of(message: &Message) -> Option<Self> {
        Some(Self {
            correlation_id: message.correlation_id.clone()?,
            instance: message.headers.text(headers::INSTANCE)?.to_owned(),
            control_queue: message.reply_to.clone()?,
        })
    }
}

/// Who has the grant of a call, if anybody has.
#[derive(Debug, Default)]
pub(super) struct Grant(Option<Holder>);

#[derive(Debug)]
struct Holder {
    instance: String,
    /// How often it was told so, without what the broker gave back.
    n_told: usize,
}

impl Grant {
    /// Grants the call to an instance, unless another one has it. One that asks again says by it
    /// that it has not begun.
    pub(super) fn ask(&mut self, instance: &str) -> bool {
        let holder = self.0.get_or_insert_with(|| Holder {
            instance: instance.to_owned(),
            n_told: 0,
        });
        let is_its = holder.instance == instance;
        if is_its {
            holder.n_told += 1;
        }
        is_its
    }

    pub(super) fn holder(&self) -> Option<&str> {
        self.0.as_ref().map(|holder| holder.instance.as_str())
    }

    /// Takes note that a grant has not reached the instance; true when none has, so that nobody
    /// will begin.
    pub(super) fn came_back(&mut self, instance: &str) -> bool {
        let is_its = |holder: &&mut Holder| holder.instance == instance;
        let Some(holder) = self.0.as_mut().filter(is_its) else {
            return false;
        };
        holder.n_told = holder.n_told.saturating_sub(1);
        holder.n_told == 0
    }

    /// Whether nobody will begin now that an instance has said that it never will.
    pub(super) fn is_void_without(&self, instance: &str) -> bool {
        self.holder().is_none_or(|holder| holder == instance)
    }
}

/// Tells an instance whether it may run a call, until the broker has taken that over or the
/// instance no longer waits for it.
pub(super) async fn tell(replies: Arc<Replies>, ask: Ask, granted: bool) {
    let Some(publish) = word(&replies, &ask, granted) else {
        return;
    };
    let until = Instant::now() + TELL_TIME;
    let mut may_have_arrived = false;
    loop {
        match timeout_at(until, replies.bus().publish(publish.clone())).await {
            Ok(Ok(())) => return,
            Ok(Err(PublishError::Unroutable(_) | PublishError::Limit(_))) => break,
            Ok(Err(PublishError::Disconnected)) => {}
            Ok(Err(_)) | Err(_) => may_have_arrived = true,
        }
        let again = async {
            sleep(PAUSE).await;
            replies.bus().connected().await;
        };
        if timeout_at(until, again).await.is_err() {
            let Ask { instance, .. } = &ask;
            warn!(instance, granted, "a worker could not be told in time");
            break;
        }
    }
    if granted && !may_have_arrived {
        let Ask { instance, .. } = &ask;
        debug!(instance, "a grant found nobody, the call is asked again");
        replies.grant_came_back(&ask);
    }
}

fn word(replies: &Replies, ask: &Ask, granted: bool) -> Option<Publish> {
    let grant = control::Grant {
        request_id: ask.correlation_id.clone(),
        granted,
    };
    let body = response::notification(control::GRANT, &grant).ok()?;
    let message = Message {
        kind: Some(headers::kind::GRANT.to_owned()),
        // Of its own: what comes back must not be taken for the word to another instance.
        correlation_id: Some(Uuid::new_v4().simple().to_string()),
        app_id: Some(replies.instance().to_owned()),
        headers: Headers::default().with(headers::METHOD, control::GRANT),
        body: body.into(),
        ..Message::default()
    };
    Some(Publish::to_queue(ask.control_queue.as_str(), message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_instance_has_the_grant_until_all_that_it_was_told_has_come_back() {
        let mut grant = Grant::default();
        assert!(grant.ask("a") && grant.ask("a"));
        assert!(!grant.ask("b"));
        assert_eq!(grant.holder(), Some("a"));
        assert!(!grant.came_back("b"));
        assert!(!grant.came_back("a"), "one of two may have arrived");
        assert!(grant.came_back("a"));
    }

    #[test]
    fn nobody_begins_when_the_only_one_that_might_withdraws() {
        let mut grant = Grant::default();
        assert!(grant.is_void_without("a"));
        grant.ask("a");
        assert!(grant.is_void_without("a") && !grant.is_void_without("b"));
    }
}
