use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use crate::suite::{RUNS, Run};

pub(crate) const USAGE: &str = "\
Usage: conformance --packages FOLDER --output FOLDER [--scenario NAME | --serve] [RUN...]
  --packages FOLDER   where the suite's npm packages are installed
  --output FOLDER     for results and logs; emptied first
  --scenario NAME     only this one
  --serve             starts everything but the suite and waits for Ctrl-C
  RUN                 2025-11-25, 2026-07-28 or stable; all of them by default";

/// What to do.
#[derive(Debug)]
pub(crate) struct Arguments {
    pub(crate) packages: PathBuf,
    pub(crate) output: PathBuf,
    pub(crate) task: Task,
    pub(crate) runs: Vec<&'static Run>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// All scenarios.
    Whole,
    /// One scenario.
    One(String),
    /// No scenario: everything is started for somebody else.
    Serve,
}

impl Arguments {
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Self> {
        let (mut packages, mut output, mut task, mut runs) = (None, None, Task::Whole, Vec::new());
        while let Some(word) = words.next() {
            let mut value = || words.next().with_context(|| format!("{word} of what?"));
            match word.as_str() {
                "--packages" => packages = Some(value()?),
                "--output" => output = Some(value()?),
                "--scenario" => task = Task::One(value()?),
                "--serve" => task = Task::Serve,
                name => match RUNS.iter().find(|run| run.name == name) {
                    Some(run) => runs.push(run),
                    None => bail!("unknown argument {name:?}"),
                },
            }
        }
        if runs.is_empty() {
            runs.extend(&RUNS);
        }
        Ok(Self {
            packages: std::path::absolute(packages.context("--packages is missing")?)?,
            output: std::path::absolute(output.context("--output is missing")?)?,
            task,
            runs,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Arguments> {
        Arguments::parse(words.iter().map(|&word| word.to_owned()))
    }

    #[test]
    fn without_a_run_all_are_meant() {
        let arguments = parse(&["--packages", "/p", "--output", "/o"]).unwrap();
        assert_eq!(arguments.runs.len(), RUNS.len());
        assert_eq!(arguments.task, Task::Whole);
    }

    #[test]
    fn runs_and_one_scenario_are_chosen() {
        let words = ["--packages", "/p", "--output", "/o"];
        let more = ["--scenario", "caching", "2026-07-28"];
        let arguments = parse(&[&words[..], &more].concat()).unwrap();
        assert_eq!(arguments.runs[0].name, "2026-07-28");
        assert_eq!(arguments.task, Task::One("caching".to_owned()));
    }

    #[test]
    fn what_is_unknown_or_missing_is_said() {
        let check = |words: &[&str], expected: &str| {
            let error = parse(words).unwrap_err().to_string();
            assert_eq!(error, expected, "{words:?}");
        };
        check(&["--packages"], "--packages of what?");
        check(&["2024-11-05"], "unknown argument \"2024-11-05\"");
        check(&["--packages", "/p"], "--output is missing");
        check(&[], "--packages is missing");
    }
}
