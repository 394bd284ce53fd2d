//! A client of the revisions that begin with `initialize`, over HTTP.

use serde_json::{Value, json};
use testkit::http::{Connection, Reply, Request, RpcClient};

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
        Self::open_with_capabilities(client, json!({})).await
    }

    /// Opens a session for a client that can do this.
    pub(crate) async fn open_with_capabilities(client: RpcClient, capabilities: Value) -> Self {
        let mut initialize = initialize(0);
        initialize["params"]["capabilities"] = capabilities;
        let initialize = Request::new(initialize);
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

    /// The same session, spoken to by another gateway.
    pub(crate) fn at(&self, gateway: &Running) -> Self {
        Self {
            client: gateway.client(),
            id: self.id.clone(),
        }
    }

    /// Opens the stream of what is said beside answers.
    pub(crate) async fn listen(&self, gateway: &Running) -> Connection {
        let mut connection = self
            .bare(gateway, "GET", "Accept: text/event-stream\r\n")
            .await;
        let head = connection.head(SOON).await.unwrap();
        assert_eq!(head.status, 200, "{head:?}");
        connection
    }

    /// Ends the session; gives the status.
    pub(crate) async fn end(&self, gateway: &Running) -> u16 {
        let mut connection = self.bare(gateway, "DELETE", "").await;
        connection.response(SOON).await.unwrap().status
    }

    async fn bare(&self, gateway: &Running, method: &str, headers: &str) -> Connection {
        let mut connection = Connection::open(gateway.address()).await.unwrap();
        let request = format!(
            "{method} /mcp HTTP/1.1\r\nHost: {}\r\nMcp-Session-Id: {}\r\n\
             MCP-Protocol-Version: {VERSION}\r\n{headers}\r\n",
            gateway.address(),
            self.id
        );
        connection.send(request.as_bytes()).await.unwrap();
        connection
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
