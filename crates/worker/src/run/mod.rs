//! The `main` of a worker binary.

mod arguments;
mod probe;

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use service::process::report;
use service::{ExitError, Process, Settings, broker, process};

use crate::runtime::component_name;
use crate::{Error, Worker, serve};
use arguments::Command;

/// How long the connections may take to close.
const CLOSE_TIME: Duration = Duration::from_secs(2);

/// Runs the binary of a category: reads its arguments and settings, takes calls from the
/// broker until SIGTERM or SIGINT, and gives the exit code.
///
/// Understands `--help`, `--version` and `health`, which asks the health port of the same
/// settings whether the worker is ready.
pub fn run(name: &'static str, build: fn(&Settings) -> Result<Worker, ExitError>) -> ExitCode {
    match arguments::command(std::env::args().skip(1)) {
        Ok(Command::Work) => process::run(name, |process| work(process, build)),
        Ok(Command::Health) => match Settings::load() {
            Ok(loaded) => exit(probe::ready(&loaded.settings)),
            Err(error) => report(&error.into()),
        },
        Ok(Command::Help) => print(&arguments::help(name)),
        Ok(Command::Version) => print(&format!("{name} {}\n", env!("CARGO_PKG_VERSION"))),
        Err(unknown) => {
            let error = format!("unknown argument {unknown:?}");
            let hint = format!("{name} --help lists the arguments; settings are no arguments");
            report(&ExitError::usage(error).hint(hint))
        }
    }
}

async fn work(
    process: Process,
    build: fn(&Settings) -> Result<Worker, ExitError>,
) -> Result<(), ExitError> {
    let worker = build(&process.settings)?;
    // Known to be down before the port opens, or the first answer would be "ready".
    let _ = process.health.component(component_name(worker.category()));
    process.serve_health().await?;
    let bus = broker::connect(&process.settings, process.name)?;
    let served = serve(worker, Arc::clone(&bus), &process).await;
    if tokio::time::timeout(CLOSE_TIME, bus.close()).await.is_err() {
        tracing::warn!("the connections to the message broker did not close in time");
    }
    served.map_err(Error::into_exit)
}

fn exit(result: Result<(), ExitError>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report(&error),
    }
}

fn print(text: &str) -> ExitCode {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
