//! The process that runs the tools of the category `snmp`.

use std::process::ExitCode;

use service::ExitError;

fn main() -> ExitCode {
    worker::run("discovery-worker-snmp", |settings| {
        worker_snmp::worker(settings).map_err(ExitError::usage)
    })
}
