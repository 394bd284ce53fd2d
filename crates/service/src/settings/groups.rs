//! The settings in the order in which an operator reads about them.

/// Settings that belong together.
pub(super) struct Group {
    pub(super) title: &'static str,
    pub(super) about: &'static str,
    pub(super) keys: &'static [&'static str],
}

/// Every setting is in exactly one group, which a test checks.
pub(super) const GROUPS: &[Group] = &[
    Group {
        title: "Transports",
        about: "How MCP clients reach the gateway.",
        keys: &[
            "transport_mode",
            "http_host",
            "http_port",
            "http_allowed_hosts",
            "http_allowed_origins",
        ],
    },
    Group {
        title: "Sessions",
        about: "Clients of revisions up to 2025-11-25 begin a session with `initialize`. \
                Its identifier is sealed and says all there is to know, so every replica of the \
                gateway with the same key serves it.",
        keys: &["session_key", "mcp_session_ttl_ms"],
    },
    Group {
        title: "Health and metrics",
        about: "The gateway answers `/health`, `/ready`, `/live` and `/metrics` on its HTTP port; \
                other processes on a port of their own.",
        keys: &["health_port", "health_host"],
    },
    Group {
        title: "Broker",
        about: "Which broker, and how calls are named and shared there.",
        keys: &[
            "amqp_url",
            "amqp_username",
            "amqp_password",
            "amqp_queue_prefix",
            "amqp_exchange",
            "amqp_call_routing",
            "amqp_load_balance",
            "amqp_workers",
            "amqp_prefetch_count",
            "when_no_worker",
        ],
    },
    Group {
        title: "Limits",
        about: "How much one gateway takes on at a time, so that one category or one client does \
                not take the places of others. What is refused is answered at once with -31002 \
                and, over HTTP, with status 503 and `Retry-After`.",
        keys: &["max_calls_per_category", "max_calls_per_client"],
    },
    Group {
        title: "Messages",
        about: "What one message on the bus may be.",
        keys: &["amqp_max_message_size", "amqp_compression_threshold"],
    },
    Group {
        title: "Time to live",
        about: "What the broker forgets, and when.",
        keys: &["amqp_message_ttl", "amqp_queue_ttl"],
    },
    Group {
        title: "Connection",
        about: "How a process keeps its connection to the broker.",
        keys: &[
            "amqp_connection_timeout",
            "amqp_heartbeat_interval",
            "amqp_reconnect_delay",
            "amqp_max_reconnect_attempts",
            "amqp_connection_pool_size",
        ],
    },
    Group {
        title: "TLS",
        about: "Encryption between a process and the broker.",
        keys: &[
            "amqp_tls",
            "amqp_ca_cert",
            "amqp_client_cert",
            "amqp_client_key",
        ],
    },
    Group {
        title: "Scan scope",
        about: "Which targets the tools of a worker may reach. Denied wins over allowed.",
        keys: &["scan_scope_allow", "scan_scope_deny"],
    },
    Group {
        title: "Tools",
        about: "Settings of single tools.",
        keys: &[
            "whois_servers",
            "nmap_program",
            "nmap_max_scans",
            "snmp_session_key",
        ],
    },
    Group {
        title: "Site and storage",
        about: "What this installation is called and where it keeps its data.",
        keys: &["discovery_site", "discovery_data_dir"],
    },
    Group {
        title: "Telemetry",
        about: "Log and traces. The OpenTelemetry variables for headers \
                (`OTEL_EXPORTER_OTLP_HEADERS`), sampling (`OTEL_TRACES_SAMPLER`) and batches \
                (`OTEL_BSP_…`) work as its specification says, in the environment only.",
        keys: &[
            "log_format",
            "rust_log",
            "otel_exporter_otlp_endpoint",
            "otel_service_name",
        ],
    },
];

/// Every key, in order.
pub(super) fn keys() -> impl Iterator<Item = &'static str> {
    GROUPS.iter().flat_map(|group| group.keys.iter().copied())
}
