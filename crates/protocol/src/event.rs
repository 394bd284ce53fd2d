//! Events in the form of `CloudEvents` 1.0, JSON format.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::mcp::method;

/// Begins the type of every event of this platform.
const TYPE_PREFIX: &str = "io.opendiscovery.";

/// Something that clients of MCP can be told of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Change {
    /// Tools came, went or changed.
    ToolsListChanged,
    /// Prompts came, went or changed.
    PromptsListChanged,
    /// Resources or their templates came, went or changed.
    ResourcesListChanged,
    /// The content of a resource changed.
    ResourceUpdated {
        /// Its URI, as it is read.
        uri: String,
    },
}

impl Change {
    /// The kind of event: the end of its routing key and of its type.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::ToolsListChanged => "tools.list_changed",
            Self::PromptsListChanged => "prompts.list_changed",
            Self::ResourcesListChanged => "resources.list_changed",
            Self::ResourceUpdated { .. } => "resources.updated",
        }
    }

    /// The kinds of all changes: what a gateway binds to.
    pub const KINDS: [&str; 4] = [
        "tools.list_changed",
        "prompts.list_changed",
        "resources.list_changed",
        "resources.updated",
    ];

    /// The notification that clients are told with.
    #[must_use]
    pub fn method(&self) -> &'static str {
        match self {
            Self::ToolsListChanged => method::TOOLS_LIST_CHANGED,
            Self::PromptsListChanged => method::PROMPTS_LIST_CHANGED,
            Self::ResourcesListChanged => method::RESOURCES_LIST_CHANGED,
            Self::ResourceUpdated { .. } => method::RESOURCES_UPDATED,
        }
    }
}

/// One event (`CloudEvents` 1.0, "JSON Event Format").
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Always `1.0`.
    pub specversion: String,
    /// Unique per source.
    pub id: String,
    /// Who says it: `/{category}/{instance}`.
    pub source: String,
    /// `io.opendiscovery.` and the kind.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it is about: the URI of a resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// When, as RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// Site of the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// Whom it concerns; everybody without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// W3C Trace Context of what caused it (`CloudEvents`, "Distributed Tracing").
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// More, by kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
}

impl Event {
    /// The event of a change. `id` is unique for the source.
    #[must_use]
    pub fn new(id: impl Into<String>, source: impl Into<String>, change: &Change) -> Self {
        let subject = match change {
            Change::ResourceUpdated { uri } => Some(uri.clone()),
            _ => None,
        };
        Self {
            specversion: "1.0".to_owned(),
            id: id.into(),
            source: source.into(),
            kind: format!("{TYPE_PREFIX}{}", change.kind()),
            subject,
            time: None,
            site: None,
            tenant: None,
            traceparent: None,
            data: None,
        }
    }

    /// The change that the event tells of; `None` for one of another kind.
    #[must_use]
    pub fn change(&self) -> Option<Change> {
        Some(match self.kind.strip_prefix(TYPE_PREFIX)? {
            "tools.list_changed" => Change::ToolsListChanged,
            "prompts.list_changed" => Change::PromptsListChanged,
            "resources.list_changed" => Change::ResourcesListChanged,
            "resources.updated" => Change::ResourceUpdated {
                uri: self.subject.clone()?,
            },
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_survives_its_event() {
        let uri = "test://a".to_owned();
        for (change, kind) in [
            Change::ToolsListChanged,
            Change::PromptsListChanged,
            Change::ResourcesListChanged,
            Change::ResourceUpdated { uri },
        ]
        .into_iter()
        .zip(Change::KINDS)
        {
            assert_eq!(change.kind(), kind);
            let text = serde_json::to_string(&Event::new("1", "/network/x", &change)).unwrap();
            let event: Event = serde_json::from_str(&text).unwrap();
            assert_eq!(event.change(), Some(change), "{text}");
        }
    }

    #[test]
    fn an_event_of_another_kind_is_no_change() {
        let mut event = Event::new("1", "/x", &Change::ToolsListChanged);
        event.kind = "com.example.other".to_owned();
        assert_eq!(event.change(), None);
        event.kind = "io.opendiscovery.resources.updated".to_owned();
        assert_eq!(event.change(), None, "without a subject");
    }
}
