use serde_json::{Value, json};
use testkit::namespaces::{far_side, ip, ip_json, lab};

use crate::call::{call, done, error};

/// What `ip` and the tool both say about an interface, in one form.
#[derive(Debug, PartialEq)]
struct Common {
    name: Value,
    index: Value,
    mac: Value,
    mtu: Value,
    state: Value,
    kind: Value,
    master: Value,
    flags: Vec<String>,
    addresses: Vec<[Value; 5]>,
}

fn of_ip(link: &Value) -> Common {
    let addresses = link["addr_info"].as_array().unwrap().iter().map(|address| {
        let fields = ["local", "prefixlen", "scope", "broadcast", "address"];
        fields.map(|field| address[field].clone())
    });
    Common {
        name: link["ifname"].clone(),
        index: link["ifindex"].clone(),
        mac: link["address"].clone(),
        mtu: link["mtu"].clone(),
        state: link["operstate"].clone(),
        kind: link["linkinfo"]["info_kind"].clone(),
        master: link["master"].clone(),
        flags: sorted(&link["flags"]),
        addresses: by_text(addresses),
    }
}

fn of_tool(interface: &Value) -> Common {
    let addresses = interface["addresses"]
        .as_array()
        .unwrap()
        .iter()
        .map(|address| {
            let fields = ["address", "prefix_length", "scope", "broadcast", "peer"];
            fields.map(|field| address[field].clone())
        });
    Common {
        name: interface["name"].clone(),
        index: interface["index"].clone(),
        mac: interface["mac"].clone(),
        mtu: interface["mtu"].clone(),
        state: interface["state"].clone(),
        kind: interface["kind"].clone(),
        master: interface["master"].clone(),
        flags: sorted(&interface["flags"]),
        addresses: by_text(addresses),
    }
}

fn sorted(flags: &Value) -> Vec<String> {
    let flags = flags
        .as_array()
        .unwrap()
        .iter()
        .map(|flag| flag.as_str().unwrap().to_owned());
    // `ip` makes these up itself: a carrier that is missing, a link whose other end is in
    // another namespace, and it leaves out that an interface runs.
    let mut flags: Vec<String> = flags
        .filter(|flag| !["NO-CARRIER", "M-DOWN", "RUNNING"].contains(&flag.as_str()))
        .collect();
    flags.sort_unstable();
    flags
}

fn by_text(addresses: impl Iterator<Item = [Value; 5]>) -> Vec<[Value; 5]> {
    let mut addresses: Vec<_> = addresses.collect();
    addresses.sort_by_key(|address| address[0].to_string());
    addresses
}

async fn check_same_as_ip() -> Value {
    let result = done("ifconfig", json!({ "limit": 1000 })).await;
    let ours: Vec<Common> = result["interfaces"]
        .as_array()
        .unwrap()
        .iter()
        .map(of_tool)
        .collect();
    let theirs: Vec<Common> = ip_json("-details addr show").iter().map(of_ip).collect();
    assert!(!theirs.is_empty());
    assert_eq!(ours, theirs);
    result
}

#[tokio::test]
async fn the_interfaces_of_this_machine_are_those_that_ip_lists() {
    let result = check_same_as_ip().await;
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert_eq!(result["worker_host"], host.trim());
    assert_eq!(result["site"], "default");
    for interface in result["interfaces"].as_array().unwrap() {
        let read = |file: &str| {
            let path = format!(
                "/sys/class/net/{}/{file}",
                interface["name"].as_str().unwrap()
            );
            std::fs::read_to_string(path).unwrap().trim().to_owned()
        };
        assert_eq!(interface["mtu"].to_string(), read("mtu"));
        assert_eq!(interface["index"].to_string(), read("ifindex"));
        assert_eq!(interface["mac"], read("address"));
        assert_eq!(interface["state"], read("operstate").to_uppercase());
    }
}

