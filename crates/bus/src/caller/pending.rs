use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use protocol::control::Cancel;
use protocol::{Names, headers, mcp, response};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tracing::debug;
use uuid::Uuid;

use super::replies::{Closed, Inbox, Replies};
use super::{CallError, CallRequest, Routing};
use crate::{BusState, Headers, Message, Publish, PublishError};

/// What comes back of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// A JSON-RPC notification; more will come.
    Notification(Bytes),
    /// The worker expects to be quiet for long; more will come.
    Detach,
    /// The JSON-RPC response; nothing comes after it.
    Final(Bytes),
}

/// A call that waits for its answer.
///
/// Dropping it forgets the call without stopping it; [`PendingCall::cancel`] stops it.
#[derive(Debug)]
pub struct PendingCall {
    replies: Arc<Replies>,
    routing: Routing,
    request: Arc<CallRequest>,
    deadline: Instant,
    deadline_unix_ms: i64,
    reply_to: watch::Receiver<Option<Arc<str>>>,
    /// Present from just before the request is handed to the bus.
    inbox: Option<Inbox>,
    /// Whether the broker has confirmed the request.
    published: bool,
    /// Who had the grant when the deadline passed.
    granted_to: Option<String>,
}

/// Why waiting for a frame ended without one.
enum Woken {
    Frame(Frame),
    Failed(CallError),
    /// The publish may have been lost, or nobody will run what was published: ask again.
    AskAgain,
    /// The reply queue has gone, and with it every answer to this correlation id.
    QueueGone,
}

impl PendingCall {
    pub(super) fn new(
        replies: Arc<Replies>,
        routing: Routing,
        request: Arc<CallRequest>,
    ) -> Result<Self, CallError> {
        if !replies.enter() {
            return Err(CallError::Busy(request.category.clone()));
        }
        let deadline_unix_ms = unix_ms_after(request.timeout);
        Ok(Self {
            deadline: Instant::now() + request.timeout,
            deadline_unix_ms,
            reply_to: replies.reply_to(),
            replies,
            routing,
            request,
            inbox: None,
            published: false,
            granted_to: None,
        })
    }

    /// The next frame, within the call's deadline. Cancel safe.
    ///
    /// # Errors
    /// Why there will be no answer; the call is over then.
    pub async fn next(&mut self) -> Result<Frame, CallError> {
        loop {
            let end = match timeout_at(self.deadline, self.attempt()).await {
                Ok(Woken::Frame(frame)) => Some(Ok(frame)),
                Ok(Woken::Failed(error)) => Some(Err(error)),
                Ok(Woken::AskAgain) => self.ask_again().await,
                Ok(Woken::QueueGone) => self.queue_gone().await,
                Err(_) => Some(self.out_of_time().await),
            };
            if let Some(end) = end {
                return end;
            }
        }
    }

    /// Gives the call up now, and gives what had become of it: the answer that had just come, or
    /// [`CallError::OutcomeUnknown`] where a worker was granted it, which goes on there. `None`
    /// where it may be begun again; [`PendingCall::cancel`] stops it then.
    pub fn close(&mut self) -> Option<Result<Bytes, CallError>> {
        let closed = self.inbox.as_mut().map(Inbox::close);
        let holder = match closed {
            Some(Closed::Answered(answer)) => return Some(answer),
            Some(Closed::Granted(instance)) => Some(instance),
            Some(Closed::Open) | None => self.granted_to.clone(),
        };
        holder.map(|instance| Err(CallError::OutcomeUnknown(instance)))
    }

    /// Stops the call wherever it is; no answer follows.
    pub async fn cancel(mut self, reason: &str) {
        if let Some(mut inbox) = self.inbox.take() {
            // From here on nobody is granted the call.
            let _ = inbox.close();
            self.send_cancel(&inbox.correlation_id, reason).await;
        }
    }

