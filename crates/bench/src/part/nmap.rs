//! What the way through the platform adds to a scan.

use anyhow::{Result, ensure};

use super::Effort;
use crate::network::ground::FILTERED;
use crate::network::{
    SCAN_TOOL, SCANNED_PORTS, Task, Turn, found, measure as in_network, seconds, speed,
};
use crate::report::{Goal, Section, Table};

pub(super) async fn measure(effort: Effort) -> Result<Section> {
    let [ours, theirs] = in_network(Task::Scan, effort).await?;
    let (n_ours, n_theirs) = (found(&ours), found(&theirs));
    ensure!(
        n_ours == n_theirs,
        "{n_ours} hosts, not {n_theirs} as nmap says"
    );
    let mut goals = Table::of_goals();
    // How many times as fast the bare command is, beyond once.
    let added = (speed(&theirs, &ours)? - 1.0) * 100.0;
    goals.goal(
        "time added to that of the bare command",
        &Goal::AtMost(5.0, " %"),
        added,
    );
    let mut figures = Table::new(&["contestant", "hosts", "s"]);
    figures.row(row(&format!("`{SCAN_TOOL}`"), &ours)?);
    figures.row(row("`nmap`", &theirs)?);
    Ok(Section {
        title: "A scan by nmap",
        method: format!(
            "TCP ports {SCANNED_PORTS} of {} addresses that all count as up: {} are hosts whose ports are closed, the others drop everything, as behind a firewall; network namespaces, nothing else.\n\
             `tools/call` of `{SCAN_TOOL}` over HTTP, with everything in one process (`discovery up`).\n\
             The bare command is the program that the worker starts, with exactly the arguments that it starts it with, read from the process; its output is read and left.",
            FILTERED.size(),
            FILTERED.hosts().count()
        ),
        tables: vec![goals, figures],
    })
}

fn row(name: &str, turns: &[Turn]) -> Result<[String; 3]> {
    Ok([
        name.to_owned(),
        found(turns).to_string(),
        format!("{:.2}", seconds(turns)?),
    ])
}
