//! Header and property values of an AMQP message that carries MCP.
//!
//! Headers mirror the body so that routing need not parse it; the body stays the source
//! of truth, and a consumer rejects a message whose mirrors differ.

/// `content-type` of every body.
pub const CONTENT_TYPE: &str = "application/json";
/// `content-encoding` of a compressed body (RFC 8878); others have none.
pub const ZSTD: &str = "zstd";

/// Content encodings that the sender of a request reads in its replies, separated by commas
/// (string).
pub const ACCEPT_ENCODING: &str = "mcp-accept-encoding";

/// Protocol revision of the body (string).
pub const PROTOCOL_VERSION: &str = "mcp-protocol-version";
/// JSON-RPC method (string).
pub const METHOD: &str = "mcp-method";
/// Tool, prompt or resource the request is about (string).
pub const NAME: &str = "mcp-name";
/// Begins the name of a header that mirrors an argument (`x-mcp-header` of its schema); the
/// rest is the annotation in lower case (string).
pub const PARAM_PREFIX: &str = "mcp-param-";
/// Absolute deadline in milliseconds since the Unix epoch (64-bit integer).
pub const DEADLINE: &str = "mcp-deadline";
/// True on a request whose `message-id` stands for a key of its caller: whoever sends the same
/// request under it again wants the answer that there was (boolean).
pub const IDEMPOTENT: &str = "mcp-idempotent";
/// True on a request whose sender takes final replies in bundles, on the queue that it names
/// (boolean).
pub const BUNDLE: &str = "mcp-bundle";
/// Position of a reply in its stream, from 0 (64-bit integer).
pub const SEQ: &str = "mcp-seq";
/// True on the last message of a reply stream (boolean).
pub const FINAL: &str = "mcp-final";
/// Exchange on which `reply-to` is a routing key; absent for the default exchange (string).
pub const REPLY_EXCHANGE: &str = "mcp-reply-exchange";
/// Instance that sent a `started` or `withdrawn` message (string).
pub const INSTANCE: &str = "mcp-instance";
/// W3C Trace Context, a mirror of the `_meta` key (string).
pub const TRACEPARENT: &str = "traceparent";
/// W3C Trace Context, a mirror of the `_meta` key (string).
pub const TRACESTATE: &str = "tracestate";
/// W3C Baggage, a mirror of the `_meta` key (string).
pub const BAGGAGE: &str = "baggage";
/// Set by quorum queues: how often the message was handed out before (64-bit integer).
pub const DELIVERY_COUNT: &str = "x-delivery-count";

/// Headers of a dead letter, beside those of the message it was.
pub mod dead {
    /// Why the message became a letter (string).
    pub const REASON: &str = "mcp-dead-reason";
    /// When it did, in milliseconds since the Unix epoch (64-bit integer).
    pub const TIME: &str = "mcp-dead-time";
    /// How its first hand-out ended, as far as the worker knows (string).
    pub const FIRST_ERROR: &str = "mcp-dead-first-error";
    /// How its last hand-out ended, as far as the worker knows (string).
    pub const LAST_ERROR: &str = "mcp-dead-last-error";
    /// How often the message was handed out (64-bit integer).
    pub const DELIVERIES: &str = "mcp-dead-deliveries";
    /// Exchange it was published to (string).
    pub const EXCHANGE: &str = "mcp-dead-exchange";
    /// Routing key it was published with (string).
    pub const ROUTING_KEY: &str = "mcp-dead-routing-key";
    /// Category of the worker that gave it up (string).
    pub const CATEGORY: &str = "mcp-dead-category";
    /// Site of that worker (string).
    pub const SITE: &str = "mcp-dead-site";
    /// Version of that worker (string).
    pub const VERSION: &str = "mcp-dead-version";
    /// Whether the call must not run twice; absent where the worker knows no such tool (boolean).
    pub const AT_MOST_ONCE: &str = "mcp-dead-at-most-once";
    /// How long the call may take when nobody says otherwise, in milliseconds; absent where the
    /// worker knows no such tool (64-bit integer).
    pub const TIMEOUT: &str = "mcp-dead-timeout-ms";
    /// On a request that replays a letter, and on the letter that such a request becomes:
    /// `message-id` of the replayed letter (string).
    pub const REPLAY_OF: &str = "mcp-dead-replay-of";
}

/// Values of the `type` property.
pub mod kind {
    /// A JSON-RPC request.
    pub const REQUEST: &str = "request";
    /// A JSON-RPC notification.
    pub const NOTIFICATION: &str = "notification";
    /// The named instance has a call that must not run twice, and asks its caller whether to run
    /// it.
    pub const STARTED: &str = "started";
    /// The caller's answer to that.
    pub const GRANT: &str = "grant";
    /// The named instance will never run the call that it asked for.
    pub const WITHDRAWN: &str = "withdrawn";
    /// The worker expects to be quiet for long: a gateway may end the event stream of a client
    /// that can resume it.
    pub const DETACH: &str = "detach";
    /// A worker asks the broker whether a caller's reply queue still exists; whoever reads it has
    /// nothing to do.
    pub const PROBE: &str = "probe";
    /// A JSON-RPC result.
    pub const RESPONSE: &str = "response";
    /// Several final replies to one queue.
    pub const BUNDLE: &str = "bundle";
    /// A JSON-RPC error.
    pub const ERROR: &str = "error";
    /// A dead letter.
    pub const DEAD_LETTER: &str = "dead-letter";
}