    /// Publishes if that is due, then waits for a frame.
    async fn attempt(&mut self) -> Woken {
        if self.inbox.is_none() {
            let Ok(reply_to) = self
                .reply_to
                .wait_for(Option::is_some)
                .await
                .map(|name| name.clone())
            else {
                return Woken::QueueGone;
            };
            let Some(reply_to) = reply_to else {
                return Woken::QueueGone;
            };
            let correlation_id = Uuid::new_v4().simple().to_string();
            let publish = self.publish_of(&correlation_id, &reply_to);
            // The inbox stands before the request is out: the answer may be fast, and a
            // future that is dropped half-way must know what to cancel.
            self.inbox = Some(self.replies.inbox(correlation_id, self.deadline));
            self.published = false;
            match self.replies.bus().publish(publish).await {
                Ok(()) => self.published = true,
                Err(PublishError::Lost | PublishError::Disconnected) => {
                    self.replies.bus().connected().await;
                    return Woken::AskAgain;
                }
                Err(PublishError::Blocked { reason, may_arrive }) => {
                    return self.blocked(reason, may_arrive).await;
                }
                Err(PublishError::Unroutable(_))
                    if self.request.waits_for_worker || self.replies.queues_may_be_late() =>
                {
                    return self.later().await;
                }
                Err(PublishError::Busy(_)) if self.replies.queues_may_be_late() => {
                    return self.later().await;
                }
                Err(error) => {
                    self.inbox = None;
                    return Woken::Failed(self.refused(error));
                }
            }
        }
        let Some(inbox) = self.inbox.as_mut().filter(|_| self.published) else {
            // An earlier future was dropped while it published.
            return Woken::AskAgain;
        };
        tokio::select! {
            // Notifications come before the answer that follows them.
            biased;
            Some(frame) = inbox.frames.recv() => Woken::Frame(frame),
            answer = &mut inbox.answer => match answer {
                Ok(Ok(body)) => Woken::Frame(Frame::Final(body)),
                Ok(Err(error)) => Woken::Failed(error),
                Err(_) => Woken::AskAgain,
            },
            _ = self.reply_to.changed() => Woken::QueueGone,
        }
    }

    /// No queue has the request: asks again in a moment.
    async fn later(&mut self) -> Woken {
        self.inbox = None;
        tokio::time::sleep(LATE_QUEUE).await;
        Woken::AskAgain
    }

    /// Gives up the correlation id, so that the next attempt begins with a new one; unless a
    /// worker was granted the call, which has the request then, whatever became of its publish.
    async fn ask_again(&mut self) -> Option<Result<Frame, CallError>> {
        let inbox = self.inbox.as_mut()?;
        match inbox.close_unless_granted() {
            Closed::Answered(answer) => Some(answer.map(Frame::Final)),
            Closed::Granted(_) => {
                self.published = true;
                None
            }
            Closed::Open => {
                self.forget().await;
                None
            }
        }
    }

    /// Gives up the correlation id in any case: a worker that was granted the call cannot answer
    /// it any more.
    async fn queue_gone(&mut self) -> Option<Result<Frame, CallError>> {
        match self.inbox.as_mut()?.close() {
            Closed::Answered(answer) => Some(answer.map(Frame::Final)),
            Closed::Granted(instance) => Some(Err(CallError::OutcomeUnknown(instance))),
            Closed::Open => {
                self.forget().await;
                None
            }
        }
    }

    /// The broker takes no requests; but this one may have got through before it was blocked.
    async fn blocked(&mut self, reason: String, may_arrive: bool) -> Woken {
        if let Some(mut inbox) = self.inbox.take()
            && may_arrive
        {
            match inbox.close_unless_granted() {
                Closed::Answered(Ok(body)) => return Woken::Frame(Frame::Final(body)),
                Closed::Answered(Err(error)) => return Woken::Failed(error),
                Closed::Granted(_) => {
                    self.inbox = Some(inbox);
                    return Woken::AskAgain;
                }
                Closed::Open => {
                    self.send_cancel(&inbox.correlation_id, "refused: the broker is blocked")
                        .await;
                }
            }
        }
        let category = self.request.category.clone();
        Woken::Failed(CallError::Blocked { category, reason })
    }

    async fn forget(&mut self) {
        if let Some(inbox) = self.inbox.take() {
            self.send_cancel(&inbox.correlation_id, "asked again under another id")
                .await;
        }
    }

    async fn out_of_time(&mut self) -> Result<Frame, CallError> {
        if let Some(mut inbox) = self.inbox.take() {
            match inbox.close() {
                Closed::Answered(answer) => return answer.map(Frame::Final),
                Closed::Granted(instance) => self.granted_to = Some(instance),
                Closed::Open => {}
            }
            self.send_cancel(&inbox.correlation_id, "deadline exceeded")
                .await;
        }
        if let Some(instance) = &self.granted_to {
            return Err(CallError::OutcomeUnknown(instance.clone()));
        }
        Err(if self.reply_to.borrow().is_some() {
            CallError::DeadlineExceeded(self.request.timeout)
        } else {
            CallError::Disconnected(self.request.timeout)
        })
    }

