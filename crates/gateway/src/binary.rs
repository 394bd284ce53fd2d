//! The command line of `discovery-gateway`.

use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};
use service::process::{self, ExitError, Process};

use crate::{Config, Error, Server, probe};

const NAME: &str = "discovery-gateway";

/// Serves MCP clients over HTTP and stdio, with workers behind a message broker.
#[derive(Debug, Parser)]
#[command(name = NAME, version, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Asks the gateway on this machine whether it is ready: exit code 0 if it is, otherwise 1.
    Health,
}

const EXAMPLES: &str = "\
Examples:
  AMQP_URL=amqp://broker discovery-gateway     serve http://127.0.0.1:3000/mcp
  TRANSPORT_MODE=stdio discovery-gateway       serve the client that started it
  discovery-gateway health                     as the health check of a container

Settings come from discovery.toml and the environment; docs/configuration.md lists them.";

/// The `main` of the binary.
#[must_use]
pub fn main() -> ExitCode {
    match Arguments::try_parse() {
        Ok(Arguments { command: None }) => process::run(NAME, run),
        Ok(Arguments {
            command: Some(Command::Health),
        }) => match probe::health() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => process::report(&error),
        },
        Err(error) => {
            let is_asked_for = !error.use_stderr();
            // Where even the standard streams are closed, the exit code has to do.
            let _ = error.print();
            if is_asked_for {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(64)
            }
        }
    }
}

async fn run(process: Process) -> Result<(), ExitError> {
    let settings = &process.settings;
    let config = Config {
        broker: true,
        ..Config::new(settings).map_err(Error::into_exit)?
    };
    if config.http.is_none() {
        process.serve_health().await?;
    }
    let bus = service::broker::connect(settings, NAME)?;
    let served = async {
        Server::bind(config, Arc::clone(&bus), &process)
            .await?
            .serve()
            .await
    };
    let outcome = served.await;
    bus.close().await;
    outcome.map_err(Error::into_exit)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_help_is_stable() {
        insta::assert_snapshot!(Arguments::command().render_long_help());
    }
}
