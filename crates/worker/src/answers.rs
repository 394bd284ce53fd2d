//! Calls that come again: what they are known by, and where a tool that changes state keeps what
//! it answered.

use std::fmt::{self, Write as _};

use async_trait::async_trait;
use protocol::mcp::{code, meta};
use protocol::response::RpcError;
use protocol::{ErrorCode, RequestParams, ToolError, canonical_json};
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::{Summary, ToolContent};

/// What a call is known by when it comes again: by redelivery, by republishing, or because its
/// caller repeats it under the key that it gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallKey {
    id: String,
    fingerprint: String,
    /// The caller gave it.
    pub(crate) is_callers: bool,
}

impl CallKey {
    /// The key of a call of a tool. What the client answered to questions of the tool is no part
    /// of it, so that all rounds of a call have the same one.
    pub(crate) fn of(id: &str, tool: &str, params: &RequestParams<'_>, is_callers: bool) -> Self {
        Self {
            id: id.to_owned(),
            fingerprint: fingerprint(tool, params.arguments()),
            is_callers,
        }
    }

    /// A key that no other call has.
    pub(crate) fn for_test() -> Self {
        Self {
            id: Uuid::new_v4().to_string(),
            fingerprint: String::new(),
            is_callers: false,
        }
    }

    /// Property `message-id` of the request: 1 to 255 bytes, the same each time the call comes.
    /// Tell nobody; it stands for the call.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// SHA-256 in hexadecimal of the tool's name and its arguments, however they are written. The
    /// same `id` with another fingerprint is a mistake of the caller.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}

/// Arguments without a canonical form are the same only as they were written.
fn fingerprint(tool: &str, arguments: Option<&RawValue>) -> String {
    let text = arguments.map_or("{}", RawValue::get);
    let canonical = match arguments {
        None => Some("{}".to_owned()),
        Some(arguments) => canonical_json(arguments),
    };
    let form = if canonical.is_some() {
        "canonical"
    } else {
        "written"
    };
    // No name of a tool has the byte that ends it.
    let digest = Sha256::new_with_prefix(tool)
        .chain_update([0])
        .chain_update(form)
        .chain_update([0])
        .chain_update(canonical.as_deref().unwrap_or(text))
        .finalize();
    digest
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// What a tool answered to a call, in the form in which a store keeps it.
///
/// The tool makes it of its output before it commits, and writes [`StoredAnswer::text`] in the
/// same transaction as the change, under [`CallKey::id`], which must be unique there.
#[derive(Clone, Serialize, Deserialize)]
pub struct StoredAnswer {
    pub(crate) fingerprint: String,
    pub(crate) kept: Kept,
}

/// The part of a result that cannot be made anew.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Kept {
    /// Of a typed tool: its output, and its summary.
    Output {
        structured: serde_json::Value,
        summary: String,
    },
    /// Of a raw tool.
    Content(ToolContent),
}

impl StoredAnswer {
    /// The answer of a typed tool ([`crate::Tool::new`]).
    ///
    /// # Errors
    /// `internal` when the output cannot be written as JSON; commit nothing then.
    pub fn of(key: &CallKey, output: &(impl Serialize + Summary)) -> Result<Self, ToolError> {
        let structured = serde_json::to_value(output).map_err(|error| unwritten(&error))?;
        let summary = output.summary();
        Ok(Self {
            fingerprint: key.fingerprint.clone(),
            kept: Kept::Output {
                structured,
                summary,
            },
        })
    }

    /// The answer of a raw tool ([`crate::Tool::raw`]).
    #[must_use]
    pub fn of_content(key: &CallKey, content: &ToolContent) -> Self {
        Self {
            fingerprint: key.fingerprint.clone(),
            kept: Kept::Content(content.clone()),
        }
    }

    /// A JSON text for the store.
    ///
    /// # Errors
    /// `internal` when it cannot be written as JSON; commit nothing then.
    pub fn text(&self) -> Result<String, ToolError> {
        serde_json::to_string(self).map_err(|error| unwritten(&error))
    }

    /// Reads what [`StoredAnswer::text`] gave.
    ///
    /// # Errors
    /// `internal` when the text is none of those.
    pub fn from_text(text: &str) -> Result<Self, ToolError> {
        serde_json::from_str(text).map_err(|error| {
            tracing::error!(%error, "a stored answer cannot be read");
            ToolError::new(ErrorCode::Internal, "the stored answer cannot be read")
        })
    }
}

impl fmt::Debug for StoredAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What a tool answers may be long, and is nobody's business in a log.
        f.debug_struct("StoredAnswer")
            .field("fingerprint", &self.fingerprint)
            .finish_non_exhaustive()
    }
}

/// The error for a key that stands for another call already.
pub(crate) fn reused() -> RpcError {
    let message = format!(
        "_meta key {:?} was used for another call, with other arguments or of another tool; \
         send a new key with a new call, and the same key only to repeat a call as it was",
        meta::IDEMPOTENCY_KEY
    );
    RpcError::new(code::INVALID_PARAMS, message).data(json!({ "idempotencyKey": "reused" }))
}

fn unwritten(error: &serde_json::Error) -> ToolError {
    tracing::error!(%error, "an answer cannot be written for its store");
    ToolError::new(ErrorCode::Internal, "the answer cannot be written as JSON")
}

