//! What stands in the identifier of a session: all that `initialize` agreed on, sealed.
//!
//! A replica that has never heard of a session opens its token and knows it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use protocol::mcp::LEGACY_VERSIONS;
use protocol::response::RpcError;
use protocol::{RequestParams, json};
use seal::{Keyring, OpenError, Purpose};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::invalid;

/// How long a session lives at most, however much it is used.
pub(super) const MAX_AGE: Duration = Duration::from_hours(24);
/// Longest token, in bytes: with the rest of a request's head it has to fit the 8 KiB that
/// proxies take.
const MAX_TOKEN: usize = 6 * 1024;
/// Longest `clientInfo` that is kept whole, in bytes.
const MAX_CLIENT_INFO: usize = 2 * 1024;
/// What is kept of a longer one.
const KEPT_CLIENT_INFO: [&str; 3] = ["name", "title", "version"];

/// What a token says, as JSON.
#[derive(Debug, Serialize, Deserialize)]
struct Payload {
    id: String,
    version: String,
    capabilities: Box<RawValue>,
    client: Box<RawValue>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    created: u64,
}

/// What a session consists of at its beginning, to be sealed.
#[derive(Debug)]
pub(super) struct Start<'a> {
    pub(super) id: Uuid,
    pub(super) version: &'static str,
    pub(super) capabilities: &'a RawValue,
    pub(super) client_info: &'a RawValue,
    pub(super) subject: Option<&'a str>,
    pub(super) created: u64,
}

/// What a token says.
#[derive(Debug)]
pub(super) struct Agreed {
    pub(super) id: Uuid,
    /// The revision that client and server speak.
    pub(super) version: &'static str,
    pub(super) capabilities: Box<RawValue>,
    pub(super) client_info: Box<RawValue>,
    /// Whose session it is; nobody's yet.
    pub(super) subject: Option<String>,
    /// When the session was opened, in milliseconds since the Unix epoch.
    pub(super) created: u64,
}

impl Agreed {
    /// Opens a token of this site: replicas of another one would not hear that its session was
    /// ended, even if they have the same keys.
    ///
    /// # Errors
    /// As [`Keyring::open`] has them. A token of another build that this one cannot read counts
    /// as malformed.
    pub(super) fn open(
        keys: &Keyring,
        site: &str,
        token: &str,
        now: SystemTime,
    ) -> Result<Self, OpenError> {
        if token.len() > MAX_TOKEN {
            return Err(OpenError::Malformed);
        }
        let payload = keys.open(Purpose::Session, site.as_bytes(), token, now)?;
        let payload: Payload =
            serde_json::from_slice(&payload).map_err(|_| OpenError::Malformed)?;
        let known = LEGACY_VERSIONS
            .into_iter()
            .find(|known| *known == payload.version);
        Ok(Self {
            id: payload.id.parse().map_err(|_| OpenError::Malformed)?,
            version: known.ok_or(OpenError::Malformed)?,
            capabilities: payload.capabilities,
            client_info: payload.client,
            subject: payload.subject,
            created: payload.created,
        })
    }
}

/// When the token of a session expires that was opened then; both in milliseconds since the
/// Unix epoch.
pub(super) fn expires(created: u64) -> u64 {
    created.saturating_add(u64::try_from(MAX_AGE.as_millis()).unwrap_or(u64::MAX))
}

/// Makes the token of a session at this site.
///
/// # Errors
/// Invalid params, naming the member of `initialize` that makes it too long.
pub(super) fn seal(keys: &Keyring, site: &str, start: &Start<'_>) -> Result<String, RpcError> {
    let payload = Payload {
        id: start.id.simple().to_string(),
        version: start.version.to_owned(),
        capabilities: start.capabilities.to_owned(),
        client: start.client_info.to_owned(),
        subject: start.subject.map(ToOwned::to_owned),
        created: start.created,
    };
    if payload.client.get().len() > MAX_CLIENT_INFO {
        return Err(invalid(&format!(
            "params.clientInfo is too long: name, title and version may have {MAX_CLIENT_INFO} \
             bytes together"
        )));
    }
    let text = serde_json::to_vec(&payload).map_err(|error| invalid(&error.to_string()))?;
    let expires = UNIX_EPOCH + Duration::from_millis(expires(start.created));
    let token = keys.seal(Purpose::Session, site.as_bytes(), &text, expires);
    if token.len() > MAX_TOKEN {
        let bytes = start.capabilities.get().len();
        return Err(invalid(&format!(
            "params.capabilities has {bytes} bytes, which makes the identifier of the session \
             longer than {MAX_TOKEN} bytes; declare fewer extensions"
        )));
    }
    Ok(token)
}

/// What is kept of `clientInfo`: all of it, or of a long one only what identifies the client.
pub(super) fn reduced(client_info: &RawValue) -> Box<RawValue> {
    if client_info.get().len() <= MAX_CLIENT_INFO {
        return client_info.to_owned();
    }
    let members = RequestParams::parse(client_info).unwrap_or_default();
    let kept: serde_json::Map<String, Value> = KEPT_CLIENT_INFO
        .into_iter()
        .filter_map(|name| {
            let text = json::as_string(members.get(name)?)?;
            Some((name.to_owned(), Value::from(text.into_owned())))
        })
        .collect();
    serde_json::value::to_raw_value(&kept).unwrap_or_else(|_| client_info.to_owned())
}

