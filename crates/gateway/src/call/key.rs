//! By what a call is known when it comes again.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use protocol::mcp::{code, meta, method};
use protocol::response::RpcError;
use uuid::Uuid;

use crate::caller_scope::CallerScope;
use crate::request::Request;

/// Shortest key, in bytes, of a caller that nothing but the name of its program tells from others:
/// the key itself has to be its own, and a shorter one cannot be random enough for that.
const MIN_ANONYMOUS: usize = 16;

/// Property `message-id` of a call.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) message_id: String,
    /// It stands for a key that the caller gave: whoever sends the call again with the same key
    /// wants the same answer. All rounds of such a call have the same one, since whatever the
    /// client is asked meanwhile, it is one call with one answer.
    pub(crate) is_callers: bool,
}

impl Key {
    /// The caller's key, if it gave one, bound to the caller as far as anything is known of it, at
    /// whatever replica: others do not meet it. Clients of one name, with neither credentials nor
    /// a session, are kept apart by nothing but their keys.
    ///
    /// # Errors
    /// Invalid params when the key is not what it may be, too short to be the caller's own, or the
    /// request is not one that takes a key.
    pub(crate) fn of(request: &Request<'_>, caller: &CallerScope<'_>) -> Result<Self, RpcError> {
        let key = request.meta.idempotency_key();
        let Some(key) = key.map_err(|error| RpcError::from(&error))? else {
            return Ok(Self {
                message_id: Uuid::now_v7().to_string(),
                is_callers: false,
            });
        };
        if request.method != method::TOOLS_CALL {
            return Err(not_of(&request.method));
        }
        if matches!(caller, CallerScope::Anonymous(_)) && key.len() < MIN_ANONYMOUS {
            return Err(may_be_anothers(key.len()));
        }
        let digest = caller.digest(&[key.as_bytes()]);
        Ok(Self {
            message_id: format!("key-{}", URL_SAFE_NO_PAD.encode(digest)),
            is_callers: true,
        })
    }
}

fn not_of(method: &str) -> RpcError {
    let key = meta::IDEMPOTENCY_KEY;
    let message = format!("_meta key {key:?} is for tools/call only; send {method} without it");
    RpcError::new(code::INVALID_PARAMS, message)
}

fn may_be_anothers(bytes: usize) -> RpcError {
    let key = meta::IDEMPOTENCY_KEY;
    let message = format!(
        "_meta key {key:?} has {bytes} bytes, and needs at least {MIN_ANONYMOUS} of a client that \
         sends neither the header Authorization nor a session: another client could have the same \
         one; make it a UUID, or say who calls"
    );
    RpcError::new(code::INVALID_PARAMS, message)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderMap;
    use bytes::Bytes;
    use protocol::Envelope;

    use crate::request::Speaker;
    use crate::session::{Session, session_for_test};

    use super::*;

    fn key(method: &str, meta: &str, session: Option<&Session>) -> Result<Key, RpcError> {
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{"_meta":{meta}}}}}"#
        );
        let body = Bytes::from(body);
        let envelope = Envelope::parse(&body).unwrap();
        let headers = HeaderMap::new();
        let request = Request {
            headers: Some(&headers),
            ..Request::read(&body, &envelope).unwrap().unwrap()
        };
        let speaker = session.map_or(Speaker::Modern, Speaker::Legacy);
        Key::of(&request, &CallerScope::of(&request, speaker, "gateway-1"))
    }

    const KEY: &str = r#"{"opendiscovery/idempotencyKey":"k-0123456789abcdef"}"#;

    #[test]
    fn without_a_key_every_call_is_another_one() {
        let fresh = || key(method::TOOLS_CALL, "{}", None).unwrap();
        assert!(!fresh().is_callers);
        assert_ne!(fresh(), fresh());
        assert!(key(method::PROMPTS_GET, "{}", None).is_ok());
    }

    #[test]
    fn the_same_key_of_the_same_caller_is_the_same_call() {
        let id = |meta: &str, session: Option<&Session>| {
            let key = key(method::TOOLS_CALL, meta, session).unwrap();
            assert!(key.is_callers && key.message_id.starts_with("key-"));
            assert!(key.message_id.len() <= 255);
            key.message_id
        };
        let (one, other) = (session_for_test(), session_for_test());
        assert_eq!(id(KEY, Some(&one)), id(KEY, Some(&one)));
        assert_ne!(id(KEY, Some(&one)), id(KEY, Some(&other)));
        let escaped =
            r#"{"opendiscovery/idempotencyKey":"\u006b-0123456789abcdef","progressToken":1}"#;
        assert_eq!(id(KEY, None), id(escaped, None));
        assert_ne!(
            id(KEY, None),
            id(
                r#"{"opendiscovery/idempotencyKey":"l-0123456789abcdef"}"#,
                None
            )
        );
    }

    #[test]
    fn what_is_no_key_and_what_takes_none_is_refused() {
        let refused = |method: &str, meta: &str| {
            let error = key(method, meta, None).unwrap_err();
            assert_eq!(error.code, code::INVALID_PARAMS);
            error.message
        };
        let short = r#"{"opendiscovery/idempotencyKey":"0123456789abcde"}"#;
        let message = refused(method::TOOLS_CALL, short);
        assert!(
            message.contains("a UUID") && message.contains("Authorization"),
            "{message}"
        );
        let session = session_for_test();
        assert!(key(method::TOOLS_CALL, short, Some(&session)).is_ok());
        let empty = r#"{"opendiscovery/idempotencyKey":""}"#;
        assert!(refused(method::TOOLS_CALL, empty).contains("1 to 255 bytes"));
        for method in [
            method::PROMPTS_GET,
            method::RESOURCES_READ,
            method::COMPLETE,
        ] {
            assert!(refused(method, KEY).contains("tools/call only"));
        }
    }
}
