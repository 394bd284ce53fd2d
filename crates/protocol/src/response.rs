//! Writing JSON-RPC messages.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::ToolError;

/// A JSON-RPC error, before it is bound to a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RpcError {
    /// See [`crate::mcp::code`].
    pub code: i64,
    /// What happened, why, and how to fix it.
    pub message: String,
    /// For programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
}

impl RpcError {
    /// An error without data.
    #[must_use]
    pub fn new(code: i64, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            data: None,
        }
    }

    /// Adds data.
    #[must_use]
    pub fn data(mut self, data: Value) -> Self {
        self.data = Some(data);
        self
    }
}

impl From<&crate::Error> for RpcError {
    fn from(error: &crate::Error) -> Self {
        let message = match std::error::Error::source(error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        };
        Self::new(error.json_rpc_code(), message)
    }
}

/// The bytes of a good answer.
///
/// # Panics
/// Never: the parts are already JSON.
#[must_use]
pub fn result(id: &RawValue, result: &RawValue) -> Vec<u8> {
    format!(
        r#"{{"jsonrpc":"2.0","id":{},"result":{}}}"#,
        id.get(),
        result.get()
    )
    .into_bytes()
}

/// The bytes of a bad answer. Where the identifier could not be read it is left out: MCP
/// knows no identifier `null`.
#[must_use]
pub fn error(id: Option<&RawValue>, error: &RpcError) -> Vec<u8> {
    let id = id
        .map(|id| format!(r#""id":{},"#, id.get()))
        .unwrap_or_default();
    let error = json!(error);
    format!(r#"{{"jsonrpc":"2.0",{id}"error":{error}}}"#).into_bytes()
}

/// The bytes of a notification.
///
/// # Errors
/// When the parameters cannot be written as JSON.
pub fn notification(method: &str, params: &impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
    #[derive(Serialize)]
    struct Notification<'a, P> {
        jsonrpc: &'static str,
        method: &'a str,
        params: &'a P,
    }
    serde_json::to_vec(&Notification {
        jsonrpc: "2.0",
        method,
        params,
    })
}

/// The result of `tools/call` in the shape of revision 2026-07-28.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CallToolResult<'a, T> {
    result_type: &'static str,
    content: [Text<'a>; 1],
    structured_content: T,
    is_error: bool,
}

#[derive(Debug, Clone, Serialize)]
struct Text<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    text: &'a str,
}

impl<'a, T> CallToolResult<'a, T> {
    /// A tool's output: an object, with a text for people and models.
    pub fn ok(text: &'a str, structured_content: T) -> Self {
        Self::new(text, structured_content, false)
    }

    fn new(text: &'a str, structured_content: T, is_error: bool) -> Self {
        let kind = "text";
        Self {
            result_type: "complete",
            content: [Text { kind, text }],
            structured_content,
            is_error,
        }
    }
}

impl<'a> CallToolResult<'a, Value> {
    /// A tool's failure, with its text.
    #[must_use]
    pub fn error(text: &'a str, error: &ToolError) -> Self {
        Self::new(text, json!({ "error": error }), true)
    }
}

/// A result that asks the client for input before the request can be completed (MCP
/// 2026-07-28, "Multi Round-Trip Requests").
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InputRequired {
    result_type: &'static str,
    /// What is asked, under keys that the answers will have: objects with `method` and `params`.
    #[serde(skip_serializing_if = "serde_json::Map::is_empty")]
    pub input_requests: serde_json::Map<String, Value>,
    /// What comes back with the answers. On the way to a client the platform seals it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_state: Option<String>,
}

impl InputRequired {
    /// Value of `resultType`.
    pub const RESULT_TYPE: &str = "input_required";

    /// A result that asks for nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            result_type: Self::RESULT_TYPE,
            input_requests: serde_json::Map::new(),
            request_state: None,
        }
    }

    /// Asks one thing more; `method` is [`crate::mcp::method::ELICITATION`],
    /// [`crate::mcp::method::SAMPLING`] or [`crate::mcp::method::ROOTS_LIST`].
    #[must_use]
    pub fn ask(mut self, key: impl Into<String>, method: &str, params: impl Into<Value>) -> Self {
        let params: Value = params.into();
        let request = json!({ "method": method, "params": params });
        self.input_requests.insert(key.into(), request);
        self
    }

    /// Wants a text back with the answers.
    #[must_use]
    pub fn state(mut self, state: impl Into<String>) -> Self {
        self.request_state = Some(state.into());
        self
    }
}

impl Default for InputRequired {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_that_could_not_be_read_is_left_out() {
        let bad = RpcError::new(crate::mcp::code::PARSE_ERROR, "no JSON");
        assert_eq!(
            String::from_utf8(error(None, &bad)).unwrap(),
            r#"{"jsonrpc":"2.0","error":{"code":-32700,"message":"no JSON"}}"#
        );
        let id: Box<RawValue> = serde_json::from_str("7").unwrap();
        assert!(error(Some(&id), &bad).starts_with(br#"{"jsonrpc":"2.0","id":7,"error""#));
    }
}
