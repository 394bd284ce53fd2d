//! What the client does with messages of the server.

#![expect(
    deprecated,
    reason = "sampling, roots and logging are deprecated, and served all the same"
)]

use std::sync::{Mutex, MutexGuard, PoisonError};

use rmcp::model::{
    ClientCapabilities, ClientConfig, CreateMessageRequestParams, CreateMessageResult,
    ElicitRequestParams, ElicitResult, ElicitationAction, ErrorData, Implementation,
    ListRootsResult, LoggingMessageNotificationParam, ProgressNotificationParam, ProtocolVersion,
    Root, SamplingMessage,
};
use rmcp::service::{NotificationContext, RequestContext};
use rmcp::{ClientHandler, RoleClient};
use serde_json::json;

/// Answers every question and remembers what it was told.
pub(super) struct Handler {
    version: ProtocolVersion,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    asked: Vec<String>,
    progress: Vec<f64>,
    n_logged: usize,
    n_tool_changes: usize,
}

impl Handler {
    pub(super) fn new(version: ProtocolVersion) -> Self {
        Self {
            version,
            seen: Mutex::default(),
        }
    }

    /// What was asked of user, model and client, in order.
    pub(super) fn asked(&self) -> Vec<String> {
        self.seen().asked.clone()
    }

    pub(super) fn progress(&self) -> Vec<f64> {
        self.seen().progress.clone()
    }

    pub(super) fn n_logged(&self) -> usize {
        self.seen().n_logged
    }

    pub(super) fn n_tool_changes(&self) -> usize {
        self.seen().n_tool_changes
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientHandler for Handler {
    fn get_info(&self) -> ClientConfig {
        let capabilities = json!({ "elicitation": {}, "sampling": {}, "roots": {} });
        let capabilities: ClientCapabilities = serde_json::from_value(capabilities).unwrap();
        ClientConfig::new(capabilities, Implementation::new("test", "1.0"))
            .with_protocol_version(self.version.clone())
    }

    async fn create_elicitation(
        &self,
        request: ElicitRequestParams,
        _: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        let ElicitRequestParams::FormElicitationParams { message, .. } = request else {
            return Ok(ElicitResult::new(ElicitationAction::Decline));
        };
        self.seen().asked.push(message);
        let form = json!({
            "username": "ada", "email": "ada@lab.test", "name": "Ada", "color": "blue", "ok": true,
        });
        Ok(ElicitResult::new(ElicitationAction::Accept).with_content(form))
    }

    async fn create_message(
        &self,
        _: CreateMessageRequestParams,
        _: RequestContext<RoleClient>,
    ) -> Result<CreateMessageResult, ErrorData> {
        self.seen().asked.push("a model".to_owned());
        let message = SamplingMessage::assistant_text("Paris");
        Ok(CreateMessageResult::new(message, "lab".to_owned()))
    }

    async fn list_roots(
        &self,
        _: RequestContext<RoleClient>,
    ) -> Result<ListRootsResult, ErrorData> {
        self.seen().asked.push("roots".to_owned());
        Ok(ListRootsResult::new(vec![Root::new("file:///lab")]))
    }

    async fn on_progress(
        &self,
        params: ProgressNotificationParam,
        _: NotificationContext<RoleClient>,
    ) {
        self.seen().progress.push(params.progress);
    }

    async fn on_logging_message(
        &self,
        _: LoggingMessageNotificationParam,
        _: NotificationContext<RoleClient>,
    ) {
        self.seen().n_logged += 1;
    }

    async fn on_tool_list_changed(&self, _: NotificationContext<RoleClient>) {
        self.seen().n_tool_changes += 1;
    }
}
