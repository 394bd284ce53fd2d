use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::json::{Members, as_string};
use crate::{Error, mcp};

/// Longest key that a caller may give a call, in bytes.
const MAX_IDEMPOTENCY_KEY: usize = 255;

/// One JSON-RPC 2.0 message, borrowed from the bytes it came in.
///
/// Only the outermost object is read; identifier, parameters and result stay raw text, so
/// that they can be passed on unchanged.
#[derive(Debug, Clone, Copy)]
pub struct Envelope<'a> {
    /// What kind of message it is, with the parts of that kind.
    pub kind: Kind<'a>,
}

/// The four kinds of JSON-RPC message.
#[derive(Debug, Clone, Copy)]
pub enum Kind<'a> {
    /// Wants an answer.
    Request {
        /// A JSON string or number.
        id: &'a RawValue,
        /// JSON string that holds the method's name.
        method: &'a RawValue,
        /// A JSON object, if present.
        params: Option<&'a RawValue>,
    },
    /// Wants none.
    Notification {
        /// JSON string that holds the method's name.
        method: &'a RawValue,
        /// A JSON object, if present.
        params: Option<&'a RawValue>,
    },
    /// The good answer.
    Response {
        /// The request's identifier.
        id: &'a RawValue,
        /// The result.
        result: &'a RawValue,
    },
    /// The bad answer.
    Error {
        /// The request's identifier, where it could be read.
        id: Option<&'a RawValue>,
        /// Code, message and data.
        error: &'a RawValue,
    },
}

impl<'a> Envelope<'a> {
    /// Reads one message.
    ///
    /// # Errors
    /// [`Error::NotJson`] when the bytes are not UTF-8 JSON or a key appears twice;
    /// [`Error::NotJsonRpc`] when the object is not a JSON-RPC 2.0 message, a batch included.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let text = std::str::from_utf8(bytes).map_err(|error| {
            Error::NotJson(serde::de::Error::custom(format_args!("not UTF-8: {error}")))
        })?;
        let text = text.trim_matches([' ', '\t', '\r', '\n']);
        if text.starts_with('[') {
            return Err(not_json_rpc(
                "batches are not supported; send one object per message",
            ));
        }
        let members = Members::parse(text)?;
        if members.string("jsonrpc").as_deref() != Some("2.0") {
            return Err(not_json_rpc(
                "member \"jsonrpc\" must be the string \"2.0\"",
            ));
        }
        let id = members.get("id");
        if let Some(id) = id.filter(|id| id.get() != "null") {
            check_id(id)?;
        }
        Ok(Self {
            kind: kind(&members, id)?,
        })
    }

    /// The method's name, of a request or notification.
    #[must_use]
    pub fn method(&self) -> Option<Cow<'a, str>> {
        match self.kind {
            Kind::Request { method, .. } | Kind::Notification { method, .. } => as_string(method),
            Kind::Response { .. } | Kind::Error { .. } => None,
        }
    }

    /// The identifier as it was written.
    #[must_use]
    pub fn id(&self) -> Option<&'a RawValue> {
        match self.kind {
            Kind::Request { id, .. } | Kind::Response { id, .. } => Some(id),
            Kind::Error { id, .. } => id,
            Kind::Notification { .. } => None,
        }
    }

    /// The parameters of a request or notification, read one level deep.
    ///
    /// # Errors
    /// [`Error::Params`] when they are not an object or a key appears twice.
    pub fn params(&self) -> Result<RequestParams<'a>, Error> {
        match self.kind {
            Kind::Request {
                params: Some(params),
                ..
            }
            | Kind::Notification {
                params: Some(params),
                ..
            } => RequestParams::parse(params),
            _ => Ok(RequestParams::default()),
        }
    }
}

fn kind<'a>(members: &Members<'a>, id: Option<&'a RawValue>) -> Result<Kind<'a>, Error> {
    let answered = id.filter(|id| id.get() != "null");
    if let Some(method) = members.get("method") {
        if as_string(method).is_none() {
            return Err(not_json_rpc("member \"method\" must be a string"));
        }
        let params = members.get("params");
        if params.is_some_and(|params| !params.get().starts_with('{')) {
            return Err(not_json_rpc("member \"params\" must be an object"));
        }
        return match (id, answered) {
            (None, _) => Ok(Kind::Notification { method, params }),
            (Some(_), Some(id)) => Ok(Kind::Request { id, method, params }),
            (Some(_), None) => Err(not_json_rpc("member \"id\" must not be null in a request")),
        };
    }
    match (members.get("result"), members.get("error"), answered) {
        (Some(result), None, Some(id)) => Ok(Kind::Response { id, result }),
        (None, Some(error), id) => Ok(Kind::Error { id, error }),
        _ => Err(not_json_rpc(
            "it needs \"method\", or \"id\" with either \"result\" or \"error\"",
        )),
    }
}

