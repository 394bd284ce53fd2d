//! `discovery-gateway`: MCP in front, workers behind a message broker.

use std::process::ExitCode;

/// Gives memory back to the system once clients are gone; see docs/decisions/0017-mimalloc.md.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    gateway::main()
}
