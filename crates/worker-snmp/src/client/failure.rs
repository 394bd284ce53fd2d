//! What the library's errors mean to us.

use std::net::SocketAddr;

use async_snmp as library;
use async_snmp::v3::ReportStatus;

use super::convert::oid_from_library;
use crate::Error;
use crate::error::{AuthenticationFault, Status};

/// Our error for one of the library's.
pub(super) fn failure(agent: SocketAddr, error: Box<library::Error>) -> Error {
    match error.exchange_source() {
        library::Error::Timeout {
            elapsed, retries, ..
        } => Error::Timeout {
            agent,
            n_asked: retries.saturating_add(1),
            waited: *elapsed,
        },
        library::Error::Auth { .. } => Error::Authentication {
            agent,
            fault: AuthenticationFault::Answer,
        },
        library::Error::Report { status, .. } => report(agent, status),
        library::Error::Snmp { status, oid, .. } => {
            refusal(agent, *status, oid.as_deref().map(oid_from_library))
        }
        library::Error::Network { .. } => Error::Network {
            agent,
            source: error,
        },
        library::Error::Decode(_)
        | library::Error::MalformedResponse { .. }
        | library::Error::ResponseShape { .. } => Error::Malformed {
            agent,
            why: "its answer cannot be read or does not fit the request".to_owned(),
        },
        _ => Error::Library {
            agent,
            source: error,
        },
    }
}

fn refusal(agent: SocketAddr, status: library::ErrorStatus, oid: Option<crate::Oid>) -> Error {
    let status = match status {
        library::ErrorStatus::AuthorizationError | library::ErrorStatus::NoAccess => {
            return Error::Authentication {
                agent,
                fault: AuthenticationFault::AccessControl,
            };
        }
        library::ErrorStatus::TooBig => Status::TooBig,
        library::ErrorStatus::NoSuchName => Status::NoSuchName,
        library::ErrorStatus::GenErr => Status::GenErr,
        other => Status::Other(other.as_i32()),
    };
    Error::Refused { agent, status, oid }
}

/// What a report of SNMP v3 says is wrong (RFC 3414, section 3.2).
fn report(agent: SocketAddr, status: &ReportStatus) -> Error {
    let fault = match status {
        ReportStatus::UnsupportedSecurityLevel { .. } => AuthenticationFault::SecurityLevel,
        ReportStatus::NotInTimeWindow { .. } => AuthenticationFault::TimeWindow,
        ReportStatus::UnknownUserName { .. } => AuthenticationFault::UnknownUser,
        ReportStatus::WrongDigest { .. } => AuthenticationFault::WrongDigest,
        ReportStatus::DecryptionError { .. } => AuthenticationFault::Decryption,
        other => {
            return Error::Malformed {
                agent,
                why: format!("it reports {other}"),
            };
        }
    };
    Error::Authentication { agent, fault }
}
