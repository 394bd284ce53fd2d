use protocol::ToolError;
use protocol::json::reject_duplicate_keys;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

use super::schema::{RESPONSE_FORMAT, Schemas};
use super::words;

/// What stands for absent arguments.
const NONE: &str = "{}";

/// Arguments of a typed tool that fit their schema.
#[derive(Debug)]
pub(super) struct Arguments {
    /// An object, without what is the runtime's own.
    pub(super) value: Value,
    /// What the text content shall be.
    pub(super) format: Format,
}

/// Form of the text content of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// The summary.
    Markdown,
    /// The structured content once more.
    Json,
}

impl Arguments {
    /// Reads the `arguments` of a call of a typed tool; absent ones count as none.
    pub(super) fn parse(text: Option<&str>, schemas: &Schemas) -> Result<Self, ToolError> {
        let mut value = checked(text.unwrap_or(NONE), schemas)?;
        let format = value
            .as_object_mut()
            .and_then(|arguments| arguments.remove(RESPONSE_FORMAT));
        let format = if format.is_some_and(|format| format == "json") {
            Format::Json
        } else {
            Format::Markdown
        };
        whole_numbers(&mut value, &schemas.input);
        Ok(Self { value, format })
    }
}

/// Reads the `arguments` of a call of a raw tool and gives them back as they were sent.
pub(super) fn as_sent(text: Option<&str>, schemas: &Schemas) -> Result<Box<RawValue>, ToolError> {
    let text = text.unwrap_or(NONE);
    checked(text, schemas)?;
    RawValue::from_string(text.to_owned()).map_err(|error| not_json(&error))
}

/// Arguments that fit their schema.
fn checked(text: &str, schemas: &Schemas) -> Result<Value, ToolError> {
    reject_duplicate_keys(text).map_err(|error| {
        let why = std::error::Error::source(&error).map(ToString::to_string);
        ToolError::invalid(format!(
            "the arguments are refused: {}",
            why.unwrap_or_default()
        ))
    })?;
    let value: Value = serde_json::from_str(text).map_err(|error| not_json(&error))?;
    if schemas.arguments.is_valid(&value) {
        return Ok(value);
    }
    let faults = schemas.arguments.iter_errors(&value);
    Err(words::invalid(faults, &schemas.input))
}

fn not_json(error: &serde_json::Error) -> ToolError {
    ToolError::invalid(format!("the arguments are not JSON: {error}"))
}

/// Turns checked arguments into the tool's own type.
///
/// What the schema cannot say, such as what a host name is, is refused here.
pub(super) fn read<A: DeserializeOwned>(arguments: Value, input: &Value) -> Result<A, ToolError> {
    serde_path_to_error::deserialize(arguments).map_err(|error| {
        let path = error.path().to_string();
        let why = error.into_inner().to_string();
        words::unreadable(&path, &why, input)
    })
}

/// Writes `4.0` as `4` where the schema wants an integer: JSON Schema takes both for one
/// (2020-12 Core, section 4.2.3), serde does not.
fn whole_numbers(value: &mut Value, schema: &Value) {
    match value {
        Value::Number(number) => {
            if is_integer(schema)
                && let Some(whole) = number.as_f64().filter(|_| number.is_f64()).and_then(whole)
            {
                *number = whole.into();
            }
        }
        Value::Array(items) => {
            let Some(schema) = schema.get("items") else {
                return;
            };
            for item in items {
                whole_numbers(item, schema);
            }
        }
        Value::Object(members) => {
            let Some(schemas) = schema.get("properties") else {
                return;
            };
            for (name, member) in members {
                if let Some(schema) = schemas.get(name) {
                    whole_numbers(member, schema);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

fn is_integer(schema: &Value) -> bool {
    match schema.get("type") {
        Some(Value::String(name)) => name == "integer",
        Some(Value::Array(names)) => names.contains(&"integer".into()),
        _ => false,
    }
}

/// The integer that a float is, where a float can tell integers apart.
fn whole(float: f64) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the range is checked and the fraction is zero"
    )]
    (float.fract() == 0.0 && float.abs() <= EXACT).then_some(float as i64)
}