    fn refused(&self, error: PublishError) -> CallError {
        let category = self.request.category.clone();
        match error {
            PublishError::Unroutable(_) => CallError::Unroutable(category),
            PublishError::Limit(why) => CallError::Limit(why),
            error @ PublishError::TooLarge { .. } => CallError::Limit(error.to_string()),
            PublishError::Blocked { reason, .. } => CallError::Blocked { category, reason },
            PublishError::Busy(_) | PublishError::Lost | PublishError::Disconnected => {
                CallError::Busy(category)
            }
        }
    }

    fn publish_of(&self, correlation_id: &str, reply_to: &str) -> Publish {
        let request = &self.request;
        let left = self.deadline.saturating_duration_since(Instant::now());
        let mut headers = Headers::default()
            .with(headers::PROTOCOL_VERSION, mcp::MODERN_VERSION)
            .with(headers::METHOD, request.method)
            .with(headers::NAME, request.name.as_str())
            .with(headers::ACCEPT_ENCODING, headers::ZSTD)
            .with(headers::BUNDLE, true)
            .with(headers::DEADLINE, self.deadline_unix_ms);
        if request.idempotent {
            headers.insert(headers::IDEMPOTENT, true);
        }
        for (name, value) in &request.trace {
            headers.insert(*name, value.as_str());
        }
        for (name, value) in &request.params {
            headers.insert(format!("{}{name}", headers::PARAM_PREFIX), value.as_str());
        }
        let (exchange, routing_key) = self.address();
        Publish {
            exchange: exchange.to_owned(),
            routing_key,
            mandatory: true,
            may_share: false,
            message: Message {
                kind: Some(headers::kind::REQUEST.to_owned()),
                correlation_id: Some(correlation_id.to_owned()),
                reply_to: Some(reply_to.to_owned()),
                message_id: Some(request.message_id.clone()),
                app_id: Some(self.replies.instance().to_owned()),
                expiration: Some(left.min(self.replies.message_ttl())),
                persistent: true,
                zstd: request.workers_read_zstd,
                headers,
                body: request.body.clone(),
                unreadable: None,
            },
        }
    }

    /// Exchange and routing key of the request.
    fn address(&self) -> (&'static str, String) {
        let (names, request) = (self.replies.names(), &self.request);
        match self.routing {
            Routing::Queue => ("", names.work_queue(&request.category)),
            Routing::Topic => {
                let key = names.tool_key(&request.category, &request.tool);
                (Names::REQUESTS, key)
            }
        }
    }

    /// Tells the category's workers; they remember the id, because the request may still
    /// be queued. Bounded, and not worth failing over: the deadline stops the call too.
    async fn send_cancel(&self, correlation_id: &str, reason: &str) {
        let cancel = Cancel {
            request_id: correlation_id.to_owned(),
            reason: Some(reason.to_owned()),
        };
        let Ok(body) = response::notification(mcp::method::CANCELLED, &cancel) else {
            return;
        };
        let message = Message {
            kind: Some(headers::kind::NOTIFICATION.to_owned()),
            app_id: Some(self.replies.instance().to_owned()),
            headers: Headers::default().with(headers::METHOD, mcp::method::CANCELLED),
            body: body.into(),
            ..Message::default()
        };
        let key = self.replies.names().cancel_key(&self.request.category);
        let publish = Publish::broadcast(Names::CONTROL, key, message);
        if matches!(*self.replies.bus().state().borrow(), BusState::Blocked(_)) {
            self.replies.owed().add(publish, self.deadline);
            return;
        }
        let sent = tokio::time::timeout(CANCEL_TIME, self.replies.bus().publish(publish)).await;
        if !matches!(sent, Ok(Ok(()))) {
            debug!(correlation_id, "a cancel could not be sent");
        }
    }
}

/// Time between two attempts to reach a queue that is not back yet.
const LATE_QUEUE: Duration = Duration::from_millis(200);
/// How long a cancel may take to be sent.
const CANCEL_TIME: Duration = Duration::from_millis(500);

impl Drop for PendingCall {
    fn drop(&mut self) {
        self.replies.leave();
    }
}

/// Milliseconds since the Unix epoch, some time from now.
fn unix_ms_after(timeout: Duration) -> i64 {
    let at = SystemTime::now() + timeout;
    let since = at
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
