use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bus::Delivery;
use protocol::response::{self, RpcError};
use protocol::{ErrorCode, ToolError, headers};
use serde_json::value::RawValue;
use service::Outcome;
use service::metrics;
use service::telemetry::trace::TraceContext;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::{Instant, timeout};
use tracing::Span;

use super::Runtime;
use super::answers::{Claim, Coming, Entered};
use super::cancels::Registration;
use super::handle::Verdict;
use super::once::{self, Question};
use super::reply::{NOTIFICATION_TIME, Replies, Sent};
use super::request::Request;
use crate::answers::reused;
use crate::call::{Answer, Call, Ended, Prepared};
use crate::context::Parts;
use crate::notifications::Notifications;
use crate::target::About;
use crate::{CallKey, ClientCapabilities, Context, Inputs};

/// A request that has the right to run.
#[derive(Debug)]
pub(super) struct Job {
    runtime: Arc<Runtime>,
    id: Box<RawValue>,
    about: About,
    client: ClientCapabilities,
    inputs: Inputs,
    progress_token: Option<Box<RawValue>>,
    notifications: Notifications,
    /// When its handler must have ended.
    deadline: Instant,
    replies: Replies,
    rights: Rights,
    /// Counted until the call is answered.
    measured: metrics::Call,
    parent: TraceContext,
    /// What the call is known by when it comes again.
    key: Option<CallKey>,
    /// Its right to run, where its caller may repeat it.
    claim: Option<Claim>,
}

/// What a request needs to run.
#[derive(Debug)]
pub(super) struct Rights {
    pub(super) registration: Registration,
    /// Held while the call runs.
    pub(super) permit: OwnedSemaphorePermit,
    /// Where the caller of a call that must not run twice says whether it may.
    pub(super) control_queue: Arc<str>,
}

/// How long the broker may take for the acknowledgement of a call that was granted.
const ACK_TIME: Duration = Duration::from_secs(5);

impl Job {
    /// Runs the request and answers it.
    pub(super) async fn settle(
        runtime: &Arc<Runtime>,
        request: Request,
        replies: Replies,
        rights: Rights,
        parent: TraceContext,
        delivery: &Delivery,
    ) -> Verdict {
        let job = Self {
            deadline: request.deadline(&delivery.message, replies.until()),
            notifications: Notifications::new(request.wanted()),
            measured: runtime.metrics.call(runtime.worker.category().as_str()),
            runtime: Arc::clone(runtime),
            id: request.id,
            about: request.about,
            client: request.client,
            inputs: request.inputs,
            progress_token: request.progress_token,
            replies,
            rights,
            parent,
            key: request.key,
            claim: None,
        };
        match request.target.prepare() {
            Err(error) => job.refuse(error).await.into(),
            Ok(prepared) => match job.claimed(delivery).await {
                Err(verdict) => verdict,
                Ok(job) if job.about.is_at_most_once => job.settle_once(prepared, delivery).await,
                Ok(job) => job.run(prepared).await.into(),
            },
        }
    }

    /// The job with the right to run; otherwise what became of it: a call that its caller
    /// repeats gets the answer that there was, and waits for one that is on its way.
    async fn claimed(mut self, delivery: &Delivery) -> Result<Self, Verdict> {
        let Some(key) = self.key.as_ref().filter(|key| key.is_callers) else {
            return Ok(self);
        };
        let coming = Coming {
            key,
            correlation_id: delivery
                .message
                .correlation_id
                .as_deref()
                .unwrap_or_default(),
            redelivered: delivery.redelivered,
            deadline: self.deadline,
        };
        let entered = tokio::select! {
            biased;
            () = self.rights.registration.token.cancelled() => {
                return Err(self.answer(Ended::Cancelled).await.into());
            }
            () = self.runtime.stop.cancelled() => {
                self.measured.forget();
                return Err(Verdict::Requeue("the worker stops".to_owned()));
            }
            entered = self.runtime.answers.enter(coming) => entered,
        };
        let sent = match entered {
            Entered::Run(claim) => {
                self.claim = Some(claim);
                return Ok(self);
            }
            Entered::Answered(kept) => {
                self.count_replay();
                self.send(kept.outcome(), kept.body.clone()).await
            }
            Entered::Reused => self.send(Outcome::ProtocolError, Err(reused())).await,
            Entered::Late => self.refuse(still_runs()).await,
        };
        Err(sent.into())
    }

    fn count_replay(&self) {
        let category = self.runtime.worker.category();
        self.runtime.metrics.replayed(category.as_str());
    }

