use std::fs;

use super::*;
use crate::settings::{NoWorker, Transport};

/// Reads `toml` from a file, if there is any, with `environment` on top.
fn load(toml: &str, environment: &[(&str, &str)]) -> Result<Loaded, Error> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("site.toml");
    fs::write(&path, toml).unwrap();
    Settings::from_sources(Some(&path), environment.iter().copied())
}

fn error(toml: &str, environment: &[(&str, &str)]) -> String {
    load(toml, environment).unwrap_err().to_string()
}

#[test]
fn nothing_set_gives_the_defaults() {
    let loaded = Settings::from_sources(None, [("HOME", "/root"), ("PATH", "/bin")]).unwrap();
    assert_eq!(loaded, Loaded::default());
}

#[test]
fn the_environment_wins_over_the_file_and_the_file_over_the_default() {
    let loaded = load(
        "http_port = 4000\namqp_workers = 2",
        &[("HTTP_PORT", "5000")],
    )
    .unwrap();
    assert_eq!(loaded.settings.http_port, 5000);
    assert_eq!(loaded.settings.amqp_workers.get(), 2);
    assert_eq!(loaded.settings.amqp_heartbeat_interval.get().as_secs(), 10);
    assert_eq!(
        loaded.origin("http_port"),
        &Origin::Environment("HTTP_PORT".to_owned())
    );
    assert!(
        matches!(loaded.origin("amqp_workers"), Origin::File(path) if path.ends_with("site.toml"))
    );
    assert_eq!(loaded.origin("http_host"), &Origin::Default);
}

#[test]
fn the_file_may_use_arrays_and_tables_where_the_environment_has_lists() {
    let toml = r#"
        transport_mode = ["stdio", "http"]
        scan_scope_deny = ["10.0.0.0/8", "*.example.com"]
        when_no_worker = { nmap = "queue" }
        amqp_tls = true
    "#;
    let settings = load(toml, &[]).unwrap().settings;
    assert!(settings.transport_mode.contains(Transport::Stdio));
    assert_eq!(settings.scan_scope_deny.len(), 2);
    assert_eq!(settings.when_no_worker.of("nmap"), NoWorker::Queue);
    assert!(settings.amqp_tls);
}

#[test]
fn an_empty_variable_counts_as_not_set() {
    let loaded = load(
        "amqp_workers = 2",
        &[("AMQP_WORKERS", ""), ("AMQP_URL", "")],
    )
    .unwrap();
    assert_eq!(loaded.settings.amqp_workers.get(), 2);
    assert_eq!(loaded.settings.amqp_url, None);
}

#[test]
fn a_malformed_variable_is_named_with_its_value_and_what_is_allowed() {
    let error = error("", &[("HTTP_PORT", "http")]);
    assert!(
        error.starts_with("HTTP_PORT = `http` (environment variable HTTP_PORT)"),
        "{error}"
    );
    assert!(error.contains("whole number from 0 to 65535"), "{error}");
}

#[test]
fn a_malformed_value_of_the_file_is_named_with_the_file() {
    let error = error("amqp_reconnect_delay = \"soon\"", &[]);
    assert!(
        error.starts_with("amqp_reconnect_delay = `soon` (file "),
        "{error}"
    );
    assert!(
        error.contains("site.toml") && error.contains("`ms`"),
        "{error}"
    );
}

#[test]
fn an_unknown_key_of_the_file_is_refused_with_a_suggestion() {
    for (toml, nearest) in [
        ("amqp_ulr = 'x'", "`amqp_url`"),
        ("HTTP_PORT = 3000", "`http_port`"),
        ("[scan_scope]\nallow = []", "docs/configuration.md"),
        ("\"a.b[0]\" = 1", "docs/configuration.md"),
    ] {
        let error = error(toml, &[]);
        assert!(
            error.contains("unknown key") && error.contains(nearest),
            "{error}"
        );
    }
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let error = error(
        "colour = 1\namqp_workers = 0",
        &[("LOG_FORMAT", "xml"), ("SCAN_SCOPE_ALLOW", "10.0.0.1/8")],
    );
    assert!(error.starts_with("4 settings are not valid\n"), "{error}");
    for key in [
        "colour",
        "amqp_workers = `0`",
        "LOG_FORMAT = `xml`",
        "SCAN_SCOPE_ALLOW",
    ] {
        assert!(error.contains(key), "{error}");
    }
}

#[test]
fn a_number_is_not_rounded_and_a_word_is_not_a_number() {
    for toml in [
        "http_port = 3000.5",
        "http_port = true",
        "http_port = 65536",
        "http_port = -1",
        "amqp_tls = 1",
        "amqp_tls = 'yes'",
        "http_port = []",
        "http_port = {}",
    ] {
        assert!(load(toml, &[]).is_err(), "{toml}");
    }
}

