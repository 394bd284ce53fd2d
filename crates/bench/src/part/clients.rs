//! Very many clients at once.

use anyhow::{Context as _, Result};

use super::Effort;
use super::figures::{cell, milliseconds, rate_and_latency};
use crate::load::{Ask, Load, Pace, Plan, Target};
use crate::measure::statistics::median;
use crate::measure::turn::{Processes, Turn};
use crate::report::{Goal, Section, Table};
use crate::run::say;
use crate::site::Site;

/// Clients, each with a connection of its own and a call under way.
const CLIENTS: usize = 1000;

pub(super) async fn measure(site: &Site, effort: Effort) -> Result<Section> {
    let gateway = site.gateway()?;
    let _worker = site.echo_worker()?;
    gateway.has_echo().await?;
    let (address, ask) = (gateway.address, Ask::Call);
    let plan = Plan {
        target: Target::Http { address, ask },
        clients: CLIENTS,
    };
    let mut load = Load::start(plan).await?;
    let mut turns = Vec::new();
    for round in 1..=effort.rounds {
        let (pace, nobody) = (Pace::InFlight(CLIENTS), Processes::default());
        let turn = Turn::take(&mut load, pace, effort.turn, &nobody).await?;
        let (rate, errors) = (turn.window.rate(), turn.window.errors);
        let why = turn.window.first_error.as_deref().unwrap_or_default();
        say(&format!(
            "clients, round {round}: {rate:.0} calls/s, {errors} errors {why}"
        ));
        turns.push(turn);
    }
    let errors: u64 = turns.iter().map(|turn| turn.window.errors).sum();
    let mut goals = Table::of_goals();
    let shown = f64::from(u32::try_from(errors).unwrap_or(u32::MAX));
    goals.goal("errors in all turns", &Goal::AtMost(0.0, ""), shown);
    let mut figures = Table::new(&["contestant", "calls/s", "p50 ms", "p99 ms", "longest ms"]);
    let mut cells = vec!["gateway, RabbitMQ, worker".to_owned()];
    cells.extend(rate_and_latency(&turns)?);
    let longest = turns.iter().map(|turn| milliseconds(turn.window.longest));
    cells.push(cell(median(longest).context("no turn")?));
    figures.row(cells);
    Ok(Section {
        title: "A thousand clients",
        method: format!(
            "{CLIENTS} HTTP connections through one gateway, RabbitMQ and one worker, each with one call after the other."
        ),
        tables: vec![goals, figures],
    })
}
