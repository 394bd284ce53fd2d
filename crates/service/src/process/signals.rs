//! SIGTERM and SIGINT: the first one asks the work to end, the second one ends the process.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;

use super::{ExitError, Process};

/// Exit code of a process that a second signal stops: 128 + SIGINT, as shells have it.
const STOPPED: i32 = 130;

/// Watches on a thread of the runtime, so that even work that blocks can be stopped. It ends when
/// the set is dropped.
pub(super) fn watch(process: &Process) -> Result<JoinSet<()>, ExitError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(ExitError::internal)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ExitError::internal)?;
    let process = process.clone();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let name = next(&mut terminate, &mut interrupt).await;
        tracing::info!(signal = name, "stopping; a second signal stops at once");
        process.health.drain();
        process.shutdown.cancel();
        next(&mut terminate, &mut interrupt).await;
        std::process::exit(STOPPED);
    });
    Ok(tasks)
}

async fn next(terminate: &mut Signal, interrupt: &mut Signal) -> &'static str {
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}
