//! Faults of arguments, said so that a model can correct its call.

use std::fmt::Write as _;

use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind;
use protocol::ToolError;
use serde_json::Value;

/// Faults that one answer names; the rest would only bury them.
const MAX_FAULTS: usize = 5;
/// Characters of a value that an answer repeats.
const MAX_VALUE: usize = 80;

/// Says which argument has which value and what is allowed, fault by fault.
pub(super) fn invalid<'a>(
    faults: impl Iterator<Item = ValidationError<'a>>,
    input: &Value,
) -> ToolError {
    let faults: Vec<String> = faults
        .take(MAX_FAULTS)
        .map(|fault| describe(&fault, input))
        .collect();
    ToolError::invalid(faults.join("; "))
}

/// Says why an argument that fits its schema is refused all the same.
pub(super) fn unreadable(path: &str, why: &str, input: &Value) -> ToolError {
    let first = path.split(['.', '[']).next().unwrap_or_default();
    if is_secret(input, first) {
        return ToolError::invalid(format!("argument {first} is not of the right form"));
    }
    match path {
        "." => ToolError::invalid(format!("the arguments are refused: {why}")),
        _ => ToolError::invalid(format!("argument {path}: {why}")),
    }
}

fn describe(fault: &ValidationError<'_>, input: &Value) -> String {
    let pointer = fault.instance_path().as_str();
    let keyword = fault.schema_path().as_str();
    let parent = keyword.rsplit_once('/').map_or("", |(parent, _)| parent);
    let schema = input.pointer(parent).unwrap_or(&Value::Null);
    match fault.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            unknown(&path(pointer), unexpected, schema)
        }
        ValidationErrorKind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            let missing = schema.pointer(&format!("/properties/{name}"));
            let path = path(&format!("{pointer}/{name}"));
            let allowed = allowed(missing.unwrap_or(&Value::Null));
            format!("argument {path} is missing; it must be {allowed}")
        }
        _ => {
            let first = pointer.split('/').nth(1).unwrap_or_default();
            let value = if is_secret(input, first) {
                "not acceptable".to_owned()
            } else {
                value(fault.instance())
            };
            let what = match path(pointer) {
                path if path.is_empty() => "the arguments together".to_owned(),
                path => format!("argument {path}"),
            };
            format!("{what}: {value} is refused; it must be {}", allowed(schema))
        }
    }
}

fn unknown(path: &str, unexpected: &[String], schema: &Value) -> String {
    let quoted: Vec<String> = unexpected
        .iter()
        .map(|name| short(&format!("{name:?}")))
        .collect();
    let known = schema.get("properties").and_then(Value::as_object);
    let known: Vec<&str> = known
        .into_iter()
        .flatten()
        .map(|(name, _)| name.as_str())
        .collect();
    let place = if path.is_empty() {
        String::new()
    } else {
        format!(" in {path}")
    };
    let (unknown, known) = (quoted.join(", "), known.join(", "));
    format!("unknown argument {unknown}{place}; known arguments: {known}")
}

/// `/hosts/2/name` as `hosts[2].name`.
fn path(pointer: &str) -> String {
    let mut path = String::new();
    for part in pointer.split('/').skip(1) {
        let part = part.replace("~1", "/").replace("~0", "~");
        if !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()) {
            // Writing to a String cannot fail.
            let _ = write!(path, "[{part}]");
        } else {
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(&part);
        }
    }
    path
}

fn value(value: &Value) -> String {
    match value {
        Value::String(text) => format!("the text {}", short(&format!("{text:?}"))),
        other => short(&other.to_string()),
    }
}

fn short(text: &str) -> String {
    let mut shortened: String = text.chars().take(MAX_VALUE).collect();
    if shortened.len() < text.len() {
        shortened.push('…');
    }
    shortened
}

/// Whether the argument must not be repeated to anybody.
fn is_secret(input: &Value, argument: &str) -> bool {
    let property = input
        .get("properties")
        .and_then(|properties| properties.get(argument));
    property.and_then(|schema| schema.get("writeOnly")) == Some(&Value::Bool(true))
}

/// What a schema allows.
fn allowed(schema: &Value) -> String {
    if let Some(constant) = schema.get("const") {
        return constant.to_string();
    }
    if let Some(Value::Array(values)) = schema.get("enum") {
        let values: Vec<String> = values.iter().map(Value::to_string).collect();
        return format!("one of {}", values.join(", "));
    }
    for forms in ["oneOf", "anyOf"] {
        if let Some(Value::Array(forms)) = schema.get(forms) {
            let forms: Vec<String> = forms
                .iter()
                .filter(|form| !is_null(form))
                .map(allowed)
                .collect();
            return forms.join(" or ");
        }
    }
    let names: Vec<&str> = match schema.get("type") {
        Some(Value::String(name)) => vec![name],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let kinds: Vec<String> = names
        .into_iter()
        .filter(|name| *name != "null")
        .map(|name| allowed_of_type(name, schema))
        .collect();
    if kinds.is_empty() {
        "as its description says".to_owned()
    } else {
        kinds.join(" or ")
    }
}

fn is_null(schema: &Value) -> bool {
    schema.get("type").is_some_and(|name| name == "null")
}

fn allowed_of_type(name: &str, schema: &Value) -> String {
    let bounds = |from: &str, to: &str, unit: &str| match (schema.get(from), schema.get(to)) {
        (Some(from), Some(to)) => format!(" of {from} to {to}{unit}"),
        (Some(from), None) => format!(" of at least {from}{unit}"),
        (None, Some(to)) => format!(" of at most {to}{unit}"),
        (None, None) => String::new(),
    };
    match name {
        "integer" => format!("an integer{}", bounds("minimum", "maximum", "")),
        "number" => format!("a number{}", bounds("minimum", "maximum", "")),
        "boolean" => "true or false".to_owned(),
        "string" => {
            let pattern = schema.get("pattern").and_then(Value::as_str);
            let pattern =
                pattern.map_or_else(String::new, |pattern| format!(" that matches {pattern}"));
            format!(
                "a text{}{pattern}",
                bounds("minLength", "maxLength", " characters")
            )
        }
        "array" => {
            let items = schema.get("items").map_or_else(String::new, |items| {
                format!(", each of them {}", allowed(items))
            });
            format!(
                "an array{}{items}",
                bounds("minItems", "maxItems", " items")
            )
        }
        _ => "an object".to_owned(),
    }
}
