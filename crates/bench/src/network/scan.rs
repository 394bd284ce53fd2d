//! A scan of ports by nmap.

use std::time::Duration;

use anyhow::{Context as _, Result};
use procfs::process::all_processes;
use serde_json::json;
use testkit::process::Program;
use testkit::wait;

use super::command::Command;
use super::contestant::Contestant;
use super::ground::{FILTERED, Ground};
use super::tool::ToolCall;

/// The tool that scans.
pub(crate) const TOOL: &str = "nmap_tcp_connect_scan";
/// The ports that it scans.
pub(crate) const PORTS: &str = "1-60";
/// How long the worker may take to start nmap.
const START: Duration = Duration::from_secs(10);

pub(super) async fn contestants(ground: &Ground) -> Result<Vec<Contestant>> {
    let target = FILTERED.cidr();
    let arguments = json!({ "target": target, "ports": PORTS, "skip_discovery": true });
    let call = ToolCall::new(&ground.platform, TOOL, arguments, "hosts").await?;
    let (run, words) = tokio::join!(call.run(), words_of_nmap());
    run?;
    let words = words?;
    let (program, arguments) = words.split_first().context("nmap without a name")?;
    Ok(vec![
        Contestant::Tool(call),
        Contestant::Command(Command {
            program: Program::new(program).args(arguments),
            counted: |output| output.matches("<status state=\"up\"").count(),
        }),
    ])
}

/// The command line of the nmap that the platform has started, word by word: what is compared
/// with is exactly that.
async fn words_of_nmap() -> Result<Vec<String>> {
    let seen = async || {
        all_processes().ok()?.flatten().find_map(|process| {
            // Processes may end while they are listed.
            let words = process.cmdline().ok()?;
            (process.stat().ok()?.comm == "nmap").then_some(words)
        })
    };
    wait::until("the worker starts nmap", START, seen).await
}
