//! Exit codes, signals and the log.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use crate::child::{PATIENCE, own_address, start};

/// Runs to the end; whatever happens, standard output stays empty.
fn check(work: &str, toml: Option<&str>, environment: &[(&str, &str)], code: i32) -> String {
    let ended = start(work, toml, environment).end();
    assert_eq!(ended.code, Some(code), "{}", ended.stderr);
    assert_eq!(ended.stdout, "");
    ended.stderr
}

#[test]
fn work_that_ends_gives_0() {
    check("end", None, &[], 0);
}

#[test]
fn a_malformed_variable_gives_64_and_names_it() {
    let stderr = check("end", None, &[("HTTP_PORT", "http")], 64);
    for part in [
        "error: HTTP_PORT = `http`",
        "from 0 to 65535",
        "fix: docs/configuration.md",
    ] {
        assert!(stderr.contains(part), "{stderr}");
    }
}

#[test]
fn an_unknown_key_of_the_file_gives_64_and_names_it() {
    let stderr = check("end", Some("amqp_ulr = 1"), &[], 64);
    for part in ["amqp_ulr", "discovery.toml", "`amqp_url`"] {
        assert!(stderr.contains(part), "{stderr}");
    }
}

#[test]
fn a_named_file_that_is_missing_gives_64() {
    let stderr = check(
        "end",
        None,
        &[("DISCOVERY_CONFIG", "/nonexistent.toml")],
        64,
    );
    assert!(stderr.contains("/nonexistent.toml"), "{stderr}");
}

#[test]
fn what_is_unavailable_gives_69_with_why_and_fix() {
    let stderr = check("unavailable", None, &[], 69);
    assert!(stderr.contains("error: connection refused"), "{stderr}");
    assert!(stderr.contains("  fix: start it"), "{stderr}");
}

#[test]
fn a_variable_that_looks_like_a_setting_is_warned_about() {
    let stderr = check("end", None, &[("AMQP_PREFECH_COUNT", "5")], 0);
    assert!(
        stderr.contains("WARN") && stderr.contains("AMQP_PREFETCH_COUNT"),
        "{stderr}"
    );
}

#[test]
fn the_first_signal_drains_and_gives_0() {
    for signal in ["TERM", "INT"] {
        let mut child = start("wait", None, &[]);
        child.wait_for("waiting");
        child.signal(signal);
        let ended = child.end();
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert!(ended.stderr.contains("stopped"), "{}", ended.stderr);
    }
}

#[test]
fn the_second_signal_stops_at_once_with_130() {
    let mut child = start("stuck", None, &[]);
    child.wait_for("waiting");
    child.signal("INT");
    child.wait_for("stopping");
    child.signal("TERM");
    assert_eq!(child.end().code, Some(130));
}

#[test]
fn the_json_log_has_one_object_per_line() {
    let stderr = check("end", None, &[("LOG_FORMAT", "json")], 0);
    assert!(!stderr.is_empty());
    for line in stderr.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        assert!(
            line["message"].is_string() && line["level"].is_string(),
            "{line}"
        );
    }
}

#[test]
fn the_filter_decides_what_is_logged() {
    assert_eq!(check("end", None, &[("RUST_LOG", "warn")], 0), "");
    assert!(check("end", Some("rust_log = 'info'"), &[], 0).contains("started"));
}

#[test]
fn the_health_port_answers_until_the_process_ends() {
    let address = own_address().to_string();
    let environment = [("HEALTH_HOST", address.as_str()), ("HEALTH_PORT", "9100")];
    let mut child = start("wait", None, &environment);
    child.wait_for("waiting");
    let ready = get(&address, "/ready");
    assert!(ready.starts_with("HTTP/1.1 200"), "{ready}");
    assert!(ready.contains(r#""work":{"status":"up""#), "{ready}");
    child.signal("TERM");
    assert_eq!(child.end().code, Some(0));
    assert!(TcpStream::connect((address.as_str(), 9100)).is_err());
}

#[test]
fn a_health_port_that_is_taken_gives_69() {
    let address = own_address().to_string();
    let _taken = std::net::TcpListener::bind((address.as_str(), 9100)).unwrap();
    let environment = [("HEALTH_HOST", address.as_str()), ("HEALTH_PORT", "9100")];
    let stderr = check("wait", None, &environment, 69);
    assert!(
        stderr.contains(&format!("cannot listen on {address}:9100")),
        "{stderr}"
    );
}

fn get(host: &str, path: &str) -> String {
    let mut stream = TcpStream::connect((host, 9100)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
