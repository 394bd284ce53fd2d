//! The frame of every binary: settings, runtime, log, signals, drain, exit code.
//!
//! ```no_run
//! use std::process::ExitCode;
//! use service::process::{self, ExitError, Process};
//!
//! async fn work(process: Process) -> Result<(), ExitError> {
//!     process.shutdown.cancelled().await;
//!     Ok(())
//! }
//!
//! fn main() -> ExitCode {
//!     process::run("discovery-worker-network", work)
//! }
//! ```

mod exit;
mod signals;

use std::io;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::settings::{Loaded, Settings};
use crate::telemetry::{self, Telemetry};
use crate::{Health, Metrics, health};
pub use exit::{ExitError, report};

/// Time that a process has to end its work after it was asked to stop.
///
/// It is below the 30 s after which Kubernetes kills a pod, and leaves time for the last spans.
pub const DRAIN_DEADLINE: Duration = Duration::from_secs(25);

/// Time that blocking work, such as a read from standard input, has to end with the runtime.
const RUNTIME_GRACE: Duration = Duration::from_millis(200);

/// What the work of a process gets from its frame. Clones share everything.
#[derive(Clone, Debug)]
pub struct Process {
    /// Name of the binary.
    pub name: &'static str,
    /// The settings.
    pub settings: Arc<Settings>,
    /// Cancelled by the first SIGTERM or SIGINT; the work ends itself then, within
    /// [`DRAIN_DEADLINE`]. The work may cancel it too.
    pub shutdown: CancellationToken,
    /// Health of the process; not ready once `shutdown` is cancelled.
    pub health: Health,
    /// Metrics of the process.
    pub metrics: Metrics,
    /// Tasks that the frame waits for after the work has ended.
    pub tasks: TaskTracker,
    /// Cancelled when the work has ended, for what must outlive the drain.
    ended: CancellationToken,
}

/// Runs a process: loads its settings, runs `work`, gives the exit code for `main`.
///
/// An error is told on standard error. With settings that are not valid the exit code is 64.
pub fn run<W, F>(name: &'static str, work: W) -> ExitCode
where
    W: FnOnce(Process) -> F,
    F: Future<Output = Result<(), ExitError>>,
{
    match Settings::load() {
        Ok(loaded) => run_with(name, loaded, work),
        Err(error) => report(&error.into()),
    }
}

/// Like [`run`], for a command that has read its arguments and changed the settings by them.
pub fn run_with<W, F>(name: &'static str, loaded: Loaded, work: W) -> ExitCode
where
    W: FnOnce(Process) -> F,
    F: Future<Output = Result<(), ExitError>>,
{
    let (runtime, telemetry) = match prepare(name, &loaded.settings) {
        Ok(prepared) => prepared,
        Err(error) => return report(&error),
    };
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let process = Process::new(name, loaded.settings);
    let result = runtime.block_on(Box::pin(supervise(process, work)));
    runtime.shutdown_timeout(RUNTIME_GRACE);
    telemetry.shutdown();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report(&error),
    }
}

impl Process {
    /// A frame with these settings and without signals, for tests and for a process within
    /// another one.
    #[must_use]
    pub fn new(name: &'static str, settings: Settings) -> Self {
        Self {
            name,
            settings: Arc::new(settings),
            shutdown: CancellationToken::new(),
            health: Health::default(),
            metrics: Metrics::default(),
            tasks: TaskTracker::new(),
            ended: CancellationToken::new(),
        }
    }

    /// Opens `HEALTH_PORT` if it is set; the port stays open while the process drains.
    ///
    /// # Errors
    /// If the port cannot be opened; exit code 69.
    pub async fn serve_health(&self) -> Result<(), ExitError> {
        let Settings {
            health_host,
            health_port,
            ..
        } = &*self.settings;
        if *health_port == 0 {
            return Ok(());
        }
        let listener = TcpListener::bind((health_host.as_str(), *health_port))
            .await
            .map_err(|error| unavailable_port(&format!("{health_host}:{health_port}"), error))?;
        let router = health::router(self.health.clone(), self.metrics.clone());
        let ended = self.ended.clone();
        self.tasks.spawn(async move {
            if let Err(error) = health::serve(listener, router, ended).await {
                tracing::error!(%error, "the health port failed");
            }
        });
        Ok(())
    }
}

fn prepare(name: &str, settings: &Settings) -> Result<(Runtime, Telemetry), ExitError> {
    let telemetry = telemetry::init(settings, name)?;
    // Every client, connection and probe is an open file, and the usual soft limit of 1,024 is
    // meant for programs that use select(2).
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| ExitError::internal(error).hint("check the limits of the process"))?;
    Ok((runtime, telemetry))
}

