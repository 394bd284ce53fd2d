//! What the headers of a request say about its body.

use std::borrow::Cow;

use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use protocol::header_value;
use protocol::mcp::{code, method};
use protocol::response::RpcError;
use service::TraceContext;

use crate::era;
use crate::request::Request;

const VERSION: &str = "mcp-protocol-version";
const METHOD: &str = "mcp-method";
const NAME: &str = "mcp-name";
/// Identifier of a session of the `initialize` era.
pub(super) const SESSION: &str = "mcp-session-id";

/// Whether the client takes both a JSON object and an event stream, as every client of
/// Streamable HTTP must (MCP 2026-07-28, "Sending Messages").
pub(super) fn accepts_both(headers: &HeaderMap) -> bool {
    let accepted = accepted(headers);
    accepts(&accepted, "application/json", "application/*")
        && accepts(&accepted, "text/event-stream", "text/*")
}

/// Whether the client takes an event stream.
pub(super) fn accepts_events(headers: &HeaderMap) -> bool {
    accepts(&accepted(headers), "text/event-stream", "text/*")
}

fn accepted(headers: &HeaderMap) -> Vec<String> {
    headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|range| range.split(';').next())
        .map(|range| range.trim().to_ascii_lowercase())
        .collect()
}

fn accepts(accepted: &[String], kind: &str, any: &str) -> bool {
    accepted
        .iter()
        .any(|range| range == kind || range == any || range == "*/*")
}

/// Whether the body is declared as JSON.
pub(super) fn is_json(headers: &HeaderMap) -> bool {
    let value = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let essence = value
        .and_then(|value| value.split(';').next())
        .unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

/// The headers of MCP, each at most once.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct McpHeaders<'a> {
    /// Protocol revision.
    pub(super) version: Option<&'a str>,
    method: Option<&'a str>,
    name: Option<&'a str>,
    /// Session of the `initialize` era.
    pub(super) session: Option<&'a str>,
}

impl<'a> McpHeaders<'a> {
    /// Reads the headers.
    ///
    /// # Errors
    /// Header mismatch when one is there twice, because two readers could take two values from
    /// it, or has characters that no header may have.
    pub(super) fn read(headers: &'a HeaderMap) -> Result<Self, RpcError> {
        let one = |name: &str| {
            let mut values = headers.get_all(name).iter();
            let value = values.next();
            if values.next().is_some() {
                return Err(mismatch(format!("header {name} is there more than once")));
            }
            value
                .map(|value| value.to_str().map(str::trim))
                .transpose()
                .map_err(|_| mismatch(format!("header {name} has characters beyond ASCII")))
        };
        Ok(Self {
            version: one(VERSION)?,
            method: one(METHOD)?,
            name: one(NAME)?,
            session: one(SESSION)?,
        })
    }

    /// Checks that a request of the stateless era says the same in its headers as in its body
    /// (MCP 2026-07-28, "Server Validation").
    ///
    /// # Errors
    /// Header mismatch, naming the header; unsupported version when the revision, on which both
    /// agree, is none of ours.
    pub(super) fn check(&self, request: &Request<'_>, version: &str) -> Result<(), RpcError> {
        same("MCP-Protocol-Version", self.version, version)?;
        // Another revision may have other rules for its headers.
        era::check_supported(version)?;
        same("Mcp-Method", self.method, &request.method)?;
        let key = match request.method.as_ref() {
            method::TOOLS_CALL | method::PROMPTS_GET => "name",
            method::RESOURCES_READ => "uri",
            _ => return Ok(()),
        };
        match (self.name, request.params.string(key)) {
            (header, Some(body)) => {
                let decoded = header.map(decode).transpose()?;
                same("Mcp-Name", decoded.as_deref(), &body)
            }
            (Some(_), None) => Err(mismatch(format!(
                "header Mcp-Name is there, but params.{key} is not"
            ))),
            // What the body lacks is said by who needs it.
            (None, None) => Ok(()),
        }
    }
}

/// The trace in the headers.
pub(super) fn trace(headers: &HeaderMap) -> TraceContext {
    let one = |name| headers.get(name).and_then(|value| value.to_str().ok());
    TraceContext::new(one("traceparent"), one("tracestate"), one("baggage"))
}

fn same(name: &str, header: Option<&str>, body: &str) -> Result<(), RpcError> {
    match header {
        Some(header) if header == body => Ok(()),
        Some(header) => Err(mismatch(format!(
            "header {name} is {:?}, the body says {:?}",
            cut(header),
            cut(body)
        ))),
        None => Err(mismatch(format!(
            "header {name} is missing; the body says {:?}",
            cut(body)
        ))),
    }
}

/// The name behind the header, which may be encoded.
fn decode(value: &str) -> Result<Cow<'_, str>, RpcError> {
    header_value::decode(value).map_err(|error| mismatch(format!("header Mcp-Name: {error}")))
}

