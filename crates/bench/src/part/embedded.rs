//! Everything in one process, beside the server of the official Rust SDK.

use anyhow::Result;

use super::Effort;
use super::figures::{middle, rate_and_latency, ratio};
use crate::load::{Ask, Load, PAYLOAD, Pace, Plan, Target};
use crate::measure::turn::{Processes, Turn};
use crate::report::{Goal, Section, Table};
use crate::run::say;
use crate::site::{Server, Site};

/// Calls at a time.
const IN_FLIGHT: usize = 128;

/// A server and what calls it.
struct Contestant {
    server: Server,
    load: Load,
    turns: Vec<Turn>,
}

impl Contestant {
    async fn new(server: Server) -> Result<Self> {
        server.has_echo().await?;
        let (address, ask) = (server.address, Ask::Call);
        let plan = Plan {
            target: Target::Http { address, ask },
            clients: IN_FLIGHT,
        };
        Ok(Self {
            server,
            load: Load::start(plan).await?,
            turns: Vec::new(),
        })
    }

    async fn turn(&mut self, effort: Effort) -> Result<f64> {
        let processes = Processes {
            broker: None,
            own: vec![self.server.process.pid()],
            generator: Some(self.load.pid()),
        };
        let pace = Pace::InFlight(IN_FLIGHT);
        let turn = Turn::take_clean(&mut self.load, pace, effort.turn, &processes).await?;
        let rate = turn.window.rate();
        self.turns.push(turn);
        Ok(rate)
    }

    fn row(&self, name: &str) -> Result<Vec<String>> {
        let mut cells = vec![name.to_owned()];
        cells.extend(rate_and_latency(&self.turns)?);
        for figure in [|turn: &Turn| turn.own, |turn: &Turn| turn.generator] {
            cells.push(format!("{:.0}", middle(&self.turns, figure)?));
        }
        Ok(cells)
    }
}

pub(super) async fn measure(site: &Site, effort: Effort) -> Result<Section> {
    let mut ours = Contestant::new(site.embedded()?).await?;
    let mut rmcp = Contestant::new(site.rmcp_server()?).await?;
    let mut least = Contestant::new(site.http_server()?).await?;
    for round in 1..=effort.rounds {
        let most = least.turn(effort).await?;
        let of = rmcp.turn(effort).await?;
        let rate = ours.turn(effort).await?;
        say(&format!(
            "embedded, round {round}: {rate:.0} calls/s, rmcp {of:.0}, least {most:.0}"
        ));
    }
    let mut goals = Table::of_goals();
    goals.goal(
        "calls/s, ratio to rmcp",
        &Goal::AtLeast(2.0, ""),
        ratio(&ours.turns, &rmcp.turns, |turn| turn.window.rate())?,
    );
    let cpu = ratio(&ours.turns, &rmcp.turns, |turn| turn.own)?;
    goals.note(
        "processor time per call, ratio to rmcp",
        format!("{cpu:.2}"),
    );
    let most = ratio(&least.turns, &rmcp.turns, |turn| turn.window.rate())?;
    goals.note(
        "calls/s of a server that only reads and echoes, ratio to rmcp",
        format!("{most:.2}"),
    );
    let mut figures = Table::new(&[
        "contestant",
        "calls/s",
        "p50 ms",
        "p99 ms",
        "server µs/call",
        "generator µs/call",
    ]);
    figures.row(ours.row("gateway and worker in one process")?);
    figures.row(rmcp.row("rmcp")?);
    figures.row(least.row("a server that only reads and echoes")?);
    Ok(Section {
        title: "In one process",
        method: format!(
            "Gateway and worker on the bus in memory, as `discovery up` has them, beside the server of the official Rust SDK (rmcp 3.9, Streamable HTTP, stateless, JSON answers): the same tool, the same calls, the same allocator, {IN_FLIGHT} calls at a time, {PAYLOAD} bytes there and back.\n\
             The server that only reads and echoes stands on the HTTP library that all three have, and shows what that leaves to win.\n\
             The generator takes a part of the two cores, more of it the faster a server is."
        ),
        tables: vec![goals, figures],
    })
}
