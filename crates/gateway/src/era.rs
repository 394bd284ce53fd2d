//! Which kind of MCP a message speaks.
//!
//! Since revision 2026-07-28 every request says so itself, in `_meta`; before, a session was
//! opened with `initialize`. Both are served side by side, decided for each message.

use std::borrow::Cow;

use protocol::mcp::{LEGACY_VERSIONS, MODERN_VERSION, code, meta};
use protocol::response::RpcError;
use protocol::{LogLevel, Meta, json};
use serde_json::json;

/// Whether a request carries the metadata of the stateless era.
///
/// The key of the protocol version alone decides, so that a request that forgot the rest is
/// told what it forgot.
pub(crate) fn is_modern(request_meta: &Meta<'_>) -> bool {
    request_meta.get(meta::PROTOCOL_VERSION).is_some()
}

/// Checks that the required metadata is there, and gives the revision asked for.
///
/// # Errors
/// Invalid params, naming what is missing (MCP 2026-07-28, "General fields", "`_meta`").
pub(crate) fn requested_version<'a>(request_meta: &Meta<'a>) -> Result<Cow<'a, str>, RpcError> {
    let missing: Vec<&str> = [meta::PROTOCOL_VERSION, meta::CLIENT_CAPABILITIES]
        .into_iter()
        .filter(|key| request_meta.get(key).is_none())
        .collect();
    if !missing.is_empty() {
        return Err(RpcError::new(
            code::INVALID_PARAMS,
            format!(
                "params._meta lacks {}, which every request needs",
                missing.join(" and ")
            ),
        ));
    }
    let is_object = |key| {
        request_meta
            .get(key)
            .is_none_or(|value| value.get().starts_with('{'))
    };
    for key in [meta::CLIENT_CAPABILITIES, meta::CLIENT_INFO] {
        if !is_object(key) {
            let message = format!("params._meta key {key:?} must be an object");
            return Err(RpcError::new(code::INVALID_PARAMS, message));
        }
    }
    request_meta
        .get(meta::PROTOCOL_VERSION)
        .and_then(json::as_string)
        .ok_or_else(|| {
            let message = format!(
                "params._meta key {:?} must be a string",
                meta::PROTOCOL_VERSION
            );
            RpcError::new(code::INVALID_PARAMS, message)
        })
}

/// Checks the log level that a request asks for, if it does (MCP 2026-07-28, "Logging").
///
/// # Errors
/// Invalid params when it is none.
pub(crate) fn check_log_level(request_meta: &Meta<'_>) -> Result<(), RpcError> {
    let is_known = request_meta.get(meta::LOG_LEVEL).is_none_or(|_| {
        request_meta
            .string(meta::LOG_LEVEL)
            .is_some_and(|word| LogLevel::of(&word).is_some())
    });
    if is_known {
        return Ok(());
    }
    let levels = LogLevel::ALL.map(LogLevel::as_str).join(", ");
    let message = format!(
        "params._meta key {:?} must be one of {levels}",
        meta::LOG_LEVEL
    );
    Err(RpcError::new(code::INVALID_PARAMS, message))
}

/// Checks that requests of this revision are served without a session.
///
/// # Errors
/// Unsupported protocol version, naming those that are supported.
pub(crate) fn check_supported(version: &str) -> Result<(), RpcError> {
    if version == MODERN_VERSION {
        return Ok(());
    }
    let message = if LEGACY_VERSIONS.contains(&version) {
        format!("revision {version} begins with initialize, not with _meta on each request")
    } else {
        format!("revision {version:?} is not supported")
    };
    Err(unsupported(version, message))
}

/// Checks the revision that a message of a session names in its header, if it names one.
///
/// # Errors
/// Unsupported protocol version, naming those that are supported.
pub(crate) fn check_of_session(version: Option<&str>) -> Result<(), RpcError> {
    let unknown = version.filter(|version| !LEGACY_VERSIONS.contains(version));
    unknown.map_or(Ok(()), check_supported)
}

/// An error that names the supported revisions.
fn unsupported(requested: &str, message: impl Into<String>) -> RpcError {
    RpcError::new(code::UNSUPPORTED_VERSION, message)
        .data(json!({ "supported": supported_versions(), "requested": requested }))
}

/// Every revision that is served, newest first.
pub(crate) fn supported_versions() -> Vec<&'static str> {
    std::iter::once(MODERN_VERSION)
        .chain(LEGACY_VERSIONS)
        .collect()
}

/// A request that fits neither era.
pub(crate) fn undecided() -> RpcError {
    RpcError::new(
        code::INVALID_PARAMS,
        format!(
            "params._meta lacks {}; clients of revisions up to {} begin with initialize",
            meta::PROTOCOL_VERSION,
            LEGACY_VERSIONS[0],
        ),
    )
}

#[cfg(test)]
mod tests {
    use protocol::RequestParams;
    use serde_json::value::RawValue;

    use super::*;

    #[test]
    fn required_metadata_is_named_when_it_is_missing_or_malformed() {
        let check = |request_meta: &str, expected: &str| {
            let text = format!(r#"{{"_meta":{request_meta}}}"#);
            let raw: Box<RawValue> = serde_json::from_str(&text).unwrap();
            let params = RequestParams::parse(&raw).unwrap();
            let error = requested_version(&params.meta().unwrap()).unwrap_err();
            assert_eq!(error.code, code::INVALID_PARAMS);
            assert!(
                error.message.contains(expected),
                "{request_meta} gave {}",
                error.message
            );
        };
        check(
            "{}",
            "protocolVersion and io.modelcontextprotocol/clientCapabilities",
        );
        check(
            r#"{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}"#,
            "clientCapabilities",
        );
        check(
            r#"{"io.modelcontextprotocol/clientCapabilities":{}}"#,
            "protocolVersion",
        );
        check(
            r#"{"io.modelcontextprotocol/protocolVersion":1,"io.modelcontextprotocol/clientCapabilities":{}}"#,
            "must be a string",
        );
        check(
            r#"{"io.modelcontextprotocol/protocolVersion":"x","io.modelcontextprotocol/clientCapabilities":[]}"#,
            "must be an object",
        );
    }

    #[test]
    fn a_log_level_is_one_of_the_eight_words() {
        let check = |request_meta: &str, is_good: bool| {
            let text = format!(r#"{{"_meta":{request_meta}}}"#);
            let raw: Box<RawValue> = serde_json::from_str(&text).unwrap();
            let params = RequestParams::parse(&raw).unwrap();
            let outcome = check_log_level(&params.meta().unwrap());
            assert_eq!(outcome.is_ok(), is_good, "{request_meta}");
        };
        check("{}", true);
        check(r#"{"io.modelcontextprotocol/logLevel":"notice"}"#, true);
        check(r#"{"io.modelcontextprotocol/logLevel":"Notice"}"#, false);
        check(r#"{"io.modelcontextprotocol/logLevel":7}"#, false);
    }

    #[test]
    fn an_unknown_revision_is_told_the_known_ones() {
        assert!(check_supported(MODERN_VERSION).is_ok());
        for version in ["1900-01-01", "", "2025-11-25"] {
            let data = check_supported(version).unwrap_err().data.unwrap();
            assert_eq!(data["supported"][0], MODERN_VERSION);
            assert_eq!(data["requested"], version);
        }
    }
}
