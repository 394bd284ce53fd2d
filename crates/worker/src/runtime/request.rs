use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bus::Message;
use protocol::mcp::{self, code};
use protocol::response::RpcError;
use protocol::{Envelope, Kind, RequestParams, headers};
use serde_json::json;
use serde_json::value::RawValue;

use crate::{Tool, Worker};

/// Part of the time left that is kept for the reply: its tenth, but no more than this.
const REPLY_MARGIN: Duration = Duration::from_millis(250);

/// A `tools/call` for a tool that exists.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) id: Box<RawValue>,
    pub(super) tool: Arc<Tool>,
    pub(super) arguments: Option<Box<RawValue>>,
    pub(super) progress_token: Option<Box<RawValue>>,
    timeout: Option<Duration>,
}

/// A message that is no call of a tool of ours.
#[derive(Debug)]
pub(super) struct Refused {
    /// The request's identifier, where it could be read.
    pub(super) id: Option<Box<RawValue>>,
    pub(super) error: RpcError,
}

impl Request {
    /// Reads a message and checks that its headers mirror its body.
    pub(super) fn read(message: &Message, worker: &Worker) -> Result<Self, Refused> {
        let envelope = Envelope::parse(&message.body).map_err(|error| Refused {
            id: None,
            error: RpcError::from(&error),
        })?;
        let Kind::Request { id, .. } = envelope.kind else {
            let error = "the body is not a JSON-RPC request";
            return Err(Refused {
                id: None,
                error: RpcError::new(code::INVALID_REQUEST, error),
            });
        };
        Self::of(&envelope, id, message, worker).map_err(|error| Refused {
            id: Some(id.to_owned()),
            error,
        })
    }

    fn of(
        envelope: &Envelope<'_>,
        id: &RawValue,
        message: &Message,
        worker: &Worker,
    ) -> Result<Self, RpcError> {
        check_version(message)?;
        let method = envelope.method().unwrap_or_default();
        check_mirror(message, headers::METHOD, &method)?;
        if method != mcp::method::TOOLS_CALL {
            let error = format!("workers serve tools/call, not {method:?}");
            return Err(RpcError::new(code::METHOD_NOT_FOUND, error));
        }
        let params = envelope.params().map_err(|error| RpcError::from(&error))?;
        let name = name(&params)?;
        check_mirror(message, headers::NAME, &name)?;
        let meta = params.meta().map_err(|error| RpcError::from(&error))?;
        let timeout = meta.timeout_ms().map_err(|error| RpcError::from(&error))?;
        Ok(Self {
            id: id.to_owned(),
            tool: Arc::clone(worker.find(&name)?),
            arguments: params.arguments().map(ToOwned::to_owned),
            progress_token: meta.progress_token().map(ToOwned::to_owned),
            timeout: timeout.map(Duration::from_millis),
        })
    }

    /// How long the tool may run: until the caller's deadline, within the tool's longest.
    pub(super) fn time_left(&self, message: &Message) -> Duration {
        let asked = until_deadline(message)
            .or(self.timeout)
            .unwrap_or(self.tool.default_deadline());
        let left = asked.min(self.tool.max_deadline());
        // An answer that the caller no longer waits for helps nobody.
        left.saturating_sub(REPLY_MARGIN.min(left / 10))
    }
}

/// Time until the deadline in the headers; zero after it, `None` without one.
pub(super) fn until_deadline(message: &Message) -> Option<Duration> {
    let deadline = message.headers.int(headers::DEADLINE)?;
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let deadline = Duration::from_millis(u64::try_from(deadline).unwrap_or(0));
    Some(deadline.saturating_sub(now))
}

fn name(params: &RequestParams<'_>) -> Result<String, RpcError> {
    let name = params.name().map(std::borrow::Cow::into_owned);
    name.ok_or_else(|| {
        let error = "params.name must be the name of a tool, as a string";
        RpcError::new(code::INVALID_PARAMS, error)
    })
}

/// A header that is there must say what the body says; the body is the source of truth.
fn check_mirror(message: &Message, header: &str, body: &str) -> Result<(), RpcError> {
    match message.headers.text(header) {
        Some(mirror) if mirror != body => {
            let error = format!(
                "header {header} says {mirror:?} and the body {body:?}; send the same in both"
            );
            Err(RpcError::new(code::HEADER_MISMATCH, error))
        }
        _ => Ok(()),
    }
}

/// Workers know one revision only; gateways speak the others.
fn check_version(message: &Message) -> Result<(), RpcError> {
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
