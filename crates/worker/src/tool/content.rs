use protocol::ToolError;
use protocol::json::{Members, as_string};
use protocol::response::InputRequired;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::output::{check, fault};
use super::schema::Schemas;
use crate::Stop;
use crate::call::{Written, written};

/// `resultType` of a result that is no question to the client.
const COMPLETE: &str = "complete";

/// The result of a raw tool: content of any kind.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ToolContent {
    content: Vec<Value>,
    structured: Option<Value>,
    is_error: bool,
    written: Option<Box<RawValue>>,
}

impl ToolContent {
    /// A result without content yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A whole result as it is: an object with the members of MCP's `CallToolResult`, passed on
    /// byte for byte. `resultType` may be missing. What the other functions add is left out.
    #[must_use]
    pub fn from_json(result: Box<RawValue>) -> Self {
        Self {
            written: Some(result),
            ..Self::default()
        }
    }

    /// One text more.
    #[must_use]
    pub fn text(self, text: impl Into<String>) -> Self {
        let text = text.into();
        self.block(json!({ "type": "text", "text": text }))
    }

    /// One content block of MCP more, such as an image, a sound or a resource.
    #[must_use]
    pub fn block(mut self, block: Value) -> Self {
        self.content.push(block);
        self
    }

    /// The result for programs.
    #[must_use]
    pub fn structured(mut self, structured: Value) -> Self {
        self.structured = Some(structured);
        self
    }

    /// The content says why the tool failed.
    #[must_use]
    pub fn error(mut self) -> Self {
        self.is_error = true;
        self
    }

    /// The result of `tools/call`; refused if it does not keep what its schema promises.
    pub(super) fn into_result(self, tool: &str, schemas: &Schemas) -> Result<Written, Stop> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct CallToolResult {
            result_type: &'static str,
            content: Vec<Value>,
            #[serde(skip_serializing_if = "Option::is_none")]
            structured_content: Option<Value>,
            is_error: bool,
        }
        if let Some(result) = self.written {
            return Ok(completed(&result, tool, schemas)?);
        }
        if !self.is_error {
            check_structured(self.structured.as_ref(), tool, schemas)?;
        }
        let is_error = self.is_error;
        let written = written(&CallToolResult {
            result_type: COMPLETE,
            content: self.content,
            structured_content: self.structured,
            is_error,
        })?;
        Ok(Written {
            is_error,
            ..written
        })
    }
}

/// A result as the tool wrote it, with its type.
fn completed(result: &RawValue, tool: &str, schemas: &Schemas) -> Result<Written, ToolError> {
    let wrong = |why: &str| {
        tracing::error!(tool, why, "a tool's result is no CallToolResult");
        fault(why)
    };
    let text = result.get();
    let members = Members::parse(text)
        .map_err(|_| wrong("its result is not an object that names each key once"))?;
    let kind = members.get("resultType").map(as_string);
    match kind.as_ref().map(Option::as_deref) {
        None | Some(Some(COMPLETE)) => {}
        Some(Some(kind)) if kind != InputRequired::RESULT_TYPE => {
            // What an extension of MCP defines is for its clients to judge.
            return Ok(Written {
                result: result.to_owned(),
                is_error: false,
                is_replayed: false,
            });
        }
        Some(_) => return Err(wrong("its result is of a type that no tool may write")),
    }
    let content = members.get("content").map(RawValue::get);
    if !content.is_some_and(|content| content.starts_with('[')) {
        return Err(wrong("its result has no array \"content\""));
    }
    let is_error = members.get("isError").map(RawValue::get) == Some("true");
    if !is_error {
        let structured = members.get("structuredContent").map(RawValue::get);
        let structured = structured.and_then(|text| serde_json::from_str(text).ok());
        check_structured(structured.as_ref(), tool, schemas)?;
    }
    let result = if kind.is_some() {
        result.to_owned()
    } else {
        // The object has a member, so that a comma is right.
        let rest = text.trim_start().strip_prefix('{').unwrap_or_default();
        RawValue::from_string(format!(r#"{{"resultType":"{COMPLETE}",{rest}"#))
            .map_err(|_| wrong("its result is not JSON"))?
    };
    Ok(Written {
        result,
        is_error,
        is_replayed: false,
    })
}

fn check_structured(
    structured: Option<&Value>,
    tool: &str,
    schemas: &Schemas,
) -> Result<(), ToolError> {
    match structured {
        Some(structured) => check(structured, tool, schemas),
        None if schemas.result.is_none() => Ok(()),
        None => {
            tracing::error!(
                tool,
                "a result has no structured content, as its tool promises"
            );
            Err(fault("its result has no structured content"))
        }
    }
}
