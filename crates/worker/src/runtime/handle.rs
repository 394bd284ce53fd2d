//! One delivery, from the queue to its settlement.

use std::sync::Arc;
use std::time::Duration;

use bus::{Delivery, Message};
use protocol::mcp::{code, method};
use protocol::response::RpcError;
use protocol::{MAX_HOLD, headers, response};
use service::telemetry::trace::{self, TraceContext};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};
use tracing::{Instrument, Span, field};

use super::absent::{self, Caller};
use super::cancels::Registration;
use super::job::{Job, Rights};
use super::reply::{Replies, Sent};
use super::request::{Refused, Request, until_deadline};
use super::{Runtime, dead_letter, faults};

/// What the deliveries of one connection share.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) runtime: Arc<Runtime>,
    /// As many as the prefetch: a call that was acked before it runs makes the broker send
    /// one more, which waits.
    pub(super) permits: Arc<Semaphore>,
    /// Where control messages for this connection go.
    pub(super) control_queue: Arc<str>,
}

/// What is to become of a delivery.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is done.
    Ack,
    /// It is not, for this reason; somebody else may do better.
    Requeue(String),
    /// It is settled already.
    Settled,
}

impl From<Sent> for Verdict {
    fn from(sent: Sent) -> Self {
        match sent {
            // Nobody waits for the answer in place of which another would be given.
            Sent::Confirmed | Sent::Nobody | Sent::Late(_) => Self::Ack,
        }
    }
}

/// Answers a delivery, then settles it.
pub(super) async fn handle(seat: Arc<Seat>, delivery: Delivery) {
    let runtime = &seat.runtime;
    if delivery.redelivered {
        runtime
            .metrics
            .redelivered(runtime.worker.category().as_str());
    }
    let settled = match answer(&seat, &delivery).await {
        Verdict::Ack => delivery.ack().await,
        Verdict::Requeue(fault) => {
            tracing::warn!(fault, "a call goes back to the queue");
            let settled = delivery.requeue().await;
            faults::tell(runtime, &delivery, &fault).await;
            settled
        }
        Verdict::Settled => Ok(()),
    };
    if let Err(error) = settled {
        tracing::debug!(%error, "the broker will hand the delivery out again");
    }
}

async fn answer(seat: &Seat, delivery: &Delivery) -> Verdict {
    let (runtime, message) = (&seat.runtime, &delivery.message);
    let left = until_deadline(message);
    let until = Instant::now() + left.unwrap_or(MAX_HOLD).min(MAX_HOLD);
    let replies = Replies::to_sender_of(message, &runtime.bus, &runtime.instance, until);
    let Some(replies) = replies else {
        tracing::warn!(
            app_id = message.app_id,
            "a call without reply-to was dropped"
        );
        return Verdict::Ack;
    };
    if left == Some(Duration::ZERO) {
        runtime.metrics.expired(runtime.worker.category().as_str());
        return Verdict::Ack;
    }
    if let Some(deliveries) = dead_letter::poison(delivery) {
        return dead_letter::give_up(runtime, delivery, deliveries, replies).await;
    }
    let request = match read(message, runtime) {
        Ok(request) => request,
        Err(refused) => return refuse(runtime, replies, &refused).await,
    };
    let correlation_id = message.correlation_id.as_deref().unwrap_or_default();
    let caller = Caller::of(message);
    if absent::is_still_gone(runtime, &caller).await {
        return Verdict::Ack;
    }
    // Whoever has a key may ask for the answer through another gateway.
    let is_keyed = request.key.as_ref().is_some_and(|key| key.is_callers);
    let caller = Some(caller).filter(|_| !is_keyed);
    let Some(registration) = runtime.cancels.enter(correlation_id, caller) else {
        return Verdict::Ack;
    };
    let permit = match permit(seat, &registration, until).await {
        Ok(permit) => permit,
        Err(verdict) => return verdict,
    };
    let rights = Rights {
        registration,
        permit,
        control_queue: Arc::clone(&seat.control_queue),
    };
    let parent = parent(message);
    let span = span(runtime, &request, &parent);
    // The job logs and starts tasks: all of that belongs to the call.
    Job::settle(runtime, request, replies, rights, parent, delivery)
        .instrument(span)
        .await
}

fn read(message: &Message, runtime: &Runtime) -> Result<Request, Refused> {
    let request = Request::read(message, &runtime.worker)?;
    if message.correlation_id.as_ref().is_none_or(String::is_empty) {
        let error = "a call needs the property correlation-id, unique for its reply queue";
        return Err(Refused {
            id: Some(request.id),
            error: RpcError::new(code::INVALID_REQUEST, error),
        });
    }
    Ok(request)
}

/// A right to run; what has not started when the worker stops goes back.
async fn permit(
    seat: &Seat,
    registration: &Registration,
    until: Instant,
) -> Result<OwnedSemaphorePermit, Verdict> {
    let stops = || Verdict::Requeue("the worker stops".to_owned());
    tokio::select! {
        biased;
        () = seat.runtime.stop.cancelled() => Err(stops()),
        () = registration.token.cancelled() => Err(Verdict::Ack),
        permit = Arc::clone(&seat.permits).acquire_owned() => permit.map_err(|_| stops()),
        () = sleep_until(until) => {
            let runtime = &seat.runtime;
            runtime.metrics.expired(runtime.worker.category().as_str());
            Err(Verdict::Ack)
        }
    }
}

async fn refuse(runtime: &Runtime, replies: Replies, refused: &Refused) -> Verdict {
    let Refused { id, error } = refused;
    tracing::info!(code = error.code, error.message, "a request was refused");
    let call = runtime.metrics.call(runtime.worker.category().as_str());
    call.finish(service::Outcome::ProtocolError);
    let body = response::error(id.as_deref(), error);
    replies.finish(headers::kind::ERROR, body).await.into()
}

/// What the caller traces the request as.
fn parent(message: &Message) -> TraceContext {
    let header = |name: &str| message.headers.text(name);
    TraceContext::new(
        header(headers::TRACEPARENT),
        header(headers::TRACESTATE),
        header(headers::BAGGAGE),
    )
}

/// The span of a request, a child of its caller's.
fn span(runtime: &Runtime, request: &Request, parent: &TraceContext) -> Span {
    let category = runtime.worker.category();
    let name = request.about.name.as_str();
    // The name of a span is part of the program's text.
    macro_rules! span {
        ($method:literal, $name:ident) => {
            tracing::info_span!(
                $method,
                otel.kind = "consumer",
                $name = name,
                %category,
                outcome = field::Empty,
            )
        };
    }
    let span = match request.about.method {
        method::PROMPTS_GET => span!("prompts/get", prompt),
        method::RESOURCES_READ => span!("resources/read", resource),
        method::COMPLETE => span!("completion/complete", reference),
        _ => span!("tools/call", tool),
    };
    trace::set_parent(&span, parent);
    span
}
