//! What sends packets: measured from inside a network of its own, which is made for it in
//! namespaces and goes with them.
//!
//! A process that is started there by [`measure`] builds the network ([`ground`]), starts
//! `discovery up` in it, and lets the platform and a bare command do the same work in turns
//! ([`inside`]). It writes a line for each round, which is all that leaves the network.
//!
//! To add work: a [`Task`], and a module with its contestants.

mod command;
mod contestant;
pub(crate) mod ground;
pub(crate) mod inside;
mod scan;
mod sweep;
mod tool;
mod walk;

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use testkit::process::Program;

use crate::measure::statistics::median;
use crate::part::Effort;
use crate::role::Role;
use crate::run::say;

pub(crate) use scan::{PORTS as SCANNED_PORTS, TOOL as SCAN_TOOL};
pub(crate) use walk::REPETITIONS;

/// In front of what runs in namespaces: as root of an empty network, whoever has called. What is
/// started inside ends with it.
const NAMESPACES: [&str; 9] = [
    "unshare",
    "--user",
    "--map-root-user",
    "--net",
    "--mount",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
];
/// How long a round may take beside the turns themselves, the start of everything included.
const SLACK: Duration = Duration::from_mins(3);

/// Work that the platform and a bare command do.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) enum Task {
    /// A whole walk of a large table: in pages as long as can be, in pages of the usual length,
    /// by snmpbulkwalk.
    Walk,
    /// A sweep of a network full of agents, by the platform and by braa, and of one with few
    /// agents, by both.
    Sweep,
    /// A scan of ports, by the platform and by nmap.
    Scan,
}

/// What is done there.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Plan {
    task: Task,
    rounds: usize,
    turn: Duration,
}

/// What one contestant showed in one turn.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Turn {
    /// Median time of its runs.
    pub(crate) seconds: f64,
    /// Values, agents or hosts that came back; the fewest of all runs.
    pub(crate) found: usize,
}

/// A turn of each contestant, in the order that [`Task`] names them in.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Round {
    number: usize,
    turns: Vec<Turn>,
}

/// The turns of each of `N` contestants.
///
/// What was started ends when the future does.
pub(crate) async fn measure<const N: usize>(task: Task, effort: Effort) -> Result<[Vec<Turn>; N]> {
    let Effort { rounds, turn } = effort;
    let (path, arguments) = Role::Network(Plan { task, rounds, turn }).command()?;
    let [starter, options @ ..] = NAMESPACES;
    let program = Program::new(starter).args(options).arg(path);
    let process = program.args(arguments).start()?;
    let mut all = [const { Vec::new() }; N];
    for number in 1..=rounds {
        let read = |line: &str| serde_json::from_str::<Round>(line).ok();
        let is_next = |line: &str| read(line).is_some_and(|round| round.number == number);
        let patience = SLACK + turn * u32::try_from(N)?;
        let line = process.stdout().line("a round", patience, is_next).await;
        let line = line.with_context(|| process.stderr().all().join("\n"))?;
        let turns = read(&line).map(|round| round.turns).unwrap_or_default();
        let told = turns
            .iter()
            .map(|it| format!("{:.3} s ({})", it.seconds, it.found));
        let told: Vec<String> = told.collect();
        say(&format!("{task:?}, round {number}: {}", told.join("; ")));
        for (turns, turn) in all.iter_mut().zip(turns) {
            turns.push(turn);
        }
    }
    Ok(all)
}

/// How many times as fast `ours` is as `theirs`: the median of the turns.
pub(crate) fn speed(ours: &[Turn], theirs: &[Turn]) -> Result<f64> {
    let pairs = ours.iter().zip(theirs);
    median(pairs.map(|(our, their)| their.seconds / our.seconds)).context("no turn")
}

/// Median time of a run.
pub(crate) fn seconds(turns: &[Turn]) -> Result<f64> {
    median(turns.iter().map(|turn| turn.seconds)).context("no turn")
}

/// The fewest values, agents or hosts of all runs.
pub(crate) fn found(turns: &[Turn]) -> usize {
    turns
        .iter()
        .map(|turn| turn.found)
        .min()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_takes_half_the_time_is_twice_as_fast() {
        let turns = |seconds: [f64; 3]| seconds.map(|seconds| Turn { seconds, found: 7 });
        let (ours, theirs) = (turns([1.0, 2.0, 1.0]), turns([2.0, 4.0, 8.0]));
        assert_eq!(speed(&ours, &theirs).ok(), Some(2.0));
        assert_eq!(seconds(&ours).ok(), Some(1.0));
        assert_eq!(found(&ours), 7);
        assert!(speed(&[], &[]).is_err());
    }
}
