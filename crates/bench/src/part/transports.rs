//! Every way in, on both buses.

use anyhow::Result;

use super::Effort;
use super::figures::rate_and_latency;
use crate::contestant::echo_worker;
use crate::load::{Ask, Load, PAYLOAD, Pace, Plan, Target};
use crate::measure::turn::{Processes, Turn};
use crate::report::{Section, Table};
use crate::run::say;
use crate::site::Site;

/// Calls at a time, few and many.
const IN_FLIGHT: [usize; 2] = [1, 128];

/// One way in.
struct Way {
    name: &'static str,
    bus: &'static str,
    load: Load,
    /// As many lists as there are in [`IN_FLIGHT`].
    turns: [Vec<Turn>; 2],
}

pub(super) async fn measure(site: &Site, effort: Effort) -> Result<Section> {
    let gateway = site.gateway()?;
    let embedded = site.embedded()?;
    let worker = site.echo_worker()?;
    gateway.has_echo().await?;
    embedded.has_echo().await?;
    let http = |address, ask| Target::Http { address, ask };
    let (memory, rabbitmq) = ("in memory", "RabbitMQ");
    let (on_memory, on_rabbitmq) = (embedded.address, gateway.address);
    let worker_itself = Target::Worker {
        url: site.url(),
        category: echo_worker::CATEGORY.to_owned(),
    };
    let (stateless, session) = ("HTTP, stateless", "HTTP, session");
    let mut ways = Vec::new();
    for (name, bus, target) in [
        (stateless, memory, http(on_memory, Ask::Call)),
        (session, memory, http(on_memory, Ask::CallInSession)),
        ("stdio", memory, Target::Stdio(site.on_stdio(true)?)),
        (stateless, rabbitmq, http(on_rabbitmq, Ask::Call)),
        (session, rabbitmq, http(on_rabbitmq, Ask::CallInSession)),
        ("stdio", rabbitmq, Target::Stdio(site.on_stdio(false)?)),
        ("AMQP, without a gateway", rabbitmq, worker_itself),
    ] {
        let [_, clients] = IN_FLIGHT;
        ways.push(Way {
            name,
            bus,
            load: Load::start(Plan { target, clients }).await?,
            turns: Default::default(),
        });
    }
    for round in 1..=effort.rounds.div_ceil(2) {
        for way in &mut ways {
            way.take_turns(effort).await?;
        }
        say(&format!("transports, round {round}"));
    }
    drop(worker);
    report(&ways)
}

impl Way {
    async fn take_turns(&mut self, effort: Effort) -> Result<()> {
        for (turns, calls) in self.turns.iter_mut().zip(IN_FLIGHT) {
            let (pace, nobody) = (Pace::InFlight(calls), Processes::default());
            turns.push(Turn::take_clean(&mut self.load, pace, effort.turn, &nobody).await?);
        }
        Ok(())
    }
}

fn report(ways: &[Way]) -> Result<Section> {
    let mut figures = Table::new(&[
        "transport",
        "bus",
        "calls/s, 1 at a time",
        "p50 ms",
        "p99 ms",
        "calls/s, 128 at a time",
        "p50 ms",
        "p99 ms",
    ]);
    for way in ways {
        let mut cells = vec![way.name.to_owned(), way.bus.to_owned()];
        for turns in &way.turns {
            cells.extend(rate_and_latency(turns)?);
        }
        figures.row(cells);
    }
    Ok(Section {
        title: "Transports",
        method: format!(
            "The tool that gives {PAYLOAD} bytes back, by every way in, with its worker in the same process or behind RabbitMQ.\n\
             On standard input and output all calls share the streams of one gateway."
        ),
        tables: vec![figures],
    })
}
