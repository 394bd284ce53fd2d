use futures::future::BoxFuture;
use protocol::mcp::{code, meta, method};
use protocol::response::{CallToolResult, InputRequired, RpcError};
use protocol::{ErrorCode, ToolError};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};
use service::Outcome;
use tokio::task::JoinError;
use tokio::time::{Instant, timeout_at};
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

use crate::notifications::Notifications;
use crate::target::About;
use crate::{ClientCapabilities, Context, Stop};

/// A handler with everything it needs but the context; it gives the request's result.
pub(crate) type Prepared =
    Box<dyn FnOnce(Context) -> BoxFuture<'static, Result<Written, Stop>> + Send>;

/// The result of a request, as JSON text.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) result: Box<RawValue>,
    /// It says why a tool failed.
    pub(crate) is_error: bool,
    /// It is the answer of an earlier run.
    pub(crate) is_replayed: bool,
}

/// One request, ready to run.
pub(crate) struct Call<'a> {
    pub(crate) about: &'a About,
    pub(crate) context: Context,
    pub(crate) notifications: Notifications,
}

/// How a call ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// With a result.
    Done(Written),
    /// Without one, and the caller is told why.
    Stopped(Stop),
    /// By its caller, who wants no answer.
    Cancelled,
}

impl Call<'_> {
    /// Runs the handler until it is done, its deadline passes or it is cancelled; then it
    /// runs no more. The handler has a task of its own, so that a panic or one that blocks
    /// does not reach the caller of this.
    pub(crate) async fn run(self, prepared: Prepared) -> Ended {
        let started = Instant::now();
        let (context, deadline) = (self.context.clone(), self.context.deadline());
        let cancellation = context.cancellation().clone();
        // Whatever the handler started beside itself ends with the call.
        let _over = cancellation.clone().drop_guard();
        let run = async move { prepared(context).await };
        #[expect(
            clippy::disallowed_methods,
            reason = "the task ends with its handle, and a set for each call costs more"
        )]
        let task = AbortOnDropHandle::new(tokio::spawn(run.in_current_span()));
        let joined = tokio::select! {
            biased;
            () = cancellation.cancelled() => return Ended::Cancelled,
            joined = timeout_at(deadline, task) => joined,
        };
        let error = match joined {
            Ok(Ok(Ok(result))) => return Ended::Done(result),
            Ok(Ok(Err(stop))) => return Ended::Stopped(stop),
            Ok(Err(error)) => self.panicked(&error),
            Err(_) => self.late(started),
        };
        Ended::Stopped(Stop::Failed(error))
    }

    fn panicked(&self, error: &JoinError) -> ToolError {
        let about = self.about;
        tracing::error!(%about, %error, "a handler panicked");
        let message = format!("{about} failed by a fault of its own");
        let hint = "report this; the worker's log has the details";
        self.unfinished(ErrorCode::Internal, message, hint)
    }

    fn late(&self, started: Instant) -> ToolError {
        let ran = started.elapsed();
        let done = self.notifications.last().map_or_else(
            || "it had told no progress".to_owned(),
            |step| {
                let total = step
                    .total
                    .map(|total| format!(" of {total}"))
                    .unwrap_or_default();
                format!("it had done {}{total} ({})", step.done, step.message)
            },
        );
        let message = format!(
            "the deadline passed when it had run {} ms; {done}",
            ran.as_millis()
        );
        let max = self.about.max_deadline.as_millis();
        let hint =
            format!("ask for less, or for more time: _meta opendiscovery/timeoutMs up to {max}");
        self.unfinished(ErrorCode::DeadlineExceeded, message, &hint)
    }

    /// The failure of a handler that was stopped, or stopped itself. How far it came nobody knows,
    /// so what must not run twice is not to be tried again.
    fn unfinished(&self, code: ErrorCode, message: String, hint: &str) -> ToolError {
        let error = ToolError::new(code, message);
        if !self.about.is_at_most_once {
            return error.hint(hint);
        }
        let error = ToolError {
            retryable: false,
            ..error
        };
        error.hint(
            "its outcome is unknown and it must not run twice: look at what it was to change \
             before calling again",
        )
    }
}

/// What the caller gets, and how the request counts.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) outcome: Outcome,
    /// The result, or a JSON-RPC error.
    pub(crate) body: Result<Box<RawValue>, RpcError>,
}

