//! The process that runs the tools of the category `network`.

use std::process::ExitCode;

use service::ExitError;

fn main() -> ExitCode {
    worker::run("discovery-worker-network", |settings| {
        worker_network::worker(settings).map_err(ExitError::usage)
    })
}
