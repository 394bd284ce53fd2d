//! A client of the revisions that begin with `initialize`, over HTTP.

use serde_json::{Value, json};
use testkit::http::{Reply, Request, RpcClient};

use super::{READY, Running, SOON};

/// The revision that the client asks for.
const VERSION: &str = "2025-11-25";

/// An open session.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    client: RpcClient,
    id: String,
}

impl Session {
    /// Opens a session with a gateway.
    pub(crate) async fn open(gateway: &Running) -> Self {
        Self::open_with(gateway.client()).await
    }

    /// Opens a session with the gateway of this client.
    pub(crate) async fn open_with(client: RpcClient) -> Self {
        let initialize = Request::new(initialize(0));
        let reply = client.send(&initialize, READY).await.unwrap();
        let id = reply.headers.get("mcp-session-id");
        let id = id.unwrap_or_else(|| panic!("no session: {reply:?}"));
        let id = id.to_str().unwrap().to_owned();
        let session = Self { client, id };
        session.notify("notifications/initialized", json!({})).await;
        session
    }

    /// A message with the header fields of the session.
    pub(crate) fn request(&self, body: Value) -> Request {
        Request::new(body)
            .header("Mcp-Session-Id", &self.id)
            .header("MCP-Protocol-Version", VERSION)
    }

    /// Sends a request and gives the whole answer.
    pub(crate) async fn send(&self, body: Value) -> Reply {
        let request = self.request(body);
        self.client.send(&request, READY).await.unwrap()
    }

    /// Says something that has no answer.
    pub(crate) async fn notify(&self, method: &str, params: Value) {
        let body = json!({ "jsonrpc": "2.0", "method": method, "params": params });
        let reply = self.client.send(&self.request(body), SOON).await.unwrap();
        assert_eq!(reply.status, 202, "{reply:?}");
    }

    /// Cancels a request.
    pub(crate) async fn cancel(&self, id: u64) {
        let params = json!({ "requestId": id, "reason": "enough" });
        self.notify("notifications/cancelled", params).await;
    }
}

/// The request that opens a session, over HTTP and on standard input alike.
pub(super) fn initialize(id: u64) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": "initialize", "params": {
        "protocolVersion": VERSION,
        "capabilities": {},
        "clientInfo": { "name": "test", "version": "1" },
    }})
}

/// A call of a tool as these revisions write it.
pub(crate) fn legacy(id: u64, tool: &str, arguments: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {
        "name": tool,
        "arguments": arguments,
    }})
}
