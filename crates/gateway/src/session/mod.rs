//! The `initialize` era: what a session agreed on, what became of it since, and what its client
//! runs.
//!
//! A session is self-contained: its identifier is a sealed [`token`] that says what was agreed
//! on, so every replica with the same key serves it. What changes later ([`state`]), when it was
//! last used and that it ended, replicas tell each other ([`talk`]); each keeps what it heard in
//! its own [`table`], none of which is needed for a session to go on.

mod clock;
mod ended;
mod facts;
mod gone;
mod others;
mod outbox;
mod replicas;
mod running;
mod state;
mod store;
mod table;
mod talk;
mod token;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use std::borrow::Cow;

use protocol::mcp::{LEGACY_VERSIONS, MODERN_VERSION, code, meta};
use protocol::response::RpcError;
use protocol::{LogLevel, RequestParams};
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub(crate) use gone::Gone;
pub(crate) use running::{Begun, Running};
use state::State;
pub(crate) use store::{Options, Sessions};
use token::{Agreed, Start};

/// What a client and this server agreed on, and what the client runs.
#[derive(Debug)]
pub(crate) struct Session {
    /// The revision that both speak.
    pub(crate) version: &'static str,
    modern_version: String,
    capabilities: Box<RawValue>,
    client_info: Box<RawValue>,
    id: Uuid,
    /// Whose session it is; nobody's yet.
    subject: Option<String>,
    /// When it was opened, in milliseconds since the Unix epoch.
    created: u64,
    running: Running,
    state: Arc<State>,
    /// How often it is held.
    holds: AtomicUsize,
    ended: CancellationToken,
}

/// Keeps a session in use for as long as something is open for its client.
#[derive(Debug)]
pub(crate) struct Hold(Arc<Session>);

impl Session {
    /// Reads the parameters of `initialize`.
    ///
    /// A revision that is not known is answered with the newest that begins with `initialize`
    /// (MCP 2025-11-25, "Version Negotiation").
    ///
    /// # Errors
    /// Invalid params, naming the member at fault.
    pub(crate) fn negotiate(params: &RequestParams<'_>) -> Result<Self, RpcError> {
        let requested = params
            .string("protocolVersion")
            .ok_or_else(|| invalid("params.protocolVersion must be a string"))?;
        let object = |key: &str| {
            let value = params.get(key).filter(|value| value.get().starts_with('{'));
            let missing = || invalid(&format!("params.{key} must be an object"));
            value.map(ToOwned::to_owned).ok_or_else(missing)
        };
        let known = LEGACY_VERSIONS
            .into_iter()
            .find(|version| *version == requested);
        Ok(Self {
            capabilities: object("capabilities")?,
            client_info: object("clientInfo")?,
            ..Self::new(known.unwrap_or(LEGACY_VERSIONS[0]), Uuid::new_v4())
        })
    }

    /// The session that a token speaks of.
    fn agreed(agreed: Agreed) -> Self {
        Self {
            created: agreed.created,
            subject: agreed.subject,
            capabilities: agreed.capabilities,
            client_info: agreed.client_info,
            ..Self::new(agreed.version, agreed.id)
        }
    }

    fn new(version: &'static str, id: Uuid) -> Self {
        Self {
            version,
            modern_version: format!("\"{MODERN_VERSION}\""),
            capabilities: RawValue::NULL.to_owned(),
            client_info: RawValue::NULL.to_owned(),
            id,
            subject: None,
            created: 0,
            running: Running::default(),
            state: Arc::default(),
            holds: AtomicUsize::new(0),
            ended: CancellationToken::new(),
        }
    }

