use protocol::json::Members;
use protocol::mcp::code;
use protocol::response::{InputRequired, RpcError};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use service::Outcome;

/// Longest answer that is kept, in bytes of JSON.
const MAX_ANSWER: usize = 8 * 1024 * 1024;

/// The answer to a call that may be repeated.
#[derive(Debug)]
pub(in crate::runtime) struct Kept {
    /// Of the call; see [`crate::CallKey::fingerprint`].
    pub(super) fingerprint: String,
    /// The result, or a JSON-RPC error.
    pub(in crate::runtime) body: Result<Box<RawValue>, RpcError>,
}

impl Kept {
    /// What is kept of an answer: nothing where the call has not had its effect, or may succeed
    /// if it is repeated.
    pub(super) fn of(fingerprint: &str, body: &Result<Box<RawValue>, RpcError>) -> Option<Self> {
        let body = match body {
            Ok(result) if !is_final(result) => return None,
            Err(error) if may_succeed_later(error) => return None,
            body => body,
        };
        let kept = Self {
            fingerprint: fingerprint.to_owned(),
            body: body.clone(),
        };
        Some(if kept.bytes() > MAX_ANSWER {
            Self::too_long(fingerprint)
        } else {
            kept
        })
    }

    /// What is kept of an answer that is too long to be kept, or told to others.
    pub(super) fn too_long(fingerprint: &str) -> Self {
        Self {
            fingerprint: fingerprint.to_owned(),
            body: Err(too_long()),
        }
    }

    /// What is kept of a call that must not run twice, when it has begun and left no answer: its
    /// worker is gone, it was cancelled, or it failed in a way that says nothing for good.
    pub(super) fn unknown(fingerprint: String) -> Self {
        let error = RpcError::new(
            code::OUTCOME_UNKNOWN,
            "a call with this idempotency key has begun and left no answer, and it must not run \
             twice; look at what it was to change before calling again with another key",
        );
        Self {
            fingerprint,
            body: Err(error.data(json!({ "retryable": false }))),
        }
    }

    /// How a call that gets this answer counts.
    pub(in crate::runtime) fn outcome(&self) -> Outcome {
        match &self.body {
            Ok(result) => match Members::parse(result.get()) {
                Ok(members) if is_true(&members, "isError") => Outcome::ToolError,
                _ => Outcome::Ok,
            },
            Err(error) if error.code == code::OUTCOME_UNKNOWN => Outcome::Unknown,
            Err(_) => Outcome::ProtocolError,
        }
    }

    /// Bytes that it holds, about.
    pub(super) fn bytes(&self) -> usize {
        match &self.body {
            Ok(result) => result.get().len(),
            Err(error) => {
                let data = error.data.as_ref().map_or(0, |data| data.to_string().len());
                error.message.len() + data
            }
        }
    }
}

/// Whether a call asks its client for something, so that it comes again.
pub(super) fn asks(body: &Result<Box<RawValue>, RpcError>) -> bool {
    match body {
        Ok(result) => Members::parse(result.get()).is_ok_and(|members| is_question(&members)),
        Err(error) => error.code == code::MISSING_CLIENT_CAPABILITY,
    }
}

fn is_question(members: &Members<'_>) -> bool {
    members.string("resultType").as_deref() == Some(InputRequired::RESULT_TYPE)
}

/// Whether a result ends its call for good.
fn is_final(result: &RawValue) -> bool {
    let Ok(members) = Members::parse(result.get()) else {
        return true;
    };
    if is_question(&members) {
        return false;
    }
    if !is_true(&members, "isError") {
        return true;
    }
    let failure = || {
        let structured = Members::parse(members.get("structuredContent")?.get()).ok()?;
        let error = Members::parse(structured.get("error")?.get()).ok()?;
        Some(is_true(&error, "retryable"))
    };
    failure() != Some(true)
}

fn may_succeed_later(error: &RpcError) -> bool {
    let is_retryable = |data: &Value| {
        data["retryable"] == Value::Bool(true) || data["error"]["retryable"] == Value::Bool(true)
    };
    // What a client declares that it can do is no part of the call.
    error.code == code::MISSING_CLIENT_CAPABILITY || error.data.as_ref().is_some_and(is_retryable)
}

fn is_true(members: &Members<'_>, key: &str) -> bool {
    members.get(key).is_some_and(|value| value.get() == "true")
}

fn too_long() -> RpcError {
    let message = format!(
        "the call with this idempotency key has run, but its answer was too long to be kept \
         (more than {MAX_ANSWER} bytes, or than a message on the broker may have); repeat it with \
         a new key if it may run again"
    );
    RpcError::new(code::INTERNAL_ERROR, message).data(json!({ "retryable": false }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(text: &str) -> Option<Kept> {
        Kept::of("f", &Ok(serde_json::from_str(text).unwrap()))
    }

    #[test]
    fn an_answer_is_kept_unless_the_call_may_still_succeed() {
        let outcome = |text: &str| result(text).map(|kept| kept.outcome());
        assert_eq!(outcome(r#"{"content":[]}"#), Some(Outcome::Ok));
        let failed = |retryable: bool| {
            format!(
                r#"{{"isError":true,"structuredContent":{{"error":{{"retryable":{retryable}}}}}}}"#
            )
        };
        assert_eq!(outcome(&failed(false)), Some(Outcome::ToolError));
        assert_eq!(outcome(r#"{"isError":true}"#), Some(Outcome::ToolError));
        assert_eq!(outcome(&failed(true)), None);
        assert_eq!(outcome(r#"{"resultType":"input_required"}"#), None);
    }

    #[test]
    fn an_error_is_kept_unless_another_try_may_help() {
        let kept = |code: i64, data: Value| {
            Kept::of("f", &Err(RpcError::new(code, "m").data(data))).is_some()
        };
        assert!(kept(code::INVALID_PARAMS, json!({"uri": "a:b"})));
        assert!(!kept(code::BUSY, json!({"retryable": true})));
        assert!(!kept(
            code::INTERNAL_ERROR,
            json!({"error": {"retryable": true}})
        ));
        assert!(!kept(code::MISSING_CLIENT_CAPABILITY, Value::Null));
    }

    #[test]
    fn of_a_long_answer_is_kept_that_the_call_has_run() {
        let long = format!(r#"{{"content":["{}"]}}"#, "x".repeat(MAX_ANSWER));
        let kept = result(&long).unwrap();
        assert!(kept.bytes() < 1000);
        assert!(kept.body.unwrap_err().message.contains("has run"));
    }
}
