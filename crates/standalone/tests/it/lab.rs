//! What the tools find in a network of switches, routers and hosts, asked through a broker: the
//! addresses, ports, names and cables that the network was drawn with.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use serde_json::{Value, json};
use testkit::lab::{Lab, Link, NETWORK, Wiring};
use testkit::namespaces::{self, lab_of_daemons};
use testkit::process::binary;
use testkit::rabbitmq::Node;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

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

fn all_addresses(wiring: &Wiring) -> BTreeSet<Ipv4Addr> {
    let all = wiring.nodes.iter().flat_map(|node| &node.addresses);
    all.map(|address| address.ip).collect()
}

fn address(it: &Value) -> Ipv4Addr {
    it["address"].as_str().unwrap().parse().unwrap()
}

/// Every address answers to ping, and nmap and the sweep find these and no others.
async fn check_addresses(gateway: &Running, wiring: &Wiring) {
    let all = all_addresses(wiring);
    for address in &all {
        let pinged = done(gateway, "ping", json!({ "host": address, "count": 1 })).await;
        assert_eq!(pinged["received"], 1, "{pinged:#}");
    }
    let scanned = done(gateway, "nmap_ping_scan", json!({ "target": NETWORK })).await;
    let up = scanned["hosts"].as_array().unwrap().iter().map(address);
    assert_eq!(up.collect::<BTreeSet<_>>(), all);
    let swept = done(gateway, "snmp_discover", json!({ "targetRange": NETWORK })).await;
    let found = swept["devices"].as_array().unwrap().iter().map(|device| {
        let name = device["sysName"].as_str().unwrap_or_default().to_owned();
        (address(device), name)
    });
    let nodes = wiring.nodes.iter();
    let expected = nodes.flat_map(|node| {
        let addresses = node.addresses.iter();
        addresses.map(|address| (address.ip, node.name.clone()))
    });
    let found: BTreeMap<Ipv4Addr, String> = found.collect();
    assert_eq!(found, expected.collect(), "{:#}", swept["statistics"]);
}

/// The state of one port, by address.
async fn states(gateway: &Running, tool: &str, ports: &str) -> BTreeMap<(Ipv4Addr, u64), String> {
    let arguments = json!({ "target": NETWORK, "ports": ports });
    let scanned = done(gateway, tool, arguments).await;
    let mut states = BTreeMap::new();
    for host in scanned["hosts"].as_array().unwrap() {
        for port in host["ports"].as_array().unwrap() {
            let number = port["port"].as_u64().unwrap();
            let state = port["state"].as_str().unwrap().to_owned();
            states.insert((address(host), number), state);
        }
    }
    states
}

/// TCP and UDP ports are what they are: the manager greets on one, and all agents listen on 161.
async fn check_ports(gateway: &Running, wiring: &Wiring) {
    let listener = TcpListener::bind(("0.0.0.0", 0)).await.unwrap();
    let greeting = u64::from(listener.local_addr().unwrap().port());
    let mut clients = JoinSet::new();
    clients.spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            // Who only knocks does not listen.
            let _ = client.write_all(b"220 manager ESMTP\r\n").await;
        }
    });
    let manager = &wiring.nodes[0].addresses;
    let all = all_addresses(wiring);
    let is_open = |ip: &Ipv4Addr| manager.iter().any(|address| address.ip == *ip);
    let tcp = all.iter().flat_map(|ip| {
        let state = if is_open(ip) { "open" } else { "closed" };
        [((*ip, greeting), state), ((*ip, 22), "closed")]
    });
    let tcp: BTreeMap<_, _> = tcp.map(|(port, state)| (port, state.to_owned())).collect();
    for tool in [
        "nmap_tcp_syn_scan",
        "nmap_tcp_connect_scan",
        "nmap_version_scan",
    ] {
        let ports = format!("22,{greeting}");
        assert_eq!(states(gateway, tool, &ports).await, tcp, "{tool}");
    }
    let udp: BTreeMap<_, _> = all
        .iter()
        .map(|ip| ((*ip, 161), "open".to_owned()))
        .collect();
    assert_eq!(states(gateway, "nmap_udp_scan", "161").await, udp);
}

/// Every node says its name in a session, and its addresses where it has them.
async fn check_nodes(gateway: &Running, wiring: &Wiring) {
    for node in &wiring.nodes {
        let host = json!({ "host": node.addresses[0].ip });
        let created = done(gateway, "snmp_create_session", host.clone()).await;
        let session = &created["sessionId"];
        let arguments = json!({ "sessionId": session, "oids": ["sysName.0"] });
        let got = done(gateway, "snmp_get", arguments).await;
        assert_eq!(got["values"][0]["display"], node.name.as_str(), "{got:#}");
        let arguments = json!({ "sessionId": session, "oid": "ifName" });
        let walked = done(gateway, "snmp_walk", arguments).await;
        let names = walked["values"].as_array().unwrap().iter();
        let names: BTreeSet<&str> = names.map(|it| it["display"].as_str().unwrap()).collect();

        let found = done(gateway, "snmp_interface_discovery", host).await;
        let interfaces = found["interfaces"].as_array().unwrap();
        for address in &node.addresses {
            assert!(names.contains(&*address.interface), "{walked:#}");
            let is_it = |it: &&Value| it["name"] == address.interface.as_str();
            let interface = interfaces.iter().find(is_it).unwrap();
            let expected = format!("{}/{}", address.ip, address.prefix);
            let addresses = interface["addresses"].as_array().unwrap();
            assert!(addresses.contains(&json!(expected)), "{interface:#}");
        }
    }
}

#[test]
fn own_broker_in_a_lab_carries_what_is_there_and_how_it_is_wired() {
    build();
    lab_of_daemons(async || {
        let (lab, node) = tokio::join!(Lab::start(), Node::start());
        let (mut lab, node) = (lab.unwrap(), node.unwrap());
        // Whatever fails below, this draws the same network again.
        println!("LAB_SEED={}", lab.wiring().seed);
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
        check_addresses(&gateway, lab.wiring()).await;
        check_ports(&gateway, lab.wiring()).await;
        check_nodes(&gateway, lab.wiring()).await;
        let range = json!({ "networkRange": NETWORK });
        let before = links(&done(&gateway, "snmp_network_topology", range.clone()).await);
        assert_eq!(before, lab.wiring().links());
        let cut = lab.cut().await.unwrap();
        let after = links(&done(&gateway, "snmp_network_topology", range).await);
        assert_eq!(after, lab.wiring().links());
        let gone: Vec<&Link> = before.difference(&after).collect();
        assert_eq!(gone, [&cut]);
    });
}