#[cfg(test)]
mod tests {
    use protocol::mcp::code;

    use super::*;

    const CREATED: u64 = 1_800_000_000_000;
    const SITE: &str = "discovery.dc1";

    fn raw(text: &str) -> Box<RawValue> {
        serde_json::from_str(text).unwrap()
    }

    fn at(unix_ms: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(unix_ms)
    }

    fn sealed(keys: &Keyring, capabilities: &str, client_info: &str) -> Result<String, RpcError> {
        let start = Start {
            id: Uuid::from_u128(7),
            version: LEGACY_VERSIONS[1],
            capabilities: &raw(capabilities),
            client_info: &raw(client_info),
            subject: Some("me"),
            created: CREATED,
        };
        seal(keys, SITE, &start)
    }

    #[test]
    fn a_token_says_all_that_was_agreed_on_until_a_day_is_over() {
        let keys = Keyring::random();
        let token = sealed(&keys, r#"{"roots":{}}"#, r#"{"name":"n","icons":[]}"#).unwrap();
        assert!(token.bytes().all(|byte| byte.is_ascii_graphic()));
        let agreed = Agreed::open(&keys, SITE, &token, at(CREATED)).unwrap();
        assert_eq!(agreed.id, Uuid::from_u128(7));
        assert_eq!(agreed.version, LEGACY_VERSIONS[1]);
        assert_eq!(agreed.capabilities.get(), r#"{"roots":{}}"#);
        assert_eq!(agreed.client_info.get(), r#"{"name":"n","icons":[]}"#);
        assert_eq!(agreed.subject.as_deref(), Some("me"));
        assert_eq!(agreed.created, CREATED);
        let day = 24 * 60 * 60 * 1000;
        assert!(Agreed::open(&keys, SITE, &token, at(CREATED + day - 1)).is_ok());
        let late = Agreed::open(&keys, SITE, &token, at(CREATED + day)).unwrap_err();
        assert_eq!(late, OpenError::Expired);
    }

    #[test]
    fn a_token_of_other_keys_or_of_no_sense_is_not_opened() {
        let keys = Keyring::random();
        let token = sealed(&keys, "{}", "{}").unwrap();
        let open =
            |keys: &Keyring, token: &str| Agreed::open(keys, SITE, token, at(CREATED)).unwrap_err();
        assert_eq!(open(&Keyring::random(), &token), OpenError::UnknownKey);
        let elsewhere = Agreed::open(&keys, "discovery.dc2", &token, at(CREATED));
        assert_eq!(elsewhere.unwrap_err(), OpenError::Forged);
        let mut forged = token.clone().into_bytes();
        forged[60] = if forged[60] == b'A' { b'B' } else { b'A' };
        let forged = String::from_utf8(forged).unwrap();
        assert_eq!(open(&keys, &forged), OpenError::Forged);
        for nonsense in ["", "x", "\u{e9}", &"A".repeat(100_000)] {
            assert_eq!(
                open(&keys, nonsense),
                OpenError::Malformed,
                "{nonsense:.10}"
            );
        }
        let expires = at(CREATED + 1000);
        for payload in [
            "{}",
            "no json",
            &payload("1999-01-01", "0"),
            &payload(LEGACY_VERSIONS[0], "x"),
        ] {
            let token = keys.seal(
                Purpose::Session,
                SITE.as_bytes(),
                payload.as_bytes(),
                expires,
            );
            assert_eq!(open(&keys, &token), OpenError::Malformed, "{payload}");
        }
    }

    fn payload(version: &str, id: &str) -> String {
        format!(
            r#"{{"id":"{id}","version":"{version}","capabilities":{{}},"client":{{}},"created":1}}"#
        )
    }

    #[test]
    fn of_a_long_client_info_only_what_identifies_the_client_is_kept() {
        let check = |client_info: &str, expected: &str| {
            assert_eq!(reduced(&raw(client_info)).get(), expected);
        };
        let usual = r#"{"name":"n", "icons":[]}"#;
        check(usual, usual);
        let long = format!(
            r#"{{"name":"n\u0061","version":"1","websiteUrl":"{}","title":3}}"#,
            "x".repeat(3000)
        );
        check(&long, r#"{"name":"na","version":"1"}"#);
    }

    #[test]
    fn what_would_make_a_token_too_long_is_refused_by_name() {
        let keys = Keyring::random();
        let large = |bytes: usize| format!(r#"{{"experimental":{{"x":"{}"}}}}"#, "x".repeat(bytes));
        let largest = sealed(&keys, &large(4000), "{}").unwrap();
        assert!(largest.len() <= MAX_TOKEN, "{}", largest.len());
        let check = |capabilities: &str, client_info: &str, member: &str| {
            let error = sealed(&keys, capabilities, client_info).unwrap_err();
            assert_eq!(error.code, code::INVALID_PARAMS);
            assert!(error.message.contains(member), "{}", error.message);
        };
        check(&large(5000), "{}", "params.capabilities");
        let name = format!(r#"{{"name":"{}"}}"#, "n".repeat(2048));
        check("{}", &name, "params.clientInfo");
    }
}
