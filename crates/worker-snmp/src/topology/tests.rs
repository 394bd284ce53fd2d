//! Graphs of what devices of a test's own making say.

use serde_json::json;

use super::*;

/// A device with a MAC address of its own for each interface `eth1` to `eth4`.
fn device(number: u8) -> Device {
    let mac = |last: u8| Mac::new(&[2, 0, 0, 0, number, last]).unwrap();
    let interfaces = (1..=4).map(|n: u8| {
        let interface = Interface {
            name: Some(format!("eth{n}")),
            description: Some(format!("Ethernet port {n}")),
            alias: None,
            mac: Some(mac(n)),
        };
        (u32::from(n), interface)
    });
    let port = |n: u8| LldpPort {
        id: Some(Named::Mac(mac(n))),
        description: Some(format!("eth{n}")),
    };
    Device {
        identity: Identity {
            engine: Some(format!("80001f88{number:02x}")),
            chassis: Some(Named::Mac(mac(1))),
            name: Some(format!("device-{number}")),
            ..Identity::default()
        },
        asked_at: [address(number)].into(),
        interfaces: interfaces.collect(),
        lldp_ports: (1..=4_u8).map(|n| (u32::from(n), port(n))).collect(),
        ..Device::default()
    }
}

fn address(number: u8) -> std::net::IpAddr {
    [10, 0, 0, number].into()
}

/// What a device hears of another one by LLDP.
fn hears(mut device: Device, port: u8, of: &Device, their_port: u8) -> Device {
    let their = &of.lldp_ports[&u32::from(their_port)];
    device.lldp.push(LldpNeighbour {
        local_port: u32::from(port),
        chassis: of.identity.chassis.clone(),
        port: their.id.clone(),
        port_description: their.description.clone(),
        name: of.identity.name.clone(),
        description: None,
        is_router: false,
        is_bridge: false,
        addresses: of.asked_at.iter().copied().collect(),
    });
    device
}

/// Links as `device-1 eth1 - device-2 eth2 1.0`, sorted.
fn links(devices: &[Device]) -> Vec<String> {
    let graph = Graph::build(devices.to_vec());
    let mut reversed = devices.to_vec();
    reversed.reverse();
    assert_eq!(
        Graph::build(reversed),
        graph,
        "the order of visits does not matter"
    );
    let name = |end: &LinkEnd| {
        let node = graph.nodes.iter().find(|node| node.id == end.node).unwrap();
        format!("{} {}", node.name, end.interface.as_deref().unwrap_or("?"))
    };
    let link = |link: &Link| {
        let mut ends = [name(&link.a), name(&link.b)];
        ends.sort();
        format!("{} {:.1}", ends.join(" - "), link.confidence)
    };
    let mut links: Vec<String> = graph.links.iter().map(link).collect();
    links.sort();
    links
}

#[test]
fn both_ends_of_a_cable_are_one_link() {
    let (a, b) = (device(1), device(2));
    let devices = [hears(a.clone(), 1, &b, 2), hears(b, 2, &a, 1)];
    assert_eq!(links(&devices), ["device-1 eth1 - device-2 eth2 1.0"]);
}

#[test]
fn one_end_alone_is_less_sure() {
    let (a, b) = (device(1), device(2));
    let devices = [hears(a, 1, &b, 2), b];
    assert_eq!(links(&devices), ["device-1 eth1 - device-2 eth2 0.8"]);
}

#[test]
fn parallel_cables_are_links_of_their_own() {
    let (a, b) = (device(1), device(2));
    let devices = [
        hears(hears(a.clone(), 1, &b, 2), 3, &b, 4),
        hears(hears(b, 2, &a, 1), 4, &a, 3),
    ];
    assert_eq!(
        links(&devices),
        [
            "device-1 eth1 - device-2 eth2 1.0",
            "device-1 eth3 - device-2 eth4 1.0"
        ]
    );
}

#[test]
fn a_device_with_five_addresses_is_one_node() {
    let records: Vec<Device> = (1..=5)
        .map(|n| Device {
            asked_at: [address(n)].into(),
            ..device(9)
        })
        .collect();
    let graph = Graph::build(records);
    assert_eq!(graph.nodes.len(), 1);
    let node = &graph.nodes[0];
    assert_eq!(node.addresses, (1..=5).map(address).collect::<Vec<_>>());
    assert_eq!(node.identity.as_ref().unwrap().by, "engine");
}

