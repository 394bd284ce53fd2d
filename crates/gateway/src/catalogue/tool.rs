use std::time::Duration;

use protocol::{Category, ToolDescriptor, json};
use semver::Version;
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

/// The largest descriptor that is accepted, in bytes.
const MAX_BYTES: usize = 256 * 1024;
/// Deadline of a call to a tool that announces none.
const DEFAULT_DEADLINE: Duration = Duration::from_secs(30);

/// Longest deadline that may be asked for where nothing is announced yet; the worker holds the
/// call to the tool's own.
const MAX_DEADLINE_UNHEARD: Duration = Duration::from_mins(10);

/// One announced tool: what routing needs, beside the descriptor as its worker wrote it.
#[derive(Debug, Clone)]
pub(crate) struct Tool {
    pub(crate) name: String,
    pub(crate) category: Category,
    pub(crate) deadlines: Deadlines,
    pub(crate) at_most_once: bool,
    /// The descriptor, byte for byte.
    pub(crate) text: Box<RawValue>,
    rank: Rank,
}

/// How long calls of a tool may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Deadlines {
    /// For calls that ask for none.
    pub(crate) default: Duration,
    /// The longest a call may ask for.
    pub(crate) max: Duration,
}

/// Which of several descriptors of one tool is listed: the greatest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    version: Version,
    hash: [u8; 32],
}

impl Tool {
    /// Checks a descriptor that a worker of `category` announced.
    ///
    /// # Errors
    /// Why it is refused, with the value at fault.
    pub(crate) fn read(
        text: &RawValue,
        category: &Category,
        version: &Version,
    ) -> Result<Self, String> {
        if text.get().len() > MAX_BYTES {
            return Err(format!("the descriptor is longer than {MAX_BYTES} bytes"));
        }
        json::reject_duplicate_keys(text.get()).map_err(|error| why(&error))?;
        let descriptor: ToolDescriptor =
            serde_json::from_str(text.get()).map_err(|error| error.to_string())?;
        check_owner(&descriptor, category)?;
        check_schema("inputSchema", &descriptor.input_schema)?;
        if descriptor.input_schema.get("type") != Some(&Value::from("object")) {
            return Err("the root of inputSchema must have \"type\": \"object\"".to_owned());
        }
        if let Some(schema) = &descriptor.output_schema {
            check_schema("outputSchema", schema)?;
        }
        Ok(Self {
            deadlines: deadlines(&descriptor)?,
            at_most_once: descriptor.meta.at_most_once,
            name: descriptor.name,
            category: category.clone(),
            rank: Rank {
                version: version.clone(),
                hash: Sha256::digest(text.get()).into(),
            },
            text: text.to_owned(),
        })
    }

    /// A tool of which no worker has spoken yet, to call it once one does.
    pub(crate) fn expected(name: String, category: Category) -> Self {
        Self {
            deadlines: Deadlines {
                default: DEFAULT_DEADLINE,
                max: MAX_DEADLINE_UNHEARD,
            },
            // Unless its worker says that a call has started, it makes no difference.
            at_most_once: true,
            name,
            category,
            rank: Rank {
                version: Version::new(0, 0, 0),
                hash: [0; 32],
            },
            text: RawValue::NULL.to_owned(),
        }
    }

    /// Whether this descriptor goes before another of the same tool.
    pub(crate) fn outranks(&self, other: &Self) -> bool {
        self.rank > other.rank
    }

    /// Whether both were written alike, whatever the version of their workers.
    pub(crate) fn is_same_text(&self, other: &Self) -> bool {
        self.rank.hash == other.rank.hash
    }
}

fn check_owner(descriptor: &ToolDescriptor, category: &Category) -> Result<(), String> {
    let name = &descriptor.name;
    if !ToolDescriptor::name_is_valid(name) {
        return Err(format!(
            "{name:?} is not 1 to 64 characters of [A-Za-z0-9_./-]"
        ));
    }
    if let Some(named) = descriptor
        .meta
        .category
        .as_ref()
        .filter(|named| *named != category)
    {
        return Err(format!(
            "it names category {named}, its sender is of category {category}"
        ));
    }
    match Category::of_core_tool(name).filter(|owner| owner != category) {
        Some(owner) => Err(format!("the name belongs to category {owner}")),
        None => Ok(()),
    }
}

