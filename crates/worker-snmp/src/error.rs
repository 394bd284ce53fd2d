use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use protocol::{ErrorCode, ToolError};
use thiserror::Error as ThisError;

use crate::Oid;

/// Why an SNMP tool could not do what it was asked, or the worker not start.
///
/// No variant holds a community or a password.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum Error {
    /// A setting names a scan target that is none.
    #[error(transparent)]
    Scope(#[from] worker::ScopeError),
    /// The setting `SNMP_SESSION_KEY` is no list of keys.
    #[error("SNMP_SESSION_KEY is not usable")]
    SessionKey(#[source] seal::KeyError),
    /// The agent says nothing.
    #[error("no answer from {agent} within {waited:?}, asked {n_asked} times")]
    Timeout {
        /// Who was asked.
        agent: SocketAddr,
        /// How often.
        n_asked: u32,
        /// For how long in all.
        waited: Duration,
    },
    /// Nothing could be sent or received.
    #[error("cannot exchange datagrams with {agent}")]
    Network {
        /// Who was to be asked.
        agent: SocketAddr,
        /// Why not.
        #[source]
        source: Box<async_snmp::Error>,
    },
    /// The agent or this worker refuses who the other claims to be.
    #[error("{agent} refuses the credentials: {fault}")]
    Authentication {
        /// Who refuses.
        agent: SocketAddr,
        /// What is wrong.
        fault: AuthenticationFault,
    },
    /// The agent understood, and cannot or will not.
    #[error("{agent} answers {status}{}", .oid.as_ref().map(|oid| format!(" for {oid}")).unwrap_or_default())]
    Refused {
        /// Who refuses.
        agent: SocketAddr,
        /// With which status.
        status: Status,
        /// What the agent points at.
        oid: Option<Oid>,
    },
    /// The answer breaks the protocol.
    #[error("{agent} answers against the protocol: {why}")]
    Malformed {
        /// Who answers.
        agent: SocketAddr,
        /// What is wrong with the answer.
        why: String,
    },
    /// The credentials cannot be used with SNMP at all.
    #[error("the credentials cannot be used: {0}")]
    Credentials(String),
    /// A name that the built-in MIBs do not have.
    #[error("{0:?} is no name of a built-in MIB")]
    UnknownName(String),
    /// No socket.
    #[error("cannot open a UDP socket")]
    Socket(#[source] io::Error),
    /// The library gave up for a reason of its own.
    #[error("an SNMP request to {agent} failed")]
    Library {
        /// Who was to be asked.
        agent: SocketAddr,
        /// Why it failed.
        #[source]
        source: Box<async_snmp::Error>,
    },
}

/// What is wrong with the credentials, as far as an agent says (RFC 3414, section 3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, ThisError)]
pub enum AuthenticationFault {
    /// There is no such user.
    #[error("it knows no such user")]
    UnknownUser,
    /// The message's authentication does not fit.
    #[error("authKey or authProtocol is wrong")]
    WrongDigest,
    /// The message could not be decrypted.
    #[error("privKey or privProtocol is wrong")]
    Decryption,
    /// The user has another level of security.
    #[error("the user has no such level of security")]
    SecurityLevel,
    /// The clocks of both sides do not agree.
    #[error("the message is outside its time window")]
    TimeWindow,
    /// The access control of the agent says no.
    #[error("its access control refuses the request")]
    AccessControl,
    /// The answer did not come from who knows the keys.
    #[error("its answer is not authentic under these keys")]
    Answer,
}

/// The error status of an answer (RFC 3416, section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, ThisError)]
#[non_exhaustive]
pub enum Status {
    /// The answer would not fit into a message.
    #[error("tooBig")]
    TooBig,
    /// SNMP v1: there is no such name.
    #[error("noSuchName")]
    NoSuchName,
    /// Something went wrong inside the agent.
    #[error("genErr")]
    GenErr,
    /// Any other.
    #[error("error status {0}")]
    Other(i32),
}

impl Status {
    /// Whether it may be about one of several objects, so that the others can be had without it.
    pub(crate) fn may_be_of_one_object(self) -> bool {
        !matches!(self, Self::Other(_))
    }
}

/// Why an agent that answers gives no value of an object that it was asked for alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ThisError)]
pub(crate) enum Fault {
    /// It says that it cannot.
    #[error(transparent)]
    Status(#[from] Status),
    /// It gives another object, or none at all, or several.
    #[error("an answer that does not fit the request")]
    Unfit,
}

impl Fault {
    /// A word for it, as the specification has it where it has one.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::Status(Status::TooBig) => "tooBig",
            Self::Status(Status::NoSuchName) => "noSuchName",
            Self::Status(Status::GenErr) => "genErr",
            Self::Status(Status::Other(_)) => "errorStatus",
            Self::Unfit => "unfitAnswer",
        }
    }

    /// The error of who needs the value.
    pub(crate) fn error(self, agent: SocketAddr, oid: &Oid) -> Error {
        match self {
            Self::Status(status) => Error::Refused {
                agent,
                status,
                oid: Some(oid.clone()),
            },
            Self::Unfit => Error::Malformed {
                agent,
                why: format!("its answer does not fit the request for {oid}"),
            },
        }
    }
}

impl Error {
    /// Whether less at a time might succeed.
    #[must_use]
    pub(crate) fn is_too_much(&self) -> bool {
        matches!(
            self,
            Self::Refused {
                status: Status::TooBig | Status::GenErr,
                ..
            }
        )
    }

    /// Whether nothing came back at all.
    #[must_use]
    pub(crate) fn is_silence(&self) -> bool {
        matches!(self, Self::Timeout { .. } | Self::Network { .. })
    }

    /// What the caller or the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::SessionKey(_) => {
                "set it to what `openssl rand -hex 32` prints, the same at every SNMP worker"
            }
            Self::Timeout { .. } => {
                "an agent does not answer a wrong community of v1 or v2c at all; otherwise the host is down, the port is another one, or a firewall or the agent's access list drops the request"
            }
            Self::Network { .. } => {
                "the worker has no route to the address, or a firewall on its host forbids it; a link-local address cannot be used, because it does not say on which interface"
            }
            Self::Authentication { fault, .. } => match fault {
                AuthenticationFault::UnknownUser => {
                    "check `user`; names are case sensitive, and some agents have users per engine id"
                }
                AuthenticationFault::WrongDigest | AuthenticationFault::Answer => {
                    "check `authKey` and `authProtocol` against the agent's configuration"
                }
                AuthenticationFault::Decryption => {
                    "check `privKey` and `privProtocol`; Cisco's AES-192 and AES-256 are aes192c and aes256c"
                }
                AuthenticationFault::SecurityLevel => {
                    "give or leave out authKey and privKey as the agent has the user configured"
                }
                AuthenticationFault::TimeWindow => {
                    "try again; if it stays, the agent's engine id is used by another device too"
                }
                AuthenticationFault::AccessControl => {
                    "the agent's views do not let this user or community read that"
                }
            },
            Self::Refused { .. } | Self::Malformed { .. } => {
                "the agent's software is at fault; ask for less at a time, or for other objects"
            }
            Self::Credentials(_) => "passwords of SNMP v3 have 8 characters at least",
            Self::Socket(_) => "check the worker's limit of open files",
            _ => return None,
        })
    }

    fn code(&self) -> ErrorCode {
        match self {
            Self::Timeout { .. } | Self::Network { .. } => ErrorCode::Unreachable,
            Self::Authentication { .. } => ErrorCode::AuthenticationFailed,
            Self::Refused {
                status: Status::NoSuchName,
                ..
            } => ErrorCode::NotFound,
            Self::Refused { .. } | Self::Malformed { .. } => ErrorCode::BadResponse,
            Self::Credentials(_) => ErrorCode::InvalidArguments,
            _ => ErrorCode::Internal,
        }
    }
}

impl From<Error> for ToolError {
    fn from(error: Error) -> Self {
        let code = error.code();
        if code == ErrorCode::Internal {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "an SNMP tool failed"
            );
        }
        let mut message = error.to_string();
        if let Error::Network { source, .. } = &error {
            let cause = std::error::Error::source(source.exchange_source());
            if let Some(cause) = cause {
                message = format!("{message}: {cause}");
            }
        }
        let tool_error = Self::new(code, message);
        match error.hint() {
            Some(hint) => tool_error.hint(hint),
            None => tool_error,
        }
    }
}
