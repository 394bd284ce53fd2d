use protocol::{ErrorCode, ToolError};
use serde::Serialize;
use serde_json::{Value, json};

use crate::Stop;
use crate::call::{Written, written};

/// The messages that a prompt comes to.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct PromptContent {
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    messages: Vec<Message>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Message {
    role: String,
    content: Value,
}

impl PromptContent {
    /// Without messages yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What the messages are for.
    #[must_use]
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// One message more: `role` is `user` or `assistant`, `content` one content block of MCP,
    /// such as a text, an image or a resource.
    #[must_use]
    pub fn message(mut self, role: &str, content: Value) -> Self {
        self.messages.push(Message {
            role: role.to_owned(),
            content,
        });
        self
    }

    /// A text of the user.
    #[must_use]
    pub fn user_text(self, text: impl Into<String>) -> Self {
        let text = text.into();
        self.message("user", json!({ "type": "text", "text": text }))
    }

    /// The result of `prompts/get`.
    pub(super) fn into_result(self, prompt: &str) -> Result<Written, Stop> {
        #[derive(Serialize)]
        struct GetPromptResult {
            #[serde(rename = "resultType")]
            result_type: &'static str,
            #[serde(flatten)]
            content: PromptContent,
        }
        let is_role = |role: &str| ["user", "assistant"].contains(&role);
        if let Some(message) = self.messages.iter().find(|message| !is_role(&message.role)) {
            let role = &message.role;
            tracing::error!(prompt, role, "a prompt has a message of nobody");
            let message = format!("prompt {prompt} is at fault: {role:?} is no role");
            return Err(ToolError::new(ErrorCode::Internal, message).into());
        }
        written(&GetPromptResult {
            result_type: "complete",
            content: self,
        })
    }
}
