//! A request as a front has read it: borrowed, one level deep.

use std::borrow::Cow;
use std::net::IpAddr;

use axum::http::HeaderMap;
use bytes::Bytes;
use protocol::mcp::method;
use protocol::{Envelope, Error, Kind, Meta, RequestParams};
use serde_json::value::RawValue;
use service::TraceContext;

use crate::session::Session;

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Speaker<'a> {
    /// A client of the stateless era.
    Modern,
    /// A client with a session.
    Legacy(&'a Session),
}

impl Speaker<'_> {
    pub(crate) fn is_modern(self) -> bool {
        matches!(self, Self::Modern)
    }
}

impl<'a> Speaker<'a> {
    /// The client's session, if it has one.
    pub(crate) fn session(self) -> Option<&'a Session> {
        match self {
            Self::Modern => None,
            Self::Legacy(session) => Some(session),
        }
    }
}

/// A JSON-RPC request and the parts of it that routing needs.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub(crate) body: &'a Bytes,
    pub(crate) id: &'a RawValue,
    pub(crate) method: Cow<'a, str>,
    pub(crate) raw_params: Option<&'a RawValue>,
    pub(crate) params: RequestParams<'a>,
    pub(crate) meta: Meta<'a>,
    /// What came with it by HTTP.
    pub(crate) headers: Option<&'a HeaderMap>,
    /// Where it came from by HTTP: the client, or the proxy before it.
    pub(crate) remote: Option<IpAddr>,
}

impl<'a> Request<'a> {
    /// Reads the parameters of a request; `None` for any other kind of message.
    ///
    /// # Errors
    /// [`Error::Params`] when parameters or `_meta` are malformed.
    pub(crate) fn read(body: &'a Bytes, envelope: &Envelope<'a>) -> Result<Option<Self>, Error> {
        let Kind::Request {
            id,
            params: raw_params,
            ..
        } = envelope.kind
        else {
            return Ok(None);
        };
        let params = envelope.params()?;
        let meta = params.meta()?;
        let method = envelope.method().unwrap_or_default();
        Ok(Some(Self {
            body,
            id,
            method,
            raw_params,
            params,
            meta,
            headers: None,
            remote: None,
        }))
    }

    /// The request's trace: its own words, otherwise those of the transport.
    pub(crate) fn trace(&self, transport: &TraceContext) -> TraceContext {
        let key = |name| self.meta.string(name);
        let own = TraceContext::new(
            key("traceparent").as_deref(),
            key("tracestate").as_deref(),
            key("baggage").as_deref(),
        );
        if own.traceparent.is_some() {
            own
        } else {
            transport.clone()
        }
    }

    /// The method for logs and metrics, where what clients make up must not add up.
    pub(crate) fn known_method(&self) -> &'static str {
        const KNOWN: [&str; 15] = [
            method::DISCOVER,
            method::INITIALIZE,
            method::PING,
            method::TOOLS_LIST,
            method::TOOLS_CALL,
            method::RESOURCES_LIST,
            method::RESOURCE_TEMPLATES_LIST,
            method::RESOURCES_READ,
            method::RESOURCES_SUBSCRIBE,
            method::RESOURCES_UNSUBSCRIBE,
            method::PROMPTS_LIST,
            method::PROMPTS_GET,
            method::COMPLETE,
            method::SET_LEVEL,
            method::LISTEN,
        ];
        KNOWN
            .into_iter()
            .find(|known| *known == self.method)
            .unwrap_or("other")
    }
}
