//! Names and numbers of the Model Context Protocol, and the few of our own beside them.
//!
//! Source: MCP specification, revision 2026-07-28, "Base Protocol", and for the earlier
//! eras the revisions named in [`LEGACY_VERSIONS`].

/// The stateless revision: every request carries its own `_meta`.
pub const MODERN_VERSION: &str = "2026-07-28";

/// The revisions that begin with `initialize`, newest first.
pub const LEGACY_VERSIONS: [&str; 4] = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"];

/// The revision a server assumes when an HTTP request of the `initialize` era names none.
pub const ASSUMED_LEGACY_VERSION: &str = "2025-03-26";

/// Method names.
pub mod method {
    /// Stateless description of the server.
    pub const DISCOVER: &str = "server/discover";
    /// Opens a session (up to 2025-11-25).
    pub const INITIALIZE: &str = "initialize";
    /// The client has taken the answer to `initialize`.
    pub const INITIALIZED: &str = "notifications/initialized";
    /// Liveness check (up to 2025-11-25).
    pub const PING: &str = "ping";
    /// Lists tools.
    pub const TOOLS_LIST: &str = "tools/list";
    /// Calls a tool.
    pub const TOOLS_CALL: &str = "tools/call";
    /// Lists resources.
    pub const RESOURCES_LIST: &str = "resources/list";
    /// Lists URI templates of resources.
    pub const RESOURCE_TEMPLATES_LIST: &str = "resources/templates/list";
    /// Reads a resource.
    pub const RESOURCES_READ: &str = "resources/read";
    /// Asks for news of a resource (up to 2025-11-25).
    pub const RESOURCES_SUBSCRIBE: &str = "resources/subscribe";
    /// Wants no more news of a resource (up to 2025-11-25).
    pub const RESOURCES_UNSUBSCRIBE: &str = "resources/unsubscribe";
    /// Lists prompts.
    pub const PROMPTS_LIST: &str = "prompts/list";
    /// Renders a prompt.
    pub const PROMPTS_GET: &str = "prompts/get";
    /// Suggests values of an argument.
    pub const COMPLETE: &str = "completion/complete";
    /// Sets the log level of a session (up to 2025-11-25).
    pub const SET_LEVEL: &str = "logging/setLevel";
    /// Asks the client for a message of its model.
    pub const SAMPLING: &str = "sampling/createMessage";
    /// Asks the client's user.
    pub const ELICITATION: &str = "elicitation/create";
    /// Asks the client for its roots.
    pub const ROOTS_LIST: &str = "roots/list";
    /// Stops a request.
    pub const CANCELLED: &str = "notifications/cancelled";
    /// How far a request has come.
    pub const PROGRESS: &str = "notifications/progress";
    /// A log line for the client.
    pub const MESSAGE: &str = "notifications/message";
    /// The tool list has changed.
    pub const TOOLS_LIST_CHANGED: &str = "notifications/tools/list_changed";
    /// The prompt list has changed.
    pub const PROMPTS_LIST_CHANGED: &str = "notifications/prompts/list_changed";
    /// The resource list has changed.
    pub const RESOURCES_LIST_CHANGED: &str = "notifications/resources/list_changed";
    /// A resource has changed.
    pub const RESOURCES_UPDATED: &str = "notifications/resources/updated";
    /// First message of a stream of notifications (2026-07-28).
    pub const ACKNOWLEDGED: &str = "notifications/subscriptions/acknowledged";
    /// Opens a stream of notifications (2026-07-28).
    pub const LISTEN: &str = "subscriptions/listen";
}

/// Keys of `_meta`.
pub mod meta {
    /// Protocol revision of a request.
    pub const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
    /// What the client can do.
    pub const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
    /// Client name and version.
    pub const CLIENT_INFO: &str = "io.modelcontextprotocol/clientInfo";
    /// Server name and version, on results.
    pub const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";
    /// Least severe log message that the client wants of a request (2026-07-28).
    pub const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";
    /// JSON-RPC identifier of the `subscriptions/listen` that a message belongs to.
    pub const SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";
    /// Asks for progress notifications.
    pub const PROGRESS_TOKEN: &str = "progressToken";
    /// Ours: the caller's deadline in milliseconds from now.
    pub const TIMEOUT_MS: &str = "opendiscovery/timeoutMs";
    /// Ours: the caller's key of a call of a tool, by which a repetition gets the same answer.
    pub const IDEMPOTENCY_KEY: &str = "opendiscovery/idempotencyKey";
    /// Ours, on descriptors: deadline of a call that asks for none, in milliseconds.
    pub const DEFAULT_TIMEOUT_MS: &str = "opendiscovery/defaultTimeoutMs";
    /// Ours, on descriptors: the longest deadline a call may ask for, in milliseconds.
    pub const MAX_TIMEOUT_MS: &str = "opendiscovery/maxTimeoutMs";
    /// Ours, on descriptors: the category whose workers provide the tool.
    pub const CATEGORY: &str = "opendiscovery/category";
}

/// JSON-RPC error codes.
///
/// MCP reserves -32000 to -32099; ours lie outside the JSON-RPC range, as the
/// specification asks ("Error Codes").
pub mod code {
    /// The body is not JSON.
    pub const PARSE_ERROR: i64 = -32700;
    /// The body is not a JSON-RPC request.
    pub const INVALID_REQUEST: i64 = -32600;
    /// No such method.
    pub const METHOD_NOT_FOUND: i64 = -32601;
    /// The parameters do not fit the method; an unknown tool is one case of it.
    pub const INVALID_PARAMS: i64 = -32602;
    /// A fault of the platform.
    pub const INTERNAL_ERROR: i64 = -32603;
    /// No such resource, up to revision 2025-11-25; invalid params since.
    pub const RESOURCE_NOT_FOUND: i64 = -32002;
    /// HTTP headers and body disagree.
    pub const HEADER_MISMATCH: i64 = -32020;
    /// The request needs a capability the client does not have.
    pub const MISSING_CLIENT_CAPABILITY: i64 = -32021;
    /// The revision asked for is not served.
    pub const UNSUPPORTED_VERSION: i64 = -32022;
    /// Ours: no worker of the tool's category is running.
    pub const NO_WORKER: i64 = -31001;
    /// Ours: the platform is full; try again later.
    pub const BUSY: i64 = -31002;
    /// Ours: the deadline has passed.
    pub const DEADLINE_EXCEEDED: i64 = -31003;
    /// Ours: the call had started, its instance went away, and it may not run twice.
    pub const OUTCOME_UNKNOWN: i64 = -31004;
    /// Ours: the message was handed out again and again and never finished.
    pub const POISON: i64 = -31005;
    /// Ours: the message broker cannot be reached.
    pub const BROKER_UNAVAILABLE: i64 = -31006;
    /// Ours: the call was cancelled by its caller.
    pub const CANCELLED: i64 = -31007;
}