fn check_schema(member: &str, schema: &Value) -> Result<(), String> {
    if !schema.is_object() {
        return Err(format!("{member} must be a JSON Schema object"));
    }
    jsonschema::meta::validate(schema)
        .map_err(|error| format!("{member} is not a valid JSON Schema: {error}"))
}

fn deadlines(descriptor: &ToolDescriptor) -> Result<Deadlines, String> {
    let meta = &descriptor.meta;
    let default = meta
        .default_timeout_ms
        .map_or(DEFAULT_DEADLINE, Duration::from_millis);
    let max = meta.max_timeout_ms.map_or(default, Duration::from_millis);
    if default.is_zero() || max < default {
        return Err(format!(
            "its default deadline of {default:?} must be positive and within its maximum of {max:?}"
        ));
    }
    Ok(Deadlines { default, max })
}

fn why(error: &protocol::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Tool, String> {
        let raw: Box<RawValue> = serde_json::from_str(text).unwrap();
        Tool::read(&raw, &Category::network(), &Version::new(1, 0, 0))
    }

    #[test]
    fn a_good_descriptor_keeps_its_text_and_gives_its_deadlines() {
        let text = r#"{ "name":"ping", "inputSchema":{"type":"object","x":1.0},
            "_meta":{"opendiscovery/defaultTimeoutMs":5000,"opendiscovery/maxTimeoutMs":60000,
            "opendiscovery/atMostOnce":true,"opendiscovery/category":"network"}}"#;
        let tool = read(text).unwrap();
        assert_eq!(tool.text.get(), text);
        assert_eq!(tool.deadlines.default, Duration::from_secs(5));
        assert_eq!(tool.deadlines.max, Duration::from_mins(1));
        assert!(tool.at_most_once);
        let plain = read(r#"{"name":"arp","inputSchema":{"type":"object"}}"#).unwrap();
        assert_eq!(
            plain.deadlines,
            Deadlines {
                default: DEFAULT_DEADLINE,
                max: DEFAULT_DEADLINE
            }
        );
    }

    #[test]
    fn a_bad_descriptor_is_refused_with_the_reason() {
        let check = |text: &str, expected: &str| {
            let error = read(text).unwrap_err();
            assert!(error.contains(expected), "{text} gave {error}");
        };
        check(r#"{"inputSchema":{"type":"object"}}"#, "name");
        check(r#"{"name":"","inputSchema":{"type":"object"}}"#, "1 to 64");
        check(
            r#"{"name":"a b","inputSchema":{"type":"object"}}"#,
            "1 to 64",
        );
        check(r#"{"name":"ping"}"#, "inputSchema");
        check(r#"{"name":"ping","inputSchema":true}"#, "object");
        check(
            r#"{"name":"ping","inputSchema":{}}"#,
            "\"type\": \"object\"",
        );
        check(
            r#"{"name":"ping","inputSchema":{"type":"array"}}"#,
            "\"type\": \"object\"",
        );
        check(
            r#"{"name":"ping","inputSchema":{"type":"objekt"}}"#,
            "not a valid JSON Schema",
        );
        check(
            r#"{"name":"ping","inputSchema":{"type":"object","type":"object"}}"#,
            "twice",
        );
        check(
            r#"{"name":"ping","inputSchema":{"type":"object"},"outputSchema":[]}"#,
            "outputSchema",
        );
        check(
            r#"{"name":"snmp_get","inputSchema":{"type":"object"}}"#,
            "category snmp",
        );
        check(
            r#"{"name":"x","inputSchema":{"type":"object"},"_meta":{"opendiscovery/category":"nmap"}}"#,
            "names category nmap",
        );
        check(
            r#"{"name":"x","inputSchema":{"type":"object"},
               "_meta":{"opendiscovery/defaultTimeoutMs":9,"opendiscovery/maxTimeoutMs":8}}"#,
            "maximum",
        );
        let long = "d".repeat(MAX_BYTES);
        check(
            &format!(r#"{{"name":"x","description":"{long}","inputSchema":{{"type":"object"}}}}"#),
            "longer",
        );
    }
}
