//! Which test sees which setting.

use std::{collections::BTreeSet, fs, path::Path};

/// A setting, and the tests that see its effect: file below `crates` and function.
type Seen = (&'static str, &'static [(&'static str, &'static str)]);

const BROKER: &str = "standalone/tests/it/settings/broker.rs";
const CONNECTION: &str = "standalone/tests/it/settings/connection.rs";
const LIMITS: &str = "gateway/tests/it/limits.rs";
const MESSAGES: &str = "standalone/tests/it/settings/messages.rs";
const NAMES: &str = "standalone/tests/it/settings/names.rs";
const NO_WORKER: &str = "standalone/tests/it/no_worker.rs";
const OWN_BROKER: &str = "standalone/tests/it/settings/own_broker.rs";
const LOADING: &str = "service/src/settings/load/tests.rs";
const SERVICE: &str = "service/tests/it/process.rs";
const TELEMETRY: &str = "standalone/tests/it/telemetry.rs";
const TIME_TO_LIVE: &str = "standalone/tests/it/settings/time_to_live.rs";
const TLS: &str = "standalone/tests/it/settings/tls.rs";
const TOOLS: &str = "standalone/tests/it/settings/tools.rs";
const TRANSPORTS: &str = "standalone/tests/it/settings/transports.rs";
const WEB: &str = "standalone/tests/it/settings/web.rs";