#[test]
fn no_error_shows_a_secret() {
    for (toml, environment) in [
        ("", vec![("AMQP_URL", "ampq://user:hunter2@broker")]),
        ("amqp_url = \"amqp://u:hunter2@\"", vec![]),
        ("amqp_password = \"hunter2", vec![]),
        ("amqp_password = hunter2", vec![]),
        ("amqp_password = { key = \"hunter2,\" }", vec![]),
        ("session_key = [\"hunter2,\"]", vec![]),
        ("session_key = \"hunter2\"", vec![]),
        ("session_key = { hunter2 = \"=hunter2,\" }", vec![]),
        (
            "",
            vec![("OTEL_EXPORTER_OTLP_ENDPOINT", "http://u:hunter2@collector")],
        ),
    ] {
        let error = load(toml, &environment).unwrap_err();
        let printed = format!("{error} {error:?}");
        assert!(!printed.contains("hunter2"), "{printed}");
    }
}

#[test]
fn a_file_that_is_not_toml_is_refused_with_the_position() {
    let error = error("http_port = 1\nhttp_port 2", &[]);
    assert!(
        error.contains("line 2") && error.contains("site.toml"),
        "{error}"
    );
}

#[test]
fn a_named_file_must_exist() {
    let missing = Path::new("/nonexistent/discovery.toml");
    let error = Settings::from_sources(Some(missing), [("HOME", "/")]).unwrap_err();
    assert!(
        error.to_string().contains("/nonexistent/discovery.toml"),
        "{error}"
    );
}

#[test]
fn a_variable_that_looks_like_a_setting_is_a_warning_with_a_suggestion() {
    let loaded = load(
        "",
        &[
            ("AMQP_PREFECH_COUNT", "3"),
            ("AMQP_SERVICE_HOST", "10.0.0.1"),
            ("NMAP_MAX_SCAN", "1"),
            ("SESSION_KEYS", "hunter2"),
            ("SNMP_SESSION_KEYS", "hunter2"),
            ("DISCOVERY_CONFIG", "x"),
            ("amqp_workers", "0"),
            ("OTHER", ""),
        ],
    );
    let warnings: Vec<String> = loaded
        .unwrap()
        .warnings
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        warnings,
        [
            "environment variable AMQP_PREFECH_COUNT is not a setting; AMQP_PREFETCH_COUNT has a similar name",
            "environment variable AMQP_SERVICE_HOST is not a setting",
            "environment variable NMAP_MAX_SCAN is not a setting; NMAP_MAX_SCANS has a similar name",
            "environment variable SESSION_KEYS is not a setting; SESSION_KEY has a similar name",
            "environment variable SNMP_SESSION_KEYS is not a setting; SNMP_SESSION_KEY has a similar name",
        ]
    );
}

#[test]
fn a_session_without_settings_has_no_key_and_half_an_hour() {
    let settings = load("", &[("SESSION_KEY", "")]).unwrap().settings;
    assert_eq!(settings.session_key, None);
    assert_eq!(settings.mcp_session_ttl_ms.get().as_secs(), 1800);
}

#[test]
fn session_keys_are_a_list_and_are_never_shown() {
    let key = "5e".repeat(32);
    let loaded = load(&format!("session_key = ['{key}', '{key}']"), &[]).unwrap();
    let keys = loaded.settings.session_key.as_ref().unwrap();
    assert_eq!(keys.expose(), format!("{key},{key}"));
    let entries = loaded.entries();
    let shown = format!("{loaded:?} {entries:?}");
    assert!(!shown.contains("5e5e"), "{shown}");
    let entry = entries.iter().find(|it| it.variable == "SESSION_KEY");
    assert_eq!(entry.unwrap().value.as_deref(), Some("***"));
}

#[test]
fn a_session_that_would_live_too_long_is_refused() {
    let error = error("", &[("MCP_SESSION_TTL_MS", "86400001")]);
    assert!(
        error.contains("24 h at most") && error.contains("1000 to 86400000 milliseconds"),
        "{error}"
    );
    let loaded = load("mcp_session_ttl_ms = 1000", &[]).unwrap();
    assert_eq!(loaded.settings.mcp_session_ttl_ms.get().as_secs(), 1);
}

#[test]
fn a_client_certificate_needs_its_key() {
    let error = error("", &[("AMQP_CLIENT_CERT", "/c.pem")]);
    assert!(error.contains("AMQP_CLIENT_KEY is missing"), "{error}");
    assert!(load("", &[("AMQP_CLIENT_CERT", "/c"), ("AMQP_CLIENT_KEY", "/k")]).is_ok());
}

#[test]
fn entries_show_value_and_origin_and_no_secret() {
    let loaded = load(
        "http_port = 4000",
        &[
            ("AMQP_URL", "amqp://user:hunter2@broker"),
            ("AMQP_PASSWORD", "hunter2"),
        ],
    );
    let entries = loaded.unwrap().entries();
    let check = |variable: &str, expected: Option<&str>| {
        let entry = entries
            .iter()
            .find(|entry| entry.variable == variable)
            .unwrap();
        assert_eq!(entry.value.as_deref(), expected);
    };
    check("HTTP_PORT", Some("4000"));
    check("AMQP_URL", Some("amqp://user:***@broker"));
    check("AMQP_PASSWORD", Some("***"));
    check("AMQP_RECONNECT_DELAY", Some("100ms"));
    check("AMQP_QUEUE_TTL", None);
}