fn check_id(id: &RawValue) -> Result<(), Error> {
    let text = id.get();
    let number =
        serde_json::from_str::<i64>(text).is_ok() || serde_json::from_str::<u64>(text).is_ok();
    if number || text.starts_with('"') {
        Ok(())
    } else {
        Err(not_json_rpc("member \"id\" must be a string or an integer"))
    }
}

fn not_json_rpc(why: &str) -> Error {
    Error::NotJsonRpc(why.to_owned())
}

/// `params` of a request, read one level deep.
#[derive(Debug, Clone, Default)]
pub struct RequestParams<'a> {
    members: Members<'a>,
}

impl<'a> RequestParams<'a> {
    /// Reads a `params` object.
    ///
    /// # Errors
    /// [`Error::Params`] when it is not an object or a key appears twice.
    pub fn parse(params: &'a RawValue) -> Result<Self, Error> {
        let members =
            Members::parse(params.get()).map_err(|error| Error::Params(reason(&error)))?;
        Ok(Self { members })
    }

    /// Any member.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&'a RawValue> {
        self.members.get(key)
    }

    /// Any member that is a string.
    #[must_use]
    pub fn string(&self, key: &str) -> Option<Cow<'a, str>> {
        self.members.string(key)
    }

    /// The name of the tool or prompt.
    #[must_use]
    pub fn name(&self) -> Option<Cow<'a, str>> {
        self.string("name")
    }

    /// The arguments of a call.
    #[must_use]
    pub fn arguments(&self) -> Option<&'a RawValue> {
        self.get("arguments")
    }

    /// All members in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.members.iter()
    }

    /// The request's metadata; empty where there is none.
    ///
    /// # Errors
    /// [`Error::Params`] when `_meta` is not an object or a key appears twice.
    pub fn meta(&self) -> Result<Meta<'a>, Error> {
        let Some(meta) = self.get("_meta") else {
            return Ok(Meta::default());
        };
        let members = Members::parse(meta.get())
            .map_err(|error| Error::Params(format!("_meta: {}", reason(&error))))?;
        Ok(Meta { members })
    }
}

fn reason(error: &Error) -> String {
    match error {
        Error::NotJson(source) => source.to_string(),
        other => other.to_string(),
    }
}

/// `_meta` of a request.
#[derive(Debug, Clone, Default)]
pub struct Meta<'a> {
    members: Members<'a>,
}

