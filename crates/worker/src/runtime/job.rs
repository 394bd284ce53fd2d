use std::convert::Infallible;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bus::Delivery;
use protocol::mcp::code;
use protocol::response::{self, RpcError};
use protocol::{ErrorCode, headers};
use service::Outcome;
use service::metrics;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;
use tracing::{Instrument, Span};

use super::Runtime;
use super::cancels::Registration;
use super::handle::Verdict;
use super::reply::{Replies, Sent};
use super::request::Request;
use crate::Context;
use crate::call::{Call, Ended};
use crate::progress::Progress;
use crate::tool::Arguments;

/// A call that has the right to run.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) runtime: Arc<Runtime>,
    pub(super) request: Request,
    pub(super) time_left: Duration,
    pub(super) replies: Replies,
    pub(super) registration: Registration,
    /// Held while the call runs.
    pub(super) permit: OwnedSemaphorePermit,
    /// Counted until the call is answered.
    pub(super) measured: metrics::Call,
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
    /// Runs the call and answers it.
    pub(super) async fn settle(self, delivery: &Delivery) -> Verdict {
        let arguments = self.request.arguments.as_deref();
        let arguments = arguments.map(serde_json::value::RawValue::get);
        match self.request.tool.arguments(arguments) {
            Err(error) => self.answer(Ended::Failed(error)).await.into(),
            Ok(arguments) if self.request.tool.is_at_most_once() => {
                self.settle_once(arguments, delivery).await
            }
            Ok(arguments) => self.run(arguments).await.into(),
        }
    }

    /// Acks the call before it runs. From then on it belongs to this process alone, and
    /// not to the connection that it came over.
    async fn settle_once(mut self, arguments: Arguments, delivery: &Delivery) -> Verdict {
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
            if let Sent::Unconfirmed(fault) = self.run(arguments).await {
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

    async fn run(mut self, arguments: Arguments) -> Sent {
        let progress = Progress::default();
        let worker = &self.runtime.worker;
        let context = Context::new(
            worker.scan_scope(),
            worker.host_identity(),
            Instant::now() + self.time_left,
            self.registration.token.clone(),
            progress.clone(),
        );
        let call = Call {
            tool: Arc::clone(&self.request.tool),
            context,
            progress: progress.clone(),
        };
        let ended = self.run_with_progress(call, arguments, &progress).await;
        self.answer(ended).await
    }

    /// Passes progress on beside the run, so that neither waits for the other; what is
    /// left goes out before the answer does.
    async fn run_with_progress(
        &mut self,
        call: Call,
        arguments: Arguments,
        progress: &Progress,
    ) -> Ended {
        let Some(token) = self.request.progress_token.as_deref() else {
            return call.run(arguments).await;
        };
        let replies = &mut self.replies;
        let mut listens = true;
        let ended = {
            let pass_on = async {
                while listens {
                    let step = progress.next().await;
                    listens = replies.progress(token, &step).await;
                }
                std::future::pending::<Infallible>().await
            };
            tokio::select! {
                ended = call.run(arguments) => ended,
                never = pass_on => match never {},
            }
        };
        if !matches!(ended, Ended::Cancelled) {
            while let Some(step) = progress.try_next().filter(|_| listens) {
                listens = self.replies.progress(token, &step).await;
            }
        }
        ended
    }

    /// Sends the final reply; a cancelled call has none.
    async fn answer(self, ended: Ended) -> Sent {
        Span::current().record("outcome", ended.outcome().as_str());
        self.measured.finish(ended.outcome());
        if matches!(ended, Ended::Cancelled) {
            return Sent::Nobody;
        }
        // The call is over: what comes after it may run while the reply is on its way.
        drop(self.permit);
        let (kind, body) = match serde_json::value::to_raw_value(&ended.into_result()) {
            Ok(result) => (
                headers::kind::RESPONSE,
                response::result(&self.request.id, &result),
            ),
            Err(error) => {
                tracing::error!(%error, "a result cannot be written as JSON");
                let error = RpcError::new(code::INTERNAL_ERROR, "the result cannot be written");
                (
                    headers::kind::ERROR,
                    response::error(Some(&self.request.id), &error),
                )
            }
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
        let body = response::error(Some(&self.request.id), &error);
        self.replies.finish(headers::kind::ERROR, body).await
    }
}

impl Ended {
    fn outcome(&self) -> Outcome {
        match self {
            Self::Done(..) => Outcome::Ok,
            Self::Failed(error) if error.code == ErrorCode::DeadlineExceeded => Outcome::Timeout,
            Self::Failed(_) => Outcome::ToolError,
            Self::Cancelled => Outcome::Cancelled,
        }
    }
}
