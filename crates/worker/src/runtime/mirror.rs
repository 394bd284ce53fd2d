//! Headers that repeat what the body says, for routing.

use bus::Message;
use protocol::mcp::{self, code};
use protocol::response::RpcError;
use protocol::{header_value, headers};
use serde_json::json;

use crate::target::Target;

/// A header that is there must say what the body says; the body is the source of truth.
pub(super) fn check(message: &Message, header: &str, body: &str) -> Result<(), RpcError> {
    match message.headers.text(header) {
        Some(mirror) if mirror != body => Err(differs(header, mirror, &format!("{body:?}"))),
        _ => Ok(()),
    }
}

/// Headers of arguments that are there must say what the arguments say.
pub(super) fn check_arguments(message: &Message, target: &Target) -> Result<(), RpcError> {
    let Target::Tool { tool, arguments } = target else {
        return Ok(());
    };
    let Some(mirrored) = tool.mirrored() else {
        return Ok(());
    };
    let header = |name: &str| format!("{}{name}", headers::PARAM_PREFIX);
    let is_there = |name: &str| message.headers.text(&header(name)).is_some();
    if !mirrored.names().any(is_there) {
        return Ok(());
    }
    let values = mirrored
        .read(arguments.as_deref())
        .map_err(|why| RpcError::new(code::HEADER_MISMATCH, why))?;
    for name in mirrored.names() {
        let header = header(name);
        let Some(mirror) = message.headers.text(&header) else {
            continue;
        };
        let value = values.iter().find(|(other, _)| other == name);
        let Some((_, value)) = value else {
            return Err(differs(&header, mirror, "nothing"));
        };
        // AMQP needs no encoding, but a sender may pass on that of HTTP.
        let decoded = header_value::decode(mirror);
        if !value.matches(mirror) && !decoded.is_ok_and(|text| value.matches(&text)) {
            return Err(differs(
                &header,
                mirror,
                &format!("{:?}", value.to_string()),
            ));
        }
    }
    Ok(())
}

/// Workers know one revision only; gateways speak the others.
pub(super) fn check_version(message: &Message) -> Result<(), RpcError> {
    match message.headers.text(headers::PROTOCOL_VERSION) {
        Some(version) if version != mcp::MODERN_VERSION => {
            let error = format!(
                "workers speak revision {}, not {version:?}",
                mcp::MODERN_VERSION
            );
            let data = json!({ "supported": [mcp::MODERN_VERSION], "requested": version });
            Err(RpcError::new(code::UNSUPPORTED_VERSION, error).data(data))
        }
        _ => Ok(()),
    }
}

fn differs(header: &str, mirror: &str, body: &str) -> RpcError {
    let error =
        format!("header {header} says {mirror:?} and the body {body}; send the same in both");
    RpcError::new(code::HEADER_MISMATCH, error)
}
