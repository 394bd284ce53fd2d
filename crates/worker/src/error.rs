use service::{ExitError, broker};
use thiserror::Error as ThisError;

/// Why a worker cannot start or cannot go on.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum Error {
    /// A tool, prompt or resource is declared in a way that no client could use.
    #[error("{kind} {name:?} is not declared correctly: {why}")]
    Declaration {
        /// `tool`, `prompt`, `resource` or `resource template`.
        kind: &'static str,
        /// Its name, or its URI.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// The scan scope cannot be used.
    #[error("the scan scope cannot be used")]
    Scope(#[from] ScopeError),
    /// A name on the broker cannot be used.
    #[error("a setting cannot be used: {0}")]
    Settings(ExitError),
    /// The bus gave up, or refuses this worker.
    #[error("the worker cannot use the message broker")]
    Bus(#[source] bus::Error),
    /// A task of the runtime failed.
    #[error("the worker failed by a fault of its own")]
    Task(#[source] tokio::task::JoinError),
}

impl Error {
    /// The end of the process: 64 for settings, 69 for a broker that stays away or has a
    /// queue of another version, 70 for faults of our own.
    #[must_use]
    pub fn into_exit(self) -> ExitError {
        match self {
            Self::Scope(_) => {
                ExitError::usage(self).hint("docs/configuration.md lists every setting")
            }
            Self::Settings(exit) => exit,
            Self::Bus(error) => broker::exit(error),
            Self::Declaration { .. } | Self::Task(_) => ExitError::internal(self),
        }
    }
}

/// Why a text is not a host.
#[derive(Debug, Clone, PartialEq, Eq, ThisError)]
#[error(
    "{host:?} is not a host: {why}; allowed: an IPv4 address such as 192.0.2.1, an IPv6 address \
     such as 2001:db8::1 without brackets or zone, or a host name such as server.example.com"
)]
pub struct HostError {
    /// The beginning of the text.
    pub host: String,
    /// The rule it breaks.
    pub why: &'static str,
}

/// Why a list of scan targets cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, ThisError)]
#[error(
    "{setting}: {item:?} {why}; allowed: a network such as 10.0.0.0/8, an address, a host name, \
     or *.domain"
)]
pub struct ScopeError {
    /// Name of the setting.
    pub setting: &'static str,
    /// The item at fault.
    pub item: String,
    /// The rule it breaks.
    pub why: String,
}
