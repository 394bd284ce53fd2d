//! JSON-RPC messages on their way to a client.

use bytes::Bytes;
use protocol::mcp::{MODERN_VERSION, code, meta};
use protocol::response::{self, RpcError};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::era;

/// How long clients may keep the tool list, in milliseconds: no notification tells them of
/// changes.
const LIST_TTL_MS: u32 = 5_000;
/// How long clients may keep what the server says of itself, in milliseconds.
const DISCOVER_TTL_MS: u32 = 300_000;

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
}

impl Reply {
    /// An error; `id` is `None` when it could not be read.
    pub(crate) fn error(id: Option<&RawValue>, error: &RpcError) -> Self {
        Self {
            body: response::error(id, error).into(),
            code: Some(error.code),
        }
    }

    /// A result, given as the JSON text of an object.
    pub(crate) fn result(id: &RawValue, result: &str) -> Self {
        let text = format!(r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#, id.get());
        Self {
            body: text.into(),
            code: None,
        }
    }
}

/// The result of `tools/list` in the stateless era, around the members of one page.
pub(crate) fn modern_list(page: &str) -> String {
    let server = json!({ meta::SERVER_INFO: server_info() });
    format!(
        r#"{{"resultType":"complete",{page},"ttlMs":{LIST_TTL_MS},"cacheScope":"public","_meta":{server}}}"#
    )
}

/// The result of `tools/list` before.
pub(crate) fn legacy_list(page: &str) -> String {
    format!("{{{page}}}")
}

/// The result of `server/discover`.
pub(crate) fn discover() -> String {
    json!({
        "resultType": "complete",
        "supportedVersions": era::supported_versions(),
        "capabilities": capabilities(),
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
        "capabilities": capabilities(),
        "serverInfo": server_info(),
        "instructions": INSTRUCTIONS,
    })
    .to_string()
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

fn capabilities() -> Value {
    // Clients are not told of changes yet: they ask again when their copy is old.
    json!({ "tools": { "listChanged": false } })
}

fn server_info() -> Value {
    json!({
        "name": "open-discovery",
        "title": "Open Discovery",
        "version": env!("CARGO_PKG_VERSION"),
    })
}
