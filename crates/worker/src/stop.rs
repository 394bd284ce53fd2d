use protocol::ToolError;
use protocol::mcp::code;
use protocol::response::{InputRequired, RpcError};
use serde_json::json;

/// Why a handler ends without its output.
#[derive(Debug, Clone, PartialEq)]
pub enum Stop {
    /// It failed. A tool's caller gets a result with `isError: true`, since a model can act on
    /// it; of other requests it becomes JSON-RPC error -32603, or -31003 past the deadline.
    Failed(ToolError),
    /// The request is answered with this JSON-RPC error.
    Refused(RpcError),
    /// The client is asked first, and then sends the request again with its answers (MCP
    /// 2026-07-28, "Multi Round-Trip Requests"); read them with [`crate::Context::inputs`].
    Asks(InputRequired),
}

impl Stop {
    /// There is no such resource: -32602 with the URI as data (MCP 2026-07-28, "Resources").
    #[must_use]
    pub fn unknown_resource(uri: &str) -> Self {
        let error = RpcError::new(code::INVALID_PARAMS, format!("unknown resource {uri:?}"));
        Self::Refused(error.data(json!({ "uri": uri })))
    }
}

impl From<ToolError> for Stop {
    fn from(error: ToolError) -> Self {
        Self::Failed(error)
    }
}

impl From<RpcError> for Stop {
    fn from(error: RpcError) -> Self {
        Self::Refused(error)
    }
}

impl From<InputRequired> for Stop {
    fn from(asks: InputRequired) -> Self {
        Self::Asks(asks)
    }
}
