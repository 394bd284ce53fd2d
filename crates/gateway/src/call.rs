//! A call on its way: frames from the worker become messages to the client.

use bus::{Frame, PendingCall};
use bytes::Bytes;
use protocol::json::Members;
use protocol::mcp::code;
use protocol::response::RpcError;
use protocol::{Envelope, Kind};
use serde_json::value::RawValue;
use service::{Outcome, metrics};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, Span, debug};

use crate::gateway::Gateway;
use crate::message::Reply;
use crate::{refusal, splice};

/// Members of a result that clients before 2026-07-28 do not know.
const MODERN_MEMBERS: [&str; 3] = ["resultType", "ttlMs", "cacheScope"];

/// A call that a worker will answer. Dropped before that, it is cancelled.
#[derive(Debug)]
pub(crate) struct RunningCall {
    /// Present until the final answer.
    pending: Option<PendingCall>,
    id: Box<RawValue>,
    is_modern: bool,
    metrics: Option<metrics::Call>,
    tasks: TaskTracker,
    stop: CancellationToken,
    runtime: Handle,
    span: Span,
}

/// What comes next of a call.
#[derive(Debug)]
pub(crate) enum Step {
    /// A notification, or a request to the client; more will come.
    Notification(Bytes),
    /// The worker will be quiet for long: a stream that its client can resume may end here.
    Detach,
    /// The answer; nothing comes after it.
    Final(Reply),
}

impl RunningCall {
    pub(crate) fn new(
        pending: PendingCall,
        id: Box<RawValue>,
        is_modern: bool,
        metrics: metrics::Call,
        gateway: &Gateway,
    ) -> Self {
        Self {
            pending: Some(pending),
            id,
            is_modern,
            metrics: Some(metrics),
            tasks: gateway.tasks.clone(),
            stop: gateway.stop.clone(),
            runtime: Handle::current(),
            span: Span::current(),
        }
    }

    /// The next message for the client; `None` after the final one. Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<Step> {
        let pending = self.pending.as_mut()?;
        let next = pending.next().instrument(self.span.clone());
        let Some(next) = self.stop.run_until_cancelled(next).await else {
            self.cancel("the gateway shuts down");
            return Some(Step::Final(Reply::error(
                Some(&self.id),
                &refusal::ending(),
            )));
        };
        let reply = match next {
            Ok(Frame::Notification(body)) => return Some(Step::Notification(body)),
            Ok(Frame::Detach) => return Some(Step::Detach),
            Ok(Frame::Final(body)) => {
                let (reply, outcome) = answered(body, &self.id, self.is_modern);
                self.finish(outcome);
                reply
            }
            Err(error) => {
                let (error, outcome) = refusal::unanswered(&error);
                self.finish(outcome);
                Reply::error(Some(&self.id), &error)
            }
        };
        Some(Step::Final(reply))
    }

    /// Stops the worker, unless the call is over.
    fn cancel(&mut self, reason: &'static str) {
        if let Some(pending) = self.pending.take() {
            self.finish(Outcome::Cancelled);
            let cancel = async move { pending.cancel(reason).await };
            self.tasks
                .spawn_on(cancel.instrument(self.span.clone()), &self.runtime);
        }
    }

    fn finish(&mut self, outcome: Outcome) {
        self.pending = None;
        self.span.record("outcome", outcome.as_str());
        self.span
            .in_scope(|| debug!(outcome = outcome.as_str(), "call ended"));
        if let Some(metrics) = self.metrics.take() {
            metrics.finish(outcome);
        }
    }
}

impl Drop for RunningCall {
    fn drop(&mut self) {
        self.cancel("the client no longer waits");
    }
}

/// Makes the answer of a worker one for the client, and says how the call ended.
fn answered(body: Bytes, id: &RawValue, is_modern: bool) -> (Reply, Outcome) {
    let Ok(Envelope { kind }) = Envelope::parse(&body) else {
        return malformed(id);
    };
    match kind {
        Kind::Response { result, .. } => {
            let Ok(members) = Members::parse(result.get()) else {
                return malformed(id);
            };
            let is_error = members
                .get("isError")
                .is_some_and(|value| value.get() == "true");
            let outcome = if is_error {
                Outcome::ToolError
            } else {
                Outcome::Ok
            };
            if is_modern {
                return (Reply { body, code: None }, outcome);
            }
            if members
                .string("resultType")
                .is_some_and(|kind| kind != "complete")
            {
                return (
                    Reply::error(Some(id), &wants_more()),
                    Outcome::ProtocolError,
                );
            }
            let text = std::str::from_utf8(&body).unwrap_or_default();
            let stripped = splice::without_members(text, result, &MODERN_MEMBERS);
            (
                Reply {
                    body: stripped.unwrap_or(body),
                    code: None,
                },
                outcome,
            )
        }
        Kind::Error { error, .. } => {
            let code = Members::parse(error.get())
                .ok()
                .and_then(|members| members.get("code")?.get().parse().ok());
            let Some(code) = code else {
                return malformed(id);
            };
            (
                Reply {
                    body,
                    code: Some(code),
                },
                outcome_of(code),
            )
        }
        Kind::Request { .. } | Kind::Notification { .. } => malformed(id),
    }
}

