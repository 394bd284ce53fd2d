//! HTTP calls through gateway, broker and worker beside the least that the broker can do.

use anyhow::{Context as _, Result};

use super::Effort;
use crate::load::{Load, PAYLOAD, Pace, Plan, Target};
use crate::measure::statistics::median;
use crate::measure::turn::{Processes, Turn};
use crate::report::{Goal, Section, Table};
use crate::run::say;
use crate::site::Site;

/// Calls at a time.
const IN_FLIGHT: usize = 128;

pub(super) async fn measure(site: &Site, effort: Effort) -> Result<Section> {
    let gateway = site.gateway()?;
    let worker = site.echo_worker()?;
    let bare_worker = site.bare_worker().await?;
    gateway.has_echo().await?;
    let plan = |target| Plan {
        target,
        clients: IN_FLIGHT,
    };
    let address = gateway.address;
    let mut http = Load::start(plan(Target::Http { address })).await?;
    let mut bare = Load::start(plan(Target::Bare { url: site.url() })).await?;
    let broker = Some(site.node.pid()?);
    let our_processes = Processes {
        broker,
        own: vec![gateway.process.pid(), worker.pid()],
        generator: Some(http.pid()),
    };
    let bare_processes = Processes {
        broker,
        own: vec![bare.pid(), bare_worker.pid()],
        generator: None,
    };
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let pace = Pace::InFlight(IN_FLIGHT);
    for round in 1..=effort.rounds {
        let bare = Turn::take_clean(&mut bare, pace, effort.turn, &bare_processes).await?;
        let our = Turn::take_clean(&mut http, pace, effort.turn, &our_processes).await?;
        say(&format!(
            "speed, round {round}: {:.0} calls/s of {:.0}",
            our.window.rate(),
            bare.window.rate()
        ));
        theirs.push(bare);
        ours.push(our);
    }
    report(&ours, &theirs)
}

fn report(ours: &[Turn], bare: &[Turn]) -> Result<Section> {
    let ratio = |figure: fn(&Turn) -> f64| {
        let ratios = ours
            .iter()
            .zip(bare)
            .map(|(our, bare)| figure(our) / figure(bare));
        median(ratios).context("no round")
    };
    let mut goals = Table::of_goals();
    let rate = ratio(|turn| turn.window.rate())?;
    goals.goal(
        "calls/s, ratio to the bare loop",
        &Goal::AtLeast(0.7, ""),
        rate,
    );
    let broker = ratio(|turn| turn.broker)?;
    goals.goal(
        "processor time of the broker per call, ratio",
        &Goal::AtMost(1.1, ""),
        broker,
    );
    let own = ratio(|turn| turn.own)?;
    goals.goal(
        "processor time of gateway and worker per call, ratio to client and worker of the bare loop",
        &Goal::AtMost(1.8, ""),
        own,
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
    figures.row(row("gateway, RabbitMQ, worker", ours)?);
    figures.row(row("bare loop", bare)?);
    Ok(Section {
        title: "Calls through RabbitMQ",
        method: format!(
            "`tools/call` of a tool that gives {PAYLOAD} bytes back, over HTTP connections that are kept alive, {IN_FLIGHT} calls at a time.\n\
             The bare loop is a client and a worker with nothing but the AMQP library: the same {PAYLOAD} bytes, a quorum queue, requests persistent, mandatory and confirmed, replies mandatory and confirmed on an exclusive classic queue, the request acked after that, the same prefetch.\n\
             Its client makes the load itself; the generator of HTTP load is counted apart."
        ),
        tables: vec![goals, figures],
    })
}

/// The medians of a contestant's turns.
fn row(name: &str, turns: &[Turn]) -> Result<Vec<String>> {
    let middle = |figure: fn(&Turn) -> f64| median(turns.iter().map(figure)).context("no round");
    Ok(vec![
        name.to_owned(),
        format!("{:.0}", middle(|turn| turn.window.rate())?),
        format!("{:.2}", middle(|turn| turn.window.p50.as_secs_f64() * 1e3)?),
        format!("{:.2}", middle(|turn| turn.window.p99.as_secs_f64() * 1e3)?),
        format!("{:.0}", middle(|turn| turn.broker)?),
        format!("{:.0}", middle(|turn| turn.own)?),
        format!("{:.0}", middle(|turn| turn.generator)?),
    ])
}
