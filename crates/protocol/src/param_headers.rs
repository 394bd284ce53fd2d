use std::collections::HashSet;
use std::fmt;

use serde_json::value::RawValue;
use serde_json::{Number, Value};

use crate::json::{Members, as_string};

/// The annotation in a tool's schema.
const ANNOTATION: &str = "x-mcp-header";
/// The greatest integer that every reader of JSON keeps exactly: 2⁵³ − 1.
const MAX_SAFE: i64 = (1 << 53) - 1;
/// Most arguments of one tool that are mirrored.
const MAX_HEADERS: usize = 32;
/// The longest name of a header, in bytes, without the prefix.
const MAX_NAME: usize = 64;
/// Keywords whose values are data, not schemas.
const DATA: [&str; 4] = ["const", "enum", "default", "examples"];
/// Keywords whose members are schemas under names of the author's choice.
const NAMED_SCHEMAS: [&str; 5] = [
    "properties",
    "patternProperties",
    "dependentSchemas",
    "$defs",
    "definitions",
];

/// The arguments of a tool that its callers mirror into headers (MCP 2026-07-28, "Custom Headers
/// from Tool Parameters").
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ParamHeaders(Vec<ParamHeader>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct ParamHeader {
    /// In lower case, without the prefix.
    name: String,
    /// The keys that lead to the argument.
    path: Vec<String>,
}

/// The value of a mirrored argument. Displayed, it is the text of the header before
/// [`crate::header_value::encode`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParamValue {
    /// A string, or a number with a fraction as it is written.
    Text(String),
    /// A number without a fraction, within ±(2⁵³ − 1).
    Integer(i64),
    /// True or false.
    Boolean(bool),
}

impl ParamHeaders {
    /// Reads the annotations of an input schema.
    ///
    /// # Errors
    /// The rule that an annotation breaks, with the place. Beside those of the specification:
    /// a `writeOnly` argument is a secret and is mirrored nowhere; there are at most 32, with
    /// names of at most 64 bytes.
    pub fn of_schema(input_schema: &Value) -> Result<Self, String> {
        let mut found = Self::default();
        found.walk(input_schema, Some(&mut Vec::new()), &mut HashSet::new())?;
        Ok(found)
    }

    /// Whether nothing is mirrored.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names of all headers there can be, in lower case and without the prefix.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|header| header.name.as_str())
    }

    /// The headers of a call: those whose argument is there and is a string, a number or a
    /// boolean.
    ///
    /// # Errors
    /// When an argument is an integer beyond ±(2⁵³ − 1), or an object on the way to it names a key
    /// twice.
    pub fn read(&self, arguments: Option<&RawValue>) -> Result<Vec<(String, ParamValue)>, String> {
        let mut headers = Vec::new();
        for ParamHeader { name, path } in &self.0 {
            let Some(value) = find(arguments, path)? else {
                continue;
            };
            let value = ParamValue::read(value)
                .map_err(|why| format!("arguments.{} {why}", path.join(".")))?;
            if let Some(value) = value {
                headers.push((name.clone(), value));
            }
        }
        Ok(headers)
    }

    /// Walks a schema; `path` is where it stands as long as only `properties` led there.
    fn walk(
        &mut self,
        schema: &Value,
        mut path: Option<&mut Vec<String>>,
        taken: &mut HashSet<String>,
    ) -> Result<(), String> {
        let schemas = match schema {
            Value::Object(schema) => schema,
            Value::Array(schemas) => {
                return schemas
                    .iter()
                    .try_for_each(|schema| self.walk(schema, None, taken));
            }
            _ => return Ok(()),
        };
        if schemas.contains_key(ANNOTATION) {
            let Some(path) = path.as_deref().filter(|path| !path.is_empty()) else {
                return Err(format!(
                    "{ANNOTATION} stands where `properties` alone does not lead from the root of \
                     the schema"
                ));
            };
            let header = ParamHeader::read(schema, path)
                .map_err(|why| format!("{ANNOTATION} of {:?}: {why}", path.join(".")))?;
            if !taken.insert(header.name.clone()) {
                return Err(format!(
                    "{ANNOTATION} of {:?}: another argument has the header {:?} already",
                    path.join("."),
                    header.name
                ));
            }
            if self.0.len() == MAX_HEADERS {
                return Err(format!(
                    "more than {MAX_HEADERS} arguments have {ANNOTATION}"
                ));
            }
            self.0.push(header);
        }
        for (keyword, inner) in schemas {
            if DATA.contains(&keyword.as_str()) {
                continue;
            }
            let named = inner
                .as_object()
                .filter(|_| NAMED_SCHEMAS.contains(&keyword.as_str()));
            let Some(named) = named else {
                self.walk(inner, None, taken)?;
                continue;
            };
            for (key, schema) in named {
                match path.as_deref_mut().filter(|_| keyword == "properties") {
                    Some(path) => {
                        path.push(key.clone());
                        self.walk(schema, Some(path), taken)?;
                        path.pop();
                    }
                    None => self.walk(schema, None, taken)?,
                }
            }
        }
        Ok(())
    }
}

