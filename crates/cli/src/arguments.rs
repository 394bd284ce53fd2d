mod dead;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub(crate) use dead::{Dead, Filter, Which};

/// Lets AI agents and operators look at their infrastructure: MCP tools over RabbitMQ, or in
/// one process.
#[derive(Debug, Parser)]
#[command(name = "discovery", version, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

/// What to do.
#[expect(
    clippy::doc_markdown,
    reason = "these comments are printed on terminals"
)]
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Starts the gateway and all workers in this process (the default).
    ///
    /// Without AMQP_URL nothing else is needed; with it, calls go through that broker.
    /// TRANSPORT_MODE=stdio serves the client that started the process.
    Up,
    /// Lists the tools.
    Tools {
        /// The complete descriptors with their schemas, as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Calls a tool.
    ///
    /// Without AMQP_URL the tool runs in this process; with it, a worker on the broker runs it.
    /// Exit code 1 means that the tool failed, and why is printed.
    Call {
        /// Name of the tool.
        name: String,
        /// Arguments as key=value; lists and objects as JSON.
        arguments: Vec<String>,
        /// The whole result as JSON.
        #[arg(long)]
        json: bool,
        /// Runs the call once, however often it is repeated with this key within a day.
        ///
        /// 1 to 255 bytes, such as a UUID. Whoever repeats the call gets the answer that there
        /// was, as long as a worker that has it runs. All who use this command on the same
        /// broker share their keys.
        #[arg(long, value_name = "KEY")]
        idempotency_key: Option<String>,
    },
    /// Checks what the platform needs, and says how to fix what is missing.
    Doctor,
    /// Shows every setting with its value and where it comes from.
    Config,
    /// Shows, replays and drops dead letters: calls that no worker could finish.
    ///
    /// A call that was handed to workers five times, and came back each time, is kept as a
    /// letter in a queue of the broker, the latest 10,000 of them. Letters are looked at where
    /// they lie: reading, and any command that is interrupted, leaves every letter in its place.
    /// One command at a time works on them; another one waits for 5 s and then says so.
    #[command(after_help = dead::EXAMPLES, subcommand_required = true)]
    Dead {
        /// What to do with them.
        #[command(subcommand)]
        action: Dead,
    },
    /// Explains an error code.
    Explain {
        /// Code as it stands in an error, such as out_of_scope.
        code: String,
    },
}

const EXAMPLES: &str = "\
Examples:
  discovery                                     start, and print how to connect a client
  discovery tools                               list the tools by category
  discovery call ping host=127.0.0.1 count=2    call a tool
  discovery call nslookup host=example.com type=MX --json
  AMQP_URL=amqp://broker discovery tools        list the tools of the workers on a broker
  discovery dead list                           list the calls that no worker could finish
  discovery doctor                              find out why something does not work

Settings come from discovery.toml and the environment: see discovery config.";

/// Reads the command line; otherwise gives the code to exit with.
pub(crate) fn parse() -> Result<Command, ExitCode> {
    match Arguments::try_parse() {
        Ok(arguments) => Ok(arguments.command.unwrap_or(Command::Up)),
        Err(error) => {
            let asked_for = !error.use_stderr();
            // Where even the standard streams are closed, the exit code has to do.
            let _ = error.print();
            Err(if asked_for {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(64)
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_help_is_stable() {
        let mut command = Arguments::command();
        command.build();
        let mut pages = command.render_long_help().to_string();
        for name in ["up", "tools", "call", "doctor", "config", "dead", "explain"] {
            let page = command
                .find_subcommand_mut(name)
                .unwrap()
                .render_long_help();
            pages.extend(["\n---- ", name, "\n", &page.to_string()]);
        }
        let dead = command.find_subcommand_mut("dead").unwrap();
        for name in ["list", "show", "replay", "drop"] {
            let page = dead.find_subcommand_mut(name).unwrap().render_long_help();
            pages.extend(["\n---- dead ", name, "\n", &page.to_string()]);
        }
        insta::assert_snapshot!(pages);
    }
}