    fn start(&self) -> Start<'_> {
        Start {
            id: self.id,
            version: self.version,
            capabilities: &self.capabilities,
            client_info: &self.client_info,
            subject: self.subject.as_deref(),
            created: self.created,
        }
    }

    /// What a request of this session lacks in the eyes of a worker: keys of `_meta` with the
    /// JSON text of their values.
    pub(crate) fn meta(&self) -> [(&'static str, Cow<'_, str>); 4] {
        let level = format!("\"{}\"", self.level().as_str());
        [
            (meta::PROTOCOL_VERSION, self.modern_version.as_str().into()),
            (meta::CLIENT_CAPABILITIES, self.capabilities.get().into()),
            (meta::CLIENT_INFO, self.client_info.get().into()),
            (meta::LOG_LEVEL, level.into()),
        ]
    }

    /// What tells sessions apart, the same at every replica.
    pub(crate) fn id(&self) -> Uuid {
        self.id
    }

    /// What the client said it can do, as the JSON text of an object.
    pub(crate) fn capabilities(&self) -> &RawValue {
        &self.capabilities
    }

    /// The least severe log message that the client wants.
    pub(crate) fn level(&self) -> LogLevel {
        self.state.level()
    }

    /// Sets the least severe log message that the client wants.
    pub(crate) fn set_level(&self, level: LogLevel) {
        self.state.set_level(level);
    }

    /// Wants news of a resource.
    ///
    /// # Errors
    /// Invalid params when there are too many, or the URI is too long.
    pub(crate) fn subscribe(&self, uri: &str) -> Result<(), RpcError> {
        self.state.subscribe(uri)
    }

    /// Wants no more news of a resource.
    pub(crate) fn unsubscribe(&self, uri: &str) {
        self.state.unsubscribe(uri);
    }

    /// Whether the client wants news of a resource.
    pub(crate) fn is_subscribed(&self, uri: &str) -> bool {
        self.state.is_subscribed(uri)
    }

    /// The resources that the client wants news of.
    pub(crate) fn subscriptions(&self) -> Vec<String> {
        self.state.subscriptions()
    }

    /// Cancelled when the session is over: ended by its client, idle for too long, or too old.
    pub(crate) fn ended(&self) -> &CancellationToken {
        &self.ended
    }

    /// The session's requests that are under way at this replica.
    pub(crate) fn running(&self) -> &Running {
        &self.running
    }

    /// Keeps the session in use until what is given is dropped: for a stream that its client
    /// reads.
    pub(crate) fn hold(self: &Arc<Self>) -> Hold {
        self.holds.fetch_add(1, Ordering::Relaxed);
        Hold(Arc::clone(self))
    }

    /// Whether requests are under way, or something is held open.
    fn is_open(&self) -> bool {
        !self.running.is_empty() || self.holds.load(Ordering::Relaxed) > 0
    }

    /// When its token expires, in milliseconds since the Unix epoch.
    fn expires(&self) -> u64 {
        token::expires(self.created)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.holds.fetch_sub(1, Ordering::Relaxed);
    }
}

fn invalid(message: &str) -> RpcError {
    RpcError::new(code::INVALID_PARAMS, message)
}

#[cfg(test)]
pub(crate) fn session_for_test() -> Session {
    let params = r#"{"protocolVersion":"2025-06-18","capabilities":{"roots":{}},"clientInfo":{"name":"t","version":"1"}}"#;
    let raw: Box<RawValue> = serde_json::from_str(params).unwrap();
    Session::negotiate(&RequestParams::parse(&raw).unwrap()).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn negotiate(params: &str) -> Result<Session, RpcError> {
        let raw: Box<RawValue> = serde_json::from_str(params).unwrap();
        Session::negotiate(&RequestParams::parse(&raw).unwrap())
    }

    #[test]
    fn each_known_revision_is_kept_and_others_become_the_newest() {
        let check = |requested: &str, expected: &str| {
            let params = format!(
                r#"{{"protocolVersion":{requested:?},"capabilities":{{}},"clientInfo":{{}}}}"#
            );
            assert_eq!(negotiate(&params).unwrap().version, expected, "{requested}");
        };
        for version in LEGACY_VERSIONS {
            check(version, version);
        }
        check("2026-07-28", "2025-11-25");
        check("1.0", "2025-11-25");
    }

    #[test]
    fn a_member_that_is_missing_or_malformed_is_named() {
        for (params, member) in [
            ("{}", "protocolVersion"),
            (r#"{"protocolVersion":1}"#, "protocolVersion"),
            (r#"{"protocolVersion":"x"}"#, "capabilities"),
            (
                r#"{"protocolVersion":"x","capabilities":[]}"#,
                "capabilities",
            ),
            (
                r#"{"protocolVersion":"x","capabilities":{},"clientInfo":"me"}"#,
                "clientInfo",
            ),
        ] {
            let error = negotiate(params).unwrap_err();
            assert!(
                error.message.contains(member),
                "{params} gave {}",
                error.message
            );
        }
    }

    #[test]
    fn what_was_negotiated_completes_requests() {
        let session = session_for_test();
        let meta = session.meta();
        assert_eq!(meta[0].1, "\"2026-07-28\"");
        assert_eq!(meta[1].1, r#"{"roots":{}}"#);
        assert_eq!(meta[2].1, r#"{"name":"t","version":"1"}"#);
        assert_eq!(meta[3].1, "\"info\"");
        session.set_level(LogLevel::Error);
        assert_eq!(session.meta()[3].1, "\"error\"");
    }
}
