//! What the platform adds to the time of a call while the machine is not busy.

use anyhow::Result;

use super::Effort;
use super::figures::{compared, milliseconds, rate_and_latency};
use super::trio::{Trio, Turns};
use crate::load::Pace;
use crate::report::{Goal, Section, Table};
use crate::site::Site;

/// Calls per second.
const RATE: u32 = 1000;
/// Clients that share the calls, and so the most that run at a time.
const CLIENTS: usize = 64;

pub(super) async fn measure(site: &Site, effort: Effort) -> Result<Section> {
    let mut trio = Trio::start(site, CLIENTS).await?;
    let pace = Pace::PerSecond(RATE);
    let Turns {
        ours,
        direct,
        enveloped,
        bare,
    } = trio.rounds("latency", pace, effort).await?;
    let added = |figure| compared(&ours, &bare, figure, |our, their| our - their);
    let mut goals = Table::of_goals();
    goals.goal(
        "p50 added to that of the bare loop",
        &Goal::AtMost(0.5, " ms"),
        added(|turn| milliseconds(turn.window.p50))?,
    );
    let p99 = added(|turn| milliseconds(turn.window.p99))?;
    goals.note("p99 added to that of the bare loop", format!("{p99:.2} ms"));
    let mut figures = Table::new(&["contestant", "calls/s", "p50 ms", "p99 ms"]);
    for (name, turns) in [
        ("gateway, RabbitMQ, worker", &ours),
        ("AMQP client and our worker, no gateway", &direct),
        ("bare loop with our messages", &enveloped),
        ("bare loop", &bare),
    ] {
        let mut cells = vec![name.to_owned()];
        cells.extend(rate_and_latency(turns)?);
        figures.row(cells);
    }
    Ok(Section {
        title: "Latency at a steady rate",
        method: format!(
            "The same three at {RATE} calls a second, sent whether the ones before are answered or not; the time of a call begins when it was to be sent."
        ),
        tables: vec![goals, figures],
    })
}
