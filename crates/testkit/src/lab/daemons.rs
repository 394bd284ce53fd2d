//! What runs on every node.

use std::{fmt::Write as _, fs, path::Path};

use anyhow::{Context as _, Result};

use super::{
    CONVERGENCE,
    wiring::{Kind, Node, PortIds, Wiring},
};
use crate::{
    process::{Process, Program},
    snmp::program,
    wait,
};

/// Gives the host name `$0` to a command.
const NAMED: &str = r#"hostname "$0" && exec "$@""#;

/// Starts an `snmpd` and an `lldpd` on every node; each keeps its files in `folder`.
pub(super) async fn start(wiring: &Wiring, folder: &Path) -> Result<Vec<Process>> {
    // lldpd changes its root to this folder, and expects to find it.
    fs::create_dir_all("/run/lldpd").context("/run/lldpd")?;
    let mut daemons = Vec::new();
    for node in &wiring.nodes {
        let folder = folder.join(&node.name);
        fs::create_dir(&folder)?;
        daemons.push(snmpd(node, &folder)?);
    }
    for node in &wiring.nodes {
        let folder = folder.join(&node.name);
        // An lldpd that finds no agent to join tries again after a quarter of a minute only.
        let socket = folder.join("agentx");
        let there = async || socket.exists().then_some(());
        wait::until("snmpd takes subagents", CONVERGENCE, there).await?;
        daemons.push(lldpd(node, &folder)?);
    }
    Ok(daemons)
}

fn snmpd(node: &Node, folder: &Path) -> Result<Process> {
    let socket = folder.join("agentx");
    let socket = socket.display();
    let lines = format!("agentAddress udp:161\nmaster agentx\nagentXSocket unix:{socket}");
    program(on(node).arg("snmpd"), folder, &lines)?
        .start()
        .context("snmpd cannot be started; run scripts/test, which installs it")
}

fn lldpd(node: &Node, folder: &Path) -> Result<Process> {
    let mut lines = "configure lldp tx-interval 1\n".to_owned();
    let subtype = match node.port_ids {
        PortIds::MacAddress => "macaddress",
        PortIds::InterfaceName => "ifname",
    };
    writeln!(lines, "configure lldp portidsubtype {subtype}")?;
    let file = folder.join("lldpd.conf");
    fs::write(&file, lines)?;
    let socket = folder.join("agentx");
    on(node)
        .args(["lldpd", "-d", "-O"])
        .arg(file)
        .arg("-u")
        .arg(folder.join("lldpd.socket"))
        .arg("-X")
        .arg(format!("unix:{}", socket.display()))
        .env("MIBS", "")
        .start()
        .context("lldpd cannot be started; run scripts/test, which installs it")
}

/// The beginning of a command that runs on a node.
fn on(node: &Node) -> Program {
    let named = ["--uts", "sh", "-c", NAMED, node.name.as_str()];
    if node.kind == Kind::Manager {
        return Program::new("unshare").args(named);
    }
    Program::new("nsenter")
        .arg(format!("--net=/run/netns/{}", node.name))
        .arg("unshare")
        .args(named)
}
