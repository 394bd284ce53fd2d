use protocol::{Envelope, Kind, mcp};
use serde_json::{Map, Value, json};
use service::{ExitError, Process};
use standalone::Local;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

/// An MCP client of the platform in this process.
pub(crate) struct Client {
    local: Local,
    shutdown: CancellationToken,
    last_id: u64,
}

/// How far a call has come.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Progress {
    pub(crate) done: f64,
    pub(crate) total: Option<f64>,
    pub(crate) message: Option<String>,
}

impl Client {
    pub(crate) async fn start(process: &Process) -> Result<Self, ExitError> {
        let local = Local::start(process).await?;
        Ok(Self {
            local,
            shutdown: process.shutdown.clone(),
            last_id: 0,
        })
    }

    /// Ends the platform, and gives the reason where it had ended before.
    pub(crate) async fn end(self) -> Result<(), ExitError> {
        self.local.end().await
    }

    /// Every tool, over all pages.
    pub(crate) async fn tools(&mut self) -> Result<Vec<Value>, ExitError> {
        let mut tools = Vec::new();
        let mut params = Map::new();
        loop {
            let mut page = self
                .request(mcp::method::TOOLS_LIST, params, |_| ())
                .await?;
            if let Some(Value::Array(listed)) = page.get_mut("tools").map(Value::take) {
                tools.extend(listed);
            }
            match page.get("nextCursor") {
                Some(cursor) => params = Map::from_iter([("cursor".to_owned(), cursor.clone())]),
                None => return Ok(tools),
            }
        }
    }

    /// Calls a tool; gives the result object. Under a key the call runs once, however often it
    /// is repeated.
    pub(crate) async fn call(
        &mut self,
        name: &str,
        arguments: Map<String, Value>,
        key: Option<&str>,
        progress: impl FnMut(Progress),
    ) -> Result<Value, ExitError> {
        let mut params = Map::from_iter([
            ("name".to_owned(), Value::from(name)),
            ("arguments".to_owned(), Value::Object(arguments)),
        ]);
        if let Some(key) = key {
            let meta = json!({ mcp::meta::IDEMPOTENCY_KEY: key });
            params.insert("_meta".to_owned(), meta);
        }
        self.request(mcp::method::TOOLS_CALL, params, progress)
            .await
    }

    async fn request(
        &mut self,
        method: &str,
        mut params: Map<String, Value>,
        mut progress: impl FnMut(Progress),
    ) -> Result<Value, ExitError> {
        self.last_id += 1;
        let id = self.last_id;
        let mut meta = json!({
            mcp::meta::PROTOCOL_VERSION: mcp::MODERN_VERSION,
            mcp::meta::CLIENT_CAPABILITIES: {},
            mcp::meta::CLIENT_INFO: { "name": "discovery", "version": env!("CARGO_PKG_VERSION") },
            mcp::meta::PROGRESS_TOKEN: id,
        });
        if let (Some(Value::Object(more)), Some(meta)) =
            (params.remove("_meta"), meta.as_object_mut())
        {
            meta.extend(more);
        }
        params.insert("_meta".to_owned(), meta);
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }))
            .await?;
        let shutdown = self.shutdown.clone();
        tokio::select! {
            answer = self.answer(&mut progress) => return answer,
            () = shutdown.cancelled() => {}
        }
        let cancelled = json!({ "requestId": id, "reason": "interrupted" });
        let method = mcp::method::CANCELLED;
        self.send(&json!({ "jsonrpc": "2.0", "method": method, "params": cancelled }))
            .await?;
        Err(ExitError::new(130, "interrupted; the call was cancelled"))
    }

    async fn send(&mut self, message: &Value) -> Result<(), ExitError> {
        let line = format!("{message}\n");
        self.local
            .input
            .write_all(line.as_bytes())
            .await
            .map_err(ExitError::internal)
    }

    /// The answer to the one request under way.
    async fn answer(&mut self, progress: &mut impl FnMut(Progress)) -> Result<Value, ExitError> {
        let mut lines = (&mut self.local.output).lines();
        while let Some(line) = lines.next_line().await? {
            let envelope = Envelope::parse(line.as_bytes())?;
            match envelope.kind {
                Kind::Response { result, .. } => return Ok(serde_json::from_str(result.get())?),
                Kind::Error { error, .. } => {
                    return Err(failed(&serde_json::from_str(error.get())?));
                }
                Kind::Notification {
                    params: Some(params),
                    ..
                } => {
                    if let Some(step) = progress_of(&serde_json::from_str(params.get())?) {
                        progress(step);
                    }
                }
                Kind::Notification { .. } | Kind::Request { .. } => {}
            }
        }
        Err(ExitError::unavailable(
            "the platform ended before it answered",
        ))
    }
}

/// A refusal of the platform, as the end of this process.
fn failed(error: &Value) -> ExitError {
    let message = error["message"]
        .as_str()
        .unwrap_or("the call failed")
        .to_owned();
    match error["code"].as_i64() {
        Some(mcp::code::INVALID_PARAMS) => ExitError::usage(message),
        Some(mcp::code::BROKER_UNAVAILABLE) => {
            ExitError::unavailable(message).hint("discovery doctor tells why")
        }
        _ => ExitError::unavailable(message),
    }
}

fn progress_of(params: &Value) -> Option<Progress> {
    Some(Progress {
        done: params.get("progress")?.as_f64()?,
        total: params.get("total").and_then(Value::as_f64),
        message: params
            .get("message")
            .and_then(Value::as_str)
            .map(ToOwned::to_owned),
    })
}
