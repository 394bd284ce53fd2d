//! The command `discovery`: the platform in one process, and a client of it.
//!
//! Each subcommand is a module of `commands`. What a command prints for people goes to
//! standard output, except while standard output carries MCP. To add a subcommand: a
//! variant of `arguments::Command` with its help, and its module.

mod arguments;
mod client;
mod commands;
mod output;

use std::process::ExitCode;

fn main() -> ExitCode {
    arguments::parse().map_or_else(|code| code, commands::run)
}
