//! Messages that are handed out again and again and never finished.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bus::{Delivery, Headers, Message, Publish};
use protocol::headers::{self, dead};
use protocol::mcp::code;
use protocol::response::RpcError;
use tokio::time::timeout;

use super::Runtime;
use super::recent::Recent;

/// From this delivery count on a message is poison.
const POISON: i64 = 5;
/// Messages whose faults are remembered.
const CAPACITY: usize = 1024;
/// How long the faults of a message are remembered.
const KEEP: Duration = Duration::from_hours(1);
/// How long the broker may take for a letter.
const LETTER_TIME: Duration = Duration::from_secs(10);
/// What is said of a message that nobody here gave back.
const VANISHED: &str = "a worker or its connection ended before the call was answered";

/// How often a message was handed out before, if that is too often.
pub(super) fn poison(message: &Message) -> Option<i64> {
    let count = message.headers.int(headers::DELIVERY_COUNT);
    count.filter(|count| *count >= POISON)
}

/// What the caller of a poisonous call is told.
pub(super) fn error(deliveries: i64) -> RpcError {
    let error = format!(
        "the call was handed to workers {deliveries} times and none of them finished it; it will \
         not be tried again and was kept as a dead letter. Call with other arguments, and report \
         this to the operator of the workers"
    );
    RpcError::new(code::POISON, error)
}

/// Why messages were given back here, first and last reason by message id.
#[derive(Debug)]
pub(super) struct Faults(Mutex<Recent<(String, String)>>);

impl Default for Faults {
    fn default() -> Self {
        Self(Mutex::new(Recent::new(CAPACITY, KEEP)))
    }
}

impl Faults {
    pub(super) fn remember(&self, message: &Message, fault: &str) {
        let Some(id) = id(message) else {
            return;
        };
        let mut faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        fault.clone_into(&mut faults.entry(id, || (fault.to_owned(), String::new())).1);
    }

    fn of(&self, message: &Message) -> (String, String) {
        let mut faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = id(message).and_then(|id| faults.get(id));
        known
            .cloned()
            .unwrap_or_else(|| (VANISHED.to_owned(), VANISHED.to_owned()))
    }
}

fn id(message: &Message) -> Option<&str> {
    message
        .message_id
        .as_deref()
        .or(message.correlation_id.as_deref())
}

/// Puts a message on the dead letter queue, with what is known of its end.
///
/// It keeps its body, so that it can be replayed under new ids; where its replies went is
/// left out, because nobody waits for them any more.
///
/// # Errors
/// Why the broker has not taken it.
pub(super) async fn bury(
    delivery: &Delivery,
    deliveries: i64,
    runtime: &Runtime,
) -> Result<(), String> {
    let message = &delivery.message;
    let (first, last) = runtime.faults.of(message);
    let mut headers = Headers::default()
        .with(dead::REASON, "handed out too often")
        .with(dead::FIRST_ERROR, first)
        .with(dead::LAST_ERROR, last)
        .with(dead::DELIVERIES, deliveries)
        .with(dead::EXCHANGE, delivery.exchange.as_str())
        .with(dead::ROUTING_KEY, delivery.routing_key.as_str())
        .with(headers::INSTANCE, runtime.instance.as_str());
    for kept in [
        headers::METHOD,
        headers::NAME,
        headers::PROTOCOL_VERSION,
        headers::TRACEPARENT,
        headers::TRACESTATE,
    ] {
        if let Some(value) = message.headers.text(kept) {
            headers.insert(kept, value);
        }
    }
    let letter = Message {
        kind: Some(headers::kind::DEAD_LETTER.to_owned()),
        correlation_id: message.correlation_id.clone(),
        message_id: message.message_id.clone(),
        app_id: message.app_id.clone(),
        persistent: true,
        headers,
        body: message.body.clone(),
        ..Message::default()
    };
    let publish = Publish::to_queue(runtime.names.dead_queue(), letter);
    match timeout(LETTER_TIME, runtime.bus.publish(publish)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("the broker did not confirm the dead letter in time".to_owned()),
    }
}
