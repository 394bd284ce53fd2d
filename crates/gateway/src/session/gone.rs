use protocol::mcp::code;
use protocol::response::RpcError;
use thiserror::Error as ThisError;

/// Why there is no session of an identifier. To each the client's answer is the same: it begins
/// again (MCP 2025-11-25, "Session Management").
#[derive(Debug, Clone, Copy, PartialEq, Eq, ThisError)]
pub(crate) enum Gone {
    /// It was never one, or was changed.
    #[error("the session is not known")]
    Unknown,
    /// Another replica sealed it with a key that this one does not have.
    #[error("the session was opened with a key that this gateway does not have")]
    OtherKey,
    /// It is too old, whatever its use.
    #[error("the session is too old")]
    Expired,
    /// Nobody used it for too long.
    #[error("the session was not used for too long")]
    Idle,
    /// Its client ended it.
    #[error("the session has ended")]
    Ended,
}

impl From<Gone> for RpcError {
    fn from(gone: Gone) -> Self {
        let message = format!("{gone}; begin again with initialize");
        Self::new(code::INVALID_REQUEST, message)
    }
}
