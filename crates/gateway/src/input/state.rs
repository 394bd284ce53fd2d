use std::time::{Duration, SystemTime};

use protocol::json;
use protocol::mcp::{code, method};
use protocol::response::RpcError;
use protocol::{RequestParams, canonical_json};
use seal::{Keyring, OpenError, Purpose};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use tracing::debug;

/// How long a client may take to come back with its answers.
pub(crate) const STATE_TTL: Duration = Duration::from_mins(10);
/// Longest state that a worker may hand out, as JSON text in bytes: clients send it back with
/// every answer.
pub(crate) const MAX_STATE: usize = 64 * 1024;

/// The one request that a state is good for: its method, what it names, its arguments and who
/// sends it (MCP 2026-07-28, "Multi Round-Trip Requests", "Server Requirements").
#[derive(Debug)]
pub(crate) struct Bond(Vec<u8>);

impl Bond {
    /// `caller` tells callers apart, as far as anything is known of them.
    ///
    /// The order of keys and the spaces of the arguments do not matter, and no arguments are
    /// the same as an empty object.
    pub(crate) fn new(method: &str, params: &RequestParams<'_>, caller: &[u8]) -> Self {
        let name = if method == method::RESOURCES_READ {
            params.string("uri")
        } else {
            params.name()
        };
        let name = name.unwrap_or_default();
        let arguments = digest(params.arguments());
        let mut context = Vec::new();
        for part in [method.as_bytes(), name.as_bytes(), &arguments, caller] {
            // With its length before it no part can reach into the next one.
            context.extend_from_slice(&part.len().to_be_bytes());
            context.extend_from_slice(part);
        }
        Self(context)
    }

    /// Makes of a worker's state, a JSON string, the token for the client.
    pub(crate) fn seal(&self, keys: &Keyring, state: &RawValue, now: SystemTime) -> String {
        let payload = state.get().as_bytes();
        keys.seal(Purpose::RequestState, &self.0, payload, now + STATE_TTL)
    }

    /// The JSON text of the worker's state, as the worker wrote it.
    ///
    /// # Errors
    /// Invalid params when the token is none of this request, or too old.
    pub(crate) fn open(
        &self,
        keys: &Keyring,
        token: &RawValue,
        now: SystemTime,
    ) -> Result<String, RpcError> {
        let token = json::as_string(token)
            .ok_or_else(|| refused("must be the string that an earlier result gave"))?;
        let opened = keys.open(Purpose::RequestState, &self.0, &token, now);
        let payload = opened.map_err(|error| {
            debug!(%error, "a request state was refused");
            match error {
                OpenError::Expired => refused("has expired"),
                _ => refused("was not made for this request"),
            }
        })?;
        String::from_utf8(payload).map_err(|_| refused("was not made for this request"))
    }
}

/// What tells arguments apart. Those without a canonical form are good only as they were
/// written.
fn digest(arguments: Option<&RawValue>) -> [u8; 32] {
    let text = arguments.map_or("{}", RawValue::get);
    let form = match arguments {
        None => Some("{}".to_owned()),
        Some(arguments) => canonical_json(arguments),
    };
    let hash = match &form {
        Some(form) => Sha256::new_with_prefix(b"canonical\0").chain_update(form),
        None => Sha256::new_with_prefix(b"written\0").chain_update(text),
    };
    hash.finalize().into()
}

