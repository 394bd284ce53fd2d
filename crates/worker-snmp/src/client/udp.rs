//! The client over UDP, by the library.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_snmp as library;
use async_snmp::transport::{UdpHandle, UdpTransport};
use async_snmp::v3::{DesSaltState, PersistedDesSaltState};
use async_trait::async_trait;
use tracing::Dispatch;
use tracing::instrument::WithSubscriber as _;
use uuid::Uuid;

use super::access::{AuthProtocol, Credentials, PrivProtocol, Timing, Usm, Version};
use super::failure::failure;
use super::{Client, from_library, oid_to_library};
use crate::error::AuthenticationFault;
use crate::value::VarBind;
use crate::{Error, Oid};

/// Longest message that UDP over IPv4 carries. With less, agents answer long requests of SNMP v3
/// with `genErr`.
const LONGEST_MESSAGE: usize = 65_507;
/// Objects that one request asks for at most; the [`super::Reader`] asks for fewer.
const MOST_OIDS: usize = 128;

/// `sysUpTime.0`, which every agent has.
const UP_TIME: Oid = Oid::new(&[1, 3, 6, 1, 2, 1, 1, 3, 0]);

/// A client on a socket of its own.
pub(super) struct UdpClient {
    agent: SocketAddr,
    version: Version,
    inner: library::Client<UdpHandle>,
    /// Who to ask without encryption when there is no answer, and with which patience; nobody once
    /// the agent has answered.
    doubts: Mutex<Option<(Box<Usm>, Timing)>>,
}

impl fmt::Debug for UdpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UdpClient")
            .field("agent", &self.agent)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

impl UdpClient {
    pub(super) async fn open(
        agent: SocketAddr,
        credentials: &Credentials,
        timing: Timing,
    ) -> Result<Self, Error> {
        let auth = auth(credentials)?;
        let fail = |error| failure(agent, error);
        let inner = quietly(async {
            let any = if agent.is_ipv4() {
                "0.0.0.0:0"
            } else {
                "[::]:0"
            };
            let transport = UdpTransport::builder()
                .bind(any)
                .max_message_size(LONGEST_MESSAGE)
                .warn_on_source_mismatch(false)
                .build()
                .await?;
            let retry = library::Retry::fixed(timing.retries, Duration::ZERO)
                .map_err(|error| library::Error::Config(error.to_string().into()))?;
            let mut builder = library::ClientBuilder::new(auth)
                .request_timeout(timing.timeout)
                .max_oids_per_request(MOST_OIDS)
                // An agent cannot authenticate the report that the password is wrong. Without this
                // the library waits for an answer that never comes. Whoever forges such a report
                // can make a request fail, or choose the time that stands in one of ours; we only
                // read, so that is no more than dropping the answer does.
                .allow_unauthenticated_v3_time_correction(true)
                .retry(retry);
            if let Some(state) = des_salts(credentials) {
                builder = builder.des_salt_state(state);
            }
            builder.build_with_transport(transport.handle(agent)?)
        })
        .await
        .map_err(fail)?;
        Ok(Self {
            agent,
            version: credentials.version(),
            inner,
            doubts: Mutex::new(without_privacy(credentials).map(|usm| (usm, timing))),
        })
    }

    /// What the library's answer is to us. An agent that has answered once has the right keys.
    async fn outcome<T>(&self, answer: library::Result<T>) -> Result<T, Error> {
        let error = match answer {
            Ok(answer) => {
                self.doubts().take();
                return Ok(answer);
            }
            Err(error) => failure(self.agent, error),
        };
        if !matches!(error, Error::Timeout { .. }) {
            return Err(error);
        }
        let doubts = self.doubts().take();
        let Some((usm, timing)) = doubts else {
            return Err(error);
        };
        if self.answers_to(usm, timing).await {
            return Err(Error::Authentication {
                agent: self.agent,
                fault: AuthenticationFault::Decryption,
            });
        }
        Err(error)
    }

    /// Whether the agent answers anything at all to a message without encryption. One that cannot
    /// decrypt a message reads noise, and some drop that in silence instead of reporting it.
    async fn answers_to(&self, usm: Box<Usm>, timing: Timing) -> bool {
        let once = Timing {
            retries: 0,
            ..timing
        };
        let credentials = Credentials::V3(usm);
        let Ok(client) = Box::pin(Self::open(self.agent, &credentials, once)).await else {
            return false;
        };
        let answer = quietly(client.inner.get(&oid_to_library(&UP_TIME))).await;
        let error = answer.err().map(|error| failure(self.agent, error));
        !matches!(
            error,
            Some(Error::Timeout { .. } | Error::Network { .. } | Error::Library { .. })
        )
    }

