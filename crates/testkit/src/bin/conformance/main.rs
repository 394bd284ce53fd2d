//! Runs the official MCP conformance suite against two gateways behind a proxy.
//!
//! `scripts/conformance` installs and builds what this needs and starts it; `docs/conformance.md`
//! tells what comes out.

mod arguments;
mod results;
mod site;
mod suite;

use std::{fs, io::Write as _, path::Path, process::ExitCode};

use anyhow::{Context as _, Result, ensure};

use arguments::{Arguments, Task};
use results::Outcome;
use site::Site;

/// A scenario that has to pass did not.
const FAILED: u8 = 1;
/// The suite could not be run.
const BROKEN: u8 = 2;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(error) => {
            say(&format!("{error:#}\n{}", arguments::USAGE));
            return ExitCode::from(BROKEN);
        }
    };
    match run(&arguments).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            say(&what_to_read(&arguments));
            ExitCode::from(FAILED)
        }
        Err(error) => {
            say(&format!("cannot run the suite: {error:#}"));
            say(&what_to_read(&arguments));
            ExitCode::from(BROKEN)
        }
    }
}

/// Whether everything passed that has to.
async fn run(arguments: &Arguments) -> Result<bool> {
    let output = &arguments.output;
    empty(output).with_context(|| format!("cannot use the folder {}", output.display()))?;
    let site = Site::start(output).await?;
    let passed = on_site(&site, arguments).await;
    let kept = site.keep_logs();
    let passed = passed?;
    kept?;
    Ok(passed)
}

/// Makes a folder of results, or empties the one of an earlier run; any other stays as it is.
fn empty(folder: &Path) -> Result<()> {
    const MARK: &str = "results-of-the-conformance-suite";
    let is_ours = folder.join(MARK).exists();
    if !is_ours && folder.exists() {
        let is_empty = fs::read_dir(folder)?.next().is_none();
        ensure!(is_empty, "it holds something else, give another one");
    }
    if is_ours {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)?;
    fs::write(folder.join(MARK), "")?;
    Ok(())
}

async fn on_site(site: &Site, arguments: &Arguments) -> Result<bool> {
    site.ready().await?;
    if let Task::Serve = arguments.task {
        say(&format!("{}  until Ctrl-C", site.url()));
        tokio::signal::ctrl_c().await?;
        return Ok(true);
    }
    let mut passed = true;
    for run in &arguments.runs {
        let outcome: Outcome = suite::run(run, &site.url(), arguments).await?;
        say(&outcome.to_string());
        passed &= outcome.is_good();
    }
    let counts = site.requests();
    let [(_, first), (_, second)] = counts[..] else {
        anyhow::bail!("{} replicas", counts.len());
    };
    say(&format!("requests to the replicas: {first} and {second}"));
    ensure!(
        first > 0 && second > 0,
        "a replica was not asked: nothing is shown"
    );
    Ok(passed)
}

fn what_to_read(arguments: &Arguments) -> String {
    format!(
        "Read in {}:
  RUN/server-SCENARIO-*/checks.json   every check with what was sent and what came
  RUN.log                             what the suite printed
  gateway-1.log, gateway-2.log, worker.log",
        arguments.output.display()
    )
}

/// Writes a line to standard output; nobody reading it is no failure of the suite.
fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_folder_of_results_is_emptied() {
        let folder = tempfile::TempDir::new().unwrap();
        let results = folder.path().join("results");
        for _ in 0..2 {
            empty(&results).unwrap();
            let files = fs::read_dir(&results).unwrap().count();
            assert_eq!(files, 1);
            fs::write(results.join("gateway-1.log"), "").unwrap();
        }
        let error = empty(folder.path()).unwrap_err().to_string();
        assert_eq!(error, "it holds something else, give another one");
        assert!(results.join("gateway-1.log").exists());
    }
}