fn refused(why: &str) -> RpcError {
    let message = format!("params.requestState {why}; send the request again without it");
    RpcError::new(code::INVALID_PARAMS, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        serde_json::from_str(text).unwrap()
    }

    fn bond(method: &str, params: &str, caller: &[u8]) -> Bond {
        let params = raw(params);
        Bond::new(method, &RequestParams::parse(&params).unwrap(), caller)
    }

    const CALL: &str = r#"{"name":"t","arguments":{"a":1,"b":[2.0]}}"#;

    /// What becomes of a token for [`CALL`] when it comes back with another request, after
    /// some time.
    fn comes_back(
        method: &str,
        params: &str,
        caller: &[u8],
        after: Duration,
    ) -> Result<String, RpcError> {
        let keys = Keyring::random();
        let now = SystemTime::UNIX_EPOCH + Duration::from_hours(1);
        let token = bond(method::TOOLS_CALL, CALL, b"me").seal(&keys, &raw(r#""s\u0031""#), now);
        let token = raw(&format!("{token:?}"));
        bond(method, params, caller).open(&keys, &token, now + after)
    }

    #[test]
    fn the_same_request_opens_it_however_it_is_written() {
        let soon = STATE_TTL.checked_sub(Duration::from_millis(1)).unwrap();
        for params in [
            CALL,
            r#"{"arguments":{ "b" : [ 2.0 ], "a":1 },"name":"\u0074","requestState":"x","_meta":{}}"#,
        ] {
            let opened = comes_back(method::TOOLS_CALL, params, b"me", soon);
            assert_eq!(opened.unwrap(), r#""s\u0031""#, "{params}");
        }
    }

    #[test]
    fn no_arguments_are_an_empty_object() {
        let keys = Keyring::random();
        let now = SystemTime::UNIX_EPOCH;
        let token =
            bond(method::PROMPTS_GET, r#"{"name":"p"}"#, b"").seal(&keys, &raw("\"s\""), now);
        let again = bond(method::PROMPTS_GET, r#"{"name":"p","arguments":{ }}"#, b"");
        assert!(again.open(&keys, &raw(&format!("{token:?}")), now).is_ok());
    }

    #[test]
    fn another_request_does_not_open_it() {
        let soon = Duration::from_secs(1);
        let check = |method: &str, params: &str, caller: &[u8]| {
            let error = comes_back(method, params, caller, soon).unwrap_err();
            assert_eq!(error.code, code::INVALID_PARAMS);
            assert!(
                error.message.contains("was not made for this request"),
                "{params}"
            );
        };
        check(method::PROMPTS_GET, CALL, b"me");
        check(method::TOOLS_CALL, CALL, b"");
        check(
            method::TOOLS_CALL,
            r#"{"name":"u","arguments":{"a":1,"b":[2.0]}}"#,
            b"me",
        );
        check(
            method::TOOLS_CALL,
            r#"{"name":"t","arguments":{"a":1,"b":[2]}}"#,
            b"me",
        );
        check(method::TOOLS_CALL, r#"{"name":"t"}"#, b"me");
    }

    #[test]
    fn what_is_too_old_says_so() {
        let error = comes_back(method::TOOLS_CALL, CALL, b"me", STATE_TTL).unwrap_err();
        assert!(error.message.contains("has expired"), "{}", error.message);
        assert!(error.message.contains("without it"));
    }

    #[test]
    fn what_is_no_token_of_these_keys_is_refused() {
        let now = SystemTime::UNIX_EPOCH;
        let mine = bond(method::TOOLS_CALL, CALL, b"");
        let foreign = mine.seal(&Keyring::random(), &raw("\"s\""), now);
        let keys = Keyring::random();
        let changed = format!("{}-TAMPERED", mine.seal(&keys, &raw("\"s\""), now));
        for token in [
            format!("{foreign:?}"),
            format!("{changed:?}"),
            r#""""#.to_owned(),
            r#""s""#.to_owned(),
        ] {
            let error = mine.open(&keys, &raw(&token), now).unwrap_err();
            assert!(error.message.contains("was not made"), "{token}");
        }
        for token in ["null", "5", r#"{"s":1}"#] {
            let error = mine.open(&keys, &raw(token), now).unwrap_err();
            assert!(error.message.contains("must be the string"), "{token}");
        }
    }

    #[test]
    fn arguments_of_a_resource_are_its_uri() {
        let keys = Keyring::random();
        let now = SystemTime::UNIX_EPOCH;
        let one = bond(method::RESOURCES_READ, r#"{"uri":"a:1","name":"n"}"#, b"");
        let token = raw(&format!("{:?}", one.seal(&keys, &raw("\"s\""), now)));
        let same = bond(method::RESOURCES_READ, r#"{"uri":"a:1"}"#, b"");
        assert!(same.open(&keys, &token, now).is_ok());
        let other = bond(method::RESOURCES_READ, r#"{"uri":"a:2","name":"n"}"#, b"");
        assert!(other.open(&keys, &token, now).is_err());
    }
}
