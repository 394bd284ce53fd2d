//! Callers that are gone without a word.
//!
//! A gateway that is killed cancels nothing, and an answer that nobody reads is noticed only when
//! it is ready. But the reply queue goes with its caller's connection: a mandatory message to it
//! that the broker returns says that nobody waits any more. Such a probe goes out once a second,
//! and only to callers of calls that have run for that long, so that short calls cost nothing.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bus::{Headers, Message, Publish, PublishError};
use futures::future::join_all;
use protocol::headers;
use tokio::time::{MissedTickBehavior, interval, timeout};
use uuid::Uuid;

use super::Runtime;
use super::recent::Recent;

/// Time between two probes, and how long a call runs before its caller is probed.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long a probe may take; one that takes longer says nothing.
const PROBE_TIME: Duration = Duration::from_secs(4);
/// Callers that are remembered as gone, because further calls of theirs may be queued.
const CAPACITY: usize = 1024;
/// How long they are remembered: as long as most calls wait.
const KEEP: Duration = Duration::from_mins(10);

/// Where the replies of a call go: a queue, or a routing key of another exchange.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Caller {
    exchange: String,
    reply_to: String,
}

impl Caller {
    pub(super) fn at(exchange: &str, reply_to: &str) -> Self {
        Self {
            exchange: exchange.to_owned(),
            reply_to: reply_to.to_owned(),
        }
    }

    /// Who sent a request.
    pub(super) fn of(request: &Message) -> Self {
        let exchange = request.headers.text(headers::REPLY_EXCHANGE);
        let reply_to = request.reply_to.as_deref();
        Self::at(exchange.unwrap_or_default(), reply_to.unwrap_or_default())
    }

    fn name(&self) -> String {
        format!("{}\n{}", self.exchange, self.reply_to)
    }
}

/// Callers that were found to be gone.
#[derive(Debug)]
pub(super) struct Absent(Mutex<Recent<()>>);

impl Default for Absent {
    fn default() -> Self {
        Self(Mutex::new(Recent::new(CAPACITY, KEEP)))
    }
}

impl Absent {
    fn note(&self, caller: &Caller) {
        let mut gone = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        gone.entry(&caller.name(), || ());
    }

    fn knows(&self, caller: &Caller) -> bool {
        let mut gone = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        !gone.is_empty() && gone.get(&caller.name()).is_some()
    }
}

/// Stops the calls of callers that are gone, for as long as it is polled.
pub(super) async fn run(runtime: Arc<Runtime>) {
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let callers = runtime.cancels.callers(INTERVAL);
        let stop = async |caller: &Caller| {
            if is_gone(&runtime, caller).await {
                runtime.absent.note(caller);
                let n_calls = runtime.cancels.cancel_calls_of(caller);
                let reply_to = &caller.reply_to;
                tracing::info!(reply_to, n_calls, "a caller is gone: its calls are stopped");
            }
        };
        join_all(callers.iter().map(stop)).await;
    }
}

/// Whether a call need not begin: its caller was gone before, and is so still.
pub(super) async fn is_still_gone(runtime: &Runtime, caller: &Caller) -> bool {
    runtime.absent.knows(caller) && is_gone(runtime, caller).await
}

/// Whether the broker knows nobody who takes replies to this caller.
async fn is_gone(runtime: &Runtime, caller: &Caller) -> bool {
    let message = Message {
        kind: Some(headers::kind::PROBE.to_owned()),
        // Told apart from every other message that the broker may return.
        correlation_id: Some(Uuid::new_v4().simple().to_string()),
        app_id: Some(runtime.instance.clone()),
        // A caller that does not read its queue must not find it full of these.
        expiration: Some(INTERVAL),
        headers: Headers::default()
            .with(headers::SEQ, 0)
            .with(headers::FINAL, false),
        body: bytes::Bytes::from_static(b"{}"),
        ..Message::default()
    };
    let probe = Publish {
        exchange: caller.exchange.clone(),
        routing_key: caller.reply_to.clone(),
        mandatory: true,
        may_share: false,
        message,
    };
    let published = timeout(PROBE_TIME, runtime.bus.publish(probe)).await;
    matches!(published, Ok(Err(PublishError::Unroutable(_))))
}
