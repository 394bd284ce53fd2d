//! Why a call is not answered by a worker, said so that the caller can act.

use std::time::Duration;

use bus::CallError;
use protocol::mcp::{code, meta};
use protocol::response::RpcError;
use protocol::{Category, Meta};
use serde_json::json;
use service::Outcome;

use crate::catalogue::{Deadlines, Snapshot};

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
    .data(json!({ "category": category, "retryable": true }))
}

/// A name that no worker has announced.
pub(crate) fn unknown_tool(name: &str, catalogue: &Snapshot) -> RpcError {
    let listed = protocol::canonical_tool_name(name);
    let category = Category::of_core_tool(&listed);
    if let Some(category) = category.filter(|category| !catalogue.lists(category)) {
        return no_worker(&category);
    }
    let shown: String = name.chars().take(REPEATED).collect();
    let alike = catalogue.alike(name);
    let hint = match (alike.is_empty(), catalogue.is_empty()) {
        (false, _) => format!("did you mean {}?", alike.join(", ")),
        (true, false) => "tools/list names the tools there are".to_owned(),
        (true, true) => "no worker has announced any tool yet".to_owned(),
    };
    RpcError::new(
        code::INVALID_PARAMS,
        format!("Unknown tool: {shown} ({hint})"),
    )
    .data(json!({ "tool": shown, "alike": alike }))
}

/// How long a call may take: what its caller asks for, or what its tool says.
///
/// # Errors
/// Invalid params when the caller asks for more than the tool allows.
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
        "_meta key {:?} is above this tool's maximum of {max} ms",
        meta::TIMEOUT_MS
    );
    Err(RpcError::new(code::INVALID_PARAMS, message).data(json!({ "maxTimeoutMs": max })))
}

/// The broker cannot be reached, so nothing is known of the tools.
pub(crate) fn no_broker() -> RpcError {
    RpcError::new(
        code::BROKER_UNAVAILABLE,
        "the message broker cannot be reached, so the tools are not known yet; /health says why",
    )
    .data(json!({ "retryable": true }))
}

/// The process ends before the call does.
pub(crate) fn ending() -> RpcError {
    RpcError::new(
        code::BUSY,
        "the gateway shuts down before the call is done; try again",
    )
    .data(json!({ "retryable": true }))
}

/// A call that ended without an answer from a worker.
pub(crate) fn unanswered(error: &CallError) -> (RpcError, Outcome) {
    let text = error.to_string();
    let (code, retryable, outcome) = match error {
        CallError::Unroutable(category) => return (no_worker(category), Outcome::Refused),
        CallError::Busy(_) => (code::BUSY, true, Outcome::Refused),
        CallError::DeadlineExceeded(_) => (code::DEADLINE_EXCEEDED, true, Outcome::Timeout),
        CallError::Disconnected(_) => (code::BROKER_UNAVAILABLE, true, Outcome::Timeout),
        CallError::OutcomeUnknown(_) => (code::OUTCOME_UNKNOWN, false, Outcome::Unknown),
        CallError::Limit(_) => (code::INVALID_REQUEST, false, Outcome::Refused),
        _ => (code::INTERNAL_ERROR, true, Outcome::ProtocolError),
    };
    (
        RpcError::new(code, text).data(json!({ "retryable": retryable })),
        outcome,
    )
}