impl Ended {
    /// Whether it ended with the answer of an earlier run.
    pub(crate) fn is_replayed(&self) -> bool {
        matches!(self, Self::Done(written) if written.is_replayed)
    }

    /// The answer to the request; `None` where its caller wants none.
    pub(crate) fn answer(self, about: &About, client: &ClientCapabilities) -> Option<Answer> {
        let (outcome, body) = match self {
            Self::Cancelled => return None,
            Self::Done(Written {
                result, is_error, ..
            }) => {
                let outcome = if is_error {
                    Outcome::ToolError
                } else {
                    Outcome::Ok
                };
                (outcome, Ok(result))
            }
            Self::Stopped(Stop::Asks(asks)) => match asked(&asks, about, client) {
                Ok(result) => (Outcome::Ok, Ok(result)),
                Err(error) => (Outcome::ProtocolError, Err(error)),
            },
            Self::Stopped(Stop::Refused(error)) => (Outcome::ProtocolError, Err(error)),
            Self::Stopped(Stop::Failed(error)) => failed(&error, about),
        };
        Some(Answer { outcome, body })
    }
}

/// A tool's failure is a result; of other requests it is a JSON-RPC error, as they know no
/// result that has failed.
fn failed(error: &ToolError, about: &About) -> (Outcome, Result<Box<RawValue>, RpcError>) {
    let is_late = error.code == ErrorCode::DeadlineExceeded;
    let outcome = |otherwise| {
        if is_late { Outcome::Timeout } else { otherwise }
    };
    if about.method == method::TOOLS_CALL {
        let body = to_raw_value(&CallToolResult::error(&error.to_string(), error))
            .map_err(|error| unwritten(&error));
        return (outcome(Outcome::ToolError), body);
    }
    let code = if is_late {
        code::DEADLINE_EXCEEDED
    } else {
        code::INTERNAL_ERROR
    };
    let body = RpcError::new(code, error.to_string()).data(json!({ "error": error }));
    (outcome(Outcome::ProtocolError), Err(body))
}

/// The result that asks the client, if the request may ask and the client can answer.
fn asked(
    asks: &InputRequired,
    about: &About,
    client: &ClientCapabilities,
) -> Result<Box<RawValue>, RpcError> {
    let fault = |why: &str| {
        tracing::error!(%about, why, "a handler asks the client in a way it may not");
        let message = format!("{about} is at fault: {why}");
        RpcError::new(code::INTERNAL_ERROR, message)
    };
    if about.method == method::COMPLETE {
        return Err(fault("completion asks the client for nothing"));
    }
    if asks.input_requests.is_empty() && asks.request_state.is_none() {
        return Err(fault("it asks the client for nothing and has no state"));
    }
    let mut required = json!({});
    for request in asks.input_requests.values() {
        if let Some(lacks) = client.lacks(request).map_err(|why| fault(&why))? {
            merge(&mut required, lacks);
        }
    }
    if required != json!({}) {
        let message = format!(
            "{about} needs answers that the client cannot give; declare in _meta {}: {required}",
            meta::CLIENT_CAPABILITIES
        );
        let data = json!({ "requiredCapabilities": required });
        return Err(RpcError::new(code::MISSING_CLIENT_CAPABILITY, message).data(data));
    }
    to_raw_value(asks).map_err(|error| unwritten(&error))
}

/// Adds the members of one object to another, at every depth.
fn merge(all: &mut Value, more: Value) {
    let (Value::Object(all), Value::Object(more)) = (all, more) else {
        return;
    };
    for (key, value) in more {
        merge(all.entry(key).or_insert_with(|| json!({})), value);
    }
}

fn unwritten(error: &serde_json::Error) -> RpcError {
    tracing::error!(%error, "a result cannot be written as JSON");
    RpcError::new(code::INTERNAL_ERROR, "the result cannot be written")
}

/// Writes a good result.
pub(crate) fn written(result: &impl Serialize) -> Result<Written, Stop> {
    match to_raw_value(result) {
        Ok(result) => Ok(Written {
            result,
            is_error: false,
            is_replayed: false,
        }),
        Err(error) => Err(Stop::Refused(unwritten(&error))),
    }
}
