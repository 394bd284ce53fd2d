//! What is refused before any process is started.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::namespaces::{hosts, lab};

use crate::call::{error, worker_with};

const TOOLS: [&str; 5] = [
    "nmap_ping_scan",
    "nmap_tcp_connect_scan",
    "nmap_tcp_syn_scan",
    "nmap_udp_scan",
    "nmap_version_scan",
];

/// A program in place of nmap that leaves a mark when it runs.
struct Marker {
    folder: TempDir,
}

impl Marker {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("mark");
        let program = folder.path().join("nmap");
        fs::write(
            &program,
            format!("#!/bin/sh\necho \"$@\" >> {}\n", mark.display()),
        )
        .unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        Self { folder }
    }

    fn program(&self) -> PathBuf {
        self.folder.path().join("nmap")
    }

    fn has_run(&self) -> bool {
        self.folder.path().join("mark").exists()
    }
}

/// Every tool refuses the arguments with this code and word, and starts nothing.
async fn check_all(tools: &[&str], rows: &[(Value, &str, &str)]) {
    let marker = Marker::new();
    let worker = worker_with(&marker.program());
    for tool in tools {
        for (arguments, code, word) in rows {
            let refused = error(&worker.call_for_test(tool, arguments.clone()).await);
            assert_eq!(refused["code"], *code, "{tool} {arguments}: {refused:#}");
            let message = refused["message"].as_str().unwrap();
            assert!(message.contains(word), "{tool} {arguments}: {message}");
            assert!(message.len() < 1000, "{tool} {arguments}: {message}");
            assert!(!marker.has_run(), "{tool} {arguments} started a process");
        }
        let good = json!({ "target": "127.0.0.1" });
        let failed = error(&worker.call_for_test(tool, good).await);
        assert_eq!(
            failed["code"], "internal",
            "a program that says nothing is no nmap"
        );
        assert!(marker.has_run(), "{tool}: a good call starts it");
        fs::remove_file(marker.folder.path().join("mark")).unwrap();
    }
}

const INVALID: &str = "invalid_arguments";
const OUTSIDE: &str = "out_of_scope";

fn target(target: impl Into<Value>) -> Value {
    json!({ "target": target.into() })
}

#[test]
fn targets_that_are_none_start_no_process() {
    lab(async || {
        let long = "a".repeat(300);
        let many: Vec<String> = (0..300).map(|n| format!("10.0.1.{n}")).collect();
        check_all(
            &TOOLS,
            &[
                (json!({}), INVALID, "target"),
                (target("-iL/etc/passwd"), INVALID, "hyphen"),
                (target("-iL"), INVALID, "hyphen"),
                (target("-oN"), INVALID, "hyphen"),
                (target("-oN/tmp/x"), INVALID, "hyphen"),
                (target("--script=x"), INVALID, "hyphen"),
                (target("1.2.3.4,5"), INVALID, "character"),
                (target("192.168.1.1,2"), INVALID, "character"),
                (target("192.168.1.1-20"), INVALID, "label"),
                (target("192.168.1.*"), INVALID, "ildcard"),
                (target("192.168.*.0/24"), INVALID, "CIDR"),
                (target("10.0.0.1 10.0.0.2"), INVALID, "character"),
                (target(" 10.0.0.1"), INVALID, "character"),
                (target("10.0.0.1\n-oN"), INVALID, "character"),
                (target("10.0.0.1\n-oN/tmp/x"), INVALID, "CIDR"),
                (target("10.0.0.1;id"), INVALID, "character"),
                (target("$(id)"), INVALID, "character"),
                (target("10.0.0.0/33"), INVALID, "CIDR"),
                (target("10.0.0.7/24"), INVALID, "10.0.0.0/24"),
                (target("0x7f000001"), INVALID, "number"),
                (target("127.1"), INVALID, "number"),
                (target("fe80::1%lo"), INVALID, "IPv6"),
                (target("bücher.example"), INVALID, "ASCII"),
                (target(""), INVALID, "target"),
                (target(long), INVALID, "target"),
                (target(7), INVALID, "target"),
                (target(json!([])), INVALID, "target"),
                (target(json!([["10.0.0.1"]])), INVALID, "target"),
                (target(json!(["10.0.0.1", "-oN/tmp/x"])), INVALID, "hyphen"),
                (target(many), INVALID, "target"),
                (target("10.0.0.0/15"), INVALID, "131072"),
                (target("fd00::/64"), INVALID, "65536"),
                (target("fe80::1"), "unsupported", "link-local"),
            ],
        )
        .await;
    });
}