fn cut(text: &str) -> String {
    text.chars().take(100).collect()
}

fn mismatch(message: String) -> RpcError {
    RpcError::new(code::HEADER_MISMATCH, message)
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};
    use bytes::Bytes;
    use protocol::Envelope;

    use super::*;

    fn map(headers: &[(&str, &str)]) -> HeaderMap {
        headers
            .iter()
            .map(|(name, value)| {
                let name: HeaderName = name.parse().unwrap();
                (name, HeaderValue::from_bytes(value.as_bytes()).unwrap())
            })
            .collect()
    }

    fn check(body: &str, headers: &[(&str, &str)], expected: Option<&str>) {
        let map = map(headers);
        let body = Bytes::copy_from_slice(body.as_bytes());
        let envelope = Envelope::parse(&body).unwrap();
        let request = Request::read(&body, &envelope).unwrap().unwrap();
        let outcome =
            McpHeaders::read(&map).and_then(|headers| headers.check(&request, "2026-07-28"));
        match (outcome, expected) {
            (Ok(()), None) => {}
            (Err(error), Some(expected)) => {
                assert_eq!(error.code, code::HEADER_MISMATCH);
                assert!(
                    error.message.contains(expected),
                    "{headers:?} gave {}",
                    error.message
                );
            }
            (outcome, _) => panic!("{headers:?} gave {outcome:?}"),
        }
    }

    #[test]
    fn headers_must_say_what_the_body_says() {
        let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"Prüfung"}}"#;
        let version = ("MCP-PROTOCOL-VERSION", " 2026-07-28 ");
        let method = ("mcp-method", "tools/call");
        let name = ("Mcp-Name", "=?base64?UHLDvGZ1bmc=?=");
        check(call, &[version, method, name], None);
        check(
            call,
            &[method, name],
            Some("MCP-Protocol-Version is missing"),
        );
        check(call, &[version, name], Some("Mcp-Method is missing"));
        check(call, &[version, method], Some("Mcp-Name is missing"));
        check(
            call,
            &[version, method, ("mcp-name", "ping")],
            Some("the body says"),
        );
        check(
            call,
            &[version, method, ("mcp-name", "=?base64?%%?=")],
            Some("Base64"),
        );
        check(
            call,
            &[version, method, ("mcp-name", "Prüfung")],
            Some("ASCII"),
        );
        check(call, &[version, method, name, name], Some("more than once"));
        check(
            call,
            &[version, ("mcp-method", "Tools/Call"), name],
            Some("Mcp-Method"),
        );
        check(
            call,
            &[("mcp-protocol-version", "2025-11-25"), method, name],
            Some("2025-11-25"),
        );
    }

    #[test]
    fn resources_and_prompts_are_named_too() {
        let version = ("mcp-protocol-version", "2026-07-28");
        let prompt = r#"{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":"a b"}}"#;
        let method = ("mcp-method", "prompts/get");
        check(prompt, &[version, method, ("mcp-name", "a b")], None);
        check(prompt, &[version, method], Some("Mcp-Name is missing"));
        let resource = r#"{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"test://ä","name":"x"}}"#;
        let method = ("mcp-method", "resources/read");
        let uri = ("mcp-name", "=?base64?dGVzdDovL8Ok?=");
        check(resource, &[version, method, uri], None);
        check(
            resource,
            &[version, method, ("mcp-name", "x")],
            Some("the body says"),
        );
        let complete = r#"{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"a"}}}"#;
        check(
            complete,
            &[version, ("mcp-method", "completion/complete")],
            None,
        );
    }

    #[test]
    fn a_name_is_needed_where_the_body_has_one() {
        let version = ("mcp-protocol-version", "2026-07-28");
        let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
        check(list, &[version, ("mcp-method", "tools/list")], None);
        let nameless = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{}}"#;
        check(nameless, &[version, ("mcp-method", "tools/call")], None);
        let with_name = [version, ("mcp-method", "tools/call"), ("mcp-name", "x")];
        check(nameless, &with_name, Some("params.name is not"));
    }

    #[test]
    fn media_types_are_compared_without_their_parameters() {
        let accepts = |value: &str| accepts_both(&map(&[("accept", value)]));
        assert!(accepts("application/json, text/event-stream"));
        assert!(accepts("Text/Event-Stream;q=0.5 , APPLICATION/JSON"));
        assert!(accepts("*/*"));
        assert!(accepts("application/*, text/*"));
        assert!(!accepts("application/json"));
        assert!(!accepts("text/event-stream"));
        assert!(!accepts("text/html"));
        assert!(!accepts_both(&HeaderMap::new()));
        assert!(is_json(&map(&[(
            "content-type",
            "application/json; charset=utf-8"
        )])));
        assert!(!is_json(&map(&[("content-type", "text/plain")])));
        assert!(!is_json(&HeaderMap::new()));
    }
}
