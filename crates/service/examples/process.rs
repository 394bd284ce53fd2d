//! A process whose work is chosen by its argument, for trying out and testing the frame.

use std::io;
use std::process::ExitCode;

use service::process::{self, ExitError, Process};
use service::telemetry::trace;

fn main() -> ExitCode {
    let work = std::env::args().nth(1).unwrap_or_default();
    process::run("example", async |process| run(&work, process).await)
}

async fn run(work: &str, process: Process) -> Result<(), ExitError> {
    match work {
        // Ends by itself.
        "end" => Ok(()),
        // Ends when it is asked to.
        "wait" => {
            process.serve_health().await?;
            process.health.component("work").up();
            tracing::info!("waiting");
            process.shutdown.cancelled().await;
            Ok(())
        }
        // Takes no notice of being asked.
        "stuck" => {
            tracing::info!("waiting");
            std::future::pending().await
        }
        // Has nothing to work with.
        "unavailable" => {
            let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
            Err(ExitError::unavailable(refused).hint("start it"))
        }
        // Ends within a span.
        "span" => {
            let span = tracing::info_span!("work");
            let context = trace::current(&span);
            let _entered = span.entered();
            tracing::info!(exported = context.is_some(), "within a span");
            Ok(())
        }
        other => Err(ExitError::usage(format!("`{other}` is not a kind of work"))
            .hint("end, wait, stuck, unavailable or span")),
    }
}
