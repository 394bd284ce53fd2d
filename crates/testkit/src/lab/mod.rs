//! A network of namespaces whose wiring is drawn at random: a manager, switches, routers and
//! hosts, with `snmpd` and `lldpd` on each.
//!
//! The body of [`crate::namespaces::lab_of_daemons`] is the manager's place: what runs there
//! reaches all nodes. [`Wiring`] is the truth to compare with: nodes, addresses, and
//! [`Wiring::links`] with both interface names. [`Lab::cut`] takes a cable away.
//!
//! The switches speak the spanning tree protocol, and hand no frame of LLDP on, so that every
//! node sees only who is at the other end of its cables. `LAB_SEED` in the environment draws a
//! network again that a failed test has named.

mod daemons;
mod network;
mod random;
mod wiring;

pub use wiring::{Address, End, Kind, Link, NETWORK, Node, PortIds, Wiring};

use std::{net::SocketAddr, path::Path, time::Duration};

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use crate::{
    process::{Process, Program},
    snmp::{self, COMMUNITY},
    wait,
};

/// How long the network may take until every node is reached and knows its neighbours: the
/// spanning tree alone needs up to ten seconds.
const CONVERGENCE: Duration = Duration::from_secs(25);
/// How long one command may take.
const COMMAND: Duration = Duration::from_secs(10);
/// The port of all agents.
const SNMP_PORT: u16 = 161;
/// The names of all LLDP neighbours (LLDP-MIB, `lldpRemSysName`).
const NEIGHBOURS: &str = "1.0.8802.1.1.2.1.4.1.1.9";

/// A running network.
#[derive(Debug)]
pub struct Lab {
    wiring: Wiring,
    _daemons: Vec<Process>,
    folder: TempDir,
}

impl Lab {
    /// Draws a network by `LAB_SEED` or by chance, builds it, and waits until every node is
    /// reached and knows its neighbours.
    ///
    /// # Errors
    /// This process is not in namespaces of its own, a program is missing, or the network does
    /// not come up in time; the message names the seed.
    pub async fn start() -> Result<Self> {
        let seed = match std::env::var_os("LAB_SEED") {
            Some(seed) => seed
                .to_str()
                .and_then(|seed| seed.parse().ok())
                .context("LAB_SEED is not a number")?,
            None => random::fresh_seed(),
        };
        Self::of(Wiring::draw(seed))
            .await
            .with_context(|| format!("the lab with LAB_SEED={seed}"))
    }

    /// Builds a network as it is drawn.
    ///
    /// # Errors
    /// As for [`Lab::start`].
    pub async fn of(wiring: Wiring) -> Result<Self> {
        network::build(&wiring).await?;
        // Below /run, which is the namespaces' own and goes with them.
        let folder = tempfile::Builder::new()
            .prefix("testkit-lab-")
            .tempdir_in("/run")?;
        let daemons = daemons::start(&wiring, folder.path()).await?;
        let lab = Self {
            wiring,
            _daemons: daemons,
            folder,
        };
        lab.has_converged().await?;
        Ok(lab)
    }

    /// How it is wired now.
    #[must_use]
    pub fn wiring(&self) -> &Wiring {
        &self.wiring
    }

    /// Where the daemons keep their files, a folder for each node.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Takes a cable away without which all nodes still reach each other, waits until the
    /// network has noticed, and gives the cable's link. Which one it is depends on the seed.
    ///
    /// # Errors
    /// There is none, or the network does not converge in time.
    pub async fn cut(&mut self) -> Result<Link> {
        let redundant = self.wiring.redundant();
        let number = random::Random::of(self.wiring.seed)
            .one_of(&redundant)
            .context("every cable is needed")?;
        let cable = self.wiring.cables.remove(number);
        let [end, _] = &cable;
        network::unplug(&self.wiring, end).await?;
        self.has_converged().await?;
        Ok(self.wiring.link(&cable))
    }

    /// Waits until every address answers, every node knows as many neighbours as it has cables,
    /// and none of that was seen while the spanning trees were still changing.
    async fn has_converged(&self) -> Result<()> {
        let settled = async || {
            let is_settled = network::is_settled(&self.wiring).await.ok()?;
            is_settled.then_some(())
        };
        loop {
            wait::until("the spanning trees stand", CONVERGENCE, settled).await?;
            self.is_complete().await?;
            if network::is_settled(&self.wiring).await? {
                return Ok(());
            }
        }
    }

    async fn is_complete(&self) -> Result<()> {
        for (number, node) in self.wiring.nodes.iter().enumerate() {
            let ends = self.wiring.cables.iter().flatten();
            let n_cables = ends.filter(|end| end.node == number).count();
            for address in &node.addresses {
                let agent = SocketAddr::from((address.ip, SNMP_PORT));
                snmp::answers(agent, COMMUNITY, CONVERGENCE).await?;
            }
            let Some(address) = node.addresses.first() else {
                continue;
            };
            let counted = async || {
                let n_neighbours = n_neighbours(address).await.ok()?;
                (n_neighbours == n_cables).then_some(())
            };
            let what = format!("{} knows its {n_cables} neighbours", node.name);
            wait::until(&what, CONVERGENCE, counted).await?;
        }
        Ok(())
    }
}

async fn n_neighbours(agent: &Address) -> Result<usize> {
    let walked = Program::new("snmpbulkwalk")
        .args(["-v2c", "-c", COMMUNITY, "-Oqn", "-t", "1", "-r", "1"])
        .arg(agent.ip.to_string())
        .arg(NEIGHBOURS)
        .env("MIBS", "")
        .run(b"", COMMAND)
        .await?;
    let is_neighbour = |line: &&str| {
        line.strip_prefix('.')
            .is_some_and(|it| it.starts_with(NEIGHBOURS))
    };
    Ok(walked
        .stdout
        .lines()
        .filter(is_neighbour)
        .filter(|line| !line.contains("No Such"))
        .count())
}
