//! What the workers of a category tell each other of keys and answers: notifications on the
//! control exchange. Those of one claim have its identifier as correlation id, so that they keep
//! their order.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bus::{Headers, Message};
use protocol::control::{ANSWERS_CLAIM, ANSWERS_KEEP, ANSWERS_MARK, ANSWERS_RELEASE};
use protocol::response::{self, RpcError};
use protocol::{Envelope, Kind, headers};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::catch_up;
use super::claim::Memory;
use super::kept::Kept;
use super::table::Entry;

/// How long a claim of another worker counts beyond its deadline, for clocks that differ.
const GRACE: Duration = Duration::from_secs(1);
/// Longest time left of a call that is believed.
const MAX_LEFT: Duration = Duration::from_mins(15);
/// How long telling the end of one claim may take.
const RELEASE_TIME: Duration = Duration::from_secs(4);

/// Parameters of [`ANSWERS_CLAIM`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Claimed<T> {
    key: T,
    claim: T,
    fingerprint: T,
    correlation_id: T,
    /// Milliseconds since the Unix epoch.
    deadline: u64,
    begun: bool,
}

/// Parameters of [`ANSWERS_RELEASE`] and [`ANSWERS_MARK`].
#[derive(Debug, Serialize, Deserialize)]
struct Release<T> {
    key: T,
    claim: T,
}

/// Parameters of [`ANSWERS_KEEP`]: a result or an error.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Keep {
    key: String,
    fingerprint: String,
    /// For how long there has been this answer.
    #[serde(default)]
    age_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<RpcError>,
}

pub(super) fn claim(memory: &Memory, key: &str, claim: &Entry) -> Option<Message> {
    let claimed = Claimed {
        key,
        claim: &claim.id,
        fingerprint: &claim.fingerprint,
        correlation_id: &claim.correlation_id,
        deadline: claim.deadline,
        begun: claim.begun,
    };
    message(memory, ANSWERS_CLAIM, &claim.id, &claimed)
}

pub(super) fn mark(memory: &Memory, key: &str, claim: &str) -> Option<Message> {
    message(memory, ANSWERS_MARK, claim, &Release { key, claim })
}

pub(super) fn release(memory: &Memory, key: &str, claim: &str) -> Option<Message> {
    message(memory, ANSWERS_RELEASE, claim, &Release { key, claim })
}

/// `sequence` keeps the message in order with others of the same one.
pub(super) fn keep(
    memory: &Memory,
    key: &str,
    sequence: &str,
    kept: &Kept,
    age: Duration,
) -> Option<Message> {
    let keep = Keep {
        key: key.to_owned(),
        fingerprint: kept.fingerprint.clone(),
        age_ms: u64::try_from(age.as_millis()).unwrap_or(u64::MAX),
        result: kept.body.as_ref().ok().cloned(),
        error: kept.body.as_ref().err().cloned(),
    };
    message(memory, ANSWERS_KEEP, sequence, &keep)
}

pub(super) fn message(
    memory: &Memory,
    method: &'static str,
    sequence: &str,
    params: &impl Serialize,
) -> Option<Message> {
    let body = match response::notification(method, params) {
        Ok(body) => body,
        Err(error) => {
            tracing::error!(%error, method, "a message cannot be written as JSON");
            return None;
        }
    };
    Some(Message {
        kind: Some(headers::kind::NOTIFICATION.to_owned()),
        correlation_id: Some(sequence.to_owned()),
        app_id: Some(memory.instance().to_owned()),
        headers: Headers::default().with(headers::METHOD, method),
        body: body.into(),
        ..Message::default()
    })
}

/// Takes in what a control message says of answers; false if it says nothing of them.
pub(in crate::runtime) fn take(memory: &Memory, envelope: &Envelope<'_>) -> bool {
    let (Some(method), Kind::Notification { params, .. }) = (envelope.method(), envelope.kind)
    else {
        return false;
    };
    let params = params.map_or("null", RawValue::get);
    let taken = match method.as_ref() {
        ANSWERS_CLAIM => serde_json::from_str(params).map(|claimed| take_claim(memory, claimed)),
        ANSWERS_RELEASE => serde_json::from_str(params)
            .map(|it: Release<String>| memory.change(|table| table.release(&it.key, &it.claim))),
        ANSWERS_MARK => serde_json::from_str(params)
            .map(|it: Release<String>| memory.change(|table| table.mark(&it.key, &it.claim))),
        ANSWERS_KEEP => serde_json::from_str(params).map(|keep| take_keep(memory, keep)),
        method => return catch_up::take(memory, method, envelope),
    };
    if let Err(error) = taken {
        tracing::warn!(%error, %method, "a message of another worker was ignored");
    }
    true
}

fn take_claim(memory: &Memory, claimed: Claimed<String>) {
    let deadline = SystemTime::UNIX_EPOCH + Duration::from_millis(claimed.deadline);
    let left = deadline.duration_since(SystemTime::now());
    // A deadline of ours is never further away; with clocks that differ it may seem to be.
    let left = left.unwrap_or_default().min(MAX_LEFT) + GRACE;
    let entry = Entry {
        id: claimed.claim,
        fingerprint: claimed.fingerprint,
        correlation_id: claimed.correlation_id,
        deadline: claimed.deadline,
        until: Instant::now() + left,
        begun: claimed.begun,
        is_own: false,
        marked: false,
    };
    memory.change(|table| table.claim(&claimed.key, entry));
}

fn take_keep(memory: &Memory, keep: Keep) {
    let body = match (keep.result, keep.error) {
        (Some(result), None) => Ok(result),
        (None, Some(error)) => Err(error),
        _ => {
            tracing::warn!("a worker told an answer that is none");
            return;
        }
    };
    let kept = Kept {
        fingerprint: keep.fingerprint,
        body,
    };
    let age = Duration::from_millis(keep.age_ms);
    memory.change(|table| table.keep(&keep.key, kept, age));
}

/// Tells the ends of claims one after the other; once stopped, those that wait and no more.
pub(super) async fn publish_releases(
    mut releases: Receiver<Message>,
    memory: Arc<Memory>,
    stop: CancellationToken,
) {
    loop {
        let message = tokio::select! {
            biased;
            message = releases.recv() => message,
            () = stop.cancelled() => None,
        };
        let Some(message) = message else {
            return;
        };
        let told = timeout(RELEASE_TIME, memory.broadcast(message)).await;
        if !matches!(told, Ok(Ok(()))) {
            tracing::debug!("other workers were not told in time that a claim has ended");
        }
    }
}
