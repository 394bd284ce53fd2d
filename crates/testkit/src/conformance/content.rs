//! Tools that answer at once: content of every kind, an error, schemas of every keyword.

use serde_json::{Value, json, value::RawValue};
use worker::{Tool, ToolContent};

use super::{
    declare::{plain, with_text, written},
    media::{audio, embedded, image},
};

/// JSON Schema 2020-12 with an anchor, composition and conditions: what must reach a client as it
/// is written here.
const PERSON: &str = r##"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "$defs": {
    "address": {
      "$anchor": "postalAddress",
      "type": "object",
      "properties": { "street": { "type": "string" }, "city": { "type": "string" } }
    }
  },
  "properties": {
    "name": { "type": "string" },
    "address": { "$ref": "#/$defs/address" },
    "contactMethod": { "enum": ["phone", "email"] },
    "phone": { "type": "string" },
    "email": { "type": "string" }
  },
  "allOf": [ { "anyOf": [ { "required": ["phone"] }, { "required": ["email"] } ] } ],
  "if": { "properties": { "contactMethod": { "const": "phone" } }, "required": ["contactMethod"] },
  "then": { "required": ["phone"] },
  "else": { "required": ["email"] },
  "additionalProperties": false
}"##;

pub(super) fn tools() -> Vec<Tool> {
    let text = || ToolContent::new().text("This is a simple text response for testing.");
    let note = embedded(
        "test://embedded-resource",
        "text/plain",
        "This is an embedded resource content.",
    );
    let data = embedded(
        "test://mixed-content-resource",
        "application/json",
        r#"{"test":"data","value":123}"#,
    );
    let mixed = ToolContent::new()
        .text("Multiple content types test:")
        .block(image())
        .block(data);
    let error = ToolContent::new()
        .text("This tool intentionally returns an error for testing")
        .error();
    vec![
        always("test_simple_text", "Answers with a text.", text()),
        always("test_image_content", "Answers with a picture.", of(image())),
        always("test_audio_content", "Answers with a sound.", of(audio())),
        always(
            "test_embedded_resource",
            "Answers with an embedded resource.",
            of(note),
        ),
        always(
            "test_multiple_content_types",
            "Answers with a text, a picture and a resource.",
            mixed,
        ),
        always("test_error_handling", "Fails.", error),
        person(),
        custom_header(),
    ]
}

fn of(block: Value) -> ToolContent {
    ToolContent::new().block(block)
}

/// A tool that gives the same content to everybody.
fn always(name: &'static str, description: &str, content: ToolContent) -> Tool {
    plain(name, description, move |_| {
        let content = content.clone();
        async move { Ok(content) }
    })
}

fn person() -> Tool {
    let run = async |_, arguments: Box<RawValue>| Ok(ToolContent::new().text(arguments.get()));
    Tool::raw("json_schema_2020_12_tool", written(PERSON), run)
        .description("Shows its arguments, which a JSON Schema of many keywords describes.")
}

fn custom_header() -> Tool {
    let value = json!({
        "type": "string",
        "description": "Any text; HTTP clients mirror it in the header Mcp-Param-Value.",
        "x-mcp-header": "Value",
    });
    with_text(
        "test_custom_header",
        "Shows an argument that is mirrored in a header.",
        ("value", value),
        async |_, value| Ok(ToolContent::new().text(format!("value: {value}"))),
    )
}
