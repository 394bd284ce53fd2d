//! `discovery-gateway`: MCP in front, workers behind a message broker.

use std::process::ExitCode;

fn main() -> ExitCode {
    gateway::main()
}
