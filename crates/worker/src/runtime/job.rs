use std::pin::pin;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bus::Delivery;
use protocol::mcp::code;
use protocol::response::{self, RpcError};
use protocol::{ToolError, headers};
use serde_json::value::RawValue;
use service::Outcome;
use service::metrics;
use service::telemetry::trace::TraceContext;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, timeout};
use tracing::{Instrument, Span};

use super::Runtime;
use super::cancels::Registration;
use super::handle::Verdict;
use super::reply::{NOTIFICATION_TIME, Replies, Sent};
use super::request::Request;
use crate::call::{Answer, Call, Ended, Prepared};
use crate::context::Parts;
use crate::notifications::Notifications;
use crate::target::About;
use crate::{ClientCapabilities, Context, Inputs};

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
    time_left: Duration,
    replies: Replies,
    rights: Rights,
    /// Counted until the call is answered.
    measured: metrics::Call,
    parent: TraceContext,
}

/// What a request needs to run.
#[derive(Debug)]
pub(super) struct Rights {
    pub(super) registration: Registration,
    /// Held while the call runs.
    pub(super) permit: OwnedSemaphorePermit,
}

/// A call among those that must not run twice, until it is dropped.
#[derive(Debug)]
struct Once(watch::Sender<usize>);

impl Once {
    fn begin(running: &watch::Sender<usize>) -> Self {
        running.send_modify(|running| *running += 1);
        Self(running.clone())
    }
}

impl Drop for Once {
    fn drop(&mut self) {
        self.0.send_modify(|running| *running -= 1);
    }
}

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
            time_left: request.time_left(&delivery.message),
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
        };
        match request.target.prepare() {
            Err(error) => job.refuse(error).await.into(),
            Ok(prepared) if job.about.is_at_most_once => job.settle_once(prepared, delivery).await,
            Ok(prepared) => job.run(prepared).await.into(),
        }
    }

    async fn refuse(self, error: ToolError) -> Sent {
        self.answer(Ended::Stopped(error.into())).await
    }

    /// Acks the call before it runs. From then on it belongs to this process alone, and
    /// not to the connection that it came over.
    async fn settle_once(mut self, prepared: Prepared, delivery: &Delivery) -> Verdict {
        if delivery.redelivered {
            // Whoever had it before may have run it, even if the broker lost the ack.
            return self.unknown().await.into();
        }
        let once = Once::begin(&self.runtime.once);
        match self.replies.started().await {
            Sent::Confirmed => {}
            Sent::Nobody => return Verdict::Ack,
            Sent::Unconfirmed(fault) => return Verdict::Requeue(fault),
        }
        if let Err(error) = delivery.ack().await {
            return Verdict::Requeue(error.to_string());
        }
        let runtime = Arc::clone(&self.runtime);
        let call = async move {
            if let Sent::Unconfirmed(fault) = self.run(prepared).await {
                tracing::error!(
                    fault,
                    "the answer of a call that must not run twice is lost"
                );
            }
            drop(once);
        };
        let mut running = runtime.acked.lock().unwrap_or_else(PoisonError::into_inner);
        while running.try_join_next().is_some() {}
        running.spawn(call.instrument(Span::current()));
        Verdict::Settled
    }

    async fn run(mut self, prepared: Prepared) -> Sent {
        let worker = &self.runtime.worker;
        let context = Context::new(Parts {
            scope: worker.scan_scope(),
            host: worker.host_identity(),
            deadline: Instant::now() + self.time_left,
            cancellation: self.rights.registration.token.clone(),
            notifications: self.notifications.clone(),
            inputs: std::mem::take(&mut self.inputs),
            client: self.client.clone(),
            events: Some(self.runtime.events.clone()),
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
        let answer = ended.answer(&self.about, &self.client);
        let outcome = answer
            .as_ref()
            .map_or(Outcome::Cancelled, |answer| answer.outcome);
        Span::current().record("outcome", outcome.as_str());
        self.measured.finish(outcome);
        let Some(Answer { body, .. }) = answer else {
            return Sent::Nobody;
        };
        // The call is over: what comes after it may run while the reply is on its way.
        drop(self.rights.permit);
        let (kind, body) = match body {
            Ok(result) => (headers::kind::RESPONSE, response::result(&self.id, &result)),
            Err(error) => (
                headers::kind::ERROR,
                response::error(Some(&self.id), &error),
            ),
        };
        self.replies.finish(kind, body).await
    }

    async fn unknown(self) -> Sent {
        Span::current().record("outcome", Outcome::Unknown.as_str());
        self.measured.finish(Outcome::Unknown);
        let error = RpcError::new(
            code::OUTCOME_UNKNOWN,
            "the call was handed to a worker that is gone, and it must not run twice; look at \
             what it was to change before calling again",
        );
        let body = response::error(Some(&self.id), &error);
        self.replies.finish(headers::kind::ERROR, body).await
    }
}
