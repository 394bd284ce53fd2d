use std::time::{Duration, SystemTime};

use bus::Message;
use protocol::mcp::{self, code};
use protocol::response::RpcError;
use protocol::{Envelope, Kind, LogLevel, Meta, RequestParams, headers};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::mirror;
use crate::notifications::Wanted;
use crate::target::{About, Target, name_of};
use crate::{CallKey, ClientCapabilities, Inputs, Worker};

/// Part of the time left that is kept for the reply: its tenth, but no more than this.
const REPLY_MARGIN: Duration = Duration::from_millis(250);

/// A request for something that exists.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) id: Box<RawValue>,
    pub(super) about: About,
    pub(super) target: Target,
    pub(super) progress_token: Option<Box<RawValue>>,
    pub(super) log_level: Option<LogLevel>,
    pub(super) client: ClientCapabilities,
    pub(super) inputs: Inputs,
    /// What the call is known by when it comes again, where anybody asks for that.
    pub(super) key: Option<CallKey>,
    timeout: Option<Duration>,
}

/// A message that is no request for anything of ours.
#[derive(Debug)]
pub(super) struct Refused {
    /// The request's identifier, where it could be read.
    pub(super) id: Option<Box<RawValue>>,
    pub(super) error: RpcError,
}

impl Request {
    /// Reads a message and checks that its headers mirror its body.
    pub(super) fn read(message: &Message, worker: &Worker) -> Result<Self, Refused> {
        if let Some(why) = &message.unreadable {
            let error = format!("the request cannot be read: {why}");
            return Err(Refused {
                id: None,
                error: RpcError::new(code::INVALID_REQUEST, error),
            });
        }
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
        mirror::check_version(message)?;
        let method = envelope.method().unwrap_or_default();
        mirror::check(message, headers::METHOD, &method)?;
        let params = envelope.params().map_err(|error| RpcError::from(&error))?;
        let name = name_of(&method, &params)?;
        mirror::check(message, headers::NAME, &name)?;
        let meta = params.meta().map_err(|error| RpcError::from(&error))?;
        let timeout = meta.timeout_ms().map_err(|error| RpcError::from(&error))?;
        let client = ClientCapabilities::of(meta.get(mcp::meta::CLIENT_CAPABILITIES));
        let (about, target) = Target::find(&method, &name, &params, worker)?;
        mirror::check_arguments(message, &target)?;
        Ok(Self {
            id: id.to_owned(),
            key: call_key(message, &about, &target, &params)?,
            about,
            target,
            progress_token: meta.progress_token().map(ToOwned::to_owned),
            log_level: log_level(&meta)?,
            client: client.map_err(invalid)?,
            inputs: inputs(&params)?,
            timeout: timeout.map(Duration::from_millis),
        })
    }

    /// What the caller asked to be told before the answer.
    pub(super) fn wanted(&self) -> Wanted {
        Wanted {
            progress: self.progress_token.is_some(),
            log: self.log_level,
        }
    }

    /// How long a call like this may take, whenever it is made.
    pub(super) fn usual_time(&self) -> Duration {
        let asked = self.timeout.unwrap_or(self.about.default_deadline);
        asked.min(self.about.max_deadline)
    }

    /// When the handler must have ended: at the caller's deadline, within its own longest, and
    /// before the delivery has to be answered.
    pub(super) fn deadline(&self, message: &Message, until: Instant) -> Instant {
        let now = Instant::now();
        let asked = until_deadline(message)
            .or(self.timeout)
            .unwrap_or(self.about.default_deadline);
        let longest = self.about.max_deadline.min(until - now);
        let left = asked.min(longest);
        // An answer that the caller no longer waits for helps nobody.
        now + left.saturating_sub(REPLY_MARGIN.min(left / 10))
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

/// The key of a call whose caller gave it one, or whose tool keeps its answers.
fn call_key(
    message: &Message,
    about: &About,
    target: &Target,
    params: &RequestParams<'_>,
) -> Result<Option<CallKey>, RpcError> {
    let Target::Tool { tool, .. } = target else {
        return Ok(None);
    };
    let is_callers = message.headers.is_true(headers::IDEMPOTENT);
    if !is_callers && !tool.is_stored() {
        return Ok(None);
    }
    match message.message_id.as_deref().filter(|id| !id.is_empty()) {
        Some(id) => Ok(Some(CallKey::of(id, &about.name, params, is_callers))),
        None if is_callers => {
            let error = format!(
                "header {} needs the property message-id, the same for each repetition",
                headers::IDEMPOTENT
            );
            Err(RpcError::new(code::INVALID_REQUEST, error))
        }
        None => Ok(None),
    }
}

/// The least severe log message that the caller wants.
fn log_level(meta: &Meta<'_>) -> Result<Option<LogLevel>, RpcError> {
    let Some(level) = meta.get(mcp::meta::LOG_LEVEL) else {
        return Ok(None);
    };
    let word = meta.string(mcp::meta::LOG_LEVEL).unwrap_or_default();
    match LogLevel::of(&word) {
        Some(level) => Ok(Some(level)),
        None => Err(invalid(format!(
            "_meta key {:?} must be one of {}, not {}",
            mcp::meta::LOG_LEVEL,
            LogLevel::ALL.map(LogLevel::as_str).join(", "),
            level.get(),
        ))),
    }
}

/// What the client answers to earlier rounds.
fn inputs(params: &RequestParams<'_>) -> Result<Inputs, RpcError> {
    let responses = match params.get("inputResponses") {
        None => Map::new(),
        Some(responses) => {
            serde_json::from_str::<Map<String, Value>>(responses.get()).map_err(|error| {
                invalid(format!("params.inputResponses must be an object: {error}"))
            })?
        }
    };
    let state = params.string("requestState");
    if state.is_none() && params.get("requestState").is_some() {
        let error = "params.requestState must be a string";
        return Err(invalid(error.to_owned()));
    }
    let state = state.map(std::borrow::Cow::into_owned);
    Ok(Inputs::new(responses, state))
}

fn invalid(error: String) -> RpcError {
    RpcError::new(code::INVALID_PARAMS, error)
}
