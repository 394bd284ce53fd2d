use std::io;
use std::time::Duration;

use protocol::{ErrorCode, ToolError};
use thiserror::Error as ThisError;

/// Why a scan could not be done.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum Error {
    /// A setting names a scan target that is none.
    #[error(transparent)]
    Scope(#[from] worker::ScopeError),
    /// There is no nmap.
    #[error("the program {program:?} is not installed on the worker's host")]
    NotInstalled {
        /// What was looked for, by the setting `NMAP_PROGRAM`.
        program: String,
    },
    /// The scan sends packets that only a privileged process may send.
    #[error("{scan} needs raw sockets: {why}")]
    NoRawSockets {
        /// What was asked for.
        scan: &'static str,
        /// What is missing.
        why: String,
    },
    /// The operating system did not start a process.
    #[error("cannot start {program:?}")]
    Start {
        /// Which program.
        program: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What nmap wrote could not be read.
    #[error("cannot read what nmap writes")]
    Read(#[source] io::Error),
    /// What nmap wrote is not its XML.
    #[error("nmap wrote XML that cannot be understood: {0}")]
    Xml(String),
    /// nmap ended without a result.
    #[error("nmap ended with {status} and without a result: {said}")]
    Failed {
        /// How it ended.
        status: String,
        /// Its last words.
        said: String,
    },
    /// Other scans did not leave room before the deadline.
    #[error("the scan did not begin within {0:?}: {1}")]
    NoRoom(Duration, &'static str),
}

impl Error {
    /// What the caller or the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::NotInstalled { .. } => {
                "the operator installs it (Debian, Ubuntu: apt-get install nmap) or sets NMAP_PROGRAM to where it is; the worker needs no restart"
            }
            Self::NoRawSockets { .. } => {
                "nmap_tcp_connect_scan needs no privilege; otherwise the operator gives the worker the capability NET_RAW (containers: cap_add NET_RAW; else setcap cap_net_raw+ep on the worker's binary or on nmap)"
            }
            Self::Failed { said, .. } if is_privilege(said) => {
                "the operator gives the worker the capability NET_RAW (containers: cap_add NET_RAW; else setcap cap_net_raw+ep on the worker's binary or on nmap)"
            }
            Self::NoRoom(..) => {
                "call again later, give the call more time (_meta opendiscovery/timeoutMs), or start more workers"
            }
            Self::Start { .. } => "check the worker's limits of processes and open files",
            _ => return None,
        })
    }

    fn code(&self) -> ErrorCode {
        match self {
            Self::NotInstalled { .. } => ErrorCode::Unsupported,
            Self::NoRawSockets { .. } => ErrorCode::PermissionDenied,
            Self::Failed { said, .. } if is_privilege(said) => ErrorCode::PermissionDenied,
            Self::NoRoom(..) => ErrorCode::DeadlineExceeded,
            _ => ErrorCode::Internal,
        }
    }
}

/// Whether nmap complains about a missing privilege.
fn is_privilege(said: &str) -> bool {
    [
        "Operation not permitted",
        "requires root privileges",
        "socket troubles",
    ]
    .iter()
    .any(|words| said.contains(words))
}

impl From<Error> for ToolError {
    /// The one mapping to what a caller sees; the source chain goes to the log only.
    fn from(error: Error) -> Self {
        let code = error.code();
        if code == ErrorCode::Internal {
            tracing::error!(error = &error as &dyn std::error::Error, "scan failed");
        }
        // The operating system's words carry no secret and often are the whole diagnosis.
        let message = match &error {
            Error::Start { source, .. } => format!("{error}: {source}"),
            _ => error.to_string(),
        };
        let tool_error = Self::new(code, message);
        match error.hint() {
            Some(hint) => tool_error.hint(hint),
            None => tool_error,
        }
    }
}
