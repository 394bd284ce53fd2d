//! Without nmap, and without raw sockets.

use std::path::Path;

use serde_json::json;
use testkit::namespaces::{lab, lab_with};

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

#[test]
fn a_host_that_answers_no_probes_is_scanned_on_request() {
    lab(async || {
        let arguments = json!({ "target": "127.0.0.1", "ports": "9", "skip_discovery": true });
        let result = done("nmap_tcp_connect_scan", arguments).await;
        assert_eq!(result["hosts"][0]["ports"][0]["state"], "closed");
    });
}
