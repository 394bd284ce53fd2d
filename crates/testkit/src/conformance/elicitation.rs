//! Tools that ask the client's user or model once and show the answer.

use protocol::{mcp::method, response::InputRequired};
use serde_json::{Value, json};
use worker::{Context, Elicited, Stop, Tool, ToolContent};

use super::declare::{plain, with_text};

/// The key of the one question.
const KEY: &str = "answer";

pub(super) fn tools() -> Vec<Tool> {
    vec![
        with_text(
            "test_sampling",
            "Asks the client's model.",
            ("prompt", text("What to ask it.")),
            sampling,
        ),
        with_text(
            "test_elicitation",
            "Asks the client's user for name and address.",
            ("message", text("What to tell the user.")),
            async |context, message| form(&context, &message, &person(), "User response"),
        ),
        asking("test_elicitation_sep1034_defaults", defaults),
        asking("test_elicitation_sep1330_enums", choices),
        asking("test_streaming_elicitation", person),
        plain(
            "test_missing_capability",
            "Needs a client with a model.",
            async |context| sampling(context, "Say hello.".to_owned()).await,
        ),
    ]
}

fn text(description: &str) -> Value {
    json!({ "type": "string", "description": description })
}

fn asking(name: &'static str, schema: fn() -> Value) -> Tool {
    let description = "Asks the client's user to fill in a form.";
    plain(name, description, move |context| async move {
        let message = "Please look at the values of this form.";
        form(&context, message, &schema(), "Elicitation completed")
    })
}

async fn sampling(context: Context, prompt: String) -> Result<ToolContent, Stop> {
    let Some(answer) = context.inputs().sampled_text(KEY) else {
        let request = sample(&prompt, 100);
        let asked = InputRequired::new().ask(KEY, method::SAMPLING, request);
        return Err(asked.into());
    };
    Ok(ToolContent::new().text(format!("LLM response: {answer}")))
}

/// The parameters of `sampling/createMessage` for one question.
pub(super) fn sample(prompt: &str, max_tokens: u32) -> Value {
    let content = json!({ "type": "text", "text": prompt });
    json!({ "messages": [{ "role": "user", "content": content }], "maxTokens": max_tokens })
}

/// Asks for a form, or shows what the user did with it.
fn form(context: &Context, message: &str, schema: &Value, says: &str) -> Result<ToolContent, Stop> {
    let answer = match context.inputs().elicited(KEY) {
        Some(Elicited::Accepted(values)) => format!("action=accept, content={values}"),
        Some(Elicited::Declined) => "action=decline, content={}".to_owned(),
        Some(Elicited::Cancelled) => "action=cancel, content={}".to_owned(),
        None => {
            let form = json!({ "message": message, "requestedSchema": schema });
            let asked = InputRequired::new().ask(KEY, method::ELICITATION, form);
            return Err(asked.into());
        }
    };
    Ok(ToolContent::new().text(format!("{says}: {answer}")))
}

fn person() -> Value {
    json!({
        "type": "object",
        "properties": {
            "username": { "type": "string", "description": "The user's name" },
            "email": { "type": "string", "description": "The user's address" },
        },
        "required": ["username", "email"],
    })
}

/// A default for every type that a form knows (SEP-1034).
fn defaults() -> Value {
    json!({
        "type": "object",
        "properties": {
            "name": { "type": "string", "default": "John Doe" },
            "age": { "type": "integer", "default": 30 },
            "score": { "type": "number", "default": 95.5 },
            "status": {
                "type": "string",
                "enum": ["active", "inactive", "pending"],
                "default": "active",
            },
            "verified": { "type": "boolean", "default": true },
        },
    })
}

/// Every form of a choice (SEP-1330).
fn choices() -> Value {
    let plain = ["option1", "option2", "option3"];
    let titled = json!([
        { "const": "value1", "title": "First" },
        { "const": "value2", "title": "Second" },
        { "const": "value3", "title": "Third" },
    ]);
    json!({
        "type": "object",
        "properties": {
            "untitledSingle": { "type": "string", "enum": plain },
            "titledSingle": { "type": "string", "oneOf": titled },
            "legacyEnum": {
                "type": "string",
                "enum": ["opt1", "opt2", "opt3"],
                "enumNames": ["One", "Two", "Three"],
            },
            "untitledMulti": {
                "type": "array",
                "items": { "type": "string", "enum": plain },
            },
            "titledMulti": { "type": "array", "items": { "anyOf": titled } },
        },
    })
}
