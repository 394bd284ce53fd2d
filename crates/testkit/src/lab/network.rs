//! Namespaces, cables, bridges and routes, by the commands of `iproute2`.

use std::{collections::BTreeMap, fmt::Write as _, fs};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use super::{
    COMMAND,
    wiring::{End, Kind, Wiring},
};
use crate::process::Program;

/// The fastest spanning tree that the kernel allows: 4 s from a new port to one that forwards.
/// The times are in hundredths of a second.
const SPANNING_TREE: &str = "stp_state 1 forward_delay 200 hello_time 100 max_age 600";

/// Builds everything in the namespace of this process, which becomes the manager, and in new
/// ones.
pub(super) async fn build(wiring: &Wiring) -> Result<()> {
    check_empty()?;
    ip(&[], &skeleton(wiring)?).await?;
    for (number, node) in wiring.nodes.iter().enumerate() {
        ip(&namespace(wiring, number), &inside(wiring, number)?).await?;
        if node.kind == Kind::Router {
            forward(&node.name).await?;
        }
    }
    Ok(())
}

/// Takes the carrier from both ends of a cable, as pulling its plug does.
pub(super) async fn unplug(wiring: &Wiring, end: &End) -> Result<()> {
    let script = format!("link set {} down\n", end.interface);
    ip(&namespace(wiring, end.node), &script).await
}

/// Whether the spanning trees stand: no port of a switch is on its way to forward, and switches
/// of one network agree on their root. Before that a frame may still be lost on a way that
/// carried others a moment ago.
pub(super) async fn is_settled(wiring: &Wiring) -> Result<bool> {
    let mut roots = BTreeMap::new();
    for (number, switch) in wiring.nodes.iter().enumerate() {
        let Some(address) = switch
            .addresses
            .first()
            .filter(|_| switch.kind == Kind::Switch)
        else {
            continue;
        };
        let output = Program::new("ip")
            .args(namespace(wiring, number))
            .args(["-details", "-json", "link", "show"])
            .run(b"", COMMAND)
            .await?;
        let links: Vec<Value> = serde_json::from_str(&output.stdout).context("ip -json link")?;
        let ports = links.iter().map(|it| &it["linkinfo"]["info_slave_data"]);
        for port in ports.filter(|port| port.is_object()) {
            // The bridge's own `root_id` is its own identifier in some versions of iproute2.
            let root = port["root_id"].to_string();
            let agreed = roots.entry(address.network()).or_insert(root.clone());
            if *agreed != root || port["state"] == "listening" || port["state"] == "learning" {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// Refuses to build in a network that has something already: it would be the machine's own.
fn check_empty() -> Result<()> {
    let interfaces = fs::read_to_string("/proc/net/dev").context("/proc/net/dev")?;
    // Two lines of headings come before the interfaces.
    let names = interfaces
        .lines()
        .skip(2)
        .filter_map(|line| line.split_once(':'));
    let others: Vec<&str> = names
        .map(|(name, _)| name.trim())
        .filter(|name| *name != "lo")
        .collect();
    ensure!(
        others.is_empty(),
        "a lab is built in an empty network, by namespaces::lab_of_daemons, and this one has {others:?}"
    );
    Ok(())
}

/// The options by which `ip` works in a node's namespace.
fn namespace(wiring: &Wiring, node: usize) -> Vec<&str> {
    match wiring.nodes.get(node) {
        Some(node) if node.kind != Kind::Manager => vec!["-netns", &node.name],
        _ => Vec::new(),
    }
}

/// The namespaces and the cables between them.
fn skeleton(wiring: &Wiring) -> Result<String> {
    let mut script = String::new();
    for node in wiring.nodes.iter().filter(|it| it.kind != Kind::Manager) {
        writeln!(script, "netns add {}", node.name)?;
    }
    for cable in &wiring.cables {
        let [a, b] = cable.each_ref().map(|end| {
            let place = namespace(wiring, end.node)
                .join(" ")
                .replace("-netns", "netns");
            format!("{} {place}", end.interface)
        });
        writeln!(script, "link add {a} type veth peer name {b}")?;
    }
    Ok(script)
}

/// What is set up within one node.
fn inside(wiring: &Wiring, number: usize) -> Result<String> {
    let node = wiring.nodes.get(number).context("no such node")?;
    let is_switch = node.kind == Kind::Switch;
    let mut script = "link set lo up\n".to_owned();
    if is_switch {
        // An address of its own. A bridge would take that of a port, from which LLDP is sent even
        // while the spanning tree blocks it: neighbours would learn the wrong way to the switch.
        writeln!(
            script,
            "link add br0 address 02:4c:41:42:00:{number:02x} type bridge {SPANNING_TREE}"
        )?;
    }
    for end in wiring
        .cables
        .iter()
        .flatten()
        .filter(|it| it.node == number)
    {
        let master = if is_switch { "master br0" } else { "" };
        writeln!(script, "link set {} {master} up", end.interface)?;
    }
    if is_switch {
        writeln!(script, "link set br0 up")?;
    }
    for address in &node.addresses {
        let (ip, prefix, interface) = (address.ip, address.prefix, &address.interface);
        writeln!(script, "addr add {ip}/{prefix} dev {interface}")?;
    }
    for route in wiring.routes().iter().filter(|it| it.node == number) {
        let (network, prefix) = route.to;
        writeln!(script, "route add {network}/{prefix} via {}", route.via)?;
    }
    Ok(script)
}

async fn forward(namespace: &str) -> Result<()> {
    let output = Program::new("ip")
        .args(["netns", "exec", namespace])
        .args(["sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward"])
        .run(b"", COMMAND)
        .await?;
    ensure!(output.code == Some(0), "{namespace}: {}", output.stderr);
    Ok(())
}

/// Runs `ip` over the lines of a script.
async fn ip(options: &[&str], script: &str) -> Result<()> {
    let output = Program::new("ip")
        .args(options)
        .args(["-batch", "-"])
        .run(script.as_bytes(), COMMAND)
        .await?;
    if output.code != Some(0) {
        bail!("ip {options:?}: {}\n{script}", output.stderr);
    }
    Ok(())
}
