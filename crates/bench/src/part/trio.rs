//! What is compared on one broker: the platform, its worker without a gateway, and a bare loop.

use std::time::Duration;

use anyhow::Result;
use testkit::process::Process;

use super::Effort;
use crate::contestant::{bare_worker, echo_worker};
use crate::load::{Ask, Load, Pace, Plan, Target};
use crate::measure::turn::{Processes, Turn};
use crate::run::say;
use crate::site::{Server, Site};

/// All of them, ready and idle.
pub(super) struct Trio {
    http: Contestant,
    direct: Contestant,
    enveloped: Contestant,
    bare: Contestant,
    /// Kept while they are measured.
    _gateway: Server,
    _workers: [Process; 2],
}

struct Contestant {
    load: Load,
    processes: Processes,
}

/// The turns of each.
#[derive(Default)]
pub(super) struct Turns {
    /// HTTP client, gateway, worker.
    pub(super) ours: Vec<Turn>,
    /// AMQP client, our worker.
    pub(super) direct: Vec<Turn>,
    /// AMQP client, bare worker, with the messages of the platform.
    pub(super) enveloped: Vec<Turn>,
    /// AMQP client, bare worker.
    pub(super) bare: Vec<Turn>,
}

impl Contestant {
    /// Someone whose client makes the load itself, and is measured with it.
    async fn with_client(plan: Plan, broker: u32, worker: u32) -> Result<Self> {
        let load = Load::start(plan).await?;
        Ok(Self {
            processes: Processes {
                broker: Some(broker),
                own: vec![load.pid(), worker],
                generator: None,
            },
            load,
        })
    }

    async fn turn(&mut self, pace: Pace, length: Duration) -> Result<Turn> {
        Turn::take_clean(&mut self.load, pace, length, &self.processes).await
    }
}

impl Trio {
    /// Starts them, with so many clients each.
    pub(super) async fn start(site: &Site, clients: usize) -> Result<Self> {
        let gateway = site.gateway()?;
        let worker = site.echo_worker()?;
        let bare_worker = site.bare_worker().await?;
        gateway.has_echo().await?;
        let (address, ask) = (gateway.address, Ask::Call);
        let plan = |target| Plan { target, clients };
        let broker = site.node.pid()?;
        let http = Load::start(plan(Target::Http { address, ask })).await?;
        let processes = Processes {
            broker: Some(broker),
            own: vec![gateway.process.pid(), worker.pid()],
            generator: Some(http.pid()),
        };
        let worker_of = |category: &str| Target::Worker {
            url: site.url(),
            category: category.to_owned(),
        };
        let direct = plan(worker_of(echo_worker::CATEGORY));
        let enveloped = plan(worker_of(bare_worker::CATEGORY));
        let bare = plan(Target::Bare { url: site.url() });
        Ok(Self {
            http: Contestant {
                load: http,
                processes,
            },
            direct: Contestant::with_client(direct, broker, worker.pid()).await?,
            enveloped: Contestant::with_client(enveloped, broker, bare_worker.pid()).await?,
            bare: Contestant::with_client(bare, broker, bare_worker.pid()).await?,
            _gateway: gateway,
            _workers: [worker, bare_worker],
        })
    }

    /// So many turns of each, one after the other.
    pub(super) async fn rounds(&mut self, name: &str, pace: Pace, effort: Effort) -> Result<Turns> {
        let mut all = Turns::default();
        for round in 1..=effort.rounds {
            let bare = self.bare.turn(pace, effort.turn).await?;
            let ours = self.http.turn(pace, effort.turn).await?;
            let direct = self.direct.turn(pace, effort.turn).await?;
            let enveloped = self.enveloped.turn(pace, effort.turn).await?;
            let told = |turn: &Turn| {
                let (rate, p50) = (turn.window.rate(), turn.window.p50);
                format!("{rate:.0}/s p50 {p50:.0?}")
            };
            say(&format!(
                "{name}, round {round}: {}; without a gateway {}; enveloped {}; bare {}",
                told(&ours),
                told(&direct),
                told(&enveloped),
                told(&bare)
            ));
            all.ours.push(ours);
            all.direct.push(direct);
            all.enveloped.push(enveloped);
            all.bare.push(bare);
        }
        Ok(all)
    }
}
