use std::io;
use std::time::Duration;

use protocol::{ErrorCode, ToolError};
use rustix::io::Errno;
use thiserror::Error as ThisError;

/// What the operator does about a missing privilege.
const PRIVILEGE: &str = "the operator gives the worker the capability NET_RAW (containers: cap_add NET_RAW; else setcap cap_net_raw+ep on the worker's binary or on nmap)";
/// Characters of nmap's last words that an error has.
const MAX_SAID: usize = 300;

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
        /// What can be done without them.
        without: &'static str,
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
    /// nmap has ended without a result.
    pub(crate) fn failed(status: String, said: &str) -> Self {
        let mut short: String = said.chars().take(MAX_SAID).collect();
        if short.len() < said.len() {
            short.push('…');
        }
        Self::Failed {
            status,
            said: short,
        }
    }

    /// What the caller or the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NotInstalled { .. } => "the operator installs it (Debian, Ubuntu: apt-get install nmap) or sets NMAP_PROGRAM to where it is; once it is installed calls succeed, and the descriptions of the tools follow when the worker starts again".to_owned(),
            Self::NoRawSockets { without, .. } => format!("{without}; otherwise {PRIVILEGE}"),
            Self::Failed { said, .. } if is_privilege(said) => PRIVILEGE.to_owned(),
            Self::NoRoom(..) => "call again later, give the call more time (_meta opendiscovery/timeoutMs), or start more workers".to_owned(),
            Self::Start { source, .. } if is_for_want_of_room(source) => "check the worker's limits of processes, open files and memory".to_owned(),
            Self::Start { .. } => "see that the worker may run this program (its permissions, its kind, how its file system is mounted), or set NMAP_PROGRAM to another one".to_owned(),
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

/// Whether the system has no place for another process, rather than no use for the program.
fn is_for_want_of_room(error: &io::Error) -> bool {
    let code = error.raw_os_error().map(Errno::from_raw_os_error);
    [Errno::AGAIN, Errno::NOMEM, Errno::MFILE, Errno::NFILE]
        .map(Some)
        .contains(&code)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::Technique;

    #[test]
    fn a_hint_is_about_what_went_wrong() {
        let check = |error: Error, words: &[&str]| {
            let hint = error.hint().unwrap();
            for word in words {
                assert!(hint.contains(word), "{error}: {hint}");
            }
        };
        let start = |code: Errno| Error::Start {
            program: "nmap".to_owned(),
            source: code.into(),
        };
        check(start(Errno::AGAIN), &["limits"]);
        check(start(Errno::MFILE), &["limits"]);
        check(start(Errno::ACCESS), &["permissions", "NMAP_PROGRAM"]);
        check(start(Errno::NOEXEC), &["kind", "NMAP_PROGRAM"]);
        let without = |technique: Technique| Error::NoRawSockets {
            scan: technique.in_words(),
            why: "there are none".to_owned(),
            without: technique.without_raw_sockets(),
        };
        check(without(Technique::TcpSyn), &["tcp_connect", "NET_RAW"]);
        check(without(Technique::Ping), &["leave out the U:", "NET_RAW"]);
        check(without(Technique::Version), &["leave out the U:"]);
        check(without(Technique::Udp), &["TCP ports", "NET_RAW"]);
    }

    #[test]
    fn last_words_are_cut() {
        let error = Error::failed("exit status: 1".to_owned(), &"é".repeat(16 * 1024));
        assert_eq!(error.to_string().matches('é').count(), MAX_SAID);
        let error = Error::failed("exit status: 1".to_owned(), "no route");
        assert!(error.to_string().ends_with("no route"), "{error}");
    }
}