#[test]
fn a_bridge_with_the_address_of_a_port_does_not_hide_that_port() {
    let mut a = device(1);
    let bridge = Interface {
        name: Some("br0".to_owned()),
        mac: a.interfaces[&2].mac,
        ..Interface::default()
    };
    a.interfaces.insert(9, bridge);
    let b = device(2);
    let devices = [hears(a.clone(), 2, &b, 1), hears(b, 1, &a, 2)];
    assert_eq!(links(&devices), ["device-1 eth2 - device-2 eth1 1.0"]);
}

#[test]
fn a_neighbour_that_does_not_answer_is_one_node_for_all_who_see_it() {
    let (a, b, silent) = (device(1), device(2), device(3));
    let devices = [hears(a, 1, &silent, 1), hears(b, 2, &silent, 2)];
    assert_eq!(
        links(&devices),
        [
            "device-1 eth1 - device-3 eth1 0.8",
            "device-2 eth2 - device-3 eth2 0.8"
        ]
    );
    let graph = Graph::build(devices.to_vec());
    assert_eq!(graph.nodes.len(), 3);
    let silent = graph
        .nodes
        .iter()
        .find(|node| node.name == "device-3")
        .unwrap();
    assert!(!silent.answered);
    assert_eq!(silent.addresses, [address(3)]);
}

fn cdp(if_index: u32, device: &str, port: &str, at: u8) -> CdpNeighbour {
    CdpNeighbour {
        if_index,
        device: Some(device.to_owned()),
        port: Some(port.to_owned()),
        platform: None,
        is_router: false,
        is_bridge: true,
        addresses: vec![address(at)],
    }
}

#[test]
fn cdp_and_lldp_of_one_cable_are_one_link() {
    let (mut a, b) = (device(1), device(2));
    a.cdp
        .push(cdp(1, "device-2.example.test", "Ethernet port 2", 2));
    let devices = [hears(a.clone(), 1, &b, 2), hears(b, 2, &a, 1)];
    assert_eq!(links(&devices), ["device-1 eth1 - device-2 eth2 1.0"]);
    let graph = Graph::build(devices.to_vec());
    assert_eq!(graph.links[0].evidence.len(), 3);
    assert_eq!(graph.nodes.len(), 2);
}

#[test]
fn a_neighbour_that_says_its_port_in_its_own_words_is_still_one_link() {
    let mut a = device(1);
    a.cdp.push(cdp(1, "switch-7(02005e600001)", "Port A", 7));
    let mut silent = device(7);
    silent.identity.chassis = None;
    silent.identity.name = Some("switch-7".to_owned());
    let devices = [hears(a, 1, &silent, 3)];
    assert_eq!(links(&devices), ["device-1 eth1 - switch-7 eth3 0.8"]);
}

fn learns(mut device: Device, if_index: u32, of: u8, port: u8) -> Device {
    let mac = Mac::new(&[2, 0, 0, 0, of, port]).unwrap();
    device.learnt.push(Learnt { if_index, mac });
    device
}

#[test]
fn a_single_address_behind_a_port_is_a_link() {
    let a = learns(learns(device(1), 1, 2, 3), 1, 2, 3);
    assert_eq!(
        links(&[a, device(2)]),
        ["device-1 eth1 - device-2 eth3 0.5"]
    );
    let to_stranger = learns(device(1), 1, 8, 1);
    assert_eq!(
        links(&[to_stranger]),
        ["02:00:00:00:08:01 ? - device-1 eth1 0.5"]
    );
}

#[test]
fn several_addresses_behind_a_port_or_a_known_neighbour_are_no_further_link() {
    let several = learns(learns(device(1), 1, 2, 3), 1, 8, 1);
    assert_eq!(links(&[several, device(2)]), [""; 0]);
    let b = device(2);
    let known = learns(hears(device(1), 1, &b, 2), 1, 8, 1);
    assert_eq!(links(&[known, b]), ["device-1 eth1 - device-2 eth2 0.8"]);
}

fn resolves(mut device: Device, if_index: u32, of: u8) -> Device {
    let mac = Mac::new(&[2, 0, 0, 0, of, 1]).unwrap();
    let address = address(of);
    device.arp.push(ArpEntry {
        if_index,
        address,
        mac,
    });
    device
}

#[test]
fn a_resolved_address_is_the_last_resort() {
    let mut router = resolves(resolves(device(1), 1, 2), 1, 8);
    router.is_router = true;
    let other = resolves(device(3), 1, 8);
    let b = device(2);
    let linked = hears(router, 4, &b, 4);
    assert_eq!(
        links(&[linked, other, b]),
        [
            "10.0.0.8 ? - device-1 eth1 0.2",
            "device-1 eth4 - device-2 eth4 0.8",
        ]
    );
}

