use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::sync::Arc;

use protocol::mcp::code;
use protocol::response::{CallToolResult, RpcError};
use protocol::{Category, ErrorCode, ToolDescriptor, ToolError, canonical_tool_name};
use serde_json::{Value, json};
use service::Settings;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::call::Call;
use crate::progress::Progress;
use crate::{Context, Error, HostIdentity, Scope, ScopeError, Tool};

/// The tools of one category, and what they run with.
#[derive(Debug, Clone)]
pub struct Worker {
    category: Category,
    prefetch: NonZeroU16,
    tools: BTreeMap<&'static str, Arc<Tool>>,
    fault: Option<String>,
    scope: Option<Scope>,
    host: Option<Arc<HostIdentity>>,
}

impl Worker {
    /// A worker without tools. `prefetch` is how many calls it runs at once, unless
    /// `AMQP_PREFETCH_COUNT` says otherwise.
    #[must_use]
    pub fn new(category: Category, prefetch: NonZeroU16) -> Self {
        Self {
            category,
            prefetch,
            tools: BTreeMap::new(),
            fault: None,
            scope: None,
            host: None,
        }
    }

    /// Registers a tool.
    #[must_use]
    pub fn tool(mut self, tool: Tool) -> Self {
        if let Some(first) = self.tools.insert(tool.name(), Arc::new(tool)) {
            self.fault = Some(first.name().to_owned());
        }
        self
    }

    /// Sets what the tools may touch; without it the settings of the process decide.
    #[must_use]
    pub fn scope(mut self, scope: Scope) -> Self {
        self.scope = Some(scope);
        self
    }

    /// Sets the host and site that the tools speak for; without it this host, and the site
    /// in the settings of the process.
    #[must_use]
    pub fn host(mut self, host: HostIdentity) -> Self {
        self.host = Some(Arc::new(host));
        self
    }

    /// What is wrong with the declaration of the tools, if anything.
    ///
    /// # Errors
    /// Names the first tool that no client could use, or that is registered twice.
    pub fn check(&self) -> Result<(), Error> {
        if let Some(tool) = &self.fault {
            return Err(Error::Declaration {
                tool: tool.clone(),
                why: "the name is registered twice".to_owned(),
            });
        }
        self.tools.values().try_for_each(|tool| tool.check())
    }

    /// What the worker announces, by name.
    #[must_use]
    pub fn descriptors(&self) -> Vec<ToolDescriptor> {
        let tools = self.tools.values();
        tools
            .filter_map(|tool| tool.descriptor(&self.category))
            .collect()
    }

    /// A call from its raw arguments to its `CallToolResult`, without a bus: both are
    /// checked against the schemas, and the tool's default deadline holds. An unknown
    /// tool gives a JSON-RPC error object.
    pub async fn call_for_test(&self, name: &str, arguments: Value) -> Value {
        let tool = match self.find(name) {
            Ok(tool) => Arc::clone(tool),
            Err(error) => return json!({ "error": error }),
        };
        let cancellation = CancellationToken::new();
        let progress = Progress::default();
        let context = Context::new(
            self.scan_scope(),
            self.host_identity(),
            Instant::now() + tool.default_deadline(),
            cancellation.clone(),
            progress.clone(),
        );
        let text = arguments.to_string();
        let result = match tool.arguments(Some(&text)) {
            Ok(arguments) => {
                let call = Call {
                    tool,
                    context,
                    progress,
                };
                call.run(arguments).await.into_result()
            }
            Err(error) => CallToolResult::error(&error),
        };
        serde_json::to_value(result).unwrap_or_else(|error| {
            let error = ToolError::new(ErrorCode::Internal, error.to_string());
            json!(CallToolResult::error(&error))
        })
    }

    /// Takes from the settings what was not set before.
    pub(crate) fn configured(mut self, settings: &Settings) -> Result<Self, ScopeError> {
        if self.scope.is_none() {
            let (allow, deny) = (&settings.scan_scope_allow, &settings.scan_scope_deny);
            self.scope = Some(Scope::new(allow, deny)?);
        }
        if self.host.is_none() {
            let site = settings.discovery_site.as_str();
            self.host = Some(Arc::new(HostIdentity::of_site(site)));
        }
        Ok(self)
    }

    pub(crate) fn scan_scope(&self) -> Scope {
        self.scope.clone().unwrap_or_default()
    }

    pub(crate) fn host_identity(&self) -> Arc<HostIdentity> {
        self.host.clone().unwrap_or_default()
    }

    /// The tool behind a name, call-time names included.
    pub(crate) fn find(&self, name: &str) -> Result<&Arc<Tool>, RpcError> {
        self.tools.get(&*canonical_tool_name(name)).ok_or_else(|| {
            let known: Vec<&str> = self.tools.keys().copied().collect();
            let message = format!(
                "unknown tool {name:?}; the {} worker has {}",
                self.category,
                known.join(", ")
            );
            RpcError::new(code::INVALID_PARAMS, message)
        })
    }

    /// Calls that one consumer runs at once.
    #[must_use]
    pub fn prefetch(&self) -> NonZeroU16 {
        self.prefetch
    }

    /// The category of the tools.
    #[must_use]
    pub fn category(&self) -> &Category {
        &self.category
    }
}