impl ParamHeader {
    fn read(schema: &Value, path: &[String]) -> Result<Self, String> {
        let name = schema[ANNOTATION]
            .as_str()
            .ok_or("it must be a string: the end of a header's name")?;
        if name.is_empty() || !name.bytes().all(is_tchar) {
            return Err(format!(
                "{name:?} is not a token of RFC 9110: letters, digits and !#$%&'*+-.^_`|~"
            ));
        }
        if name.len() > MAX_NAME {
            return Err(format!("{name:?} is longer than {MAX_NAME} bytes"));
        }
        let kind = schema.get("type").and_then(Value::as_str);
        if !matches!(kind, Some("string" | "integer" | "boolean")) {
            return Err(
                "the argument's type must be \"string\", \"integer\" or \"boolean\"".to_owned(),
            );
        }
        if schema.get("writeOnly") == Some(&Value::Bool(true)) {
            return Err("the argument is writeOnly, and a header is no place for secrets".into());
        }
        Ok(Self {
            name: name.to_ascii_lowercase(),
            path: path.to_vec(),
        })
    }
}

impl ParamValue {
    /// Whether a header says the same; integers are compared as numbers.
    #[must_use]
    pub fn matches(&self, decoded_header: &str) -> bool {
        match self {
            Self::Text(text) => text == decoded_header,
            Self::Boolean(value) => decoded_header == if *value { "true" } else { "false" },
            Self::Integer(value) => {
                // JSON allows white space around a number, a header's value has none.
                !decoded_header.contains(|c: char| c.is_ascii_whitespace())
                    && serde_json::from_str(decoded_header)
                        .is_ok_and(|number: Number| integer(&number) == Some(*value))
            }
        }
    }

    fn read(value: &RawValue) -> Result<Option<Self>, &'static str> {
        let text = value.get();
        Ok(Some(match text {
            "true" => Self::Boolean(true),
            "false" => Self::Boolean(false),
            // No header says what is no scalar; the tool's schema judges it.
            _ if text == "null" || text.starts_with(['{', '[']) => return Ok(None),
            _ => {
                if let Some(text) = as_string(value) {
                    return Ok(Some(Self::Text(text.into_owned())));
                }
                let number: Number =
                    serde_json::from_str(text).map_err(|_| "is a number out of range")?;
                match integer(&number) {
                    Some(integer) => Self::Integer(integer),
                    None if number.as_f64().is_none_or(|number| number.fract() == 0.0) => {
                        return Err("must lie between -(2^53 - 1) and 2^53 - 1");
                    }
                    None => Self::Text(text.to_owned()),
                }
            }
        }))
    }
}

impl fmt::Display for ParamValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Integer(value) => value.fmt(f),
            Self::Boolean(value) => value.fmt(f),
        }
    }
}

/// The argument at the end of a path; none where a step is missing or leads into something that
/// is no object, which is for the tool's schema to judge.
fn find<'a>(
    arguments: Option<&'a RawValue>,
    path: &[String],
) -> Result<Option<&'a RawValue>, String> {
    let mut value = arguments;
    for key in path {
        let Some(object) = value.filter(|value| value.get().starts_with('{')) else {
            return Ok(None);
        };
        let members =
            Members::parse(object.get()).map_err(|_| "an object in arguments names a key twice")?;
        value = members.get(key);
    }
    Ok(value)
}

/// A number without a fraction within the safe range, however it is written.
fn integer(number: &Number) -> Option<i64> {
    let exact = number.as_i64().or_else(|| {
        let float = number.as_f64().filter(|float| float.fract() == 0.0)?;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the cast saturates, and what is not exact lies beyond the safe range"
        )]
        Some(float as i64)
    });
    exact.filter(|value| (-MAX_SAFE..=MAX_SAFE).contains(value))
}