    fn doubts(&self) -> MutexGuard<'_, Option<(Box<Usm>, Timing)>> {
        self.doubts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Client for UdpClient {
    fn agent(&self) -> SocketAddr {
        self.agent
    }

    fn version(&self) -> Version {
        self.version
    }

    async fn get(&self, oids: &[Oid]) -> Result<Vec<VarBind>, Error> {
        let asked: Vec<_> = oids.iter().map(oid_to_library).collect();
        let answer = quietly(self.inner.get_many(&asked)).await;
        let answer = self.outcome(answer).await?;
        Ok(answer.varbinds.into_iter().map(from_library).collect())
    }

    async fn get_next(&self, oids: &[Oid]) -> Result<Vec<VarBind>, Error> {
        let asked: Vec<_> = oids.iter().map(oid_to_library).collect();
        let answer = quietly(self.inner.get_next_many(&asked)).await;
        let answer = self.outcome(answer).await?;
        Ok(answer.varbinds.into_iter().map(from_library).collect())
    }

    async fn get_bulk(&self, oids: &[Oid], max_repetitions: u32) -> Result<Vec<VarBind>, Error> {
        let asked: Vec<_> = oids.iter().map(oid_to_library).collect();
        let answer = quietly(self.inner.get_bulk(&asked, 0, max_repetitions)).await;
        let varbinds = self.outcome(answer).await?;
        Ok(varbinds.into_iter().map(from_library).collect())
    }
}

/// The user of credentials that encrypt, without that.
fn without_privacy(credentials: &Credentials) -> Option<Box<Usm>> {
    match credentials {
        Credentials::V3(usm) if usm.auth.is_some() && usm.privacy.is_some() => {
            Some(Box::new(Usm {
                privacy: None,
                ..Usm::clone(usm)
            }))
        }
        _ => None,
    }
}

/// Keeps the library's own spans and events out of our log and traces: it reports every timeout
/// as an error, and what it says in detail is for its own makers.
fn quietly<F: Future>(work: F) -> impl Future<Output = F::Output> {
    work.with_subscriber(Dispatch::none())
}

fn auth(credentials: &Credentials) -> Result<library::Auth, Error> {
    Ok(match credentials {
        Credentials::V1(community) => library::Auth::v1(community.expose()),
        Credentials::V2c(community) => library::Auth::v2c(community.expose()),
        Credentials::V3(usm) => user(usm)?.into(),
    })
}

fn user(usm: &Usm) -> Result<library::UsmConfig, Error> {
    let config = library::UsmConfig::new(usm.user.clone()).context_name(usm.context.clone());
    let config = match (&usm.auth, &usm.privacy) {
        (None, _) => Ok(config),
        (Some((protocol, key)), None) => config.auth(auth_protocol(*protocol), key.expose()),
        (Some((auth, auth_key)), Some((privacy, priv_key))) => config.auth_priv(
            auth_protocol(*auth),
            auth_key.expose(),
            priv_protocol(*privacy),
            priv_key.expose(),
        ),
    };
    // The library's words name protocols and lengths, never the password.
    config.map_err(|error| Error::Credentials(error.to_string()))
}

fn auth_protocol(protocol: AuthProtocol) -> library::AuthProtocol {
    match protocol {
        AuthProtocol::Md5 => library::AuthProtocol::Md5,
        AuthProtocol::Sha => library::AuthProtocol::Sha1,
        AuthProtocol::Sha224 => library::AuthProtocol::Sha224,
        AuthProtocol::Sha256 => library::AuthProtocol::Sha256,
        AuthProtocol::Sha384 => library::AuthProtocol::Sha384,
        AuthProtocol::Sha512 => library::AuthProtocol::Sha512,
    }
}

fn priv_protocol(protocol: PrivProtocol) -> library::PrivProtocol {
    match protocol {
        PrivProtocol::Des => library::PrivProtocol::Des,
        PrivProtocol::Aes | PrivProtocol::Aes128 => library::PrivProtocol::Aes128,
        PrivProtocol::Aes192 => library::PrivProtocol::Aes192Blumenthal,
        PrivProtocol::Aes256 => library::PrivProtocol::Aes256Blumenthal,
        PrivProtocol::Aes192c => library::PrivProtocol::Aes192Reeder,
        PrivProtocol::Aes256c => library::PrivProtocol::Aes256Reeder,
    }
}

/// Where the salts of DES begin. They must not repeat under one key (RFC 3414, section 8.1.1.1),
/// and nothing is kept between two clients: so each begins in one of 2^31 places, at random.
fn des_salts(credentials: &Credentials) -> Option<DesSaltState> {
    let Credentials::V3(usm) = credentials else {
        return None;
    };
    if !matches!(usm.privacy, Some((PrivProtocol::Des, _))) {
        return None;
    }
    let (random, _) = Uuid::new_v4().as_u64_pair();
    let place = u32::try_from(random >> 34).unwrap_or_default().max(1);
    let before = PersistedDesSaltState::new(place).ok()?;
    DesSaltState::restart(before, |_| Ok::<(), Infallible>(())).ok()
}
