//! What the tools find in a network of switches, routers and hosts, asked through a broker: the
//! addresses, names and cables that the network was drawn with.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use serde_json::{Value, json};
use testkit::lab::{Lab, Link, NETWORK, Wiring};
use testkit::namespaces::{self, lab_of_daemons};
use testkit::process::binary;
use testkit::rabbitmq::Node;
use tokio::runtime::Runtime;

use crate::site::{Running, Site};

/// The workers, by package and binary.
const WORKERS: [(&str, &str); 3] = [
    ("worker-network", "discovery-worker-network"),
    ("worker-nmap", "discovery-worker-nmap"),
    ("worker-snmp", "discovery-worker-snmp"),
];

/// Builds what is missing while there is time for it, which there is not in the lab.
fn build() {
    if namespaces::stage().is_some() {
        return;
    }
    let gateway = ("gateway", "discovery-gateway");
    Runtime::new().unwrap().block_on(async {
        for (package, name) in WORKERS.into_iter().chain([gateway]) {
            binary(package, name).await.unwrap();
        }
    });
}

/// The structured result of a call that must succeed.
async fn done(gateway: &Running, tool: &str, arguments: Value) -> Value {
    let answer = gateway.call(tool, arguments).await;
    let result = &answer["result"];
    assert_eq!(result["isError"], false, "{tool}: {answer:#}");
    result["structuredContent"].clone()
}

fn links(topology: &Value) -> BTreeSet<Link> {
    let nodes = topology["nodes"].as_array().unwrap().iter();
    let names: BTreeMap<&str, &str> = nodes
        .map(|node| (node["id"].as_str().unwrap(), node["name"].as_str().unwrap()))
        .collect();
    let end = |end: &Value| {
        let name = names[end["node"].as_str().unwrap()].to_owned();
        (name, end["interface"].as_str().unwrap().to_owned())
    };
    let links = topology["links"].as_array().unwrap().iter();
    let link = |link: &Value| {
        let mut ends = [end(&link["a"]), end(&link["b"])];
        ends.sort();
        ends
    };
    links.map(link).collect()
}

/// Every address answers to ping, and nmap finds these and no others.
async fn check_addresses(gateway: &Running, wiring: &Wiring) {
    let all = wiring.nodes.iter().flat_map(|node| &node.addresses);
    let all: BTreeSet<Ipv4Addr> = all.map(|address| address.ip).collect();
    for address in &all {
        let pinged = done(gateway, "ping", json!({ "host": address, "count": 1 })).await;
        assert_eq!(
            pinged["received"], 1,
            "LAB_SEED={}: {pinged:#}",
            wiring.seed
        );
    }
    let scanned = done(gateway, "nmap_ping_scan", json!({ "target": NETWORK })).await;
    let hosts = scanned["hosts"].as_array().unwrap().iter();
    let up = hosts.map(|host| host["address"].as_str().unwrap().parse().unwrap());
    assert_eq!(
        up.collect::<BTreeSet<Ipv4Addr>>(),
        all,
        "LAB_SEED={}",
        wiring.seed
    );
}

/// Every node says its name in a session.
async fn check_names(gateway: &Running, wiring: &Wiring) {
    for node in &wiring.nodes {
        let session = json!({ "host": node.addresses[0].ip });
        let created = done(gateway, "snmp_create_session", session).await;
        let arguments = json!({ "sessionId": created["sessionId"], "oids": ["sysName.0"] });
        let got = done(gateway, "snmp_get", arguments).await;
        assert_eq!(got["values"][0]["display"], node.name.as_str(), "{got:#}");
    }
}

#[test]
fn own_broker_in_a_lab_carries_what_is_there_and_how_it_is_wired() {
    build();
    lab_of_daemons(async || {
        let (lab, node) = tokio::join!(Lab::start(), Node::start());
        let (lab, node) = (lab.unwrap(), node.unwrap());
        let site = Site::on(&node);
        let gateway = site.gateway().await;
        let mut workers = Vec::new();
        for (package, name) in WORKERS {
            workers.push(Running::worker(site.program_of(package, name).await));
        }
        for (worker, tool) in workers.iter().zip(["ping", "nmap_ping_scan", "snmp_get"]) {
            worker.ready().await;
            gateway.lists(tool).await;
        }
        let wiring = lab.wiring();
        check_addresses(&gateway, wiring).await;
        check_names(&gateway, wiring).await;
        let range = json!({ "networkRange": NETWORK });
        let topology = done(&gateway, "snmp_network_topology", range).await;
        assert_eq!(links(&topology), wiring.links(), "LAB_SEED={}", wiring.seed);
    });
}