/// RFC 9110, section 5.6.2.
fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn headers() -> ParamHeaders {
        ParamHeaders::of_schema(&json!({ "type": "object", "properties": {
            "region": { "type": "string", "x-mcp-header": "Region" },
            "count": { "type": "integer", "x-mcp-header": "COUNT" },
            "dry": { "type": "boolean", "x-mcp-header": "Dry-Run" },
            "target": { "type": "object", "properties": {
                "host": { "type": "string", "x-mcp-header": "Host" },
                "port": { "type": "number" },
            }},
            "query": { "type": "string", "default": { "x-mcp-header": "no annotation" } },
            "x-mcp-header": { "type": "string" },
        }}))
        .unwrap()
    }

    fn read(arguments: &str) -> Result<Vec<String>, String> {
        let raw: Box<RawValue> = serde_json::from_str(arguments).unwrap();
        let mut read: Vec<String> = headers()
            .read(Some(&raw))?
            .into_iter()
            .map(|(name, value)| format!("{name}: {value}"))
            .collect();
        read.sort();
        Ok(read)
    }

    #[test]
    fn arguments_are_read_where_their_annotations_stand() {
        let all = r#"{"region":"us\u002dwest1","count":4.2e1,"dry":false,
            "target":{"host":" a ","port":1.5},"query":"q","x-mcp-header":"x"}"#;
        assert_eq!(
            read(all).unwrap(),
            [
                "count: 42",
                "dry-run: false",
                "host:  a ",
                "region: us-west1"
            ]
        );
        for none in [
            "{}",
            r#"{"region":null,"target":{"host":null}}"#,
            r#"{"target":"host","region":{},"count":[1]}"#,
            "5",
        ] {
            assert!(read(none).unwrap().is_empty(), "{none}");
        }
        assert!(headers().read(None).unwrap().is_empty());
        assert!(ParamHeaders::of_schema(&json!(true)).unwrap().is_empty());
        assert_eq!(headers().names().count(), 4);
    }

    #[test]
    fn an_argument_that_two_readers_may_read_differently_is_refused() {
        for (arguments, expected) in [
            (r#"{"count":9007199254740992}"#, "arguments.count must lie"),
            (r#"{"count":-1e20}"#, "2^53"),
            (r#"{"count":1e999}"#, "out of range"),
            (r#"{"region":"a","region":"b"}"#, "twice"),
            (r#"{"target":{"host":"a","host":"b"}}"#, "twice"),
        ] {
            let error = read(arguments).unwrap_err();
            assert!(error.contains(expected), "{arguments} gave {error}");
        }
    }

    #[test]
    fn integers_are_compared_as_numbers_and_the_rest_as_text() {
        let check = |value: &ParamValue, header: &str, expected: bool| {
            assert_eq!(value.matches(header), expected, "{value:?} and {header:?}");
        };
        let integer = ParamValue::Integer(42);
        for (header, expected) in [
            ("42", true),
            ("42.0", true),
            ("4.2e1", true),
            ("43", false),
            ("0x2a", false),
            ("+42", false),
            ("42 ", false),
            ("", false),
            ("\"42\"", false),
        ] {
            check(&integer, header, expected);
        }
        check(&ParamValue::Integer(0), "-0", true);
        check(&ParamValue::Integer(MAX_SAFE), "9007199254740993", false);
        check(&ParamValue::Boolean(true), "true", true);
        check(&ParamValue::Boolean(true), "True", false);
        check(&ParamValue::Boolean(false), "true", false);
        check(&ParamValue::Text("a".into()), "A", false);
        check(&ParamValue::Text("1.50".into()), "1.50", true);
    }

    #[test]
    fn an_annotation_against_the_rules_is_refused_with_the_reason() {
        let check = |schema: Value, expected: &str| {
            let error = ParamHeaders::of_schema(&schema).unwrap_err();
            assert!(error.contains(expected), "{schema} gave {error}");
        };
        let property = |property: Value| json!({ "properties": { "p": property } });
        for name in ["", "My Region", "Region:Primary", "Région", "Region\t1"] {
            check(
                property(json!({ "type": "string", "x-mcp-header": name })),
                "token",
            );
        }
        check(
            property(json!({ "type": "string", "x-mcp-header": 5 })),
            "must be a string",
        );
        for kind in [
            json!("object"),
            json!("array"),
            json!("null"),
            json!("number"),
            json!(["string", "null"]),
        ] {
            check(
                property(json!({ "type": kind, "x-mcp-header": "P" })),
                "type",
            );
        }
        check(property(json!({ "x-mcp-header": "P" })), "type");
        check(
            property(json!({ "type": "string", "x-mcp-header": "P".repeat(65) })),
            "longer than 64",
        );
        let many: serde_json::Map<String, Value> = (0..33)
            .map(|n| {
                let name = format!("p{n}");
                (
                    name.clone(),
                    json!({ "type": "string", "x-mcp-header": name }),
                )
            })
            .collect();
        check(json!({ "properties": many }), "more than 32");
        check(
            property(json!({ "type": "string", "writeOnly": true, "x-mcp-header": "P" })),
            "writeOnly",
        );
        check(
            json!({ "properties": {
                "a": { "type": "string", "x-mcp-header": "MyField" },
                "b": { "type": "string", "x-mcp-header": "myfield" },
            }}),
            "another argument",
        );
    }

    #[test]
    fn an_annotation_that_properties_alone_do_not_lead_to_is_refused() {
        let annotated = json!({ "type": "string", "x-mcp-header": "P" });
        let elsewhere = [
            annotated.clone(),
            json!({ "properties": { "p": { "type": "array", "items": annotated } } }),
            json!({ "properties": { "p": { "items": { "properties": { "q": annotated } } } } }),
            json!({ "allOf": [{ "properties": { "p": annotated } }] }),
            json!({ "not": { "properties": { "p": annotated } } }),
            json!({ "if": true, "then": { "properties": { "p": annotated } } }),
            json!({ "$defs": { "p": annotated }, "properties": { "p": { "$ref": "#/$defs/p" } } }),
            json!({ "patternProperties": { "x-mcp-header": annotated } }),
            json!({ "additionalProperties": annotated }),
        ];
        for schema in elsewhere {
            let error = ParamHeaders::of_schema(&schema).unwrap_err();
            assert!(
                error.contains("`properties` alone"),
                "{schema} gave {error}"
            );
        }
    }
}
