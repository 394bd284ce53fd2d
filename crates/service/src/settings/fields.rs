//! The settings themselves.

use std::num::{NonZeroU8, NonZeroU16, NonZeroU32};
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    AllowedHosts, AllowedOrigins, AmqpUrl, AmqpUrls, CallRouting, ExchangeName, Host, LoadBalance,
    LogFilter, LogFormat, MessageSize, Milliseconds, OtlpEndpoint, QueuePrefix, Scope, Seconds,
    Secret, SessionKeys, SessionTtl, Site, Transports, WhenNoWorker, WhoisServers, text,
};

/// Every setting of the platform, validated.
///
/// The documentation of a field is also what `docs/configuration.md` says about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The ways in for MCP clients that the gateway offers.
    pub transport_mode: Transports,
    /// Where the gateway listens for HTTP. Other machines reach it only if this is changed, for
    /// example to `0.0.0.0`.
    pub http_host: Host,
    /// Port of the gateway. `0` takes any free port.
    #[serde(deserialize_with = "text::parse")]
    pub http_port: u16,
    /// Further names by which clients may reach the gateway, as they stand in the `Host` header.
    /// Loopback names and addresses, `HTTP_HOST` and the address that a client connected to are
    /// always allowed; everything else is refused with status 403, because it may be a web page
    /// that had its name pointed here (DNS rebinding).
    pub http_allowed_hosts: AllowedHosts,
    /// Web pages that may use the gateway besides those of the allowed hosts, as they stand in
    /// the `Origin` header. Requests without that header do not come from a page.
    pub http_allowed_origins: AllowedOrigins,

    /// Keys that seal the identifiers of sessions and the state of requests that wait for their
    /// client's input. The first key seals, each of them opens, so a new key is put behind the
    /// old one at every replica, then before it, and once the sessions of the old one are over
    /// the old one is dropped. Replicas of the gateway need the same key to serve each other's
    /// sessions. Without it a gateway makes a key of its own, and its sessions end with it. It is
    /// never printed.
    #[serde(deserialize_with = "text::optional")]
    pub session_key: Option<SessionKeys>,
    /// Time after which a session that nobody uses ends. No session lasts longer than 24 h,
    /// however much it is used; clients of revision 2026-07-28 have none.
    pub mcp_session_ttl_ms: SessionTtl,

    /// Where a process listens on `HEALTH_PORT`.
    pub health_host: Host,
    /// Port for `/health`, `/ready`, `/live` and `/metrics` of a process that does not serve HTTP
    /// otherwise, such as a worker. `0` opens no port.
    #[serde(deserialize_with = "text::parse")]
    pub health_port: u16,

    /// Address of the broker, or of each node of a cluster: a connection begins at any of them and
    /// goes round to the next where one does not serve. Without it `discovery up` keeps its calls
    /// in memory, and the gateway and the workers connect to `amqp://localhost:5672`.
    #[serde(deserialize_with = "text::optional")]
    pub amqp_url: Option<AmqpUrls>,
    /// User name at the broker, in place of those in `AMQP_URL`.
    #[serde(deserialize_with = "text::optional")]
    pub amqp_username: Option<String>,
    /// Password at the broker, in place of those in `AMQP_URL`. It is never printed.
    #[serde(deserialize_with = "text::optional")]
    pub amqp_password: Option<Secret>,
    /// Begins the name of every queue and routing key. Sites that share a broker differ in it.
    pub amqp_queue_prefix: QueuePrefix,
    /// Exchange for notifications and events.
    pub amqp_exchange: ExchangeName,
    /// How a gateway sends a call to its category: `queue` names the category's work queue, which
    /// costs the broker least; `topic` goes by the exchange `mcp.discovery.routing` with the key
    /// of the tool, so that queues and exchanges of an operator that are bound there get a copy.
    pub amqp_call_routing: CallRouting,
    /// How calls are shared among the workers of a category. A broker knows one way only.
    pub amqp_load_balance: LoadBalance,
    /// Calls that one consumer of a worker runs at a time. Without it the category decides.
    #[serde(deserialize_with = "text::optional")]
    pub amqp_prefetch_count: Option<NonZeroU16>,
    /// Consumers in each worker process.
    #[serde(deserialize_with = "text::parse")]
    pub amqp_workers: NonZeroU16,
    /// What happens to a call whose category has had no worker for 10 s: `refuse` answers the
    /// caller at once, `queue` keeps the call until its deadline, for categories that scale from
    /// zero. A category that is not listed refuses.
    pub when_no_worker: WhenNoWorker,

    /// Calls of one category that one gateway has under way at a time; more are refused as busy
    /// at once. A gateway serves 8192 requests at a time in all, so a lower number keeps places
    /// for other categories. A call that waits for its client's input does not count.
    #[serde(deserialize_with = "text::parse")]
    pub max_calls_per_category: NonZeroU32,
    /// Calls of one client that one gateway has under way at a time; more are refused as busy at
    /// once. A client is its session, otherwise its `Authorization` header, otherwise its
    /// address: behind a proxy all clients without either count as one.
    #[serde(deserialize_with = "text::parse")]
    pub max_calls_per_client: NonZeroU32,

    /// Most bytes that the body of one message may have; a larger request or answer becomes an
    /// error that says so. The broker has a limit of its own (`max_message_size`), which should be
    /// no lower. The bus in memory keeps to it as well.
    pub amqp_max_message_size: MessageSize,
    /// Requests and answers with more bytes than this, and more than 1 KiB, are compressed with
    /// zstd where the other side says that it reads that. `0` compresses nothing; compressed ones
    /// are read in any case.
    #[serde(deserialize_with = "text::parse")]
    pub amqp_compression_threshold: u32,

    /// Longest time that a message waits in a queue. The deadline of a call shortens it, never
    /// lengthens it.
    pub amqp_message_ttl: Milliseconds,
    /// Time after which the broker deletes a reply queue that nobody consumes. Without it only the
    /// end of the owner's connection does: reply queues are exclusive. Work queues never expire.
    #[serde(deserialize_with = "text::optional")]
    pub amqp_queue_ttl: Option<Milliseconds>,

    /// First pause after the connection is lost. It doubles with each attempt, up to 2 s, with
    /// jitter.
    pub amqp_reconnect_delay: Milliseconds,
    /// Attempts to reconnect before the process gives up with exit code 69. Without it attempts
    /// never end.
    #[serde(deserialize_with = "text::optional")]
    pub amqp_max_reconnect_attempts: Option<NonZeroU32>,
    /// Connections that publish. One is the fastest for most installations.
    #[serde(deserialize_with = "text::parse")]
    pub amqp_connection_pool_size: NonZeroU8,
    /// Longest time that connecting to a node of the broker may take, TLS and login included.
    pub amqp_connection_timeout: Milliseconds,
    /// Interval of AMQP heartbeats. A silent connection counts as lost after two of them; one that
    /// is being closed, after three.
    pub amqp_heartbeat_interval: Seconds,

    /// Connects to the broker over TLS, as an address that begins with `amqps://` does.
    #[serde(deserialize_with = "text::parse")]
    pub amqp_tls: bool,
    /// Certificates of the authorities that may sign the broker's certificate, in PEM. Without it
    /// those of the operating system.
    #[serde(deserialize_with = "text::optional")]
    #[schemars(extend("x-allowed" = "path of a file"))]
    pub amqp_ca_cert: Option<PathBuf>,
    /// Certificate that this process shows to the broker, in PEM. Needs `AMQP_CLIENT_KEY`.
    #[serde(deserialize_with = "text::optional")]
    #[schemars(extend("x-allowed" = "path of a file"))]
    pub amqp_client_cert: Option<PathBuf>,
    /// Private key of `AMQP_CLIENT_CERT`, in PEM.
    #[serde(deserialize_with = "text::optional")]
    #[schemars(extend("x-allowed" = "path of a file"))]
    pub amqp_client_key: Option<PathBuf>,

    /// Targets that tools may reach, in place of the default: loopback, private networks (RFC 1918,
    /// RFC 4193) and link-local IPv6. A name admits the addresses that it has. The address of a
    /// cloud's metadata service has to be listed as such; multicast and broadcast are never
    /// reached.
    pub scan_scope_allow: Scope,
    /// Targets that tools never reach, even if they are allowed. A name refuses that name, not its
    /// addresses.
    pub scan_scope_deny: Scope,

    /// Whois servers by top-level domain or kind of query, in place of the built-in ones.
    pub whois_servers: WhoisServers,
    /// The program nmap: a name that is looked for in `PATH`, or a path.
    #[serde(deserialize_with = "text::parse")]
    #[schemars(extend("x-allowed" = "name or path of a program"))]
    pub nmap_program: PathBuf,
    /// Scans by nmap that a worker runs at a time, each a process. Each of its
    /// consumers (`AMQP_WORKERS`) takes four times as many calls from the broker, unless
    /// `AMQP_PREFETCH_COUNT` says otherwise, so that calls that wait do not keep others waiting.
    /// Scans of the same address in one worker take turns.
    #[serde(deserialize_with = "text::parse")]
    pub nmap_max_scans: NonZeroU16,
    /// Keys that seal the identifiers of SNMP sessions, which hold the credentials of devices. The
    /// first key seals, each of them opens, so that keys can be changed without ending sessions.
    /// Every SNMP worker of a site needs the same; gateways need none of them. Without it a worker
    /// makes a key of its own, and its sessions are good at this worker and until it ends.
    #[serde(deserialize_with = "text::optional")]
    pub snmp_session_key: Option<SessionKeys>,

    /// Name of this data centre or place.
    pub discovery_site: Site,
    /// Directory for what the platform keeps. Nothing is kept yet: the name is reserved.
    #[serde(deserialize_with = "text::parse")]
    #[schemars(extend("x-allowed" = "path of a directory"))]
    pub discovery_data_dir: PathBuf,

    /// Form of the log, which goes to standard error.
    pub log_format: LogFormat,
    /// Which events are logged.
    pub rust_log: LogFilter,
    /// Base address of an OTLP receiver (HTTP, protobuf); spans go to `/v1/traces` below it.
    /// Without it no spans are exported.
    #[serde(deserialize_with = "text::optional")]
    pub otel_exporter_otlp_endpoint: Option<OtlpEndpoint>,
    /// Name of the service in exported spans. Without it the name of the binary.
    #[serde(deserialize_with = "text::optional")]
    pub otel_service_name: Option<String>,
}

