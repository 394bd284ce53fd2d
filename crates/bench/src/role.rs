//! What this program is when it is started by itself.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use testkit::process::Program;

use crate::contestant::{bare_worker, echo_worker};
use crate::load::{self, Plan};

/// A process of a measurement.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Role {
    /// Makes calls; see [`crate::load`].
    Load(Plan),
    /// A worker of ours with the tool `echo`; its settings come from the environment.
    EchoWorker,
    /// The other end of a bare loop over the broker.
    BareWorker { url: String, prefetch: u16 },
}

impl Role {
    /// Plays it until the parent is gone or ends it.
    pub(crate) fn play(self) -> Result<ExitCode> {
        match self {
            Self::Load(plan) => load::generate(plan),
            Self::EchoWorker => Ok(echo_worker::run()),
            Self::BareWorker { url, prefetch } => bare_worker::run(&url, prefetch),
        }
    }

    /// How a process with this role is started.
    pub(crate) fn program(&self) -> Result<Program> {
        let path = std::env::current_exe().context("the path of this program is unknown")?;
        let role = serde_json::to_string(self)?;
        Ok(Program::new(path).args(["as", &role]))
    }
}
