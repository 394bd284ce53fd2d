//! A command, from its start to its end.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use testkit::process::Program;

use super::contestant::Run;

/// How long it may take.
const DEADLINE: Duration = Duration::from_mins(2);

/// A bare command.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) program: Program,
    /// How many values, agents or hosts its output tells of.
    pub(super) counted: fn(&str) -> usize,
}

impl Command {
    /// The time ends with the process, when all its output has been read.
    pub(super) async fn run(&self) -> Result<Run> {
        let begun = Instant::now();
        let output = self.program.run(b"", DEADLINE).await?;
        let time = begun.elapsed();
        ensure!(
            output.code == Some(0),
            "{:?} ended with {:?}: {}",
            self.program,
            output.code,
            output.stderr
        );
        Ok(Run {
            time,
            found: (self.counted)(&output.stdout),
        })
    }
}