impl Settings {
    /// Addresses of the broker's nodes for a process that needs one: those of `AMQP_URL`, or
    /// `amqp://localhost:5672` without it; with `AMQP_USERNAME`, `AMQP_PASSWORD` and `AMQP_TLS`
    /// applied to each.
    #[must_use]
    pub fn broker_urls(&self) -> Vec<AmqpUrl> {
        let urls = self.amqp_url.clone().unwrap_or_default();
        let applied = urls.iter().cloned().map(|url| {
            url.with(
                self.amqp_username.as_deref(),
                self.amqp_password.as_ref().map(Secret::expose),
                self.amqp_tls,
            )
        });
        applied.collect()
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            transport_mode: Transports::default(),
            http_host: Host::default(),
            http_port: 3000,
            http_allowed_hosts: AllowedHosts::default(),
            http_allowed_origins: AllowedOrigins::default(),
            session_key: None,
            mcp_session_ttl_ms: SessionTtl::default(),
            health_host: Host::default(),
            health_port: 0,
            amqp_url: None,
            amqp_username: None,
            amqp_password: None,
            amqp_queue_prefix: QueuePrefix::default(),
            amqp_exchange: ExchangeName::default(),
            amqp_call_routing: CallRouting::default(),
            amqp_load_balance: LoadBalance::default(),
            amqp_prefetch_count: None,
            amqp_workers: NonZeroU16::MIN,
            when_no_worker: WhenNoWorker::default(),
            max_calls_per_category: limit(4096),
            max_calls_per_client: limit(2048),
            amqp_max_message_size: MessageSize::default(),
            amqp_compression_threshold: 64 << 10,
            amqp_message_ttl: Milliseconds::of(3_600_000),
            amqp_queue_ttl: None,
            amqp_reconnect_delay: Milliseconds::of(100),
            amqp_max_reconnect_attempts: None,
            amqp_connection_pool_size: NonZeroU8::MIN,
            amqp_connection_timeout: Milliseconds::of(5000),
            amqp_heartbeat_interval: Seconds::of(10),
            amqp_tls: false,
            amqp_ca_cert: None,
            amqp_client_cert: None,
            amqp_client_key: None,
            scan_scope_allow: Scope::default(),
            scan_scope_deny: Scope::default(),
            whois_servers: WhoisServers::default(),
            nmap_program: PathBuf::from("nmap"),
            nmap_max_scans: MAX_SCANS,
            snmp_session_key: None,
            discovery_site: Site::default(),
            discovery_data_dir: PathBuf::from(".data"),
            log_format: LogFormat::default(),
            rust_log: LogFilter::default(),
            otel_exporter_otlp_endpoint: None,
            otel_service_name: None,
        }
    }
}

/// Scans at a time: each takes some 20 MiB, and several at once hide losses from each other.
const MAX_SCANS: NonZeroU16 = match NonZeroU16::new(4) {
    Some(most) => most,
    None => NonZeroU16::MIN,
};

/// A limit that is given in this file.
const fn limit(most: u32) -> NonZeroU32 {
    match NonZeroU32::new(most) {
        Some(most) => most,
        None => NonZeroU32::MIN,
    }
}
