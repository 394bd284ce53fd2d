//! Listing very many tools.

use std::time::Duration;

use anyhow::Result;
use tokio::time::sleep;

use super::Effort;
use super::figures::{middle, milliseconds, rate_and_latency};
use crate::load::{Ask, Load, Pace, Plan, Target};
use crate::measure::turn::{Processes, Turn};
use crate::measure::usage::{Memory, memory};
use crate::report::{Goal, Section, Table};
use crate::run::say;
use crate::site::{Server, Site};

/// Tools that are announced.
const TOOLS: u32 = 5000;
/// Time in which a process comes to rest.
const SETTLE: Duration = Duration::from_secs(5);

pub(super) async fn measure(site: &Site, effort: Effort) -> Result<Section> {
    let gateway = site.gateway()?;
    gateway.has_tools(0).await?;
    sleep(SETTLE).await;
    let before = memory(gateway.process.pid())?;
    let tools = usize::try_from(TOOLS)?;
    let announcer = site.announcer(tools)?;
    gateway.has_tools(tools).await?;
    sleep(SETTLE).await;
    let after = memory(gateway.process.pid())?;
    let turns = turns(&gateway, effort).await?;
    drop(announcer);
    let mut goals = Table::of_goals();
    goals.goal(
        "p50 of a page",
        &Goal::AtMost(1.0, " ms"),
        middle(&turns, |turn| milliseconds(turn.window.p50))?,
    );
    let resident = per_tool(before, after, |memory| memory.resident);
    let anonymous = per_tool(before, after, |memory| memory.anonymous);
    goals.note("memory of the gateway per tool, resident", resident);
    goals.note("memory of the gateway per tool, its own", anonymous);
    let mut figures = Table::new(&[
        "contestant",
        "pages/s",
        "p50 ms",
        "p99 ms",
        "gateway µs/page",
        "generator µs/page",
    ]);
    let mut cells = vec!["one client".to_owned()];
    cells.extend(rate_and_latency(&turns)?);
    for figure in [|turn: &Turn| turn.own, |turn: &Turn| turn.generator] {
        cells.push(format!("{:.0}", middle(&turns, figure)?));
    }
    figures.row(cells);
    Ok(Section {
        title: "Lists",
        method: format!(
            "`tools/list`: the first page, of 100 tools, by one client, while {TOOLS} tools of about 2 KB each are announced by ten workers.\n\
             Memory of the gateway before they came and once every page had been read, {} s at rest each.",
            SETTLE.as_secs()
        ),
        tables: vec![goals, figures],
    })
}

async fn turns(gateway: &Server, effort: Effort) -> Result<Vec<Turn>> {
    let (address, ask) = (gateway.address, Ask::List);
    let plan = Plan {
        target: Target::Http { address, ask },
        clients: 1,
    };
    let mut load = Load::start(plan).await?;
    let mut turns = Vec::new();
    for round in 1..=effort.rounds {
        let processes = Processes {
            broker: None,
            own: vec![gateway.process.pid()],
            generator: Some(load.pid()),
        };
        let pace = Pace::InFlight(1);
        let turn = Turn::take_clean(&mut load, pace, effort.turn, &processes).await?;
        say(&format!("list, round {round}: p50 {:.0?}", turn.window.p50));
        turns.push(turn);
    }
    Ok(turns)
}

fn per_tool(before: Memory, after: Memory, part: fn(&Memory) -> u64) -> String {
    let more = part(&after).saturating_sub(part(&before)) / u64::from(TOOLS);
    format!("{more} bytes")
}
