//! Who takes part: the platform, or a command.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::Turn;
use super::command::Command;
use super::tool::ToolCall;
use crate::measure::statistics::median;

/// One of those that are compared.
#[derive(Debug)]
pub(super) enum Contestant {
    Tool(ToolCall),
    Command(Command),
}

/// The work, done once.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Run {
    pub(super) time: Duration,
    /// Values, agents or hosts that came back.
    pub(super) found: usize,
}

impl Contestant {
    pub(super) async fn run(&self) -> Result<Run> {
        match self {
            Self::Tool(call) => call.run().await,
            Self::Command(command) => command.run().await,
        }
    }

    /// Does the work again and again until the time is over, but once at least.
    pub(super) async fn turn(&self, length: Duration) -> Result<Turn> {
        let end = Instant::now() + length;
        let mut runs = Vec::new();
        while runs.is_empty() || Instant::now() < end {
            runs.push(self.run().await?);
        }
        let seconds = runs.iter().map(|run| run.time.as_secs_f64());
        Ok(Turn {
            seconds: median(seconds).context("no run")?,
            found: runs.iter().map(|run| run.found).min().unwrap_or_default(),
        })
    }
}
