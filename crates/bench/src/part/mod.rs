//! The measurements.

mod clients;
mod embedded;
mod figures;
mod latency;
mod list;
mod nmap;
mod speed;
mod start;
mod sweep;
mod transports;
mod trio;
mod walk;

use std::time::Duration;

use anyhow::Result;
use clap::ValueEnum;

use crate::report::Section;
use crate::site::Site;

/// A measurement of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// HTTP calls through the broker beside a bare loop, as many as possible.
    Speed,
    /// The same at a steady rate.
    Latency,
    /// Gateway and worker in one process beside the official SDK's server.
    Embedded,
    /// A thousand HTTP clients through the broker.
    Clients,
    /// Pages of a list of 5,000 tools, and their memory.
    List,
    /// Time until the first call is answered, and memory at rest.
    Start,
    /// Every way in, on both buses.
    Transports,
    /// A walk of a large table beside snmpbulkwalk.
    Walk,
    /// A sweep of a /20 for SNMP agents beside braa.
    Sweep,
    /// A scan beside the bare command nmap.
    Nmap,
}

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effort {
    /// Turns of each contestant.
    pub(crate) rounds: usize,
    /// Length of a turn.
    pub(crate) turn: Duration,
}

impl Part {
    pub(crate) async fn measure(self, site: &Site, effort: Effort) -> Result<Section> {
        match self {
            Self::Speed => speed::measure(site, effort).await,
            Self::Latency => latency::measure(site, effort).await,
            Self::Embedded => embedded::measure(site, effort).await,
            Self::Clients => clients::measure(site, effort).await,
            Self::List => list::measure(site, effort).await,
            Self::Start => start::measure(site, effort).await,
            Self::Transports => transports::measure(site, effort).await,
            Self::Walk => walk::measure(effort).await,
            Self::Sweep => sweep::measure(effort).await,
            Self::Nmap => nmap::measure(effort).await,
        }
    }
}
