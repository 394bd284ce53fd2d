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

/// Gives memory back to the system once clients are gone; see docs/decisions/0017-mimalloc.md.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    arguments::parse().map_or_else(|code| code, commands::run)
}