    async fn refuse(self, error: ToolError) -> Sent {
        self.answer(Ended::Stopped(error.into())).await
    }

    /// Runs the call if its caller grants it to this instance. From then on it belongs to this
    /// process alone, and not to the connection that it came over.
    async fn settle_once(mut self, prepared: Prepared, delivery: &Delivery) -> Verdict {
        let correlation_id = delivery.message.correlation_id.as_deref();
        let question = Question {
            correlation_id: correlation_id.unwrap_or_default(),
            control_queue: &self.rights.control_queue,
            cancelled: &self.rights.registration.token,
            until: self.deadline,
        };
        let asked = once::ask(&self.runtime, &mut self.replies, question).await;
        let Some(granted) = asked else {
            // It counts where it runs.
            self.measured.forget();
            return Verdict::Ack;
        };
        let runtime = Arc::clone(&self.runtime);
        let (settled, is_settled) = oneshot::channel::<()>();
        let call = async move {
            // Or lost together with the connection, which is as good: nobody else is granted it.
            let _ = is_settled.await;
            if let Some(claim) = &mut self.claim {
                claim.begin().await;
            }
            let _ = self.run(prepared).await;
            drop(granted);
        };
        runtime.run_beside(call, &Handle::current());
        match timeout(ACK_TIME, delivery.ack()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "a granted call will be handed out again"),
            Err(_) => tracing::debug!("a granted call was not settled in time"),
        }
        drop(settled);
        Verdict::Settled
    }

    async fn run(mut self, prepared: Prepared) -> Sent {
        let worker = &self.runtime.worker;
        let context = Context::new(Parts {
            scope: worker.scan_scope(),
            host: worker.host_identity(),
            deadline: self.deadline,
            cancellation: self.rights.registration.token.clone(),
            notifications: self.notifications.clone(),
            inputs: std::mem::take(&mut self.inputs),
            client: self.client.clone(),
            events: Some(self.runtime.events.clone()),
            call_key: self.key.take(),
            traceparent: self.parent.traceparent.take(),
        });
        let ended = self.run_with_notifications(context, prepared).await;
        self.answer(ended).await
    }

    /// Passes notifications on beside the run, so that neither waits for the other; what is
    /// left goes out before the answer does, within a bound.
    async fn run_with_notifications(&mut self, context: Context, prepared: Prepared) -> Ended {
        let call = Call {
            about: &self.about,
            context,
            notifications: self.notifications.clone(),
        };
        let token = self.progress_token.as_deref();
        let (replies, notifications) = (&mut self.replies, &self.notifications);
        let mut pass_on = pin!(async move {
            while let Some(notification) = notifications.next().await {
                if !replies.notify(&notification, token).await {
                    break;
                }
            }
        });
        let mut run = pin!(call.run(prepared));
        let mut nobody_listens = false;
        let ended = loop {
            tokio::select! {
                ended = &mut run => break ended,
                () = &mut pass_on, if !nobody_listens => nobody_listens = true,
            }
        };
        self.notifications.close();
        if !nobody_listens && !matches!(ended, Ended::Cancelled) {
            // Of a broker that is too slow the answer is worth more.
            let _ = timeout(NOTIFICATION_TIME, pass_on).await;
        }
        ended
    }

    /// Sends the final reply; a cancelled call has none.
    async fn answer(self, ended: Ended) -> Sent {
        if ended.is_replayed() {
            self.count_replay();
        }
        let Some(Answer { outcome, body }) = ended.answer(&self.about, &self.client) else {
            Span::current().record("outcome", Outcome::Cancelled.as_str());
            self.measured.finish(Outcome::Cancelled);
            return Sent::Nobody;
        };
        self.send(outcome, body).await
    }

    async fn send(self, outcome: Outcome, body: Result<Box<RawValue>, RpcError>) -> Sent {
        Span::current().record("outcome", outcome.as_str());
        self.measured.finish(outcome);
        // The call is over: what comes after it may run while the reply is on its way.
        drop(self.rights.permit);
        if let Some(claim) = self.claim {
            claim.answered(&body).await;
        }
        let (kind, body) = match body {
            Ok(result) => (headers::kind::RESPONSE, response::result(&self.id, &result)),
            Err(error) => (
                headers::kind::ERROR,
                response::error(Some(&self.id), &error),
            ),
        };
        self.replies.finish(kind, body).await
    }
}

fn still_runs() -> ToolError {
    let error =
        "a call with the same idempotency key still runs, and the deadline of this one passed";
    ToolError::new(ErrorCode::DeadlineExceeded, error)
        .hint("repeat the call with the same key later")
}