#[test]
fn bridges_peers_and_ipv6_addresses_are_those_that_ip_lists() {
    lab(async || {
        far_side();
        ip("link add bridge0 type bridge");
        ip("link add port type veth peer name port2");
        ip("link set port master bridge0");
        ip("link set bridge0 up");
        ip("link set bridge0 address 52:54:00:12:34:56");
        ip("addr add 10.5.0.1 peer 10.5.0.2 dev port2");
        ip("addr add 10.6.0.1/25 broadcast + dev bridge0");
        ip("addr add 10.6.0.2/25 dev bridge0");
        let result = check_same_as_ip().await;
        let interfaces = result["interfaces"].as_array().unwrap();
        let named = |name: &str| {
            interfaces
                .iter()
                .find(|interface| interface["name"] == name)
                .unwrap()
        };
        assert_eq!(named("port")["master"], "bridge0");
        assert_eq!(named("bridge0")["kind"], "bridge");
        assert_eq!(named("bridge0")["mac"], "52:54:00:12:34:56");
        let addresses = named("bridge0")["addresses"].as_array().unwrap();
        let secondary = addresses
            .iter()
            .find(|a| a["address"] == "10.6.0.2")
            .unwrap();
        assert_eq!(secondary["flags"], json!(["secondary"]));
        assert_eq!(named("near")["addresses"][0]["address"], "10.1.0.1");
    });
}

#[test]
fn counters_are_the_kernels() {
    lab(async || {
        done(
            "ping",
            json!({ "host": "127.0.0.1", "count": 2, "size": 1000 }),
        )
        .await;
        let result = done("ifconfig", json!({ "interface": "lo" })).await;
        let counters = &result["interfaces"][0]["counters"];
        let link = &ip_json("-statistics link show dev lo")[0];
        for (direction, ip_name) in [("rx", "rx"), ("tx", "tx")] {
            for field in ["bytes", "packets", "errors", "dropped"] {
                let theirs = &link["stats64"][ip_name][field];
                assert_eq!(&counters[format!("{direction}_{field}")], theirs, "{field}");
            }
        }
        // Two requests and two replies of 20 + 8 + 1000 bytes.
        assert_eq!(counters["rx_packets"], 4);
        assert_eq!(counters["rx_bytes"], 4 * (20 + 8 + 1000));
    });
}

#[test]
fn one_interface_is_listed_by_its_name_and_an_unknown_one_is_an_error() {
    lab(async || {
        far_side();
        let result = done("ifconfig", json!({ "interface": "near" })).await;
        assert_eq!(result["interfaces"].as_array().unwrap().len(), 1);
        assert_eq!(result["interfaces"][0]["name"], "near");
        for name in ["nea", "near0", "NEAR"] {
            let refused = error(&call("ifconfig", json!({ "interface": name })).await);
            assert_eq!(refused["code"], "not_found");
            let message = refused["message"].as_str().unwrap();
            assert!(
                message.contains(name) && message.contains("lo, near"),
                "{message}"
            );
        }
    });
}

#[test]
fn without_all_only_interfaces_that_are_up_are_listed() {
    lab(async || {
        ip("link add one type veth peer name two");
        ip("link set two up");
        let names = async |arguments: Value| -> Vec<Value> {
            let result = done("ifconfig", arguments).await;
            let interfaces = result["interfaces"].as_array().unwrap();
            interfaces
                .iter()
                .map(|interface| interface["name"].clone())
                .collect()
        };
        let mut all = names(json!({})).await;
        all.sort_by_key(Value::to_string);
        assert_eq!(all, ["lo", "one", "two"]);
        assert_eq!(names(json!({ "all": false })).await, ["lo", "two"]);
        // Who names an interface wants to see it.
        assert_eq!(
            names(json!({ "all": false, "interface": "one" })).await,
            ["one"]
        );
    });
}

#[test]
fn pages_together_are_the_whole_list() {
    lab(async || {
        ip("link add one type veth peer name two");
        let whole = done("ifconfig", json!({})).await;
        assert_eq!(whole["truncated"], false);
        assert_eq!(whole.get("nextCursor"), None);
        let first = done("ifconfig", json!({ "limit": 2 })).await;
        assert_eq!(first["truncated"], true);
        let cursor = first["nextCursor"].clone();
        let second = done("ifconfig", json!({ "limit": 2, "cursor": cursor })).await;
        assert_eq!(second["truncated"], false);
        let mut both = first["interfaces"].as_array().unwrap().clone();
        both.extend(second["interfaces"].as_array().unwrap().clone());
        assert_eq!(json!(both), whole["interfaces"]);
    });
}
