//! The process that runs the tools of the category `nmap`.

use std::process::ExitCode;

use service::ExitError;

fn main() -> ExitCode {
    worker::run("discovery-worker-nmap", |settings| {
        worker_nmap::worker(settings).map_err(ExitError::usage)
    })
}
