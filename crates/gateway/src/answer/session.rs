use std::borrow::Cow;

use protocol::LogLevel;
use protocol::mcp::{code, method};
use protocol::response::RpcError;

use crate::message;
use crate::request::Request;
use crate::session::Session;

/// The result of a method that only the `initialize` era knows.
pub(super) fn answer(request: &Request<'_>, session: &Session) -> Result<String, RpcError> {
    match request.method.as_ref() {
        method::PING => {}
        method::SET_LEVEL => session.set_level(level(request)?),
        method::RESOURCES_SUBSCRIBE => session.subscribe(&uri(request)?)?,
        method::RESOURCES_UNSUBSCRIBE => session.unsubscribe(&uri(request)?),
        method => return Err(message::method_not_found(method, false)),
    }
    Ok("{}".to_owned())
}

fn level(request: &Request<'_>) -> Result<LogLevel, RpcError> {
    let word = request.params.string("level");
    word.and_then(|word| LogLevel::of(&word)).ok_or_else(|| {
        let levels = LogLevel::ALL.map(LogLevel::as_str).join(", ");
        RpcError::new(
            code::INVALID_PARAMS,
            format!("params.level must be one of {levels}"),
        )
    })
}

fn uri<'a>(request: &Request<'a>) -> Result<Cow<'a, str>, RpcError> {
    request.params.string("uri").ok_or_else(|| {
        RpcError::new(
            code::INVALID_PARAMS,
            "params.uri must be a string: the resource's URI",
        )
    })
}
