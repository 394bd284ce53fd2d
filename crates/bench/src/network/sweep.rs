//! A sweep of two networks for SNMP agents.

use anyhow::Result;
use serde_json::json;
use testkit::process::Program;
use testkit::snmp::COMMUNITY;

use super::command::Command;
use super::contestant::Contestant;
use super::ground::{FULL, Ground, Range, SPARSE};
use super::tool::ToolCall;

/// `sysDescr.0`.
const DESCRIPTION: &str = ".1.3.6.1.2.1.1.1.0";

pub(super) async fn contestants(ground: &Ground) -> Result<Vec<Contestant>> {
    let mut contestants = Vec::new();
    for range in [FULL, SPARSE] {
        // As many devices on one page as can be; the rest is as it is without a word.
        let arguments = json!({ "targetRange": range.cidr(), "limit": 5000 });
        let call = ToolCall::new(&ground.platform, "snmp_discover", arguments, "devices").await?;
        contestants.push(Contestant::Tool(call));
        contestants.push(Contestant::Command(braa(range)));
    }
    Ok(contestants)
}

/// Two rounds of a second each, in SNMP v2c, which is what `snmp_discover` does too.
fn braa(range: Range) -> Command {
    let [first, last] = range.ends();
    let query = format!("{COMMUNITY}@{first}-{last}:161:{DESCRIPTION}");
    Command {
        program: Program::new("braa").args(["-2", "-t", "1", "-r", "2", &query]),
        counted: |output| output.lines().filter(|line| line.contains("Linux")).count(),
    }
}
