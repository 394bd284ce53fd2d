//! The measurements.

mod speed;

use std::time::Duration;

use anyhow::Result;
use clap::ValueEnum;

use crate::report::Section;
use crate::site::Site;

/// A measurement of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// HTTP calls through the broker beside a bare loop.
    Speed,
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
        }
    }
}
