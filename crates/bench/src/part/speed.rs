//! HTTP calls through gateway, broker and worker beside the least that the broker can do.

use anyhow::Result;

use super::Effort;
use super::figures::{middle, rate_and_latency, ratio};
use super::trio::{Trio, Turns};
use crate::load::{PAYLOAD, Pace};
use crate::measure::turn::Turn;
use crate::report::{Goal, Section, Table};
use crate::site::Site;

/// Calls at a time.
const IN_FLIGHT: usize = 128;

pub(super) async fn measure(site: &Site, effort: Effort) -> Result<Section> {
    let mut trio = Trio::start(site, IN_FLIGHT).await?;
    let pace = Pace::InFlight(IN_FLIGHT);
    let Turns {
        ours,
        direct,
        enveloped,
        bare,
    } = trio.rounds("speed", pace, effort).await?;
    let mut goals = Table::of_goals();
    goals.goal(
        "calls/s, ratio to the bare loop",
        &Goal::AtLeast(0.7, ""),
        ratio(&ours, &bare, |turn| turn.window.rate())?,
    );
    goals.goal(
        "processor time of the broker per call, ratio",
        &Goal::AtMost(1.1, ""),
        ratio(&ours, &bare, |turn| turn.broker)?,
    );
    goals.goal(
        "processor time of gateway and worker per call, ratio to client and worker of the bare loop",
        &Goal::AtMost(1.8, ""),
        ratio(&ours, &bare, |turn| turn.own)?,
    );
    let envelope = ratio(&enveloped, &bare, |turn| turn.broker)?;
    goals.note(
        "the same of the bare loop with our messages",
        format!("{envelope:.2}"),
    );
    let mut figures = Table::new(&[
        "contestant",
        "calls/s",
        "p50 ms",
        "p99 ms",
        "broker µs/call",
        "own processes µs/call",
        "generator µs/call",
    ]);
    figures.row(row("gateway, RabbitMQ, worker", &ours)?);
    figures.row(row("AMQP client and our worker, no gateway", &direct)?);
    figures.row(row("bare loop with our messages", &enveloped)?);
    figures.row(row("bare loop", &bare)?);
    Ok(Section {
        title: "Calls through RabbitMQ",
        method: format!(
            "`tools/call` of a tool that gives {PAYLOAD} bytes back, over HTTP connections that are kept alive, {IN_FLIGHT} calls at a time.\n\
             The bare loop is a client and a worker with nothing but the AMQP library: the same {PAYLOAD} bytes without any envelope, by the default exchange to a quorum queue, requests persistent, mandatory and confirmed, replies mandatory and confirmed on an exclusive classic queue, the request acked after that, the same prefetch.\n\
             Once more it runs with the messages that the platform's binding asks for (the same bodies, properties and headers): what that costs the broker no implementation can save.\n\
             Clients over AMQP make the load themselves and are counted; the generator of HTTP load is counted apart."
        ),
        tables: vec![goals, figures],
    })
}

fn row(name: &str, turns: &[Turn]) -> Result<Vec<String>> {
    let mut cells = vec![name.to_owned()];
    cells.extend(rate_and_latency(turns)?);
    for figure in [
        |turn: &Turn| turn.broker,
        |turn: &Turn| turn.own,
        |turn: &Turn| turn.generator,
    ] {
        cells.push(format!("{:.0}", middle(turns, figure)?));
    }
    Ok(cells)
}
