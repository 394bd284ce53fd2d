//! `snmp_close_session`: no more of a session, here.

use std::future::ready;
use std::sync::Arc;

use protocol::ToolError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use worker::{Summary, Tool};

use crate::session::{SessionId, Sessions};

/// Which session.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Arguments {
    /// The session's identifier, from `snmp_create_session`.
    session_id: SessionId,
}

/// What became of the session.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Outcome {
    /// It is not accepted any more, where `effectiveAt` says.
    closed: bool,
    /// Whether it had been closed at this worker before.
    was_closed: bool,
    /// Where it is not accepted any more: at this worker. A sealed identifier cannot be called
    /// back, so other workers with the same key accept it until it expires.
    effective_at: Reach,
}

/// How far a session is closed.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Reach {
    /// At the worker that ran this call.
    ThisWorker,
}

/// The declaration of the tool.
pub(crate) fn tool(sessions: Arc<Sessions>) -> Tool {
    let run = move |_context, arguments| ready(run(&arguments, &sessions));
    Tool::new("snmp_close_session", run)
        .title("Close an SNMP session")
        .description(
            "Makes this worker refuse a session from now on. Nothing is open at the agent, and a \
             session ends by itself when it expires, so closing is for identifiers that may have \
             been seen by others: where several SNMP workers share a key, the other workers \
             accept it until it expires; make sessions with a short lifetime there.",
        )
        .read_only()
        .closed_world()
}

fn run(arguments: &Arguments, sessions: &Sessions) -> Result<Outcome, ToolError> {
    let was_open = sessions.close(&arguments.session_id)?;
    Ok(Outcome {
        closed: true,
        was_closed: !was_open,
        effective_at: Reach::ThisWorker,
    })
}

impl Summary for Outcome {
    fn summary(&self) -> String {
        let how = if self.was_closed {
            "had been closed before"
        } else {
            "is closed"
        };
        format!(
            "The session {how} at this worker; others with the same key accept it until it expires.\n"
        )
    }
}
