//! Large targets: parts, pages, limits.

use serde_json::{Value, json};
use testkit::namespaces::{far_side, lab};

use crate::call::{addresses, done, error, worker};
use crate::network::{crowd, far_with_services};

#[test]
fn the_pages_together_are_the_whole_network() {
    lab(async || {
        far_side();
        crowd();
        let mut seen: Vec<String> = Vec::new();
        let mut arguments = json!({ "target": "10.2.4.0/22", "limit": 400, "timing_template": 5 });
        let mut total = 0;
        loop {
            let page = done("nmap_ping_scan", arguments.clone()).await;
            let hosts = addresses(&page);
            assert!(hosts.len() <= 400);
            seen.extend(hosts.iter().map(ToString::to_string));
            total += page["stats"]["total"].as_u64().unwrap();
            assert_eq!(page["truncated"], page.get("nextCursor").is_some());
            let Some(cursor) = page.get("nextCursor") else {
                break;
            };
            assert_eq!((hosts.len(), &page["truncated_by"]), (400, &json!("limit")));
            arguments["cursor"] = cursor.clone();
        }
        let expected: Vec<String> = (0..1024)
            .map(|n| format!("10.2.{}.{}", 4 + n / 256, n % 256))
            .collect();
        assert_eq!(seen, expected);
        assert_eq!(total, 1024);
    });
}

#[test]
fn several_targets_are_one_set_of_addresses() {
    lab(async || {
        let _services = far_with_services().await;
        let target = json!([
            "fd01::2",
            "10.1.0.0/31",
            "10.1.0.2",
            "10.1.0.1/32",
            "::ffff:10.1.0.2"
        ]);
        let result = done(
            "nmap_tcp_connect_scan",
            json!({ "target": target, "ports": "22" }),
        )
        .await;
        assert_eq!(addresses(&result), ["10.1.0.1", "10.1.0.2", "fd01::2"]);
        assert_eq!(result["stats"]["total"], 4);
        assert_eq!(result["stats"]["down"], 1);
    });
}

#[test]
fn a_cursor_of_other_targets_is_refused() {
    lab(async || {
        let worker = worker();
        for cursor in ["from-10.0.0.1", "from-", "x"] {
            let arguments = json!({ "target": "127.0.0.1", "cursor": cursor });
            let refused = error(&worker.call_for_test("nmap_ping_scan", arguments).await);
            assert_eq!(refused["code"], "invalid_arguments", "{cursor}");
        }
    });
}

#[test]
fn an_address_without_a_route_is_unreachable_and_does_not_keep_others_from_being_scanned() {
    lab(async || {
        let _services = far_with_services().await;
        let arguments = |target: Value| json!({ "target": target, "ports": "22" });
        let worker = worker();
        let call = worker
            .call_for_test("nmap_tcp_syn_scan", arguments(json!("10.99.0.1")))
            .await;
        let refused = error(&call);
        assert_eq!(refused["code"], "unreachable");
        assert!(
            refused["message"].as_str().unwrap().contains("route"),
            "{refused:#}"
        );
        let result = done(
            "nmap_tcp_syn_scan",
            arguments(json!(["10.1.0.2", "10.99.0.1"])),
        )
        .await;
        assert_eq!(addresses(&result), ["10.1.0.2"]);
        assert_eq!(result["stats"]["skipped"], 1);
        assert!(
            result["warnings"][0]
                .as_str()
                .unwrap()
                .contains("10.99.0.1")
        );
    });
}

#[test]
fn what_cannot_fit_is_refused_with_an_estimate_and_no_scan() {
    lab(async || {
        let worker = worker();
        for (tool, arguments, words) in [
            (
                "nmap_tcp_connect_scan",
                json!({ "target": "10.0.0.0/16" }),
                [
                    "7 h",
                    "with _meta opendiscovery/timeoutMs 900000 at most 2682",
                ],
            ),
            (
                "nmap_tcp_connect_scan",
                json!({ "target": "127.0.0.1", "timing_template": 0 }),
                ["days", "timing_template 0"],
            ),
            (
                "nmap_udp_scan",
                json!({ "target": "127.0.0.1", "ports": "-" }),
                ["110 min", "65535 ports"],
            ),
            (
                "nmap_ping_scan",
                json!({ "target": "10.0.0.0/16", "ports": "1-100", "timing_template": 2 }),
                ["32 days", "103 probes"],
            ),
        ] {
            let refused = error(&worker.call_for_test(tool, arguments.clone()).await);
            assert_eq!(refused["code"], "invalid_arguments", "{arguments}");
            let said = refused.to_string();
            assert!(
                refused["message"].as_str().unwrap().contains(words[0]),
                "{said}"
            );
            assert!(said.contains(words[1]), "{said}");
            assert!(
                refused["hint"].as_str().unwrap().contains("narrow"),
                "{refused:#}"
            );
        }
    });
}