#[rustfmt::skip]
const SEEN: &[Seen] = &[
    ("TRANSPORT_MODE", &[
        (TRANSPORTS, "each_mode_opens_its_ways_in_and_no_others"),
        (TRANSPORTS, "the_way_in_that_does_not_exist_yet_is_named"),
    ]),
    ("HTTP_HOST", &[(WEB, "http_is_served_at_the_host_that_is_set_and_nowhere_else")]),
    ("HTTP_PORT", &[(WEB, "http_is_served_on_the_port_that_is_set"), (WEB, "a_port_that_is_taken_gives_69_and_the_setting_to_change")]),
    ("HTTP_ALLOWED_HOSTS", &[(WEB, "further_hosts_and_origins_are_accepted_once_they_are_listed")]),
    ("HTTP_ALLOWED_ORIGINS", &[(WEB, "further_hosts_and_origins_are_accepted_once_they_are_listed")]),
    ("SESSION_KEY", &[(LOADING, "session_keys_are_a_list_and_are_never_shown")]),
    ("MCP_SESSION_TTL_MS", &[(LOADING, "a_session_that_would_live_too_long_is_refused")]),
    ("HEALTH_PORT", &[(WEB, "a_worker_tells_its_health_where_it_is_set_and_nowhere_else")]),
    ("HEALTH_HOST", &[(WEB, "a_worker_tells_its_health_where_it_is_set_and_nowhere_else")]),
    ("AMQP_URL", &[
        (BROKER, "without_an_address_gateway_and_worker_look_on_this_host"),
        ("cli/tests/it/rabbitmq.rs", "the_platform_uses_the_broker_and_serves_others_on_it"),
        ("bus/tests/it/nodes.rs", "connections_go_to_the_node_that_serves"),
    ]),
    ("AMQP_USERNAME", &[(BROKER, "user_and_password_take_the_place_of_those_in_the_address")]),
    ("AMQP_PASSWORD", &[(BROKER, "user_and_password_take_the_place_of_those_in_the_address")]),
    ("AMQP_QUEUE_PREFIX", &[(NAMES, "sites_with_different_prefixes_share_a_broker_and_nothing_else")]),
    ("AMQP_EXCHANGE", &[(NAMES, "the_exchange_for_events_is_called_as_it_is_set")]),
    ("AMQP_CALL_ROUTING", &[(NAMES, "calls_pass_the_exchange_where_an_operator_may_listen_only_if_it_is_set")]),
    ("AMQP_LOAD_BALANCE", &[(BROKER, "a_broker_shares_calls_in_one_way_only")]),
    ("AMQP_WORKERS", &[(BROKER, "the_broker_knows_so_many_consumers_with_so_much_prefetch")]),
    ("AMQP_PREFETCH_COUNT", &[(BROKER, "the_broker_knows_so_many_consumers_with_so_much_prefetch")]),
    ("WHEN_NO_WORKER", &[(NO_WORKER, "category_that_is_set_to_queue_waits_for_a_worker_that_starts_later")]),
    ("MAX_CALLS_PER_CATEGORY", &[(LIMITS, "a_flooded_category_is_refused_at_once_while_another_is_answered_at_once")]),
    ("MAX_CALLS_PER_CLIENT", &[(LIMITS, "one_client_cannot_take_everything")]),
    ("AMQP_MAX_MESSAGE_SIZE", &[(MESSAGES, "a_call_that_is_larger_than_a_message_may_be_is_refused_with_its_size")]),
    ("AMQP_COMPRESSION_THRESHOLD", &[(MESSAGES, "requests_above_the_threshold_are_compressed")]),
    ("AMQP_MESSAGE_TTL", &[(TIME_TO_LIVE, "a_queued_call_expires_at_the_broker")]),
    ("AMQP_QUEUE_TTL", &[(TIME_TO_LIVE, "reply_queues_expire_and_work_queues_never")]),
    ("AMQP_CONNECTION_TIMEOUT", &[(CONNECTION, "a_broker_that_never_answers_is_given_up_in_time")]),
    ("AMQP_HEARTBEAT_INTERVAL", &[
        (CONNECTION, "the_broker_agrees_on_the_heartbeat"),
        (OWN_BROKER, "a_frozen_broker_is_noticed_after_two_heartbeats"),
    ]),
    ("AMQP_RECONNECT_DELAY", &[(CONNECTION, "attempts_are_so_many_and_so_far_apart")]),
    ("AMQP_MAX_RECONNECT_ATTEMPTS", &[
        (CONNECTION, "attempts_are_so_many_and_so_far_apart"),
        (OWN_BROKER, "processes_give_up_on_a_broker_that_stays_away"),
    ]),
    ("AMQP_CONNECTION_POOL_SIZE", &[(CONNECTION, "so_many_connections_publish")]),
    ("AMQP_TLS", &[(OWN_BROKER, "calls_go_through_tls_with_client_certificates")]),
    ("AMQP_CA_CERT", &[
        (OWN_BROKER, "calls_go_through_tls_with_client_certificates"),
        (TLS, "a_broker_that_cannot_show_who_it_is_gets_no_connection"),
    ]),
    ("AMQP_CLIENT_CERT", &[(OWN_BROKER, "calls_go_through_tls_with_client_certificates")]),
    ("AMQP_CLIENT_KEY", &[(OWN_BROKER, "calls_go_through_tls_with_client_certificates"), (TLS, "files_that_cannot_be_used_are_named")]),
    ("SCAN_SCOPE_ALLOW", &[(TOOLS, "the_scan_scope_is_what_is_allowed_without_what_is_denied")]),
    ("SCAN_SCOPE_DENY", &[(TOOLS, "the_scan_scope_is_what_is_allowed_without_what_is_denied")]),
    ("WHOIS_SERVERS", &[(TOOLS, "whois_asks_the_servers_that_are_set")]),
    ("SNMP_SESSION_KEY", &[("worker-snmp/tests/it/sessions.rs", "a_session_made_at_one_worker_is_used_at_another_with_the_same_key")]),
    ("NMAP_PROGRAM", &[(TOOLS, "nmap_is_the_program_that_is_set")]),
    ("NMAP_MAX_SCANS", &[(TOOLS, "nmap_runs_as_often_at_a_time_as_is_set")]),
    ("DISCOVERY_SITE", &[(TOOLS, "the_site_is_in_results"), (NAMES, "the_site_is_announced")]),
    // Nothing is kept yet, and the page says so.
    ("DISCOVERY_DATA_DIR", &[(TOOLS, "nothing_is_kept_yet_and_the_documentation_says_so")]),
    ("LOG_FORMAT", &[(TELEMETRY, "the_log_in_json_is_one_object_per_line_on_standard_error")]),
    ("RUST_LOG", &[(SERVICE, "the_filter_decides_what_is_logged")]),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", &[(TELEMETRY, "a_call_is_one_trace_from_the_client_through_gateway_and_broker_to_the_worker")]),
    ("OTEL_SERVICE_NAME", &[(TELEMETRY, "the_last_spans_are_exported_before_a_process_ends")]),
];

/// The settings that the page has a row for.
pub(super) fn documented() -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let page = fs::read_to_string(path).unwrap();
    let variable = |line: &str| {
        let cell = line.strip_prefix("| `")?.split_once("` |")?.0;
        Some(cell.to_owned())
    };
    page.lines().filter_map(variable).collect()
}

#[test]
fn every_documented_setting_has_a_test_that_sees_its_effect() {
    let seen: BTreeSet<String> = SEEN.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(
        documented(),
        seen,
        "left: docs/configuration.md; right: this list"
    );
    for (setting, tests) in SEEN {
        assert!(!tests.is_empty(), "{setting} has no test");
        for (file, test) in *tests {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
            let text = fs::read_to_string(path).unwrap_or_default();
            let is_there = text.contains(&format!("fn {test}("));
            assert!(is_there, "{setting}: there is no test {test} in {file}");
        }
    }
}
