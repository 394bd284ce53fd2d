//! Streams that another replica holds: their owner sends the events to the gateway that the
//! client has come to.
//!
//! The [asker] tells the [owner] what to send; the owner says at once whether it will, then
//! sends each event in its order. The asker renews its wish, so that an owner does not send for
//! ever to a gateway that is gone.

mod asker;
mod owner;

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::Instant;

use super::event_id::StreamId;

pub(super) use asker::Asked;
pub(crate) use asker::Relayed;
use asker::Waiting;

/// The asker wants the events of a stream.
pub(super) const RESUME: &str = "opendiscovery/stream/resume";
/// The owner's word.
pub(super) const EVENT: &str = "opendiscovery/stream/event";
/// The asker still wants them.
pub(super) const RENEW: &str = "opendiscovery/stream/renew";
/// The asker wants no more.
pub(super) const CLOSED: &str = "opendiscovery/stream/closed";

/// How long the owner sends without the asker saying that it still wants events.
const LEASE: Duration = Duration::from_secs(30);
/// How often the asker says so.
const RENEW_EVERY: Duration = Duration::from_secs(10);
/// How long the owner may take for its first word.
const FIRST_WORD: Duration = Duration::from_secs(2);
/// Most streams that one gateway sends to others.
const MAX_RELAYS: usize = 16_384;

/// The streams that come from other gateways, and those that go to them.
#[derive(Debug, Default)]
pub(super) struct Relays {
    incoming: Mutex<HashMap<String, Waiting>>,
    /// By the gateway that asked and its name for it; when they were last asked for.
    outgoing: Mutex<HashMap<(String, String), watch::Sender<Instant>>>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Resume {
    /// The asker's name for what it asks for.
    relay: String,
    session: String,
    stream: StreamId,
    after: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Said {
    relay: String,
    /// Counts the owner's words from 0, so that a lost one is noticed.
    number: u64,
    word: Word,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    Accepted,
    Refused(Reason),
    Event {
        seq: u64,
        message: String,
    },
    /// Nothing more for this reader.
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Reason {
    Over,
    Replaced,
    Unknown,
    Busy,
}

#[derive(Debug, Serialize, Deserialize)]
struct About {
    relay: String,
}

impl Relays {
    fn incoming(&self) -> MutexGuard<'_, HashMap<String, Waiting>> {
        self.incoming.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn outgoing(&self) -> MutexGuard<'_, HashMap<(String, String), watch::Sender<Instant>>> {
        self.outgoing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.incoming().is_empty() && self.outgoing().is_empty()
    }
}

#[cfg(test)]
mod tests;