/// Runs the work under the signals.
async fn supervise<W, F>(process: Process, work: W) -> Result<(), ExitError>
where
    W: FnOnce(Process) -> F,
    F: Future<Output = Result<(), ExitError>>,
{
    let _signals = signals::watch(&process)?;
    let (name, version) = (process.name, env!("CARGO_PKG_VERSION"));
    tracing::info!(process = name, version, "started");
    let result = drive(process, work).await;
    tracing::info!(process = name, "stopped");
    result
}

/// Runs the work, then waits for the tasks; both end within the drain deadline once shutdown has
/// begun.
async fn drive<W, F>(process: Process, work: W) -> Result<(), ExitError>
where
    W: FnOnce(Process) -> F,
    F: Future<Output = Result<(), ExitError>>,
{
    let mut deadline = pin!(async {
        process.shutdown.cancelled().await;
        process.health.drain();
        tokio::time::sleep(DRAIN_DEADLINE).await;
    });
    // The deadline is polled first, so that a process that stops is not ready any more by the time
    // its work sees that it stops.
    let result = tokio::select! {
        biased;
        () = &mut deadline => return Err(exit::drain_overdue()),
        result = work(process.clone()) => result,
    };
    process.shutdown.cancel();
    process.ended.cancel();
    process.tasks.close();
    tokio::select! {
        () = process.tasks.wait() => result,
        () = deadline => result.and(Err(exit::drain_overdue())),
    }
}

fn unavailable_port(address: &str, error: io::Error) -> ExitError {
    ExitError::unavailable(exit::PortError {
        address: address.to_owned(),
        source: error,
    })
    .hint("change HEALTH_HOST and HEALTH_PORT, or end the process that has the port")
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::time::Instant;

    use super::*;

    fn process() -> Process {
        Process::new("test", Settings::default())
    }

    fn code(result: Result<(), ExitError>) -> Option<u8> {
        result.err().map(|error| error.code())
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_does_not_drain_is_given_up_at_the_deadline() {
        let started = Instant::now();
        let result = drive(process(), async |process: Process| {
            process.shutdown.cancel();
            pending().await
        });
        assert_eq!(code(result.await), Some(70));
        assert_eq!(started.elapsed(), DRAIN_DEADLINE);
    }

    #[tokio::test(start_paused = true)]
    async fn tasks_end_before_the_process_does() {
        let started = Instant::now();
        let task = Duration::from_secs(5);
        let result = drive(process(), async |process: Process| {
            process.tasks.spawn(tokio::time::sleep(task));
            Ok(())
        });
        assert_eq!(code(result.await), None);
        assert_eq!(started.elapsed(), task);
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_hangs_does_not_hide_why_the_work_ended() {
        let result = drive(process(), async |process: Process| {
            process.tasks.spawn(pending::<()>());
            Err(ExitError::unavailable("the broker is gone"))
        });
        assert_eq!(code(result.await), Some(69));
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_that_stops_is_not_ready() {
        let process = process();
        let health = process.health.clone();
        assert!(health.is_ready());
        let result = drive(process, async |process: Process| {
            process.shutdown.cancel();
            tokio::task::yield_now().await;
            assert!(!process.health.is_ready());
            Ok(())
        });
        assert_eq!(code(result.await), None);
    }
}