#[test]
fn what_devices_say_cannot_break_out_of_a_diagram() {
    let (mut a, b) = (device(1), device(2));
    a.identity.name = Some("x\"]; n9[\"<b>\n\\".to_owned());
    let graph = Graph::build(vec![hears(a, 1, &b, 2), b]);
    let mermaid = render::mermaid(&graph);
    assert_eq!(mermaid.lines().count(), 4, "{mermaid}");
    assert_eq!(mermaid.matches('"').count(), 6, "{mermaid}");
    let dot = render::dot(&graph);
    assert_eq!(dot.lines().count(), 6, "{dot}");
    assert!(dot.contains("x\\\"]; n9[\\\"<b> \\\\"), "{dot}");
    assert!(
        dot.contains("taillabel=\"eth1\", headlabel=\"eth2\""),
        "{dot}"
    );
}

#[test]
fn each_kind_of_evidence_is_said_with_who_has_seen_it() {
    let mut router = resolves(device(1), 3, 8);
    router.is_router = true;
    router.cdp.push(cdp(2, "switch-7", "Port A", 7));
    let router = learns(hears(router, 1, &device(2), 2), 4, 9, 1);
    let graph = Graph::build(vec![router, device(2)]);
    let evidence = |link: &Link| {
        assert_eq!(link.evidence[0].seen_by, "engine:80001f8801");
        let own = [link.a.clone(), link.b.clone()];
        let own = own.into_iter().find(|it| it.node == "engine:80001f8801");
        (
            own.unwrap().interface.unwrap(),
            json!(link.evidence[0].kind),
        )
    };
    let mut evidence: Vec<_> = graph.links.iter().map(evidence).collect();
    evidence.sort_by(|a, b| a.0.cmp(&b.0));
    let expected = [
        ("eth1", "lldp"),
        ("eth2", "cdp"),
        ("eth3", "arp"),
        ("eth4", "forwarding"),
    ];
    let expected = expected.map(|(interface, kind)| (interface.to_owned(), json!(kind)));
    assert_eq!(evidence, expected);
}

#[test]
fn a_name_with_another_domain_is_that_of_another_machine() {
    let check = |known: &str, heard: &str, n_nodes: usize| {
        let mut a = device(1);
        // An address that nobody else has.
        a.cdp.push(cdp(1, heard, "Port A", 77));
        let mut b = device(2);
        b.identity.name = Some(known.to_owned());
        let graph = Graph::build(vec![a, b]);
        assert_eq!(graph.nodes.len(), n_nodes, "{known} {heard}");
    };
    check("sw1.a.example", "sw1.b.example", 3);
    check("sw1.a.example", "SW1.A.example", 2);
    check("sw1.a.example", "sw1", 2);
    check("sw1", "sw1.b.example", 2);
    check("10.0.0.1", "10.0.0.2", 3);
}

#[test]
fn a_full_name_is_known_among_several_of_one_host_name() {
    let mut a = device(1);
    a.cdp.push(cdp(1, "sw1.b.example", "Port A", 77));
    a.cdp.push(cdp(2, "sw1", "Port B", 78));
    let [mut b, mut c] = [device(2), device(3)];
    b.identity.name = Some("sw1.a.example".to_owned());
    c.identity.name = Some("sw1.b.example".to_owned());
    let devices = [a, b, c];
    assert_eq!(
        links(&devices),
        [
            "device-1 eth1 - sw1.b.example Port A 0.8",
            // It might be either.
            "device-1 eth2 - sw1 Port B 0.8",
        ]
    );
}

#[test]
fn the_surest_links_are_kept_of_too_many() {
    let b = device(2);
    let mut a = hears(device(1), 1, &b, 2);
    for if_index in 100..10_100 {
        a.learnt.push(Learnt {
            if_index,
            mac: Mac::new(&[2, 1, 0, 0, 0, 1]).unwrap(),
        });
    }
    let graph = Graph::build(vec![a.clone(), b.clone()]);
    assert_eq!(graph.links.len(), 10_000);
    assert!(graph.left_out.unwrap().contains("links"));
    assert!(graph.links.iter().any(|link| link.confidence > 0.5));
    a.learnt.pop();
    let graph = Graph::build(vec![a, b]);
    assert_eq!((graph.links.len(), graph.left_out), (10_000, None));
}
