//! Messages that are handed out again and again and never finished.

use std::time::{Duration, SystemTime};

use bus::{Delivery, Headers, Message, Publish, PublishError, Queue};
use protocol::headers::{self, dead};
use protocol::mcp::code;
use protocol::response::RpcError;
use protocol::{Envelope, response};
use service::telemetry::trace::TraceContext;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use uuid::Uuid;

use super::Runtime;
use super::handle::Verdict;
use super::reply::{Replies, Sent};
use super::request::Request;

/// From this delivery count on a message is poison.
const POISON: i64 = 5;
/// Why a message becomes a letter; so far the only reason.
const REASON: &str = "handed out too often";
/// How long the broker may take to make the queue of letters.
const DECLARE_TIME: Duration = Duration::from_secs(10);
/// Why a call whose letter was not taken goes back when its worker ends.
const STOPS: &str = "the worker stops, and its dead letter was not taken";
/// How long a worker tries to publish one letter before another worker may.
const PATIENCE: Duration = Duration::from_mins(10);
/// How long the broker may take for what the caller is told.
const TELL_TIME: Duration = Duration::from_secs(10);
/// How long a worker that stops waits for the broker to confirm a letter that is on its way: given
/// back before that, its call would become a second letter elsewhere.
const LAST_CHANCE: Duration = Duration::from_secs(2);
/// Pause before the second attempt; it doubles from there.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// Longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// How often a message was handed out before, if that is too often.
///
/// The broker writes the count only on what it hands out again; on a first delivery the header
/// would be the sender's.
pub(super) fn poison(delivery: &Delivery) -> Option<i64> {
    let count = delivery.message.headers.int(headers::DELIVERY_COUNT);
    count.filter(|count| delivery.redelivered && *count >= POISON)
}

/// Ends a call that nobody could finish: its caller is told, and it is kept for people.
pub(super) async fn give_up(
    runtime: &Runtime,
    delivery: &Delivery,
    deliveries: i64,
    replies: Replies,
) -> Verdict {
    let envelope = Envelope::parse(&delivery.message.body).ok();
    let id = envelope.and_then(|envelope| envelope.id());
    let body = response::error(id, &error(deliveries));
    // A caller that cannot be told may be the very reason why nobody finished the call.
    let replies = replies.for_no_longer_than(TELL_TIME);
    let is_told = match replies.finish(headers::kind::ERROR, body).await {
        Sent::Late(fault) => {
            tracing::warn!(fault, "the caller of a dead letter could not be told");
            false
        }
        _ => true,
    };
    let letter = letter(runtime, delivery, deliveries);
    if let Err(fault) = bury(runtime, &letter).await {
        return Verdict::Requeue(fault);
    }
    log(&letter, deliveries, is_told);
    let category = runtime.worker.category().as_str();
    runtime.metrics.dead_lettered(category);
    Verdict::Ack
}

/// What the caller of a poisonous call is told.
fn error(deliveries: i64) -> RpcError {
    let error = format!(
        "the call was handed to workers {deliveries} times and none of them finished it; it will \
         not be tried again and was kept as a dead letter. Call with other arguments, and report \
         this to the operator of the workers"
    );
    RpcError::new(code::POISON, error)
}

fn log(letter: &Message, deliveries: i64, is_told: bool) {
    let header = |name: &str| letter.headers.text(name);
    let trace = TraceContext::new(header(headers::TRACEPARENT), None, None).traceparent;
    let trace_id = trace.as_deref().and_then(|trace| trace.split('-').nth(1));
    tracing::error!(
        letter = letter.message_id,
        trace_id,
        method = header(headers::METHOD),
        name = header(headers::NAME),
        deliveries,
        last_error = header(dead::LAST_ERROR),
        is_told,
        "a call became a dead letter; discovery dead shows it"
    );
}