/// Where the answers of tools that change state are kept, together with the state.
///
/// A call may reach workers more than once. The runtime looks here each time before it runs a
/// tool that is declared with [`crate::Tool::stored`], and once more when a run fails, because
/// another worker may have been faster; where there is an answer, that is the answer, and the
/// tool does not run. What makes this safe is the tool's part: change and answer are committed
/// together, and a second answer under the same [`CallKey::id`] is refused by the store.
///
/// ```
/// use std::collections::HashMap;
/// use std::sync::{Arc, Mutex, PoisonError};
///
/// use async_trait::async_trait;
/// use protocol::{ErrorCode, ToolError};
/// use schemars::JsonSchema;
/// use serde::{Deserialize, Serialize};
/// use worker::{Answers, CallKey, Context, StoredAnswer, Summary, Tool};
///
/// /// A database with one number in it; its lock stands for a transaction.
/// #[derive(Debug, Default)]
/// struct Store(Mutex<(u64, HashMap<String, String>)>);
///
/// #[async_trait]
/// impl Answers for Store {
///     async fn find(&self, key: &CallKey) -> Result<Option<StoredAnswer>, ToolError> {
///         let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
///         let text = state.1.get(key.id());
///         text.map(|text| StoredAnswer::from_text(text)).transpose()
///     }
/// }
///
/// /// No arguments.
/// #[derive(Deserialize, JsonSchema)]
/// struct Nothing {}
///
/// /// What was counted.
/// #[derive(Serialize, JsonSchema)]
/// struct Count {
///     /// The number after the call.
///     count: u64,
/// }
///
/// impl Summary for Count {
///     fn summary(&self) -> String {
///         format!("counted to {}", self.count)
///     }
/// }
///
/// impl Store {
///     async fn count(&self, key: &CallKey) -> Result<Count, ToolError> {
///         let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
///         let count = Count { count: state.0 + 1 };
///         let answer = StoredAnswer::of(key, &count)?.text()?;
///         if state.1.contains_key(key.id()) {
///             // The runtime finds that answer.
///             return Err(ToolError::new(ErrorCode::Internal, "answered meanwhile"));
///         }
///         state.1.insert(key.id().to_owned(), answer);
///         state.0 = count.count;
///         Ok(count)
///     }
/// }
///
/// fn tool(store: Arc<Store>) -> Tool {
///     let answers = Arc::clone(&store) as Arc<dyn Answers>;
///     Tool::new("count", move |context: Context, _: Nothing| {
///         let store = Arc::clone(&store);
///         async move {
///             let no_key = || ToolError::new(ErrorCode::Internal, "the call has no key");
///             store.count(context.call_key().ok_or_else(no_key)?).await
///         }
///     })
///     .stored(answers)
/// }
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let worker = worker::Worker::new("lab".parse().unwrap(), std::num::NonZeroU16::MIN);
/// let worker = worker.tool(tool(Arc::default()));
/// let result = worker.call_for_test("count", serde_json::json!({})).await;
/// assert_eq!(result["structuredContent"]["count"], 1);
/// # });
/// ```
#[async_trait]
pub trait Answers: fmt::Debug + Send + Sync + 'static {
    /// The answer to a call, if there is one; within the call's deadline, and dropped when it
    /// passes.
    ///
    /// # Errors
    /// When nobody can know: nothing is run then, and the caller may try again.
    async fn find(&self, key: &CallKey) -> Result<Option<StoredAnswer>, ToolError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(tool: &str, params: &str) -> String {
        let params: Box<RawValue> = serde_json::from_str(params).unwrap();
        let params = RequestParams::parse(&params).unwrap();
        CallKey::of("id", tool, &params, true).fingerprint
    }

    #[test]
    fn the_same_call_has_the_same_fingerprint_however_it_is_written() {
        let written = key("t", r#"{"name":"t","arguments":{"a":1,"b":["x"]}}"#);
        assert_eq!(written.len(), 64);
        for same in [
            r#"{"arguments":{ "b" : ["\u0078"], "a":1 },"_meta":{"progressToken":1}}"#,
            r#"{"arguments":{"a":1,"b":["x"]},"inputResponses":{"k":{}},"requestState":"s"}"#,
        ] {
            assert_eq!(key("t", same), written, "{same}");
        }
        assert_eq!(key("t", "{}"), key("t", r#"{"arguments":{ }}"#));
    }

    #[test]
    fn another_call_has_another_fingerprint() {
        let calls = [
            key("t", r#"{"arguments":{"a":1}}"#),
            key("u", r#"{"arguments":{"a":1}}"#),
            key("t", r#"{"arguments":{"a":1.0}}"#),
            key("t", "{}"),
            key("t", r#"{"arguments":{"a":1,"a":1}}"#),
        ];
        for (index, one) in calls.iter().enumerate() {
            assert!(!calls[..index].contains(one), "{index}");
        }
    }

    #[test]
    fn a_stored_answer_is_what_was_stored() {
        let key = CallKey::for_test();
        let content = ToolContent::new().text("done").error();
        let stored = StoredAnswer::of_content(&key, &content);
        let read = StoredAnswer::from_text(&stored.text().unwrap()).unwrap();
        assert_eq!(read.text().unwrap(), stored.text().unwrap());
        assert!(StoredAnswer::from_text("{}").is_err());
        assert!(!format!("{stored:?}").contains("done"));
    }
}
