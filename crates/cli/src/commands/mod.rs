//! One module per subcommand.

mod call;
mod config;
mod dead;
mod doctor;
mod explain;
mod tools;
mod up;

use std::process::ExitCode;

use service::process::{self, report};
use service::settings::{Loaded, Origin};
use service::{ExitError, Settings};

use crate::arguments::Command;

/// What the process is called in logs and traces.
const NAME: &str = "discovery";

/// Carries a command out; gives the code to exit with.
pub(crate) fn run(command: Command) -> ExitCode {
    if let Command::Explain { code } = command {
        return exit(explain::run(&code));
    }
    let loaded = match Settings::load() {
        Ok(loaded) => loaded,
        Err(error) => return report(&error.into()),
    };
    match command {
        Command::Config => exit(config::run(&loaded)),
        Command::Up => process::run_with(NAME, loaded, up::run),
        Command::Doctor => process::run_with(NAME, quiet(loaded), doctor::run),
        Command::Tools { json } => process::run_with(NAME, quiet(loaded), async move |process| {
            tools::run(process, json).await
        }),
        Command::Call {
            name,
            arguments,
            json,
            idempotency_key: key,
        } => {
            let work = async move |process| {
                call::run(process, &name, &arguments, key.as_deref(), json).await
            };
            process::run_with(NAME, quiet(loaded), work)
        }
        Command::Dead { action } => {
            let work = async move |process| dead::run(process, action).await;
            process::run_with(NAME, quiet(loaded), work)
        }
        Command::Explain { .. } => ExitCode::SUCCESS,
    }
}

fn exit(result: Result<(), ExitError>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report(&error),
    }
}

/// For a command that answers and ends, the log holds only what went wrong, unless the user
/// asks for more.
fn quiet(mut loaded: Loaded) -> Loaded {
    if loaded.origin("rust_log") == &Origin::Default
        && let Ok(filter) = "error".parse()
    {
        loaded.settings.rust_log = filter;
    }
    loaded
}
