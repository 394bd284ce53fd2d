use std::time::SystemTime;

use bytes::Bytes;
use protocol::mcp::{MODERN_VERSION, code};
use protocol::response::RpcError;
use protocol::{Envelope, Error, Kind};
use seal::Keyring;
use serde_json::value::RawValue;

use crate::caller_scope::CallerScope;
use crate::input::{Bond, RESPONSES, STATE};
use crate::request::{Request, Speaker};
use crate::splice;

/// The body for the worker: unchanged but for a request state, which is opened, or completed by
/// what the session agreed on. `caller` is whose state it must be.
///
/// # Errors
/// Invalid params when what the client came back with is not what it was given.
pub(crate) fn body(
    request: &Request<'_>,
    speaker: Speaker<'_>,
    caller: &CallerScope<'_>,
    keys: &Keyring,
) -> Result<Bytes, RpcError> {
    let (Some(raw), Ok(text)) = (request.raw_params, std::str::from_utf8(request.body)) else {
        return Ok(request.body.clone());
    };
    match speaker {
        Speaker::Modern => opened(request, (raw, text), caller, keys),
        Speaker::Legacy(session) => {
            // Workers trust a state: nobody but the gateway may hand them one.
            for member in [STATE, RESPONSES] {
                if request.params.get(member).is_some() {
                    return Err(not_in_a_session(member));
                }
            }
            splice::complete_meta(text, raw, &session.meta()).map_err(|error| (&error).into())
        }
    }
}

fn opened(
    request: &Request<'_>,
    (raw, text): (&RawValue, &str),
    caller: &CallerScope<'_>,
    keys: &Keyring,
) -> Result<Bytes, RpcError> {
    let responses = request.params.get(RESPONSES);
    if responses.is_some_and(|responses| !responses.get().starts_with('{')) {
        let message = format!("params.{RESPONSES} must be an object");
        return Err(RpcError::new(code::INVALID_PARAMS, message));
    }
    let Some(token) = request.params.get(STATE) else {
        return Ok(request.body.clone());
    };
    let bond = Bond::new(&request.method, &request.params, &caller.of_states());
    let state = bond.open(keys, token, SystemTime::now())?;
    splice::set_members(text, raw, &[(STATE, &state)]).map_err(|error| (&error).into())
}

/// A request of a worker with more parameters, given as JSON texts.
///
/// # Errors
/// When the body is not a request with parameters.
pub(super) fn with_params(body: &Bytes, params: &[(&str, String)]) -> Result<Bytes, Error> {
    let envelope = Envelope::parse(body)?;
    let (
        Kind::Request {
            params: Some(raw), ..
        },
        Ok(text),
    ) = (envelope.kind, std::str::from_utf8(body))
    else {
        return Err(Error::Params("there are none".to_owned()));
    };
    let params: Vec<(&str, &str)> = params
        .iter()
        .map(|(name, text)| (*name, text.as_str()))
        .collect();
    splice::set_members(text, raw, &params)
}

fn not_in_a_session(member: &str) -> RpcError {
    RpcError::new(
        code::INVALID_PARAMS,
        format!(
            "params.{member} is of revision {MODERN_VERSION}; within a session input is asked for \
             by requests on the stream of the call"
        ),
    )
}
