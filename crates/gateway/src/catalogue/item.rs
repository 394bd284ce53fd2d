use std::time::Duration;

use protocol::{Category, ParamHeaders, UriTemplate, json};
use semver::Version;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use super::descriptor::Facts;
use super::kind::Kind;

/// The largest descriptor that is accepted, in bytes.
const MAX_BYTES: usize = 256 * 1024;
/// Deadline of a request to what announces none.
pub(super) const DEFAULT_DEADLINE: Duration = Duration::from_secs(30);

/// Longest deadline that may be asked for where nothing is announced yet; the worker holds the
/// call to the tool's own.
const MAX_DEADLINE_UNHEARD: Duration = Duration::from_mins(10);

/// One announced tool, resource, template or prompt: what routing needs, beside the descriptor
/// as its worker wrote it.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    /// Tells it from all others of its kind: a name, a URI or a URI template.
    pub(crate) key: String,
    pub(crate) category: Category,
    pub(crate) deadlines: Deadlines,
    /// The arguments that are mirrored in headers.
    pub(crate) params: ParamHeaders,
    template: Option<UriTemplate>,
    /// The descriptor, byte for byte.
    pub(crate) text: Box<RawValue>,
    rank: Rank,
}

/// How long requests may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Deadlines {
    /// For requests that ask for none.
    pub(crate) default: Duration,
    /// The longest a request may ask for.
    pub(crate) max: Duration,
}

/// Which of several descriptors of one item is listed: the greatest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    version: Version,
    hash: [u8; 32],
}

impl Item {
    /// Checks a descriptor that a worker of `category` announced.
    ///
    /// # Errors
    /// Why it is refused, with the value at fault.
    pub(crate) fn read(
        kind: Kind,
        text: &RawValue,
        category: &Category,
        version: &Version,
    ) -> Result<Self, String> {
        if text.get().len() > MAX_BYTES {
            return Err(format!("the descriptor is longer than {MAX_BYTES} bytes"));
        }
        json::reject_duplicate_keys(text.get()).map_err(|error| why(&error))?;
        let facts = Facts::read(kind, text.get(), category)?;
        let rank = Rank {
            version: version.clone(),
            hash: Sha256::digest(text.get()).into(),
        };
        Ok(Self::new(facts, category.clone(), text.to_owned(), rank))
    }

    /// A tool of which no worker has spoken yet, to call it once one does.
    pub(crate) fn expected(name: String, category: Category) -> Self {
        let facts = Facts {
            key: name,
            deadlines: Deadlines {
                default: DEFAULT_DEADLINE,
                max: MAX_DEADLINE_UNHEARD,
            },
            params: ParamHeaders::default(),
            template: None,
        };
        let rank = Rank {
            version: Version::new(0, 0, 0),
            hash: [0; 32],
        };
        Self::new(facts, category, RawValue::NULL.to_owned(), rank)
    }

    fn new(facts: Facts, category: Category, text: Box<RawValue>, rank: Rank) -> Self {
        Self {
            key: facts.key,
            category,
            deadlines: facts.deadlines,
            params: facts.params,
            template: facts.template,
            text,
            rank,
        }
    }

    /// Whether this is a template that gives a URI.
    pub(super) fn gives(&self, uri: &str) -> bool {
        self.template
            .as_ref()
            .is_some_and(|template| template.matches(uri).is_some())
    }

    /// Whether this descriptor goes before another of the same item.
    pub(super) fn outranks(&self, other: &Self) -> bool {
        self.rank > other.rank
    }

    /// Whether both were written alike, whatever the version of their workers.
    pub(super) fn is_same_text(&self, other: &Self) -> bool {
        self.rank.hash == other.rank.hash
    }
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

    fn read_as(kind: Kind, text: &str) -> Result<Item, String> {
        let raw: Box<RawValue> = serde_json::from_str(text).unwrap();
        Item::read(kind, &raw, &Category::network(), &Version::new(1, 0, 0))
    }

    fn read(text: &str) -> Result<Item, String> {
        read_as(Kind::Tool, text)
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
        check(
            r#"{"name":"x","inputSchema":{"type":"object"},
               "_meta":{"opendiscovery/maxTimeoutMs":900001}}"#,
            "longer than the 900s",
        );
        let long = "d".repeat(MAX_BYTES);
        check(
            &format!(r#"{{"name":"x","description":"{long}","inputSchema":{{"type":"object"}}}}"#),
            "longer",
        );
        check(
            r#"{"name":"x","inputSchema":{"type":"object","properties":{"p":{"type":"number","x-mcp-header":"P"}}}}"#,
            "x-mcp-header of \"p\"",
        );
    }

    #[test]
    fn resources_templates_and_prompts_keep_their_text_and_are_known_by_their_key() {
        for (kind, text, key) in [
            (
                Kind::Resource,
                r#"{ "uri":"test://a","name":"A", "size":1.0,"new":[1e2]}"#,
                "test://a",
            ),
            (
                Kind::Template,
                r#"{"uriTemplate":"test://{id}/x" ,"name":"T"}"#,
                "test://{id}/x",
            ),
            (
                Kind::Prompt,
                r#"{"name":"ask me","arguments":[{"name":"a","required":true},{"name":"b"}]}"#,
                "ask me",
            ),
        ] {
            let item = read_as(kind, text).unwrap();
            assert_eq!((item.key.as_str(), item.text.get()), (key, text));
            assert_eq!(item.deadlines.default, DEFAULT_DEADLINE);
            assert_eq!(item.deadlines.max, Duration::from_mins(1));
            assert_eq!(item.gives("test://5/x"), kind == Kind::Template);
        }
    }

    #[test]
    fn a_bad_resource_template_or_prompt_is_refused_with_the_reason() {
        let check = |kind: Kind, text: &str, expected: &str| {
            let error = read_as(kind, text).unwrap_err();
            assert!(error.contains(expected), "{text} gave {error}");
        };
        check(Kind::Resource, r#"{"uri":"test://a"}"#, "name");
        check(Kind::Resource, r#"{"name":"a"}"#, "uri");
        for uri in ["", "no scheme", "/a", "1a:b", "a:b c", "a:\\u0000", "é:b"] {
            check(
                Kind::Resource,
                &format!(r#"{{"uri":"{uri}","name":"a"}}"#),
                "not a URI",
            );
        }
        check(
            Kind::Template,
            r#"{"uriTemplate":"test://{?q}","name":"a"}"#,
            "URI template",
        );
        check(Kind::Prompt, r#"{"name":""}"#, "1 to 128");
        check(Kind::Prompt, r#"{"name":"a\nb"}"#, "1 to 128");
        check(
            Kind::Prompt,
            r#"{"name":"a","arguments":[{"name":"x"},{"name":"x"}]}"#,
            "two arguments",
        );
        check(
            Kind::Prompt,
            r#"{"name":"a","_meta":{"opendiscovery/category":"nmap"}}"#,
            "names category nmap",
        );
    }
}
