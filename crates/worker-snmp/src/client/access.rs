//! How an agent is spoken to: version, credentials, patience.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Client;
use super::udp::UdpClient;
use crate::Error;

/// A community or a password; prints `***`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Secret(String);

impl Secret {
    /// The secret itself. Hand it to what authenticates or seals, and to nothing else.
    #[must_use]
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(secret: String) -> Self {
        Self(secret)
    }
}

impl From<&str> for Secret {
    fn from(secret: &str) -> Self {
        Self(secret.to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Version of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub(crate) enum Version {
    /// RFC 1157: no 64-bit counters, no GETBULK.
    #[serde(rename = "1")]
    V1,
    /// RFC 3416 with a community.
    #[default]
    #[serde(rename = "2c")]
    V2c,
    /// RFC 3416 with users, authentication and privacy (RFC 3414).
    #[serde(rename = "3")]
    V3,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V1 => "v1",
            Self::V2c => "v2c",
            Self::V3 => "v3",
        })
    }
}

/// How messages of SNMP v3 are authenticated (RFC 3414, RFC 7860).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum AuthProtocol {
    /// HMAC-MD5-96.
    Md5,
    /// HMAC-SHA-96.
    Sha,
    /// HMAC-128-SHA-224.
    Sha224,
    /// HMAC-192-SHA-256.
    Sha256,
    /// HMAC-256-SHA-384.
    Sha384,
    /// HMAC-384-SHA-512.
    Sha512,
}

/// How messages of SNMP v3 are encrypted (RFC 3414, RFC 3826, and drafts for longer keys).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PrivProtocol {
    /// DES in CBC mode; broken by today's measure.
    Des,
    /// AES with 128 bits; the same as aes128.
    Aes,
    /// AES with 128 bits.
    Aes128,
    /// AES with 192 bits, keys extended as net-snmp does.
    Aes192,
    /// AES with 256 bits, keys extended as net-snmp does.
    Aes256,
    /// AES with 192 bits, keys extended as Cisco does.
    Aes192c,
    /// AES with 256 bits, keys extended as Cisco does.
    Aes256c,
}

/// A user of SNMP v3. Privacy needs authentication, which the type makes sure of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Usm {
    /// Name of the user.
    pub(crate) user: String,
    /// Context to read from; mostly empty.
    pub(crate) context: String,
    /// How to authenticate, and with which password; nothing for noAuthNoPriv.
    pub(crate) auth: Option<(AuthProtocol, Secret)>,
    /// How to encrypt, and with which password; counts only beside `auth`.
    pub(crate) privacy: Option<(PrivProtocol, Secret)>,
}

/// What an agent accepts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Credentials {
    /// SNMP v1 with a community.
    V1(Secret),
    /// SNMP v2c with a community.
    V2c(Secret),
    /// SNMP v3 with a user.
    V3(Box<Usm>),
}

impl Credentials {
    /// The version they are for.
    #[must_use]
    pub(crate) fn version(&self) -> Version {
        match self {
            Self::V1(_) => Version::V1,
            Self::V2c(_) => Version::V2c,
            Self::V3(_) => Version::V3,
        }
    }
}

/// How long to wait for an answer, and how often to ask again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Timing {
    /// Longest wait for one answer.
    pub(crate) timeout: Duration,
    /// How often to ask again when there is none.
    pub(crate) retries: u32,
}

impl Default for Timing {
    /// 5 s, and once again.
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(5),
            retries: 1,
        }
    }
}

/// All that it takes to speak with an agent but its address. Cheap to clone, prints no secret.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    credentials: Arc<Credentials>,
    timing: Timing,
}

impl Access {
    /// Speaks with these credentials and this patience.
    #[must_use]
    pub(crate) fn new(credentials: Credentials, timing: Timing) -> Self {
        Self {
            credentials: Arc::new(credentials),
            timing,
        }
    }

    /// The credentials.
    #[must_use]
    pub(crate) fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// The patience.
    #[must_use]
    pub(crate) fn timing(&self) -> Timing {
        self.timing
    }

    /// A client of the agent at this address, on a socket of its own; nothing is sent yet. The
    /// scan scope is the caller's business, and must have been asked before.
    ///
    /// # Errors
    /// [`Error::Credentials`] or [`Error::Socket`].
    pub(crate) async fn connect(&self, agent: SocketAddr) -> Result<Arc<dyn Client>, Error> {
        let client = UdpClient::open(agent, &self.credentials, self.timing).await?;
        Ok(Arc::new(client))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_never_printed() {
        let usm = Usm {
            user: "admin".to_owned(),
            context: String::new(),
            auth: Some((AuthProtocol::Sha256, "authentic1".into())),
            privacy: Some((PrivProtocol::Aes, "privately1".into())),
        };
        let access = [
            Credentials::V1("community1".into()),
            Credentials::V2c("community2".into()),
            Credentials::V3(Box::new(usm)),
        ]
        .map(|credentials| Access::new(credentials, Timing::default()));
        let printed = format!("{access:?}");
        for secret in ["community", "authentic1", "privately1"] {
            assert!(!printed.contains(secret), "{printed}");
        }
        assert!(printed.contains("admin"), "{printed}");
    }
}
