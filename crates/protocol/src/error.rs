use thiserror::Error as ThisError;

/// Why a message or a name is not acceptable on the wire.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum Error {
    /// The body is not JSON.
    #[error("the message is not valid JSON")]
    NotJson(#[source] serde_json::Error),
    /// The body is JSON, but not one JSON-RPC 2.0 message.
    #[error("not a JSON-RPC 2.0 message: {0}")]
    NotJsonRpc(String),
    /// The parameters of a request are not of the form its method takes.
    #[error("the parameters are not of the right form: {0}")]
    Params(String),
    /// A category token breaks the naming rule.
    #[error("category {0:?} is not a lower-case word of 1 to 32 letters, digits or underscores")]
    Category(String),
    /// A queue prefix breaks the naming rule.
    #[error("queue prefix {0:?} is not 1 to 100 characters of dot-separated words")]
    Prefix(String),
    /// A URI template is not one whose variables can be read back.
    #[error("URI template {template:?} cannot be used: {why}")]
    UriTemplate {
        /// The template.
        template: String,
        /// The rule it breaks.
        why: String,
    },
    /// The value of a header that mirrors a request is malformed.
    #[error("the value {0}")]
    HeaderValue(String),
}

impl Error {
    /// The JSON-RPC error code that says the same to the sender.
    #[must_use]
    pub fn json_rpc_code(&self) -> i64 {
        match self {
            Self::NotJson(_) => crate::mcp::code::PARSE_ERROR,
            Self::Params(_) => crate::mcp::code::INVALID_PARAMS,
            Self::HeaderValue(_) => crate::mcp::code::HEADER_MISMATCH,
            Self::NotJsonRpc(_)
            | Self::Category(_)
            | Self::Prefix(_)
            | Self::UriTemplate { .. } => crate::mcp::code::INVALID_REQUEST,
        }
    }
}
