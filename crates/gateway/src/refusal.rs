//! Why a call is not answered by a worker, said so that the caller can act.

use std::time::Duration;

use bus::CallError;
use protocol::mcp::{code, meta};
use protocol::response::RpcError;
use protocol::{Category, Meta};
use serde_json::json;
use service::Outcome;

use crate::busy::Busy;
use crate::catalogue::{Deadlines, Kind, Snapshot};

/// Most characters of an unknown name that are repeated to the caller.
const REPEATED: usize = 100;

/// Nobody takes the calls of a category.
pub(crate) fn no_worker(category: &Category) -> RpcError {
    RpcError::new(
        code::NO_WORKER,
        format!(
            "no worker of category {category} is running; start one with \
             `discovery-worker-{category}`, or every category in one process with `discovery up`"
        ),
    )
    .data(json!({ "category": category, "retryable": true, "reason": "no_worker" }))
}

/// A tool that no worker has announced.
pub(crate) fn unknown_tool(name: &str, catalogue: &Snapshot) -> RpcError {
    let listed = protocol::canonical_tool_name(name);
    let category = Category::of_core_tool(&listed);
    if let Some(category) = category.filter(|category| !catalogue.lists(category)) {
        return no_worker(&category);
    }
    unknown(Kind::Tool, name, catalogue)
}

/// A prompt that no worker has announced.
pub(crate) fn unknown_prompt(name: &str, catalogue: &Snapshot) -> RpcError {
    unknown(Kind::Prompt, name, catalogue)
}

/// A URI that nothing announced gives. Up to revision 2025-11-25 it had a code of its own.
pub(crate) fn unknown_resource(uri: &str, is_modern: bool) -> RpcError {
    let code = if is_modern {
        code::INVALID_PARAMS
    } else {
        code::RESOURCE_NOT_FOUND
    };
    let shown: String = uri.chars().take(REPEATED).collect();
    let message = format!(
        "Resource not found: {shown} (resources/list and resources/templates/list name what \
         there is)"
    );
    RpcError::new(code, message).data(json!({ "uri": uri }))
}

fn unknown(kind: Kind, name: &str, catalogue: &Snapshot) -> RpcError {
    let (word, member, list) = (kind.word(), kind.member(), catalogue.list(kind));
    let shown: String = name.chars().take(REPEATED).collect();
    let alike = list.alike(name);
    let hint = match (alike.is_empty(), list.is_empty()) {
        (false, _) => format!("did you mean {}?", alike.join(", ")),
        (true, false) => format!("{member}/list names the {member} there are"),
        (true, true) => format!("no worker has announced any {word} yet"),
    };
    let message = format!("Unknown {word}: {shown} ({hint})");
    RpcError::new(code::INVALID_PARAMS, message).data(json!({ word: shown, "alike": alike }))
}

/// How long a call may take: what its caller asks for, or what is usual for what it asks.
///
/// # Errors
/// Invalid params when the caller asks for more than is allowed there.
pub(crate) fn timeout(request_meta: &Meta<'_>, deadlines: Deadlines) -> Result<Duration, RpcError> {
    let asked = request_meta
        .timeout_ms()
        .map_err(|error| RpcError::from(&error))?;
    let Some(asked) = asked.map(Duration::from_millis) else {
        return Ok(deadlines.default);
    };
    if asked <= deadlines.max {
        return Ok(asked);
    }
    let max = deadlines.max.as_millis();
    let message = format!(
        "_meta key {:?} is above the maximum of {max} ms here",
        meta::TIMEOUT_MS
    );
    Err(RpcError::new(code::INVALID_PARAMS, message).data(json!({ "maxTimeoutMs": max })))
}

/// The broker cannot be reached, so nothing is known of the workers.
pub(crate) fn no_broker() -> RpcError {
    RpcError::new(
        code::BROKER_UNAVAILABLE,
        "the message broker cannot be reached, so the tools are not known yet; /health says why",
    )
    .data(json!({ "retryable": true }))
}

/// The process ends before the call does.
pub(crate) fn ending() -> RpcError {
    Busy::Ending.error("the gateway shuts down before the call is done; try again")
}

/// Too many calls wait in this gateway, so another one was not begun.
pub(crate) fn not_begun(error: &CallError) -> (RpcError, Outcome) {
    match error {
        CallError::Busy(category) => {
            let error = Busy::Pending.error_of(category, error.to_string());
            (error, Outcome::Refused)
        }
        error => unanswered(error),
    }
}

/// A call that ended without an answer from a worker.
pub(crate) fn unanswered(error: &CallError) -> (RpcError, Outcome) {
    let text = error.to_string();
    let (code, retryable, outcome) = match error {
        CallError::Unroutable(category) => return (no_worker(category), Outcome::Refused),
        CallError::Busy(category) => {
            return (Busy::Queue.error_of(category, text), Outcome::Refused);
        }
        CallError::Blocked { category, .. } => {
            return (Busy::Alarm.error_of(category, text), Outcome::Refused);
        }
        CallError::DeadlineExceeded(_) => (code::DEADLINE_EXCEEDED, true, Outcome::Timeout),
        CallError::Disconnected(_) => (code::BROKER_UNAVAILABLE, true, Outcome::Timeout),
        CallError::OutcomeUnknown(_) => (code::OUTCOME_UNKNOWN, false, Outcome::Unknown),
        // The worker has answered, and would answer the same again.
        CallError::Unreadable(_) => (code::INTERNAL_ERROR, false, Outcome::ProtocolError),
        CallError::Limit(_) => (code::INVALID_REQUEST, false, Outcome::Refused),
        _ => (code::INTERNAL_ERROR, true, Outcome::ProtocolError),
    };
    (
        RpcError::new(code, text).data(json!({ "retryable": retryable })),
        outcome,
    )
}
