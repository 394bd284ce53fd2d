use std::sync::Arc;

use bus::Bus;
use gateway::Server;
use service::process::DRAIN_DEADLINE;
use service::{ExitError, Process, Settings, broker};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use worker::Worker;

/// One worker per category.
///
/// # Errors
/// Exit code 64 when a worker cannot use its settings.
pub fn workers(settings: &Settings) -> Result<Vec<Worker>, ExitError> {
    let network = worker_network::worker(settings).map_err(ExitError::usage)?;
    let nmap = worker_nmap::worker(settings).map_err(ExitError::usage)?;
    let snmp = worker_snmp::worker(settings).map_err(ExitError::usage)?;
    Ok(vec![network, nmap, snmp])
}

/// A gateway and workers on one bus.
pub struct Platform {
    bus: Arc<dyn Bus>,
    workers: Vec<Worker>,
    process: Process,
    server: Server,
}

impl Platform {
    /// All workers, with the transports that the settings ask for; ports are open afterwards,
    /// and nobody is served before [`Platform::serve`].
    ///
    /// # Errors
    /// Exit code 64 for a setting that cannot be used, 69 for a port that is taken.
    pub async fn new(process: &Process) -> Result<Self, ExitError> {
        let config = gateway::Config::new(&process.settings).map_err(gateway::Error::into_exit)?;
        Self::assemble(process, config, workers(&process.settings)?).await
    }

    /// For one client in this process, who gets no port: see [`crate::Local`].
    ///
    /// Where a broker is configured, the workers are those on the broker.
    ///
    /// # Errors
    /// As [`Platform::new`] has them.
    pub(crate) async fn for_one_client(process: &Process) -> Result<Self, ExitError> {
        let settings = &process.settings;
        let config = gateway::Config::new(settings).map_err(gateway::Error::into_exit)?;
        let config = gateway::Config {
            stdio: true,
            // Each process of the command is a gateway of its own, but a call may be repeated by
            // another one.
            stdio_client: Some("discovery".to_owned()),
            http: None,
            amqp: false,
            ..config
        };
        let workers = if settings.amqp_url.is_some() {
            Vec::new()
        } else {
            workers(settings)?
        };
        Self::assemble(process, config, workers).await
    }

    async fn assemble(
        process: &Process,
        config: gateway::Config,
        workers: Vec<Worker>,
    ) -> Result<Self, ExitError> {
        let bus: Arc<dyn Bus> = match process.settings.amqp_url {
            Some(_) => broker::connect(&process.settings, process.name)?,
            None => broker::in_memory(&process.settings),
        };
        let server = Server::bind(config, Arc::clone(&bus), process)
            .await
            .map_err(gateway::Error::into_exit)?;
        Ok(Self {
            bus,
            workers,
            process: process.clone(),
            server,
        })
    }

    /// The gateway, with its address.
    #[must_use]
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// The workers, with what they announce.
    #[must_use]
    pub fn workers(&self) -> &[Worker] {
        &self.workers
    }

    /// Serves until the process shuts down, or until the client on standard input is gone.
    ///
    /// # Errors
    /// As the gateway and the workers have them.
    pub async fn serve(self) -> Result<(), ExitError> {
        self.serve_on(tokio::io::stdin(), tokio::io::stdout()).await
    }

    /// Serves with these streams in place of standard input and output.
    ///
    /// # Errors
    /// As [`Platform::serve`] has them.
    pub async fn serve_on<I, O>(self, input: I, output: O) -> Result<(), ExitError>
    where
        I: AsyncRead + Send + Unpin + 'static,
        O: AsyncWrite + Send + Unpin + 'static,
    {
        let Self {
            bus,
            workers,
            process,
            server,
        } = self;
        // The workers stop after the gateway: open requests get their answers first.
        let stop = CancellationToken::new();
        let mut working = JoinSet::new();
        for worker in workers {
            let (bus, mut process) = (Arc::clone(&bus), process.clone());
            process.shutdown = stop.clone();
            process.metrics = process.metrics.behind_a_gateway();
            working.spawn(async move { worker::serve(worker, bus, &process).await });
        }
        let serving = server.serve_on(input, output);
        let outcome = tokio::select! {
            served = serving => served.map_err(gateway::Error::into_exit),
            failed = first_failure(&mut working) => Err(failed),
        };
        stop.cancel();
        let drained = tokio::time::timeout(DRAIN_DEADLINE, async {
            while working.join_next().await.is_some() {}
        });
        if drained.await.is_err() {
            tracing::warn!("some calls did not end in time and were aborted");
        }
        bus.close().await;
        outcome
    }
}

/// Waits until a worker ends, which none does by itself unless it fails.
async fn first_failure(working: &mut JoinSet<Result<(), worker::Error>>) -> ExitError {
    match working.join_next().await {
        Some(Ok(Err(error))) => error.into_exit(),
        Some(Ok(Ok(()))) => ExitError::internal("a worker ended unexpectedly"),
        Some(Err(error)) => ExitError::internal(error),
        // No worker in this process.
        None => std::future::pending().await,
    }
}
