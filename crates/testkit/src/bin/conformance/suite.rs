//! One run of the suite.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result, ensure};
use testkit::process::Program;

use crate::{
    arguments::{Arguments, Task},
    results::{self, Outcome},
};

/// How long a run may take; the suite gives each of its scenarios 30 s.
const DEADLINE: Duration = Duration::from_mins(10);

/// What is run.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) name: &'static str,
    /// The npm package.
    package: &'static str,
    /// What chooses the scenarios, all of them.
    whole: &'static [&'static str],
    /// What goes with the name of a single one.
    single: &'static [&'static str],
    /// How many scenarios the whole has: a run of fewer shows less than it says.
    n_scenarios: usize,
}

pub(crate) const RUNS: [Run; 3] = [
    Run {
        name: "2025-11-25",
        package: "@modelcontextprotocol/conformance",
        whole: &["--requirements", "2025-11-25"],
        single: &["--spec-version", "2025-11-25", "--force"],
        n_scenarios: 33,
    },
    Run {
        name: "2026-07-28",
        package: "@modelcontextprotocol/conformance",
        whole: &["--requirements", "2026-07-28"],
        single: &["--spec-version", "2026-07-28", "--force"],
        n_scenarios: 50,
    },
    Run {
        name: "stable",
        package: "conformance-stable",
        whole: &[],
        single: &[],
        n_scenarios: 30,
    },
];

/// Runs scenarios against a server and reads what came out.
///
/// # Errors
/// The suite cannot be started, does not end, or has run other scenarios than it should.
pub(crate) async fn run(run: &Run, url: &str, arguments: &Arguments) -> Result<Outcome> {
    let Arguments {
        packages, output, ..
    } = arguments;
    let modules = packages.join("node_modules");
    let folder = output.join(run.name);
    fs::create_dir_all(&folder)?;
    let program = Program::new(modules.join("node/bin/node"))
        .arg(modules.join(run.package).join("dist/index.js"))
        .args(["server", "--url", url, "-o"])
        .arg(&folder)
        .folder(output);
    let program = match &arguments.task {
        Task::One(scenario) => program
            .args(["--scenario", scenario, "--verbose"])
            .args(run.single),
        _ => program.args(run.whole),
    };
    let ended = program.run(b"", DEADLINE).await?;
    let log = output.join(format!("{}.log", run.name));
    fs::write(&log, format!("{}{}", ended.stdout, ended.stderr))?;
    let outcome = results::read(run.name, &folder, &ended.stdout)
        .with_context(|| format!("see {}", log.display()))?;
    let n_run = outcome.n_scenarios();
    let expected = match arguments.task {
        Task::Whole => run.n_scenarios,
        _ => 1,
    };
    ensure!(
        n_run == expected,
        "{}: {n_run} scenarios were run in place of {expected}, see {}",
        run.name,
        log.display()
    );
    // Its own verdict is about required scenarios alone; a second opinion on what was read here.
    let good = ended.code == Some(0);
    ensure!(
        good == outcome.required_passed(),
        "{}: the suite ended with {:?}, which its results do not say, see {}",
        run.name,
        ended.code,
        log.display()
    );
    Ok(outcome)
}
