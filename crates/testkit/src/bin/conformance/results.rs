//! What a run of the suite says: a folder per scenario with its checks, and a list of scenarios
//! that do not count.

use std::{
    collections::BTreeMap,
    fmt::{self, Display, Formatter},
    fs,
    path::Path,
};

use anyhow::{Context as _, Result};
use serde::Deserialize;

/// The file of a scenario's folder; there is none if the scenario broke down.
const CHECKS: &str = "checks.json";
/// Begins the names of the folders; a scenario's name and a time follow.
const PREFIX: &str = "server-";
/// The length of the time, such as `-2026-07-28T10-20-30-400Z`.
const TIME_LEN: usize = 25;
/// Begins the names of the scenarios of the one extension that the gateway does not have.
const TASKS: &str = "tasks-";
/// Begins the list of the scenarios that do not count.
const NOT_SCORED: &str = "Not scored for ";
/// The longest part of a check's message that is shown.
const MESSAGE_LEN: usize = 300;

/// What came out of a run.
#[derive(Debug)]
pub(crate) struct Outcome {
    run: String,
    scenarios: Vec<Scenario>,
}

#[derive(Debug)]
struct Scenario {
    name: String,
    /// Why it does not count, if it does not: `extension`, `pending`, `added-after-release`.
    not_scored: Option<String>,
    checks: Vec<Check>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Check {
    id: String,
    status: String,
    #[serde(default)]
    error_message: Option<String>,
}

/// Reads the results of the run called `run` from its folder and from what the suite printed.
///
/// # Errors
/// A file is not what the suite writes.
pub(crate) fn read(run: &str, folder: &Path, printed: &str) -> Result<Outcome> {
    let mut not_scored = not_scored(printed);
    let mut scenarios = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let name = name
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.get(..rest.len().checked_sub(TIME_LEN)?))
            .with_context(|| format!("{name} is no folder of a scenario"))?
            .to_owned();
        scenarios.push(Scenario {
            not_scored: not_scored.remove(&name),
            checks: checks(&entry.path().join(CHECKS))?,
            name,
        });
    }
    scenarios.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Outcome {
        run: run.to_owned(),
        scenarios,
    })
}

fn checks(path: &Path) -> Result<Vec<Check>> {
    match fs::read(path) {
        Ok(text) => {
            serde_json::from_slice(&text).with_context(|| format!("cannot read {}", path.display()))
        }
        Err(_) => Ok(vec![Check {
            id: "scenario".to_owned(),
            status: "FAILURE".to_owned(),
            error_message: Some("the scenario broke down".to_owned()),
        }]),
    }
}

/// The scenarios after the line that announces them, as `  ✓ name (reason)`.
fn not_scored(printed: &str) -> BTreeMap<String, String> {
    let listed = printed
        .lines()
        .skip_while(|line| !line.starts_with(NOT_SCORED))
        .skip(1);
    let entry = |line: &str| {
        let (_, entry) = line.trim().split_once(' ')?;
        let (name, reason) = entry.split_once(" (")?;
        Some((name.to_owned(), reason.trim_end_matches(')').to_owned()))
    };
    listed.map_while(entry).collect()
}

impl Scenario {
    fn count(&self, status: &str) -> usize {
        let checks = self.checks.iter();
        checks.filter(|check| check.status == status).count()
    }

    fn failed(&self) -> bool {
        self.count("FAILURE") > 0
    }

    fn is_tolerated(&self) -> bool {
        self.not_scored.is_some() && self.name.starts_with(TASKS)
    }
}

impl Outcome {
    pub(crate) fn n_scenarios(&self) -> usize {
        self.scenarios.len()
    }

    /// Whether every scenario passed that the suite demands.
    pub(crate) fn required_passed(&self) -> bool {
        let mut required = self.scenarios.iter().filter(|it| it.not_scored.is_none());
        required.all(|it| !it.failed())
    }

    /// Whether every scenario passed that we demand: those that are not scored too, but for the
    /// tasks extension.
    pub(crate) fn is_good(&self) -> bool {
        self.demanded().all(|it| !it.failed())
    }

    fn demanded(&self) -> impl Iterator<Item = &Scenario> {
        self.scenarios.iter().filter(|it| !it.is_tolerated())
    }
}

