//! Without nmap, and without raw sockets.

use std::fs;
use std::path::Path;

use rustix::thread::{CapabilitySet, capabilities, clear_ambient_capability_set};
use serde_json::json;
use testkit::namespaces::{lab, lab_with, nested, run, stage};

use crate::call::{done, error, structured, worker, worker_with};
use crate::network::far_with_services;

#[tokio::test]
async fn without_nmap_every_tool_says_what_to_install() {
    let worker = worker_with(Path::new("nmap-that-is-not-there"));
    worker.check().unwrap();
    let descriptors = worker.descriptors();
    assert_eq!(descriptors.len(), 5);
    for tool in descriptors {
        let description = tool.description.unwrap();
        assert!(description.starts_with("UNAVAILABLE"), "{description}");
        let call = worker
            .call_for_test(&tool.name, json!({ "target": "127.0.0.1" }))
            .await;
        let refused = error(&call);
        assert_eq!(
            (&refused["code"], &refused["retryable"]),
            (&json!("unsupported"), &json!(false))
        );
        assert!(
            refused["message"]
                .as_str()
                .unwrap()
                .contains("nmap-that-is-not-there")
        );
        assert!(
            refused["hint"]
                .as_str()
                .unwrap()
                .contains("apt-get install nmap")
        );
    }
}

#[test]
fn without_raw_sockets_syn_and_udp_scans_are_announced_as_unavailable_and_the_others_work() {
    lab_with(&["setpriv", "--bounding-set=-net_raw"], async || {
        let _services = far_with_services().await;
        let worker = worker();
        for tool in worker.descriptors() {
            let description = tool.description.unwrap();
            let needs_it = ["nmap_tcp_syn_scan", "nmap_udp_scan"].contains(&tool.name.as_str());
            assert_eq!(
                description.starts_with("UNAVAILABLE"),
                needs_it,
                "{}: {description}",
                tool.name
            );
            if needs_it {
                assert!(description.contains("NET_RAW"), "{description}");
            }
        }
        for (tool, ports) in [
            ("nmap_tcp_syn_scan", "22"),
            ("nmap_udp_scan", "7"),
            ("nmap_version_scan", "U:7"),
            ("nmap_ping_scan", "U:7"),
        ] {
            let arguments = json!({ "target": "10.1.0.2", "ports": ports });
            let refused = error(&worker.call_for_test(tool, arguments).await);
            assert_eq!(refused["code"], "permission_denied", "{tool}");
            for part in ["message", "hint"] {
                assert!(
                    refused[part].as_str().unwrap().contains("NET_RAW"),
                    "{refused:#}"
                );
            }
        }
        let target = json!({ "target": "10.1.0.2", "ports": "22" });
        for tool in ["nmap_tcp_connect_scan", "nmap_version_scan"] {
            let result = structured(&worker.call_for_test(tool, target.clone()).await);
            assert_eq!(
                result["hosts"][0]["ports"][0]["state"], "open",
                "{tool}: {result:#}"
            );
        }
        let result = structured(&worker.call_for_test("nmap_ping_scan", target).await);
        assert_eq!(result["stats"]["up"], 1);
    });
}

/// In a network of its own, which the program has up and no other rights in but raw sockets,
/// as somebody who is not root.
const NOT_ROOT: &str = "ip link set lo up && exec setpriv --inh-caps=-all,+net_raw \
                        --ambient-caps=-all,+net_raw \"$@\"";

/// A line of `/proc/.../status`, as a number.
fn set_in(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    u64::from_str_radix(line.unwrap().trim(), 16).unwrap()
}

#[test]
fn a_worker_that_is_not_root_lends_its_raw_sockets_to_nmap_and_to_nothing_else() {
    let is_worker = stage().as_deref() == Some("worker");
    if is_worker {
        // As a program has it from its file: held, and not handed on. Threads that begin later
        // are the same.
        clear_ambient_capability_set().unwrap();
    }
    lab(async || {
        if !is_worker {
            let test = "privileges::a_worker_that_is_not_root_lends_its_raw_sockets_to_nmap_and_to_nothing_else";
            let user = [
                "unshare",
                "--user",
                "--map-user=1000",
                "--map-group=1000",
                "--keep-caps",
            ];
            let network = ["--net", "sh", "-c", NOT_ROOT, "sh"];
            nested(test, &[&user[..], &network].concat(), "worker");
            return;
        }
        assert!(!rustix::process::geteuid().is_root());
        assert_eq!(
            capabilities(None).unwrap().permitted,
            CapabilitySet::NET_RAW
        );
        let arguments = json!({ "target": "127.0.0.1", "ports": "9", "reason": true });
        for _ in 0..3 {
            let result = done("nmap_tcp_syn_scan", arguments.clone()).await;
            let port = &result["hosts"][0]["ports"][0];
            assert_eq!(
                (&port["state"], &port["reason"]),
                (&json!("closed"), &json!("reset"))
            );
        }
        // The first thread, which the test framework waits in, has what the program was given.
        let others = fs::read_dir("/proc/self/task").unwrap().flatten();
        let others = others.filter(|it| it.file_name() != *std::process::id().to_string());
        for thread in others {
            let status = fs::read_to_string(thread.path().join("status")).unwrap();
            assert_eq!(set_in(&status, "CapAmb:"), 0, "{status}");
        }
        let child = run(&["cat", "/proc/self/status"]);
        assert_eq!(
            (set_in(&child, "CapPrm:"), set_in(&child, "CapEff:")),
            (0, 0),
            "{child}"
        );
    });
}

#[test]
fn rights_in_a_namespace_that_is_not_the_networks_are_none() {
    lab(async || {
        if stage().as_deref() == Some("lab") {
            // Root of a user namespace of its own, in the network of another one.
            let test = "privileges::rights_in_a_namespace_that_is_not_the_networks_are_none";
            nested(test, &["unshare", "--user", "--map-root-user"], "worker");
            return;
        }
        let own = capabilities(None).unwrap();
        assert!(own.effective.contains(CapabilitySet::NET_RAW));
        let call = worker()
            .call_for_test("nmap_tcp_syn_scan", json!({ "target": "127.0.0.1" }))
            .await;
        let refused = error(&call);
        assert_eq!(refused["code"], "permission_denied");
        let message = refused["message"].as_str().unwrap();
        assert!(message.contains("a raw socket is refused"), "{message}");
    });
}

#[test]
fn a_host_that_answers_no_probes_is_scanned_on_request() {
    lab(async || {
        let arguments = json!({ "target": "127.0.0.1", "ports": "9", "skip_discovery": true });
        let result = done("nmap_tcp_connect_scan", arguments).await;
        assert_eq!(result["hosts"][0]["ports"][0]["state"], "closed");
    });
}
