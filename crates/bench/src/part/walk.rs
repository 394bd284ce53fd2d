//! Reading all of a large table, by `snmp_walk` and by snmpbulkwalk.

use anyhow::{Result, ensure};

use super::Effort;
use crate::network::{REPETITIONS, Task, Turn, found, measure as in_network, seconds, speed};
use crate::report::{Goal, Section, Table};

pub(super) async fn measure(effort: Effort) -> Result<Section> {
    let [whole, paged, theirs] = in_network(Task::Walk, effort).await?;
    let values = found(&theirs);
    for ours in [&whole, &paged] {
        let n_ours = found(ours);
        ensure!(
            n_ours == values,
            "{n_ours} values, not {values} as they are"
        );
    }
    let mut goals = Table::of_goals();
    goals.goal(
        "speed of a whole walk, ratio to snmpbulkwalk",
        &Goal::AtLeast(1.0, ""),
        speed(&whole, &theirs)?,
    );
    let in_pages = speed(&paged, &theirs)?;
    goals.note("the same in pages of 1000 values", format!("{in_pages:.2}"));
    let mut figures = Table::new(&["contestant", "values", "ms", "values/s"]);
    figures.row(row("`snmp_walk`, one page", &whole)?);
    figures.row(row("`snmp_walk`, pages of 1000 values", &paged)?);
    figures.row(row("`snmpbulkwalk`", &theirs)?);
    Ok(Section {
        title: "A walk of a large MIB",
        method: format!(
            "The group interfaces of a real agent (net-snmp) with as many of them as a large switch: {values} values, SNMP v2c, over a cable between two network namespaces.\n\
             `tools/call` of `snmp_walk` over HTTP, with everything in one process (`discovery up`), until the last byte of the last page has come; once with the longest page there is, which is the whole walk, and once with pages as long as they are without a word.\n\
             Debian's `snmpbulkwalk -Cr{REPETITIONS}`, which asks for as many values at a time as `snmp_walk` does, without MIBs, from its start to its end: starting a process belongs to it, as it does for its users.\n\
             All must have found the same number of values."
        ),
        tables: vec![goals, figures],
    })
}

fn row(name: &str, turns: &[Turn]) -> Result<[String; 4]> {
    let (found, seconds) = (found(turns), seconds(turns)?);
    let values = f64::from(u32::try_from(found)?);
    Ok([
        name.to_owned(),
        found.to_string(),
        format!("{:.1}", seconds * 1e3),
        format!("{:.0}", values / seconds),
    ])
}
