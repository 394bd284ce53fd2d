//! The topology found, compared with how the lab is wired.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde_json::{Value, json};
use testkit::lab::{Kind, Lab, Link, NETWORK, Wiring};
use testkit::namespaces::lab_of_daemons;
use testkit::snmp::{AUTH_PASSWORD, PRIVACY_PASSWORD, Snmpd, Snmpsim};

use crate::call::{done, failed, worker};

const TOOL: &str = "snmp_network_topology";

/// Node names by identifier.
fn names(topology: &Value) -> BTreeMap<&str, &str> {
    let nodes = topology["nodes"].as_array().unwrap().iter();
    nodes
        .map(|node| (node["id"].as_str().unwrap(), node["name"].as_str().unwrap()))
        .collect()
}

fn links(topology: &Value) -> BTreeSet<Link> {
    let names = names(topology);
    let end = |end: &Value| {
        let name = names[end["node"].as_str().unwrap()];
        let interface = end["interface"].as_str().unwrap_or("?");
        (name.to_owned(), interface.to_owned())
    };
    let links = topology["links"].as_array().unwrap().iter();
    let link = |link: &Value| {
        let mut ends = [end(&link["a"]), end(&link["b"])];
        ends.sort();
        ends
    };
    links.map(link).collect()
}

/// Every machine, with its addresses and what it is; every cable, and nothing else.
fn check(topology: &Value, wiring: &Wiring) {
    let seed = format!("LAB_SEED={}: {topology:#}", wiring.seed);
    let nodes = topology["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), wiring.nodes.len(), "{seed}");
    for node in &wiring.nodes {
        let found = nodes.iter().find(|it| it["name"] == node.name.as_str());
        let found = found.unwrap_or(&Value::Null);
        assert_eq!(found["answered"], true, "{} of {seed}", node.name);
        let kind = match node.kind {
            Kind::Switch => "switch",
            Kind::Router => "router",
            Kind::Manager | Kind::Host => "host",
        };
        assert_eq!(found["kind"], kind, "{} of {seed}", node.name);
        let mut addresses: Vec<IpAddr> = node.addresses.iter().map(|it| it.ip.into()).collect();
        addresses.sort();
        assert_eq!(found["addresses"], json!(addresses), "{seed}");
    }
    assert_eq!(links(topology), wiring.links(), "{seed}");
    for link in topology["links"].as_array().unwrap() {
        assert_eq!(link["confidence"], 1.0, "{seed}");
    }
    // Each cable is announced from both ends.
    let n_announced = 2 * wiring.cables.len();
    assert_eq!(evidence(topology), [("lldp", n_announced)].into(), "{seed}");
    assert_eq!(topology["truncated"], false, "{seed}");
}

#[test]
fn the_topology_is_the_wiring_and_loses_exactly_the_cable_that_is_cut() {
    lab_of_daemons(async || {
        let (mut lab, worker) = (Lab::start().await.unwrap(), worker());
        let arguments = json!({ "networkRange": NETWORK, "timeout": 2000, "format": "dot" });
        let before = done(&worker, TOOL, arguments.clone()).await;
        check(&before, lab.wiring());
        let n_cables = lab.wiring().cables.len();
        let dot = before["diagram"].as_str().unwrap();
        assert_eq!(dot.matches(" -- ").count(), n_cables, "{dot}");

        let last = lab.wiring().nodes.last().unwrap();
        let seeds = json!({ "seeds": [last.addresses[0].ip], "timeout": 2000 });
        let from_one = done(&worker, TOOL, seeds).await;
        check(&from_one, lab.wiring());
        assert!(from_one["asked"].as_u64().unwrap() < 20, "{from_one:#}");

        let few = json!({ "networkRange": NETWORK, "timeout": 2000, "maxDevices": 2 });
        let few = done(&worker, TOOL, few).await;
        assert_eq!(few["truncated"], true, "{few:#}");
        let nodes = few["nodes"].as_array().unwrap().iter();
        assert_eq!(
            nodes.filter(|it| it["answered"] == true).count(),
            2,
            "{few:#}"
        );

        let cut = lab.cut().await.unwrap();
        let after = done(&worker, TOOL, arguments).await;
        check(&after, lab.wiring());
        let gone: Vec<Link> = links(&before).difference(&links(&after)).cloned().collect();
        assert_eq!(gone, [cut], "LAB_SEED={}", lab.wiring().seed);
        assert_eq!(names(&before), names(&after));
    });
}

/// What the tool finds at a simulated device: links with the other end's name and confidence.
async fn of_simulated(device: &str) -> (Value, BTreeSet<String>) {
    let (agent, worker) = (Snmpsim::start().await.unwrap(), worker());
    let arguments = json!({ "seeds": ["127.0.0.1"], "port": agent.address().port(),
        "community": device });
    let topology = done(&worker, TOOL, arguments).await;
    let links = links(&topology).into_iter();
    let links = links.map(|[a, b]| format!("{} {} - {} {}", a.0, a.1, b.0, b.1));
    let links = links.collect();
    (topology, links)
}

/// How often each kind of evidence is given.
fn evidence(topology: &Value) -> BTreeMap<&str, usize> {
    let links = topology["links"].as_array().unwrap().iter();
    let evidence = links.flat_map(|link| link["evidence"].as_array().unwrap());
    evidence.fold(BTreeMap::new(), |mut kinds, it| {
        *kinds.entry(it["kind"].as_str().unwrap()).or_default() += 1;
        kinds
    })
}

#[tokio::test]
async fn a_switch_tells_its_neighbours_and_who_is_behind_its_other_ports() {
    let (topology, links) = of_simulated("switch").await;
    let expected = [
        "core-1 ge-0/0/7 - sw-edge-1 Gi1/0/1",
        "phone-7 SW port - sw-edge-1 Gi1/0/2",
        "02:00:5e:30:00:01 ? - sw-edge-1 Gi1/0/3",
        "02:00:5e:30:00:02 ? - sw-edge-1 Gi1/0/4",
    ];
    assert_eq!(links, expected.map(str::to_owned).into(), "{topology:#}");
    let confidences = topology["links"].as_array().unwrap().iter();
    let mut confidences: Vec<f64> = confidences
        .map(|it| it["confidence"].as_f64().unwrap())
        .collect();
    confidences.sort_by(f64::total_cmp);
    assert_eq!(confidences, [0.5, 0.5, 0.8, 0.8]);
    assert_eq!(evidence(&topology), [("forwarding", 2), ("lldp", 2)].into());
    let own = &topology["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["name"] == "sw-edge-1");
    let own = own.unwrap();
    assert_eq!(
        own["identity"],
        json!({ "by": "serial", "value": "ES24-000451" })
    );
    assert_eq!(own["kind"], "switch");
    // A neighbour's address is asked for only where the scan scope allows it.
    assert_eq!(topology["outOfScope"], json!(["192.0.2.1"]));
}

#[tokio::test]
async fn neighbours_in_cdp_are_found_and_their_resolved_addresses_are_no_machines_more() {
    let (topology, links) = of_simulated("cdp").await;
    let expected = [
        "router-1.example.test Gi0/0 - sw-edge-1 GigabitEthernet1/0/1",
        "ap-lobby eth0 - router-1.example.test Gi0/1",
    ];
    assert_eq!(links, expected.map(str::to_owned).into(), "{topology:#}");
    assert_eq!(
        topology["nodes"].as_array().unwrap().len(),
        3,
        "{topology:#}"
    );
    assert_eq!(evidence(&topology), [("cdp", 2)].into());
}

#[tokio::test]
async fn a_diagram_has_every_node_and_every_link() {
    let (agent, worker) = (Snmpsim::start().await.unwrap(), worker());
    for (format, head, link) in [
        ("mermaid", "graph LR", "---|"),
        ("dot", "graph topology", " -- "),
    ] {
        let arguments = json!({ "seeds": ["127.0.0.1"], "port": agent.address().port(),
            "community": "cdp", "format": format });
        let topology = done(&worker, TOOL, arguments).await;
        let diagram = topology["diagram"].as_str().unwrap();
        assert!(diagram.starts_with(head), "{diagram}");
        let n_links = topology["links"].as_array().unwrap().len();
        assert_eq!(
            (n_links, diagram.matches(link).count()),
            (2, 2),
            "{diagram}"
        );
        for name in names(&topology).values() {
            assert!(diagram.contains(name), "{name} in {diagram}");
        }
    }
}

#[tokio::test]
async fn a_wrong_password_is_said_and_no_silence() {
    let (snmpd, worker) = (Snmpd::start().await.unwrap(), worker());
    let port = snmpd.address().port();
    let user = json!({ "port": port, "version": "3", "user": "sha256-aes",
        "authProtocol": "sha256", "authKey": "not-the-password",
        "privProtocol": "aes128", "privKey": PRIVACY_PASSWORD });
    for target in [
        json!({ "seeds": ["127.0.0.1"] }),
        json!({ "networkRange": "127.0.0.0/30" }),
    ] {
        let mut arguments = user.clone();
        let target = target.as_object().unwrap().clone();
        arguments.as_object_mut().unwrap().extend(target);
        let error = failed(&worker, TOOL, arguments.clone()).await;
        assert_eq!(error["code"], "authentication_failed", "{error}");
        assert!(
            error["message"].as_str().unwrap().contains("authKey"),
            "{error}"
        );
        assert!(!error.to_string().contains("not-the-password"), "{error}");
        arguments["authKey"] = json!(AUTH_PASSWORD);
        let topology = done(&worker, TOOL, arguments).await;
        assert_eq!(topology["answered"], 1, "{topology:#}");
    }
}

#[tokio::test]
async fn networks_are_read_as_a_sweep_reads_them() {
    let worker = worker();
    for tool in [TOOL, "snmp_discover"] {
        let argument = if tool == TOOL {
            "networkRange"
        } else {
            "targetRange"
        };
        let error = failed(&worker, tool, json!({ argument: "10.0.0.1/24" })).await;
        assert_eq!(error["code"], "invalid_arguments", "{error}");
        assert_eq!(error["hint"], "the network is 10.0.0.0/24", "{error}");
    }
}

#[tokio::test]
async fn a_device_without_neighbours_is_a_node_that_says_what_it_lacks() {
    let (topology, links) = of_simulated("ups").await;
    assert_eq!(links.len(), 0);
    let node = &topology["nodes"][0];
    assert_eq!(node["name"], "ups-1");
    let missing = node["missing"].as_array().unwrap();
    assert!(missing.contains(&json!("LLDP-MIB")), "{missing:?}");
}

#[tokio::test]
async fn bad_arguments_and_silence_are_errors() {
    let worker = worker();
    let check = async |arguments: Value, code: &str, words: &str| {
        let error = failed(&worker, TOOL, arguments).await;
        assert_eq!(error["code"], code, "{error}");
        assert!(
            error["message"].as_str().unwrap().contains(words),
            "{error}"
        );
    };
    check(json!({}), "invalid_arguments", "networkRange").await;
    check(
        json!({ "networkRange": "10.0.0" }),
        "invalid_arguments",
        "not a network",
    )
    .await;
    check(
        json!({ "networkRange": "10.0.0.0/8" }),
        "invalid_arguments",
        "4096",
    )
    .await;
    check(
        json!({ "networkRange": "8.8.8.0/24" }),
        "out_of_scope",
        "8.8.8",
    )
    .await;
    check(json!({ "seeds": ["8.8.8.8"] }), "out_of_scope", "8.8.8.8").await;
    let silent = testkit::ports::free_port().unwrap();
    let arguments = json!({ "seeds": ["127.0.0.1"], "port": silent, "timeout": 100 });
    check(arguments, "unreachable", "seeds").await;
}
