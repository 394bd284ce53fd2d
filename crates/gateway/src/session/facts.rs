//! What replicas tell each other about sessions, in the form in which it travels.

use protocol::LogLevel;
use serde::{Deserialize, Serialize};

/// Asks all other replicas for what they know of sessions.
pub(super) const HELLO: &str = "opendiscovery/session/hello";
/// Tells what became of sessions; the answer to [`HELLO`] too, in several parts.
pub(super) const TOLD: &str = "opendiscovery/session/told";
/// The sender has taken in what it was told.
pub(super) const KNOWN: &str = "opendiscovery/session/known";
/// Stops a request that the sender does not run.
pub(super) const CANCEL: &str = "opendiscovery/cancel";

/// Size from which a message is full, in bytes of JSON; none has more than 256 KiB.
pub(super) const FULL: usize = 192 * 1024;
/// Size from which a fact is full; what else there is to say of its session makes another one.
pub(super) const FULL_FACT: usize = 32 * 1024;

/// Parameters of [`HELLO`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Hello {
    /// Identifiers of the sender's keys, the sealing one first.
    pub(super) keys: Vec<String>,
    /// How far back the answer has to go; everything if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) recent_ms: Option<u64>,
}

/// Parameters of [`TOLD`]. Hearing it twice, or in another order, makes no difference.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Told {
    /// Identifiers of the sender's keys, the sealing one first.
    pub(super) keys: Vec<String>,
    /// Sessions that their clients ended, with the expiry of their tokens in milliseconds since
    /// the Unix epoch.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) ended: Vec<(String, u64)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) sessions: Vec<Fact>,
    /// In the last part of an answer: for how long the sender has heard of every use of every
    /// session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) complete_ms: Option<u64>,
    /// In the last part of what a client waits for: the number to give back in [`KNOWN`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) mark: Option<u64>,
}

/// Parameters of [`KNOWN`].
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Known {
    /// That of the message; everything that the receiver had told before is known too.
    pub(super) mark: u64,
}

/// What is known of one session.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Fact {
    pub(super) id: String,
    /// How long ago it was used.
    pub(super) idle_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) level: Option<(LogLevel, Stamp)>,
    /// URIs, and whether the client wants news of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) subscriptions: Vec<(String, bool, Stamp)>,
}

/// When something was written, and by which replica: of two writers the later one wins.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Stamp(
    /// Milliseconds since the Unix epoch.
    pub(super) u64,
    /// Instance of the gateway.
    pub(super) String,
);

/// Parameters of [`CANCEL`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Cancel {
    pub(super) session: String,
    /// JSON-RPC identifier as the client wrote it.
    pub(super) request_id: Box<serde_json::value::RawValue>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
}
