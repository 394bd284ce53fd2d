//! JSON-RPC messages on their way to a client.

use std::time::Duration;

use bytes::Bytes;
use protocol::json::Members;
use protocol::mcp::{MODERN_VERSION, code, meta, method};
use protocol::response::{self, RpcError};
use protocol::{Envelope, Kind};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::{busy, era};

/// How long clients may keep a list, in milliseconds: those that do not listen to notifications
/// are told of changes by nothing else.
const LIST_TTL_MS: u32 = 5_000;
/// How long clients may keep what the server says of itself, in milliseconds.
const DISCOVER_TTL_MS: u32 = 300_000;

/// The revision that has no word yet for the capability of completions.
const BEFORE_COMPLETIONS: &str = "2024-11-05";

/// What the server says to models about itself.
const INSTRUCTIONS: &str = "Tools that discover and examine network infrastructure. Targets must \
     lie in the scan scope of the installation; an error names the setting that decides. Calls \
     can take long: ask for progress, and cancel what is no longer needed.";

/// The answer to a request.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    /// A JSON-RPC message.
    pub(crate) body: Bytes,
    /// Its error code, if it is an error.
    pub(crate) code: Option<i64>,
    /// When to try again, if it says that there is no room now.
    pub(crate) retry_after: Option<Duration>,
}

impl Reply {
    /// An error; `id` is `None` when it could not be read.
    pub(crate) fn error(id: Option<&RawValue>, error: &RpcError) -> Self {
        Self {
            body: response::error(id, error).into(),
            code: Some(error.code),
            retry_after: busy::retry_after(error),
        }
    }

    /// A result, given as the JSON text of an object.
    pub(crate) fn result(id: &RawValue, result: &str) -> Self {
        let text = format!(r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#, id.get());
        Self {
            body: text.into(),
            code: None,
            retry_after: None,
        }
    }
}

/// The result of a list in the stateless era, around the members of one page.
pub(crate) fn modern_list(page: &str) -> String {
    let server = json!({ meta::SERVER_INFO: server_info() });
    format!(
        r#"{{"resultType":"complete",{page},"ttlMs":{LIST_TTL_MS},"cacheScope":"public","_meta":{server}}}"#
    )
}

/// The result of a list before.
pub(crate) fn legacy_list(page: &str) -> String {
    format!("{{{page}}}")
}

/// The result of `server/discover`.
pub(crate) fn discover() -> String {
    json!({
        "resultType": "complete",
        "supportedVersions": era::supported_versions(),
        "capabilities": capabilities(true),
        "instructions": INSTRUCTIONS,
        "ttlMs": DISCOVER_TTL_MS,
        "cacheScope": "public",
        "_meta": { meta::SERVER_INFO: server_info() },
    })
    .to_string()
}

/// The result of `initialize`.
pub(crate) fn initialized(version: &str) -> String {
    json!({
        "protocolVersion": version,
        "capabilities": capabilities(version != BEFORE_COMPLETIONS),
        "serverInfo": server_info(),
        "instructions": INSTRUCTIONS,
    })
    .to_string()
}

/// A worker's word that a resource does not exist, as clients up to revision 2025-11-25 know it;
/// `None` for every other message. Nothing but the code changes.
pub(crate) fn legacy_error(method: &str, body: &Bytes) -> Option<Bytes> {
    if method != method::RESOURCES_READ {
        return None;
    }
    let Kind::Error { error, .. } = Envelope::parse(body).ok()?.kind else {
        return None;
    };
    let members = Members::parse(error.get()).ok()?;
    let number = members.get("code")?;
    let data = Members::parse(members.get("data")?.get()).ok()?;
    if number.get().parse() != Ok(code::INVALID_PARAMS) || data.get("uri").is_none() {
        return None;
    }
    let start = number.get().as_ptr().addr() - body.as_ptr().addr();
    let (head, tail) = (&body[..start], &body[start + number.get().len()..]);
    let code = code::RESOURCE_NOT_FOUND.to_string();
    Some(Bytes::from([head, code.as_bytes(), tail].concat()))
}

/// What is said of a method that is not served.
pub(crate) fn method_not_found(method: &str, is_modern: bool) -> RpcError {
    let name: String = method.chars().take(100).collect();
    let era = if is_modern {
        MODERN_VERSION
    } else {
        "the session"
    };
    RpcError::new(
        code::METHOD_NOT_FOUND,
        format!("method {name:?} is not served in {era}"),
    )
}

fn capabilities(has_completions: bool) -> Value {
    let mut capabilities = json!({
        "logging": {},
        "prompts": { "listChanged": true },
        "resources": { "subscribe": true, "listChanged": true },
        "tools": { "listChanged": true },
    });
    if has_completions {
        capabilities["completions"] = json!({});
    }
    capabilities
}

/// What results say of the server that gave them.
pub(crate) fn server_info() -> Value {
    json!({
        "name": "open-discovery",
        "title": "Open Discovery",
        "version": env!("CARGO_PKG_VERSION"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_resource_has_its_old_code_for_old_clients() {
        let check = |method: &str, body: &'static str, expected: Option<&str>| {
            let adapted = legacy_error(method, &Bytes::from_static(body.as_bytes()));
            assert_eq!(adapted.as_deref(), expected.map(str::as_bytes), "{body}");
        };
        let missing = r#"{ "error":{"data":{"uri":"a:-32602"}, "code":-32602,"message":"m"},"id":7,"jsonrpc":"2.0"}"#;
        let adapted = missing.replace("\"code\":-32602", "\"code\":-32002");
        check("resources/read", missing, Some(&adapted));
        check("tools/call", missing, None);
        for other in [
            r#"{"error":{"data":{"x":1},"code":-32602,"message":"m"},"id":7,"jsonrpc":"2.0"}"#,
            r#"{"error":{"code":-32602,"message":"m"},"id":7,"jsonrpc":"2.0"}"#,
            r#"{"error":{"data":{"uri":"a:b"},"code":-32603,"message":"m"},"id":7,"jsonrpc":"2.0"}"#,
            r#"{"result":{"uri":"a:b"},"id":7,"jsonrpc":"2.0"}"#,
            "",
        ] {
            check("resources/read", other, None);
        }
    }

    #[test]
    fn completions_are_a_capability_since_their_revision() {
        let has = |version: &str| initialized(version).contains("completions");
        assert!(has("2025-11-25") && has("2025-03-26") && !has("2024-11-05"));
        assert!(discover().contains("completions"));
    }
}
