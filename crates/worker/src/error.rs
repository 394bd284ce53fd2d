use thiserror::Error as ThisError;

/// Why a worker cannot be built or cannot go on.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum Error {
    /// A tool is declared in a way that no client could use.
    #[error("tool {tool:?} is not declared correctly: {why}")]
    Declaration {
        /// The tool's name.
        tool: String,
        /// What is wrong with it.
        why: String,
    },
}

/// Why a text is not a host.
#[derive(Debug, Clone, PartialEq, Eq, ThisError)]
#[error(
    "{host:?} is not a host: {why}; allowed: an IPv4 address such as 192.0.2.1, an IPv6 address such as 2001:db8::1 without brackets or zone, or a host name such as server.example.com"
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
    "{setting}: {item:?} {why}; allowed: a network such as 10.0.0.0/8, an address, a host name, or *.domain"
)]
pub struct ScopeError {
    /// Name of the setting.
    pub setting: &'static str,
    /// The item at fault.
    pub item: String,
    /// The rule it breaks.
    pub why: String,
}
