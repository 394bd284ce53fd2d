//! The process in the network: builds it, and has the contestants take turns.

use std::process::ExitCode;

use anyhow::{Result, ensure};

use super::contestant::Contestant;
use super::ground::Ground;
use super::{Plan, Round, Task, scan, sweep, walk};
use crate::run::say;

/// Takes all turns, and says after each round what they showed.
pub(crate) fn play(plan: Plan) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(measure(plan))?;
    Ok(ExitCode::SUCCESS)
}

async fn measure(plan: Plan) -> Result<()> {
    let ground = Ground::build().await?;
    let contestants = match plan.task {
        Task::Walk => walk::contestants(&ground).await?,
        Task::Sweep => sweep::contestants(&ground).await?,
        Task::Scan => scan::contestants(&ground).await?,
    };
    for contestant in &contestants {
        let run = contestant.run().await?;
        ensure!(run.found > 0, "nothing was found by {contestant:?}");
    }
    for number in 1..=plan.rounds {
        let turns = round(&contestants, plan, number).await?;
        say(&serde_json::to_string(&Round { number, turns })?);
    }
    Ok(())
}

/// A turn of each; who is the first in one round is the last in the next.
async fn round(contestants: &[Contestant], plan: Plan, number: usize) -> Result<Vec<super::Turn>> {
    let is_backwards = number.is_multiple_of(2);
    let mut order: Vec<&Contestant> = contestants.iter().collect();
    if is_backwards {
        order.reverse();
    }
    let mut turns = Vec::new();
    for contestant in order {
        turns.push(contestant.turn(plan.turn).await?);
    }
    if is_backwards {
        turns.reverse();
    }
    Ok(turns)
}
