//! Sessions: identifiers that hold all it takes to ask an agent.
//!
//! A worker that has never heard of a session opens its identifier and knows it; nothing is kept
//! of open sessions. Of those that were closed at this worker it keeps who they were until they
//! would have expired, because a sealed identifier cannot be called back.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use protocol::{ErrorCode, ToolError};
use schemars::JsonSchema;
use seal::{Keyring, OpenError, Purpose};
use serde::{Deserialize, Serialize};
use service::settings::Settings;
use uuid::Uuid;

use crate::Error;
use crate::options::Target;

/// Closed sessions that are remembered; of more the one that expires first is forgotten.
const MOST_CLOSED: usize = 100_000;
/// Longest identifier: options have bounds, and this is above what they make.
const LONGEST: usize = 4096;
/// How to come to a session that can be used.
const ANEW: &str = "make a new session with snmp_create_session";

/// The identifier of a session, as callers hand it over. It prints as `***`: whoever has it can
/// ask the agent.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub(crate) struct SessionId(String);

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl JsonSchema for SessionId {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "SessionId".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "minLength": 1,
            "maxLength": LONGEST,
            "writeOnly": true,
        })
    }
}

/// What stands in an identifier.
#[derive(Debug, Serialize, Deserialize)]
struct Payload {
    id: String,
    target: Target,
}

/// What makes and opens identifiers.
#[derive(Debug)]
pub(crate) struct Sessions {
    keys: Keyring,
    is_shared: bool,
    /// Sessions of another site are none here, even under the same key.
    site: String,
    /// Until when each session that was closed here is remembered.
    closed: Mutex<HashMap<String, SystemTime>>,
}

/// A new session.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) id: String,
    pub(crate) expires: SystemTime,
}

impl Sessions {
    /// With the keys of the settings, or a random one.
    ///
    /// # Errors
    /// [`Error::SessionKey`].
    pub(crate) fn new(settings: &Settings) -> Result<Self, Error> {
        let keys = settings.snmp_session_key.as_ref();
        let keys = keys.map(|keys| Keyring::parse(keys.expose()));
        let keys = keys.transpose().map_err(Error::SessionKey)?;
        if keys.is_none() && settings.amqp_url.is_some() {
            tracing::warn!(
                "SNMP_SESSION_KEY is not set: SNMP sessions of this worker end with it, and no \
                 other worker serves them; set the same key at every SNMP worker"
            );
        }
        Ok(Self {
            is_shared: keys.is_some(),
            keys: keys.unwrap_or_else(Keyring::random),
            site: settings.amqp_queue_prefix.as_str().to_owned(),
            closed: Mutex::default(),
        })
    }

    /// Whether other workers of the site can have the key.
    pub(crate) fn is_shared(&self) -> bool {
        self.is_shared
    }

    /// Makes a session.
    ///
    /// # Errors
    /// `invalid_arguments` when it would be too long.
    pub(crate) fn create(&self, target: Target, lifetime: Duration) -> Result<Opened, ToolError> {
        let expires = SystemTime::now() + lifetime;
        let id = Uuid::new_v4().simple().to_string();
        let payload = serde_json::to_vec(&Payload { id, target }).map_err(|error| {
            ToolError::new(
                ErrorCode::Internal,
                format!("a session cannot be written: {error}"),
            )
        })?;
        let (purpose, site) = (Purpose::SnmpSession, self.site.as_bytes());
        let id = self.keys.seal(purpose, site, &payload, expires);
        if id.len() > LONGEST {
            let error = "the session's options are too long together";
            return Err(ToolError::invalid(error));
        }
        Ok(Opened { id, expires })
    }

    /// What a session says.
    ///
    /// # Errors
    /// `invalid_arguments` for what never was a session; `not_found` for one that is over, or
    /// that another worker made under a key that is not known here.
    pub(crate) fn open(&self, id: &SessionId) -> Result<Target, ToolError> {
        let payload = self.payload(id)?;
        if self.lock().contains_key(&payload.id) {
            return Err(over("the session was closed"));
        }
        Ok(payload.target)
    }

    /// Refuses a session at this worker from now on, and says whether it was open here.
    ///
    /// # Errors
    /// As of [`Sessions::open`].
    pub(crate) fn close(&self, id: &SessionId) -> Result<bool, ToolError> {
        let payload = self.payload(id)?;
        let now = SystemTime::now();
        let mut closed = self.lock();
        if closed.contains_key(&payload.id) {
            return Ok(false);
        }
        closed.retain(|_, until| *until > now);
        if closed.len() >= MOST_CLOSED {
            let first = closed.iter().min_by_key(|(_, until)| **until);
            if let Some(first) = first.map(|(id, _)| id.clone()) {
                closed.remove(&first);
            }
        }
        // No session lives longer than this from now, so it is remembered for long enough.
        closed.insert(payload.id, now + MAX_LIFETIME);
        Ok(true)
    }