impl Display for Outcome {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let sum = |status| self.demanded().map(|it| it.count(status)).sum::<usize>();
        let (passed, failed) = (sum("SUCCESS"), sum("FAILURE"));
        write!(f, "{}: {passed} passed, {failed} failed", self.run)?;
        for scenario in self.demanded() {
            let told = |check: &&Check| ["FAILURE", "WARNING"].contains(&&*check.status);
            for check in scenario.checks.iter().filter(told) {
                let Check { id, status, .. } = check;
                let message = check.error_message.as_deref().unwrap_or_default();
                let message: String = message.chars().take(MESSAGE_LEN).collect();
                write!(f, "\n  {status} {}: {id}: {message}", scenario.name)?;
            }
        }
        let extra: Vec<&Scenario> = self
            .scenarios
            .iter()
            .filter(|it| it.not_scored.is_some())
            .collect();
        if extra.is_empty() {
            return Ok(());
        }
        let failed = extra.iter().filter(|it| it.failed());
        let failed: Vec<String> = failed
            .map(|it| {
                let reason = it.not_scored.as_deref().unwrap_or_default();
                let tolerated = if it.is_tolerated() { ", tolerated" } else { "" };
                format!("{} ({reason}{tolerated})", it.name)
            })
            .collect();
        let n_extra = extra.len();
        let failed = match failed.as_slice() {
            [] => "none failed".to_owned(),
            failed => format!("failed: {}", failed.join(", ")),
        };
        write!(
            f,
            "\n  of {n_extra} scenarios that are not scored, {failed}"
        )
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    const PRINTED: &str = "Total: 3 passed, 1 failed

Not scored for 2026-07-28: 2 scenario(s) run, 1 failing. These do not affect conformance.
  ✗ tasks-lifecycle (extension)
  ✓ http-header-validation (pending)
";

    fn scenario(folder: &TempDir, name: &str, statuses: &[&str]) {
        let path = folder
            .path()
            .join(format!("server-{name}-2026-07-28T10-20-30-400Z"));
        fs::create_dir(&path).unwrap();
        let checks: Vec<_> = statuses
            .iter()
            .map(|status| serde_json::json!({"id": "c", "status": status, "errorMessage": "why"}))
            .collect();
        let text = serde_json::to_vec(&checks).unwrap();
        fs::write(path.join(CHECKS), text).unwrap();
    }

    fn folder() -> TempDir {
        let folder = TempDir::new().unwrap();
        scenario(&folder, "ping", &["SUCCESS", "INFO", "SUCCESS"]);
        scenario(&folder, "tasks-lifecycle", &["FAILURE", "SUCCESS"]);
        scenario(&folder, "http-header-validation", &["SUCCESS", "WARNING"]);
        folder
    }

    #[test]
    fn the_tasks_extension_is_tolerated_and_not_counted() {
        let folder = folder();
        let outcome = read("2026-07-28", folder.path(), PRINTED).unwrap();
        assert_eq!(
            outcome.to_string(),
            "2026-07-28: 3 passed, 0 failed\n  \
             WARNING http-header-validation: c: why\n  \
             of 2 scenarios that are not scored, failed: tasks-lifecycle (extension, tolerated)"
        );
        assert!(outcome.is_good() && outcome.required_passed());
        assert_eq!(outcome.n_scenarios(), 3);
    }

    #[test]
    fn another_scenario_that_is_not_scored_has_to_pass() {
        let folder = folder();
        let other = PRINTED.replace("tasks-lifecycle", "caching");
        scenario(&folder, "caching", &["FAILURE"]);
        let outcome = read("2026-07-28", folder.path(), &other).unwrap();
        assert!(!outcome.is_good());
        // Now nothing says that tasks-lifecycle does not count.
        assert!(!outcome.required_passed());
    }

    #[test]
    fn a_scenario_that_broke_down_has_failed() {
        let folder = folder();
        let path = folder.path().join("server-broken-2026-07-28T10-20-30-400Z");
        fs::create_dir(path).unwrap();
        let outcome = read("2026-07-28", folder.path(), PRINTED).unwrap();
        assert!(!outcome.is_good() && !outcome.required_passed());
        let text = outcome.to_string();
        assert!(text.contains("FAILURE broken: scenario: the scenario broke down"));
    }
}