impl<'a> Meta<'a> {
    /// Any key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&'a RawValue> {
        self.members.get(key)
    }

    /// Any key whose value is a string.
    #[must_use]
    pub fn string(&self, key: &str) -> Option<Cow<'a, str>> {
        self.members.string(key)
    }

    /// All keys in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.members.iter()
    }

    /// The token of progress notifications: a JSON string or integer.
    #[must_use]
    pub fn progress_token(&self) -> Option<&'a RawValue> {
        self.get(mcp::meta::PROGRESS_TOKEN)
    }

    /// The caller's deadline in milliseconds, where it asks for one.
    ///
    /// # Errors
    /// [`Error::Params`] when the value is not a positive integer.
    pub fn timeout_ms(&self) -> Result<Option<u64>, Error> {
        let Some(value) = self.get(mcp::meta::TIMEOUT_MS) else {
            return Ok(None);
        };
        match value.get().parse::<u64>() {
            Ok(milliseconds) if milliseconds > 0 => Ok(Some(milliseconds)),
            _ => Err(Error::Params(format!(
                "_meta key {:?} must be a positive whole number of milliseconds, not {}",
                mcp::meta::TIMEOUT_MS,
                value.get(),
            ))),
        }
    }

    /// The key of [`mcp::meta::IDEMPOTENCY_KEY`].
    ///
    /// # Errors
    /// [`Error::Params`] when the value is not a string of 1 to 255 bytes.
    pub fn idempotency_key(&self) -> Result<Option<Cow<'a, str>>, Error> {
        let key = mcp::meta::IDEMPOTENCY_KEY;
        if self.get(key).is_none() {
            return Ok(None);
        }
        match self.string(key) {
            Some(text) if (1..=MAX_IDEMPOTENCY_KEY).contains(&text.len()) => Ok(Some(text)),
            _ => Err(Error::Params(format!(
                "_meta key {key:?} must be a string of 1 to {MAX_IDEMPOTENCY_KEY} bytes, such as \
                 a UUID that is made once for the call and sent with each repetition of it",
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_of_the_caller_is_a_short_text() {
        let key = |value: &str| {
            let text = format!(r#"{{"_meta":{{"opendiscovery/idempotencyKey":{value}}}}}"#);
            let params: Box<RawValue> = serde_json::from_str(&text).unwrap();
            let meta = RequestParams::parse(&params).unwrap().meta().unwrap();
            meta.idempotency_key()
                .map(|key| key.map(Cow::into_owned))
                .map_err(|error| error.to_string())
        };
        assert_eq!(key(r#""\u0061 b""#).unwrap().as_deref(), Some("a b"));
        assert!(key(&format!("{:?}", "k".repeat(255))).is_ok());
        let long = format!("{:?}", "ä".repeat(128));
        for wrong in ["null", "7", r#""""#, "[]", &long] {
            let error = key(wrong).unwrap_err();
            assert!(error.contains("1 to 255 bytes"), "{error}");
        }
        assert_eq!(Meta::default().idempotency_key().unwrap(), None);
    }

    #[test]
    fn a_request_keeps_its_parts_as_written() {
        let body = br#" {"jsonrpc":"2.0","id":"a\u0062","method":"tools/call",
            "params":{"name":"ping","arguments":{"count":1.0},"_meta":{"progressToken":7}}} "#;
        let envelope = Envelope::parse(body).unwrap();
        assert_eq!(envelope.id().unwrap().get(), r#""a\u0062""#);
        assert_eq!(envelope.method().unwrap(), "tools/call");
        let params = envelope.params().unwrap();
        assert_eq!(params.name().unwrap(), "ping");
        assert_eq!(params.arguments().unwrap().get(), r#"{"count":1.0}"#);
        assert_eq!(params.meta().unwrap().progress_token().unwrap().get(), "7");
    }

    #[test]
    fn malformed_messages_say_what_is_wrong() {
        let check = |body: &str, expected: &str| {
            let error = Envelope::parse(body.as_bytes()).unwrap_err();
            let text = format!("{error}: {}", reason(&error));
            assert!(text.contains(expected), "{body} gave {text}");
        };
        check("", "not valid JSON");
        check("{", "not valid JSON");
        check("[]", "batches");
        check("7", "not valid JSON");
        check("{}", "jsonrpc");
        check(r#"{"jsonrpc":"1.0","id":1,"method":"x"}"#, "\"2.0\"");
        check(r#"{"jsonrpc":"2.0","id":null,"method":"x"}"#, "null");
        check(r#"{"jsonrpc":"2.0","id":1.5,"method":"x"}"#, "integer");
        check(r#"{"jsonrpc":"2.0","id":{},"method":"x"}"#, "integer");
        check(r#"{"jsonrpc":"2.0","id":1,"method":5}"#, "method");
        check(
            r#"{"jsonrpc":"2.0","id":1,"method":"x","params":[]}"#,
            "params",
        );
        check(r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"x"}"#, "twice");
        check(r#"{"jsonrpc":"2.0","id":1}"#, "needs");
        check(
            r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{}}"#,
            "needs",
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Envelope::parse(&bytes);
        }

        #[test]
        fn what_is_written_is_read(id in any::<i64>(), method in "\\PC{0,40}", text in "\\PC{0,40}") {
            let body = serde_json::json!({
                "jsonrpc": "2.0", "id": id, "method": method, "params": {"name": text},
            }).to_string();
            let envelope = Envelope::parse(body.as_bytes()).unwrap();
            prop_assert_eq!(envelope.id().unwrap().get(), id.to_string());
            prop_assert_eq!(envelope.method().unwrap(), method);
            prop_assert_eq!(envelope.params().unwrap().name().unwrap(), text);
        }
    }
}
