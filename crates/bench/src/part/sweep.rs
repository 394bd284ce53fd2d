//! Finding SNMP agents in a network, by `snmp_discover` and by braa.

use anyhow::Result;

use super::Effort;
use crate::network::ground::{FULL, Range, SPARSE};
use crate::network::{Task, Turn, found, measure as in_network, seconds, speed};
use crate::report::{Goal, Section, Table};

pub(super) async fn measure(effort: Effort) -> Result<Section> {
    let [full, full_braa, sparse, sparse_braa] = in_network(Task::Sweep, effort).await?;
    let mut goals = Table::of_goals();
    goals.goal(
        "speed where every address has an agent, ratio to braa",
        &Goal::AtLeast(5.0, ""),
        speed(&full, &full_braa)?,
    );
    let waiting = speed(&sparse, &sparse_braa)?;
    goals.note(
        "speed where most are silent, ratio to braa",
        format!("{waiting:.2}"),
    );
    let mut agents = 0;
    for (range, turns) in [(FULL, &full), (SPARSE, &sparse)] {
        agents = range.hosts().count();
        let found = f64::from(u32::try_from(found(turns))?);
        let figure = format!("agents found of {agents}");
        goals.goal(&figure, &all(agents)?, found);
    }
    let mut figures = Table::new(&["contestant", "agents", "found", "s"]);
    figures.row(row("`snmp_discover`", FULL, &full)?);
    figures.row(row("`braa`", FULL, &full_braa)?);
    figures.row(row("`snmp_discover`", SPARSE, &sparse)?);
    figures.row(row("`braa`", SPARSE, &sparse_braa)?);
    Ok(Section {
        title: "A sweep of a /20",
        method: format!(
            "All {} addresses of a network behind a router are asked for an SNMP agent: where each one has an agent, and where {agents} are spread over silence, which is a network that drops everything else (no refusals by ICMP).\n\
             One real agent (net-snmp) answers at all addresses, in a network namespace of its own, and so sets a limit to both.\n\
             `tools/call` of `snmp_discover` over HTTP, with everything in one process (`discovery up`), at its usual pace; it asks for six objects.\n\
             Debian's `braa -2 -t 1 -r 2` from its start to its end: the same version and patience, two rounds of a second; it asks for one object.\n\
             Amid silence both mostly wait as they are told to, so what is aimed at is the speed where everybody answers.\n\
             The agents that are said to be found are the fewest of all sweeps.",
            FULL.size()
        ),
        tables: vec![goals, figures],
    })
}

fn all(agents: usize) -> Result<Goal> {
    Ok(Goal::AtLeast(f64::from(u32::try_from(agents)?), ""))
}

fn row(name: &str, range: Range, turns: &[Turn]) -> Result<[String; 4]> {
    Ok([
        name.to_owned(),
        range.hosts().count().to_string(),
        found(turns).to_string(),
        format!("{:.3}", seconds(turns)?),
    ])
}
