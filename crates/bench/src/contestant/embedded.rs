//! The platform in one process, as `discovery up` puts it together, with the tool `echo`.

use std::process::ExitCode;
use std::sync::Arc;

use bus::Bus;
use bus::memory::MemoryBus;
use gateway::Server;
use service::{ExitError, Process, process};
use tokio_util::sync::CancellationToken;

use super::echo_worker;

/// Serves until SIGTERM, or until the client on standard input is gone.
pub(crate) fn run() -> ExitCode {
    process::run("bench-embedded", serve)
}

async fn serve(process: Process) -> Result<(), ExitError> {
    let config = gateway::Config::new(&process.settings).map_err(gateway::Error::into_exit)?;
    let bus: Arc<dyn Bus> = Arc::new(MemoryBus::new());
    let server = Server::bind(config, Arc::clone(&bus), &process)
        .await
        .map_err(gateway::Error::into_exit)?;
    let mut working = process.clone();
    working.shutdown = CancellationToken::new();
    working.metrics = working.metrics.behind_a_gateway();
    let stop = working.shutdown.clone();
    let work = worker::serve(echo_worker::worker()?, bus, &working);
    let front = async {
        let outcome = server.serve().await;
        stop.cancel();
        outcome.map_err(gateway::Error::into_exit)
    };
    let (front, work) = tokio::join!(front, work);
    front.and(work.map_err(worker::Error::into_exit))
}