    fn payload(&self, id: &SessionId) -> Result<Payload, ToolError> {
        let (purpose, site) = (Purpose::SnmpSession, self.site.as_bytes());
        let opened = self.keys.open(purpose, site, &id.0, SystemTime::now());
        let payload = opened.map_err(|error| self.refusal(error))?;
        serde_json::from_slice(&payload)
            .map_err(|_| over("the session was made by another version of this worker"))
    }

    fn refusal(&self, error: OpenError) -> ToolError {
        match error {
            OpenError::Expired => over("the session has expired"),
            OpenError::UnknownKey if !self.is_shared => {
                over("the session was made by another worker, or before this one started").hint(
                    "make a new one; the operator lets all workers serve all sessions by setting the same SNMP_SESSION_KEY at each of them; snmp_device_inventory and its like need no session",
                )
            }
            OpenError::UnknownKey => over("the session was sealed with another key"),
            _ => ToolError::invalid("argument sessionId is no identifier of a session")
                .hint("hand over sessionId as snmp_create_session gave it, unchanged"),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, SystemTime>> {
        self.closed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The longest that a session may live.
pub(crate) const MAX_LIFETIME: Duration = Duration::from_hours(24);

fn over(message: &str) -> ToolError {
    ToolError::new(ErrorCode::NotFound, message).hint(ANEW)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::options::SessionOptions;

    fn sessions(key: Option<&str>, prefix: &str) -> Sessions {
        let settings = Settings {
            snmp_session_key: key.map(|key| key.parse().unwrap()),
            amqp_queue_prefix: prefix.parse().unwrap(),
            ..Settings::default()
        };
        Sessions::new(&settings).unwrap()
    }

    fn target() -> Target {
        let options = json!({ "host": "10.0.0.1", "version": "3", "user": "admin",
            "authProtocol": "sha256", "authKey": "authentic", "privProtocol": "aes256",
            "privKey": "privately" });
        let options: SessionOptions = serde_json::from_value(options).unwrap();
        options.target().unwrap()
    }

    fn made(sessions: &Sessions) -> SessionId {
        let opened = sessions.create(target(), Duration::from_mins(1)).unwrap();
        SessionId(opened.id)
    }

    #[test]
    fn a_session_is_good_at_every_worker_of_the_site_with_the_key() {
        let (key, other) = ("07".repeat(32), "08".repeat(32));
        let id = made(&sessions(Some(&key), "dc1"));
        let check = |worker: &Sessions, expected: Result<(), ErrorCode>| {
            let opened = worker.open(&id);
            match (&opened, expected) {
                (Ok(opened), Ok(())) => assert_eq!(*opened, target()),
                (Err(error), Err(code)) => assert_eq!(error.code, code, "{error}"),
                _ => panic!("{opened:?}"),
            }
        };
        check(&sessions(Some(&key), "dc1"), Ok(()));
        check(&sessions(Some(&format!("{other},{key}")), "dc1"), Ok(()));
        check(&sessions(Some(&other), "dc1"), Err(ErrorCode::NotFound));
        check(&sessions(None, "dc1"), Err(ErrorCode::NotFound));
        check(
            &sessions(Some(&key), "dc2"),
            Err(ErrorCode::InvalidArguments),
        );
    }

    #[test]
    fn a_session_that_is_over_is_not_found() {
        let sessions = sessions(None, "dc1");
        let opened = sessions.create(target(), Duration::ZERO).unwrap();
        let error = sessions.open(&SessionId(opened.id)).unwrap_err();
        assert_eq!(error.code, ErrorCode::NotFound);
        assert!(error.message.contains("expired"), "{error}");
        let (id, other) = (made(&sessions), made(&sessions));
        assert!(sessions.close(&id).unwrap());
        assert!(!sessions.close(&id).unwrap(), "it is closed already");
        let error = sessions.open(&id).unwrap_err();
        assert!(error.message.contains("closed"), "{error}");
        sessions.open(&other).unwrap();
    }

    #[test]
    fn what_is_no_session_is_refused_and_not_repeated() {
        let sessions = sessions(None, "dc1");
        let SessionId(mut forged) = made(&sessions);
        forged.truncate(forged.len() - 4);
        for text in ["", "session", "hunter2", &forged] {
            let error = sessions.open(&SessionId(text.to_owned())).unwrap_err();
            assert_eq!(error.code, ErrorCode::InvalidArguments);
            assert!(text.is_empty() || !error.message.contains(&format!("{text:?}")));
        }
    }

    #[test]
    fn neither_identifier_nor_debug_output_shows_a_secret() {
        let sessions = sessions(Some(&"07".repeat(32)), "dc1");
        let id = made(&sessions);
        for text in [format!("{id:?} {sessions:?} {:?}", target()), id.0] {
            for secret in ["authentic", "privately", "0707"] {
                assert!(!text.contains(secret), "{text}");
            }
        }
    }
}
