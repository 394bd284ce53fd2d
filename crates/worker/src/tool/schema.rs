use jsonschema::Validator;
use protocol::json::reject_duplicate_keys;
use protocol::{ErrorCode, ParamHeaders};
use schemars::generate::SchemaSettings;
use schemars::transform::transform_subschemas;
use schemars::{JsonSchema, Schema};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value, json};

/// Argument that the runtime adds to every tool.
pub(super) const RESPONSE_FORMAT: &str = "response_format";

/// The schemas of a tool as its clients see them, and what checks calls against them.
pub(super) struct Schemas {
    /// Of the arguments.
    pub(super) input: Value,
    pub(super) arguments: Validator,
    /// For results only; a failure is not one. Without it anything is a result.
    pub(super) result: Option<Validator>,
    /// Which arguments headers repeat.
    pub(super) mirrored: ParamHeaders,
    /// What is announced.
    pub(super) input_text: Box<RawValue>,
    /// What is announced of `structuredContent`, the failure of a typed tool included.
    pub(super) output_text: Option<Box<RawValue>>,
}

impl Schemas {
    /// Generates and compiles the schemas (JSON Schema 2020-12).
    pub(super) fn of<A: JsonSchema, O: JsonSchema>() -> Result<Self, String> {
        let input = input_schema(generate::<A>(Side::Input))?;
        let result = result_schema(generate::<O>(Side::Output))?;
        Ok(Self {
            arguments: compile("input", &input)?,
            result: Some(compile("output", &Value::Object(result.clone()))?),
            mirrored: ParamHeaders::of_schema(&input)?,
            input_text: text(&input)?,
            output_text: Some(text(&output_schema(result))?),
            input,
        })
    }

    /// Compiles a schema of arguments that is announced as it is written.
    pub(super) fn as_written(input: Box<RawValue>) -> Result<Self, String> {
        let schema = read("input", &input)?;
        if schema.get("type") != Some(&json!("object")) {
            return Err("its input schema is not one of an object".to_owned());
        }
        Ok(Self {
            arguments: compile("input", &schema)?,
            result: None,
            mirrored: ParamHeaders::of_schema(&schema)?,
            input: schema,
            input_text: input,
            output_text: None,
        })
    }

    /// Adds a schema of `structuredContent` that is announced as it is written.
    pub(super) fn output(mut self, output: Box<RawValue>) -> Result<Self, String> {
        let schema = read("output", &output)?;
        self.result = Some(compile("output", &schema)?);
        self.output_text = Some(output);
        Ok(self)
    }
}

fn text(schema: &Value) -> Result<Box<RawValue>, String> {
    to_raw_value(schema).map_err(|error| format!("a schema cannot be written: {error}"))
}

fn read(which: &str, schema: &RawValue) -> Result<Value, String> {
    let fault = |error: &dyn std::fmt::Display| format!("its {which} schema is no JSON: {error}");
    reject_duplicate_keys(schema.get()).map_err(|error| fault(&error))?;
    serde_json::from_str(schema.get()).map_err(|error| fault(&error))
}

fn compile(which: &str, schema: &Value) -> Result<Validator, String> {
    // Without `$schema` it is one of 2020-12.
    jsonschema::validator_for(schema)
        .map_err(|error| format!("its {which} schema does not compile: {error}"))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Input,
    Output,
}

/// Everything in one place: many clients do not follow references.
fn generate<T: JsonSchema>(side: Side) -> Schema {
    let settings = SchemaSettings::draft2020_12()
        .with(|settings| settings.inline_subschemas = true)
        .with_transform(move |schema: &mut Schema| plain_numbers(schema, side))
        .with_transform(either_address)
        .with_transform(flowing_text);
    let settings = match side {
        Side::Input => settings.for_deserialize(),
        Side::Output => settings.for_serialize(),
    };
    settings.into_generator().into_root_schema_for::<T>()
}

/// Joins the lines of each paragraph: where a comment is wrapped says nothing to a reader of
/// the schema.
fn flowing_text(schema: &mut Schema) {
    transform_subschemas(&mut flowing_text, schema);
    let Some(text) = schema.get("description").and_then(Value::as_str) else {
        return;
    };
    let paragraphs: Vec<String> = text
        .split("\n\n")
        .map(|text| text.replace('\n', " "))
        .collect();
    schema.insert("description".to_owned(), paragraphs.join("\n\n").into());
}

/// Says "an address of either version" in formats that JSON Schema defines: clients complain
/// about each one that they do not know.
fn either_address(schema: &mut Schema) {
    transform_subschemas(&mut either_address, schema);
    if schema.get("format").and_then(Value::as_str) == Some("ip") {
        schema.remove("format");
        let versions = json!([{ "format": "ipv4" }, { "format": "ipv6" }]);
        schema.insert("anyOf".to_owned(), versions);
    }
}