/// The letter of a message: its body, so that it can be replayed under new ids, and what is
/// known of its end. Where its replies went is left out, because nobody waits for them any more.
fn letter(runtime: &Runtime, delivery: &Delivery, deliveries: i64) -> Message {
    let message = &delivery.message;
    let handed_out = u32::try_from(deliveries).unwrap_or(u32::MAX);
    let (first, last) = runtime.faults.of(message, handed_out);
    let worker = &runtime.worker;
    let mut headers = Headers::default()
        .with(dead::REASON, REASON)
        .with(dead::TIME, unix_ms())
        .with(dead::FIRST_ERROR, first)
        .with(dead::LAST_ERROR, last)
        .with(dead::DELIVERIES, deliveries)
        .with(dead::EXCHANGE, delivery.exchange.as_str())
        .with(dead::ROUTING_KEY, delivery.routing_key.as_str())
        .with(dead::CATEGORY, worker.category().as_str())
        .with(dead::SITE, worker.host_identity().site.as_str())
        .with(dead::VERSION, env!("CARGO_PKG_VERSION"))
        .with(headers::INSTANCE, runtime.instance.as_str());
    if let Ok(request) = Request::read(message, worker) {
        let time = i64::try_from(request.usual_time().as_millis()).unwrap_or(i64::MAX);
        headers.insert(dead::TIMEOUT, time);
        headers.insert(dead::AT_MOST_ONCE, request.about.is_at_most_once);
    }
    let kept = |name: &str| KEPT.contains(&name) || name.starts_with(headers::PARAM_PREFIX);
    for (name, value) in message.headers.iter().filter(|(name, _)| kept(name)) {
        headers.insert(name.to_owned(), value.clone());
    }
    Message {
        kind: Some(headers::kind::DEAD_LETTER.to_owned()),
        correlation_id: message.correlation_id.clone(),
        // Letters are told apart by it, so there must be one.
        message_id: Some(
            message
                .message_id
                .clone()
                .unwrap_or_else(|| Uuid::now_v7().to_string()),
        ),
        app_id: message.app_id.clone(),
        persistent: true,
        headers,
        body: message.body.clone(),
        ..Message::default()
    }
}

/// Headers of the request that its letter keeps.
const KEPT: [&str; 7] = [
    headers::METHOD,
    headers::NAME,
    headers::PROTOCOL_VERSION,
    headers::DEADLINE,
    headers::TRACEPARENT,
    headers::TRACESTATE,
    dead::REPLAY_OF,
];

/// Puts a letter on the queue of dead letters, and tries again while the broker does not take it.
///
/// Giving the call back at once would have the broker hand it out in a circle, and drop it when
/// its own limit of deliveries is reached.
///
/// # Errors
/// Why the broker has not taken it, after [`PATIENCE`] or when the worker stops.
async fn bury(runtime: &Runtime, letter: &Message) -> Result<(), String> {
    let until = Instant::now() + PATIENCE;
    let mut pause = FIRST_PAUSE;
    loop {
        let publish = Publish::to_queue(runtime.names.dead_queue(), letter.clone());
        let stopped = async {
            runtime.stop.cancelled().await;
            sleep(LAST_CHANCE).await;
        };
        // While the broker has raised an alarm the letter waits in the bus: another copy of it
        // would wait there too.
        let published = tokio::select! {
            biased;
            published = timeout_at(until, runtime.bus.publish(publish)) => published,
            () = stopped => return Err(STOPS.to_owned()),
        };
        let fault = match published {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => {
                if matches!(error, PublishError::Unroutable(_)) {
                    declare(runtime).await;
                }
                error.to_string()
            }
            Err(_) => "the broker did not confirm the dead letter in time".to_owned(),
        };
        tracing::warn!(fault, letter = letter.message_id, "a dead letter waits");
        if Instant::now() + pause >= until {
            return Err(fault);
        }
        tokio::select! {
            () = runtime.stop.cancelled() => return Err(STOPS.to_owned()),
            () = sleep(pause) => {}
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Makes the queue of dead letters again, after somebody has deleted it.
async fn declare(runtime: &Runtime) {
    let declared = timeout(DECLARE_TIME, async {
        let link = runtime.bus.open("dead letters").await?;
        let declared = link.declare(&Queue::dead(&runtime.names)).await;
        link.close().await;
        declared
    });
    if let Ok(Err(error)) = declared.await {
        tracing::warn!(%error, "the queue of dead letters cannot be declared");
    }
}

fn unix_ms() -> i64 {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
