use protocol::ToolError;
use protocol::json::{Members, as_string};
use protocol::response::InputRequired;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::output::{check, fault};
use super::schema::Schemas;
use crate::Stop;
use crate::call::written;

/// The result of a raw tool: content of any kind.
#[derive(Debug, Clone, Default)]
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
    pub(super) fn into_result(self, tool: &str, schemas: &Schemas) -> Result<Box<RawValue>, Stop> {
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
        written(&CallToolResult {
            result_type: "complete",
            content: self.content,
            structured_content: self.structured,
            is_error: self.is_error,
        })
    }
}

/// A result as the tool wrote it, with its type.
fn completed(result: &RawValue, tool: &str, schemas: &Schemas) -> Result<Box<RawValue>, ToolError> {
    let wrong = |why: &str| {
        tracing::error!(tool, why, "a tool's result is no CallToolResult");
        fault(why)
    };
    let text = result.get();
    let members = Members::parse(text)
        .map_err(|_| wrong("its result is not an object that names each key once"))?;
    let is_error = members.get("isError");
    if is_error.is_none_or(|value| value.get() != "true") {
        let structured = members.get("structuredContent").map(RawValue::get);
        let structured = structured.and_then(|text| serde_json::from_str(text).ok());
        check_structured(structured.as_ref(), tool, schemas)?;
    }
    match members.get("resultType").map(as_string) {
        Some(Some(kind)) if kind != InputRequired::RESULT_TYPE => return Ok(result.to_owned()),
        Some(_) => return Err(wrong("its result is of a type that no tool may write")),
        None => {}
    }
    if !members
        .get("content")
        .is_some_and(|content| content.get().starts_with('['))
    {
        return Err(wrong("its result has no array \"content\""));
    }
    // The object has a member, so that a comma is right.
    let rest = text.trim_start().strip_prefix('{').unwrap_or_default();
    RawValue::from_string(format!(r#"{{"resultType":"complete",{rest}"#))
        .map_err(|_| wrong("its result is not JSON"))
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