fn outcome_of(error_code: i64) -> Outcome {
    match error_code {
        code::DEADLINE_EXCEEDED => Outcome::Timeout,
        code::CANCELLED => Outcome::Cancelled,
        code::OUTCOME_UNKNOWN => Outcome::Unknown,
        code::BUSY | code::NO_WORKER => Outcome::Refused,
        _ => Outcome::ProtocolError,
    }
}

fn malformed(id: &RawValue) -> (Reply, Outcome) {
    let error = RpcError::new(
        code::INTERNAL_ERROR,
        "the worker's answer is not a JSON-RPC response; see the log of the worker",
    );
    (Reply::error(Some(id), &error), Outcome::ProtocolError)
}

fn wants_more() -> RpcError {
    RpcError::new(
        code::INTERNAL_ERROR,
        "the tool asks for more input, which clients of this revision cannot be asked for yet; \
         use revision 2026-07-28",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, is_modern: bool, expected: &str, expected_outcome: Outcome) {
        let id: Box<RawValue> = serde_json::from_str("7").unwrap();
        let (reply, outcome) = answered(Bytes::copy_from_slice(body.as_bytes()), &id, is_modern);
        assert_eq!(reply.body, expected);
        assert_eq!(outcome, expected_outcome, "{body}");
    }

    #[test]
    fn a_modern_client_gets_the_bytes_of_the_worker() {
        let body = "{ \"jsonrpc\":\"2.0\",\"id\":7,\n\"result\":{\"resultType\":\"complete\",\"n\":1.0,\"isError\":false}}";
        check(body, true, body, Outcome::Ok);
        let failed =
            r#"{"jsonrpc":"2.0","id":7,"result":{"resultType":"complete","isError":true}}"#;
        check(failed, true, failed, Outcome::ToolError);
    }

    #[test]
    fn a_legacy_client_gets_no_members_it_does_not_know() {
        check(
            r#"{"jsonrpc":"2.0","id":7,"result":{"resultType":"complete","content":[1.0],"structuredContent":{"ttlMs":1e3}}}"#,
            false,
            r#"{"jsonrpc":"2.0","id":7,"result":{"content":[1.0],"structuredContent":{"ttlMs":1e3}}}"#,
            Outcome::Ok,
        );
        let plain = r#"{"jsonrpc":"2.0","id":7, "result":{ "content":[] }}"#;
        check(plain, false, plain, Outcome::Ok);
    }

    #[test]
    fn errors_pass_through_and_say_how_the_call_ended() {
        let body = |code: i64| {
            format!(r#"{{"jsonrpc":"2.0","id":7,"error":{{"code":{code},"message":"m"}}}}"#)
        };
        for (code, outcome) in [
            (code::DEADLINE_EXCEEDED, Outcome::Timeout),
            (code::CANCELLED, Outcome::Cancelled),
            (code::POISON, Outcome::ProtocolError),
        ] {
            check(&body(code), false, &body(code), outcome);
        }
    }

    #[test]
    fn an_answer_that_is_none_becomes_an_internal_error() {
        let id: Box<RawValue> = serde_json::from_str("7").unwrap();
        for body in [
            "",
            "[]",
            "{}",
            r#"{"jsonrpc":"2.0","method":"x"}"#,
            r#"{"jsonrpc":"2.0","id":7,"result":5}"#,
        ] {
            let (reply, _) = answered(Bytes::copy_from_slice(body.as_bytes()), &id, true);
            assert_eq!(reply.code, Some(code::INTERNAL_ERROR), "{body}");
        }
        let asks = r#"{"jsonrpc":"2.0","id":7,"result":{"resultType":"input_required"}}"#;
        let (reply, _) = answered(Bytes::from_static(asks.as_bytes()), &id, false);
        assert_eq!(reply.code, Some(code::INTERNAL_ERROR));
    }
}