/// Removes the formats of Rust's numbers, which no other validator knows, and states the
/// range they stood for, so that arguments in range always fit their type.
fn plain_numbers(schema: &mut Schema, side: Side) {
    transform_subschemas(
        &mut |schema: &mut Schema| plain_numbers(schema, side),
        schema,
    );
    let format = schema.get("format").and_then(Value::as_str);
    let (minimum, maximum): (i64, i64) = match format {
        Some("int8") => (i8::MIN.into(), i8::MAX.into()),
        Some("int16") => (i16::MIN.into(), i16::MAX.into()),
        Some("int32") => (i32::MIN.into(), i32::MAX.into()),
        Some("uint8") => (0, u8::MAX.into()),
        Some("uint16") => (0, u16::MAX.into()),
        Some("uint32") => (0, u32::MAX.into()),
        Some("int" | "int64" | "uint" | "uint64" | "float" | "double") => {
            schema.remove("format");
            return;
        }
        _ => return,
    };
    schema.remove("format");
    if side == Side::Input {
        let schema = schema.ensure_object();
        schema.entry("minimum").or_insert(minimum.into());
        schema.entry("maximum").or_insert(maximum.into());
    }
}

fn input_schema(schema: Schema) -> Result<Value, String> {
    let mut schema = object("arguments", schema)?;
    for keyword in ["oneOf", "anyOf", "allOf"] {
        if schema.contains_key(keyword) {
            return Err(format!(
                "the arguments are not a plain struct but have {keyword}"
            ));
        }
    }
    schema.insert("additionalProperties".to_owned(), false.into());
    let properties = schema
        .entry("properties")
        .or_insert_with(|| json!({}))
        .as_object_mut()
        .ok_or("the arguments have no properties")?;
    let format = json!({
        "type": "string",
        "enum": ["json", "markdown"],
        "default": "markdown",
        "description": "Form of the text content: a short summary, or the whole result as JSON.",
    });
    match properties.insert(RESPONSE_FORMAT.to_owned(), format) {
        None => Ok(Value::Object(schema)),
        Some(_) => Err(format!("argument {RESPONSE_FORMAT} belongs to the runtime")),
    }
}

fn result_schema(schema: Schema) -> Result<Map<String, Value>, String> {
    let mut schema = schema;
    let has_forms = ["oneOf", "anyOf"]
        .iter()
        .any(|forms| schema.get(*forms).is_some());
    if has_forms && schema.get("type").is_none() {
        schema.insert("type".to_owned(), "object".into());
    }
    object("result", schema)
}

/// The schema's members, if it describes an object. The name of a Rust type says nothing
/// to a client and is left out.
fn object(what: &str, mut schema: Schema) -> Result<Map<String, Value>, String> {
    schema.remove("title");
    if schema.get("type") != Some(&json!("object")) {
        return Err(format!("the {what} are not an object"));
    }
    Ok(std::mem::take(schema.ensure_object()))
}

/// A failure is `structuredContent` too, so the announced schema has a place for it.
fn output_schema(mut result: Map<String, Value>) -> Value {
    let error = json!({
        "type": "object",
        "description": "Present in place of the result when the call failed.",
        "properties": {
            "code": { "type": "string", "enum": ErrorCode::ALL },
            "message": { "type": "string" },
            "hint": { "type": "string" },
            "retryable": { "type": "boolean" },
        },
        "required": ["code", "message", "retryable"],
    });
    let is_plain = !["oneOf", "anyOf"]
        .iter()
        .any(|forms| result.contains_key(*forms));
    let properties = result.get_mut("properties").and_then(Value::as_object_mut);
    match properties.filter(|properties| is_plain && !properties.contains_key("error")) {
        Some(properties) => {
            properties.insert("error".to_owned(), error);
            let required = result.remove("required").unwrap_or_else(|| json!([]));
            let forms = json!([{ "required": required }, { "required": ["error"] }]);
            result.insert("anyOf".to_owned(), forms);
            Value::Object(result)
        }
        None => two_forms(result, &error),
    }
}

/// For results whose own members leave no place for the error.
fn two_forms(mut result: Map<String, Value>, error: &Value) -> Value {
    let mut schema = Map::new();
    // References count from the root.
    for keyword in ["$schema", "$defs"] {
        if let Some(value) = result.remove(keyword) {
            schema.insert(keyword.to_owned(), value);
        }
    }
    let failure = json!({
        "type": "object",
        "properties": { "error": error },
        "required": ["error"],
    });
    schema.insert("type".to_owned(), "object".into());
    schema.insert("anyOf".to_owned(), json!([result, failure]));
    Value::Object(schema)
}
