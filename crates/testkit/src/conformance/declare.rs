//! How the tools here are declared: with a written schema and content of any kind.

use std::future::Future;

use serde_json::{
    Value,
    value::{RawValue, to_raw_value},
};
use worker::{Context, Stop, Tool, ToolContent};

/// A tool without arguments.
pub(super) fn plain<F, Fut>(name: &'static str, description: &str, run: F) -> Tool
where
    F: Fn(Context) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<ToolContent, Stop>> + Send + 'static,
{
    const NOTHING: &str = r#"{"type":"object","properties":{},"additionalProperties":false}"#;
    Tool::raw(name, written(NOTHING), move |context, _| run(context)).description(description)
}

/// A tool with one argument, a string that must be there.
pub(super) fn with_text<F, Fut>(
    name: &'static str,
    description: &str,
    (argument, schema): (&'static str, Value),
    run: F,
) -> Tool
where
    F: Fn(Context, String) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<ToolContent, Stop>> + Send + 'static,
{
    let schema = serde_json::json!({
        "type": "object",
        "properties": { argument: schema },
        "required": [argument],
        "additionalProperties": false,
    });
    let schema = to_raw_value(&schema).unwrap_or_else(|_| faulty());
    let run = move |context, arguments: Box<RawValue>| {
        // The schema has made sure that it is there and a string.
        let arguments: Value = serde_json::from_str(arguments.get()).unwrap_or_default();
        run(
            context,
            arguments[argument].as_str().unwrap_or_default().to_owned(),
        )
    };
    Tool::raw(name, schema, run).description(description)
}

/// A schema as it is written.
pub(super) fn written(schema: &str) -> Box<RawValue> {
    RawValue::from_string(schema.to_owned()).unwrap_or_else(|_| faulty())
}

/// What a faulty constant becomes: no schema, which the worker refuses when it starts.
fn faulty() -> Box<RawValue> {
    RawValue::NULL.to_owned()
}
