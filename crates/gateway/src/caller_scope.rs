//! Who calls, as far as anything is known of it.
//!
//! Nobody is authenticated: this tells callers apart, so that what is kept for one is not handed
//! to another by mistake. It does not protect from somebody who takes another's name.

use std::borrow::Cow;
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::net::IpAddr;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use protocol::json::Members;
use protocol::mcp::meta;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::request::{Request, Speaker};

/// The caller of a request, the same at every replica of the gateway.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) enum CallerScope<'a> {
    /// A session of HTTP.
    Session(Uuid),
    /// The one client on standard input, whatever sessions it begins.
    Stdio(&'a str),
    /// A client without a session, by the whole value of its header `Authorization`.
    Credentials(&'a [u8]),
    /// A client that says nothing of itself but the name of its program, if that.
    Anonymous(Cow<'a, str>),
}

impl<'a> CallerScope<'a> {
    /// Whose request it is; `stdio` is the client on standard input, if it comes from there.
    pub(crate) fn of(request: &'a Request<'_>, speaker: Speaker<'_>, stdio: &'a str) -> Self {
        match (request.headers, speaker.session()) {
            (None, _) => Self::Stdio(stdio),
            (Some(_), Some(session)) => Self::Session(session.id()),
            (Some(headers), None) => {
                credentials(headers).unwrap_or_else(|| Self::Anonymous(program(request)))
            }
        }
    }

    /// A SHA-256 that this caller and these parts have to themselves. It gives away neither.
    pub(crate) fn digest(&self, parts: &[&[u8]]) -> [u8; 32] {
        let (kind, own): (u8, &[u8]) = match self {
            Self::Session(id) => (1, id.as_bytes()),
            Self::Stdio(client) => (2, client.as_bytes()),
            Self::Credentials(value) => (3, value),
            Self::Anonymous(name) => (4, name.as_bytes()),
        };
        let mut digest = Sha256::new_with_prefix([kind]);
        for part in std::iter::once(&own).chain(parts) {
            // With its length before it no part can reach into the next one.
            digest.update(part.len().to_be_bytes());
            digest.update(part);
        }
        digest.finalize().into()
    }

    /// What the state of a request is bound to that this caller is to come back with, at whatever
    /// replica.
    pub(crate) fn of_states(&self) -> [u8; 32] {
        self.digest(&[b"request-state"])
    }

    /// What tells this client apart from others while it is connected here. One that says nothing
    /// of itself is told by its address, which is the proxy's where there is one between.
    ///
    /// Two clients may share a number; that costs them no more than a shared limit.
    pub(crate) fn client(&self, remote: Option<IpAddr>, hasher: &impl BuildHasher) -> u64 {
        match (self, remote) {
            (Self::Anonymous(_), Some(remote)) => hasher.hash_one(remote.to_canonical()),
            _ => hasher.hash_one(self),
        }
    }
}

fn credentials(headers: &HeaderMap) -> Option<CallerScope<'_>> {
    let value = headers.get(AUTHORIZATION)?.as_bytes();
    (!value.is_empty()).then_some(CallerScope::Credentials(value))
}

/// The name in the request's client information.
fn program<'a>(request: &Request<'a>) -> Cow<'a, str> {
    let name = || {
        let info = request.meta.get(meta::CLIENT_INFO)?;
        Members::parse(info.get()).ok()?.string("name")
    };
    name().unwrap_or_default()
}

impl fmt::Debug for CallerScope<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Session(id) => write!(f, "Session({id})"),
            Self::Stdio(client) => write!(f, "Stdio({client})"),
            // It is a secret.
            Self::Credentials(_) => f.write_str("Credentials(..)"),
            Self::Anonymous(name) => write!(f, "Anonymous({name:?})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::hash::RandomState;
    use std::net::Ipv4Addr;

    use bytes::Bytes;
    use protocol::Envelope;

    use crate::session::{Session, session_for_test};

    use super::*;

    /// What is seen of the caller of a request with this client information and header.
    fn seen<T>(
        info: &str,
        authorization: Option<&str>,
        session: Option<&Session>,
        see: impl Fn(&CallerScope<'_>) -> T,
    ) -> T {
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"_meta":{{"io.modelcontextprotocol/clientInfo":{info}}}}}}}"#
        );
        let body = Bytes::from(body);
        let envelope = Envelope::parse(&body).unwrap();
        let mut headers = HeaderMap::new();
        if let Some(value) = authorization {
            headers.insert(AUTHORIZATION, value.parse().unwrap());
        }
        let request = Request {
            headers: Some(&headers),
            ..Request::read(&body, &envelope).unwrap().unwrap()
        };
        let speaker = session.map_or(Speaker::Modern, Speaker::Legacy);
        see(&CallerScope::of(&request, speaker, "gateway-1"))
    }

    const INFO: &str = r#"{"name":"a","version":"1"}"#;

    #[test]
    fn callers_are_told_apart_by_the_best_that_is_known_of_them() {
        let key = |scope: &CallerScope<'_>| scope.digest(&[b"key"]);
        let (one, other) = (session_for_test(), session_for_test());
        let keys = [
            seen(INFO, None, None, key),
            seen(r#"{"name":"b"}"#, None, None, key),
            seen("{}", None, None, key),
            seen(INFO, Some("Bearer x"), None, key),
            seen(INFO, Some("Bearer y"), None, key),
            seen(INFO, None, Some(&one), key),
            seen(INFO, None, Some(&other), key),
            CallerScope::Stdio("gateway-1").digest(&[b"key"]),
            CallerScope::Stdio("gateway-2").digest(&[b"key"]),
        ];
        assert_eq!(keys.iter().collect::<HashSet<_>>().len(), keys.len());
        // What else is said of a caller with credentials or a session makes no difference.
        assert_eq!(seen("7", Some("Bearer x"), None, key), keys[3]);
        assert_eq!(seen("7", Some("Bearer x"), Some(&one), key), keys[5]);
        assert_eq!(seen(r#"{"name":"a"}"#, None, None, key), keys[0]);
    }

    #[test]
    fn parts_do_not_reach_into_each_other() {
        let scope = CallerScope::Anonymous("".into());
        assert_ne!(scope.digest(&[b"ab", b"c"]), scope.digest(&[b"a", b"bc"]));
        assert_ne!(
            scope.digest(&[b"a"]),
            CallerScope::Anonymous("a".into()).digest(&[])
        );
    }

    #[test]
    fn the_address_tells_only_those_apart_who_say_nothing_of_themselves() {
        let hasher = RandomState::new();
        let near = Some(IpAddr::from([10, 0, 0, 1]));
        let far = Some(IpAddr::from([10, 0, 0, 2]));
        let client = |authorization, session, remote| {
            seen(INFO, authorization, session, |scope| {
                scope.client(remote, &hasher)
            })
        };
        assert_ne!(client(None, None, near), client(None, None, far));
        let mapped = Ipv4Addr::new(10, 0, 0, 1).to_ipv6_mapped();
        let mapped = client(None, None, Some(mapped.into()));
        assert_eq!(client(None, None, near), mapped);
        let bearer = Some("Bearer x");
        assert_eq!(client(bearer, None, near), client(bearer, None, far));
        let session = session_for_test();
        let session = Some(&session);
        assert_eq!(client(None, session, near), client(None, session, far));
    }

    #[test]
    fn credentials_are_never_printed() {
        let printed = seen(INFO, Some("Bearer s3cret"), None, |scope| {
            format!("{scope:?}")
        });
        assert!(!printed.contains("s3cret"), "{printed}");
    }
}
