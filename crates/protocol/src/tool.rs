use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Category;

/// How long a worker may hold a request before it has answered, whatever the request's deadline
/// says; so no tool can be declared to take longer.
///
/// A broker takes a consumer that holds a delivery for longer than its own bound (RabbitMQ's
/// `consumer_timeout`, 30 min) for stuck, and closes its channel with all that it holds.
pub const MAX_HOLD: Duration = Duration::from_mins(15);

/// What a worker announces of one tool, in the shape of MCP's `Tool`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolDescriptor {
    /// 1 to 64 characters of `[A-Za-z0-9_./-]`.
    pub name: String,
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// For models.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// JSON Schema 2020-12 of the arguments.
    pub input_schema: Value,
    /// JSON Schema 2020-12 of `structuredContent`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<Value>,
    /// Hints on what the tool does to the world.
    #[serde(default)]
    pub annotations: Annotations,
    /// Routing and deadlines.
    #[serde(rename = "_meta", default)]
    pub meta: ToolMeta,
}

impl ToolDescriptor {
    /// True for 1 to 64 characters of `[A-Za-z0-9_./-]`.
    #[must_use]
    pub fn name_is_valid(name: &str) -> bool {
        (1..=64).contains(&name.len())
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"_./-".contains(&b))
    }
}

/// MCP's tool annotations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "MCP defines four independent hints"
)]
pub struct Annotations {
    /// Changes nothing.
    pub read_only_hint: bool,
    /// May destroy something.
    pub destructive_hint: bool,
    /// A second call with the same arguments changes nothing more.
    pub idempotent_hint: bool,
    /// Reaches beyond this platform.
    pub open_world_hint: bool,
}

impl Default for Annotations {
    /// What MCP assumes of a tool that says nothing.
    fn default() -> Self {
        Self {
            read_only_hint: false,
            destructive_hint: true,
            idempotent_hint: false,
            open_world_hint: true,
        }
    }
}

/// `_meta` of a descriptor.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ToolMeta {
    /// Category whose workers provide the tool.
    #[serde(
        rename = "opendiscovery/category",
        skip_serializing_if = "Option::is_none"
    )]
    pub category: Option<Category>,
    /// Deadline of a call that asks for none, in milliseconds.
    #[serde(
        rename = "opendiscovery/defaultTimeoutMs",
        skip_serializing_if = "Option::is_none"
    )]
    pub default_timeout_ms: Option<u64>,
    /// Longest deadline a call may ask for, in milliseconds.
    #[serde(
        rename = "opendiscovery/maxTimeoutMs",
        skip_serializing_if = "Option::is_none"
    )]
    pub max_timeout_ms: Option<u64>,
    /// The call may not run twice, not even after a crash.
    #[serde(
        rename = "opendiscovery/atMostOnce",
        skip_serializing_if = "is_false",
        default
    )]
    pub at_most_once: bool,
    /// Anything else an author adds.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_false(value: &bool) -> bool {
    !*value
}

/// The listed name behind a name that is accepted at call time only.
///
/// Callers of older servers know some tools under other names; a name that is no such
/// alias comes back unchanged.
#[must_use]
pub fn canonical_tool_name(name: &str) -> Cow<'_, str> {
    let bare = name
        .strip_prefix("mcp_od_net_")
        .or_else(|| name.strip_prefix("mcp_od_"))
        .filter(|rest| !rest.is_empty())
        .unwrap_or(name);
    match bare {
        "tcp_connect" => Cow::Borrowed("telnet"),
        "zabbix_get_hosts" => Cow::Borrowed("zabbix_host_discover"),
        _ => {
            if let Some(rest) = bare.strip_prefix("creds_") {
                Cow::Owned(format!("credentials_{rest}"))
            } else if let Some(rest) = bare.strip_prefix("cmdb_") {
                Cow::Owned(format!("memory_{rest}"))
            } else {
                Cow::Borrowed(bare)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn call_time_names_lead_to_listed_tools() {
        for (alias, listed) in [
            ("tcp_connect", "telnet"),
            ("mcp_od_net_ping", "ping"),
            ("mcp_od_net_tcp_connect", "telnet"),
            ("mcp_od_nmap_ping_scan", "nmap_ping_scan"),
            ("mcp_od_creds_add", "credentials_add"),
            ("creds_list", "credentials_list"),
            ("cmdb_get", "memory_get"),
            ("zabbix_get_hosts", "zabbix_host_discover"),
            ("ping", "ping"),
            ("mcp_od_", "mcp_od_"),
        ] {
            assert_eq!(canonical_tool_name(alias), listed, "{alias}");
        }
    }
}
