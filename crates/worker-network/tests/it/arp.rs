use serde_json::{Value, json};
use testkit::namespaces::{far_side, hosts, ip, ip_json, lab};

use crate::call::{call, done, error};

fn of_ip() -> Vec<(Value, Value, Value, Value)> {
    let entries = ip_json("neigh show").into_iter().map(|entry| {
        let state = entry["state"][0].clone();
        (
            entry["dev"].clone(),
            entry["dst"].clone(),
            entry["lladdr"].clone(),
            state,
        )
    });
    sorted(entries.collect())
}

fn of_tool(result: &Value) -> Vec<(Value, Value, Value, Value)> {
    let entries = result["neighbours"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            let field = |name: &str| entry[name].clone();
            (
                field("interface"),
                field("ip"),
                field("mac"),
                field("state"),
            )
        });
    sorted(entries.collect())
}

fn sorted(mut entries: Vec<(Value, Value, Value, Value)>) -> Vec<(Value, Value, Value, Value)> {
    entries.sort_by_key(|entry| format!("{entry:?}"));
    entries
}

/// Neighbours in every state that lasts.
fn neighbours() {
    far_side();
    for entry in [
        "10.1.0.10 lladdr 50:a6:d8:01:02:03 nud permanent",
        "10.1.0.11 lladdr 52:54:00:01:02:03 nud permanent",
        "10.1.0.12 lladdr 00:00:0c:01:02:03 nud stale",
        "10.1.0.13 nud failed",
        "10.1.0.14 lladdr 00:00:0c:01:02:04 nud noarp",
        "fd01::10 lladdr 50:a6:d8:01:02:04 nud permanent router",
        "fd01::11 lladdr 00:00:0c:01:02:05 nud stale",
    ] {
        ip(&format!("neigh add {entry} dev near"));
    }
}

#[test]
fn the_neighbours_are_those_that_ip_lists() {
    lab(async || {
        neighbours();
        let result = done("arp", json!({})).await;
        let expected = of_ip();
        assert!(expected.len() >= 6, "{expected:?}");
        assert_eq!(of_tool(&result), expected);
        assert!(result["worker_host"].is_string());
        assert_eq!(result["site"], "default");
        let all = result["neighbours"].as_array().unwrap();
        let of = |ip: &str| all.iter().find(|entry| entry["ip"] == ip).unwrap();
        assert_eq!(of("10.1.0.10")["vendor"], "Apple, Inc.");
        assert_eq!(of("10.1.0.11").get("vendor"), None, "locally administered");
        assert!(
            of("10.1.0.12")["vendor"]
                .as_str()
                .unwrap()
                .contains("Cisco")
        );
        assert_eq!(of("10.1.0.13").get("mac"), None);
        assert_eq!(of("10.1.0.13")["state"], "FAILED");
        assert_eq!(of("fd01::10")["router"], true);
        assert_eq!(of("fd01::11")["router"], false);
    });
}

#[tokio::test]
async fn the_neighbours_of_this_machine_are_listed_with_known_interfaces() {
    let result = done("arp", json!({ "limit": 1000 })).await;
    let links = ip_json("link show");
    for entry in result["neighbours"].as_array().unwrap() {
        assert!(
            links
                .iter()
                .any(|link| link["ifname"] == entry["interface"]),
            "{entry}"
        );
    }
}

#[test]
fn a_host_that_was_talked_to_is_reachable_afterwards() {
    lab(async || {
        far_side();
        for host in ["10.1.0.2", "fd01::2"] {
            let before = done("arp", json!({ "host": host })).await;
            assert_eq!(before["neighbours"], json!([]), "{host}");
            done("ping", json!({ "host": host, "count": 1 })).await;
            let after = done("arp", json!({ "host": host })).await;
            let entries = after["neighbours"].as_array().unwrap();
            assert_eq!(entries.len(), 1, "{after:#}");
            assert_eq!(entries[0]["ip"], host);
            assert_eq!(entries[0]["interface"], "near");
            assert_eq!(entries[0]["state"], "REACHABLE");
            let far = &ip_json("-netns far link show dev far")[0];
            assert_eq!(entries[0]["mac"], far["address"]);
        }
    });
}

#[test]
fn only_the_entries_of_the_host_asked_for_are_listed() {
    lab(async || {
        neighbours();
        hosts("10.1.0.12 device.example\nfd01::11 device.example\n8.8.8.8 outside.example\n");
        let ips = async |host: &str| -> Vec<Value> {
            let result = done("arp", json!({ "host": host })).await;
            let entries = result["neighbours"].as_array().unwrap();
            entries.iter().map(|entry| entry["ip"].clone()).collect()
        };
        assert_eq!(ips("10.1.0.10").await, ["10.1.0.10"]);
        assert_eq!(ips("::ffff:10.1.0.10").await, ["10.1.0.10"]);
        // `…1` must not match `…10` to `…13`.
        assert_eq!(ips("10.1.0.1").await, Vec::<Value>::new());
        assert_eq!(ips("device.example").await, ["10.1.0.12", "fd01::11"]);
        let refused = error(&call("arp", json!({ "host": "outside.example" })).await);
        assert_eq!(refused["code"], "out_of_scope");
        let unknown = error(&call("arp", json!({ "host": "nowhere.invalid" })).await);
        assert_eq!(unknown["code"], "name_not_resolved");
    });
}

#[test]
fn pages_together_are_the_whole_list() {
    lab(async || {
        far_side();
        for n in 10..160 {
            ip(&format!(
                "neigh add 10.1.0.{n} lladdr 02:00:00:00:00:{n:02x} dev near nud permanent"
            ));
        }
        let first = done("arp", json!({})).await;
        assert_eq!(first["neighbours"].as_array().unwrap().len(), 100);
        assert_eq!(first["truncated"], true);
        let second = done("arp", json!({ "cursor": first["nextCursor"] })).await;
        assert_eq!(second["truncated"], false);
        let whole = done("arp", json!({ "limit": 1000 })).await;
        let mut both = first["neighbours"].as_array().unwrap().clone();
        both.extend(second["neighbours"].as_array().unwrap().clone());
        assert_eq!(both.len(), 150);
        assert_eq!(json!(both), whole["neighbours"]);
    });
}