#[test]
fn targets_outside_the_scope_start_no_process() {
    lab(async || {
        hosts("8.8.8.8 outside.lab\n169.254.169.254 metadata.lab\n127.0.0.1 localhost\n");
        check_all(
            &TOOLS,
            &[
                (target("8.8.8.8"), OUTSIDE, "SCAN_SCOPE_ALLOW"),
                (target("8.8.8.0/24"), OUTSIDE, "8.8.8.0/24"),
                (target("outside.lab"), OUTSIDE, "8.8.8.8"),
                (target("metadata.lab"), OUTSIDE, "metadata"),
                (
                    target(json!(["127.0.0.1", "outside.lab"])),
                    OUTSIDE,
                    "8.8.8.8",
                ),
                (target("169.254.169.254"), OUTSIDE, "metadata"),
                (target("::ffff:8.8.8.8"), OUTSIDE, "SCAN_SCOPE_ALLOW"),
                (target("64:ff9b::808:808"), OUTSIDE, "SCAN_SCOPE_ALLOW"),
                (target("224.0.0.0/28"), OUTSIDE, "multicast"),
                (target("255.255.255.255"), OUTSIDE, "broadcast"),
                (target("0.0.0.0"), OUTSIDE, "unspecified"),
                (target("2001:db8::/120"), OUTSIDE, "SCAN_SCOPE_ALLOW"),
                (
                    target("nobody.invalid"),
                    "name_not_resolved",
                    "nobody.invalid",
                ),
            ],
        )
        .await;
    });
}

#[test]
fn other_arguments_that_are_wrong_start_no_process() {
    lab(async || {
        let with = |name: &str, value: Value| json!({ "target": "127.0.0.1", name: value });
        check_all(
            &TOOLS,
            &[
                (
                    with("timing_template", json!(6)),
                    INVALID,
                    "timing_template",
                ),
                (
                    with("timing_template", json!("4")),
                    INVALID,
                    "timing_template",
                ),
                (
                    with("timing_template", json!(-1)),
                    INVALID,
                    "timing_template",
                ),
                (with("reason", json!("yes")), INVALID, "reason"),
                (with("limit", json!(0)), INVALID, "limit"),
                (with("limit", json!(1001)), INVALID, "limit"),
                (with("cursor", json!("5")), INVALID, "cursor"),
                (
                    with("response_format", json!("xml")),
                    INVALID,
                    "response_format",
                ),
                (with("scripts", json!("vuln")), INVALID, "unknown argument"),
                (with("ports", json!("80;id")), INVALID, "ports"),
                (with("ports", json!("-oN/tmp/x")), INVALID, "ports"),
                (with("ports", json!("http*")), INVALID, "ports"),
                (with("ports", json!("0")), INVALID, "ports"),
                (with("ports", json!("70000")), INVALID, "ports"),
                (with("ports", json!("90-80")), INVALID, "ports"),
                (with("ports", json!("80, 443")), INVALID, "ports"),
                (with("ports", json!(80)), INVALID, "ports"),
            ],
        )
        .await;
    });
}

#[test]
fn arguments_that_contradict_each_other_start_no_process() {
    lab(async || {
        let with = |name: &str, value: Value| json!({ "target": "127.0.0.1", name: value });
        let both =
            |name: &str, value: Value| json!({ "target": "127.0.0.1", "ports": "80", name: value });
        check_all(
            &["nmap_tcp_syn_scan"],
            &[
                (both("fast_scan", json!(true)), INVALID, "exclude"),
                (with("ports", json!("U:53")), INVALID, "UDP"),
            ],
        )
        .await;
        check_all(
            &["nmap_ping_scan"],
            &[
                (with("ports", json!("-")), INVALID, "at most 100"),
                (with("ports", json!("1-50,U:1-51")), INVALID, "101 ports"),
            ],
        )
        .await;
        check_all(
            &["nmap_udp_scan"],
            &[
                (both("top_ports", json!(5)), INVALID, "exclude"),
                (with("top_ports", json!(0)), INVALID, "top_ports"),
                (with("ports", json!("T:53")), INVALID, "TCP"),
            ],
        )
        .await;
        let intensity = json!({ "target": "127.0.0.1", "intensity": 3, "light_mode": true });
        check_all(
            &["nmap_version_scan"],
            &[
                (intensity, INVALID, "exclude"),
                (with("intensity", json!(10)), INVALID, "intensity"),
            ],
        )
        .await;
    });
}
