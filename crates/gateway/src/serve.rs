use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bus::{Backoff, Bus, BusState, Caller};
use seal::Keyring;
use service::health::{Component, LONGEST_TURN};
use service::{Health, Process};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};
use uuid::Uuid;

use crate::bulkhead::Bulkhead;
use crate::catalogue::Listener;
use crate::config::Config;
use crate::error::Error;
use crate::gateway::Gateway;
use crate::http::Listening;
use crate::input::Inputs;
use crate::news::{self, Hub};
use crate::peers::Peers;
use crate::queues::Queues;
use crate::session::{self, Sessions};
use crate::stdio;
use crate::streams::Streams;

/// How often the health of the bus and what is kept for clients are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long open requests may take to end once the process shuts down; the frame of the process
/// allows a little more.
const DRAIN: Duration = Duration::from_secs(18);
/// How long the answers to those that had to be ended may take to be written.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How long the last cancels may take to be sent.
const LAST_CANCELS: Duration = Duration::from_secs(2);

/// Serves MCP clients until `process` shuts down, or until the last front has ended by itself:
/// standard input at its end.
///
/// Open requests get their answers first, for 18 s; what still runs then is cancelled and its
/// caller told so.
///
/// # Errors
/// See [`Error`]; [`Error::into_exit`] gives the exit code.
pub async fn serve(config: Config, bus: Arc<dyn Bus>, process: &Process) -> Result<(), Error> {
    Server::bind(config, bus, process).await?.serve().await
}

/// A gateway whose port is open and that serves nobody yet.
#[derive(Debug)]
pub struct Server {
    gateway: Arc<Gateway>,
    listener: Arc<Listener>,
    events: Arc<news::Listener>,
    http: Option<Listening>,
    stdio: bool,
    backoff: Backoff,
    shutdown: CancellationToken,
    /// Down until replies can arrive.
    broker: Component,
    /// Down while the broker takes no calls. It decides nothing: every replica has the same
    /// broker, so another one would do no better, and all but calls is served.
    publishing: Component,
    state: watch::Receiver<BusState>,
    health: Health,
}

impl Server {
    /// Opens what `config` asks for.
    ///
    /// # Errors
    /// [`Error::Listen`] when the port is taken, [`Error::AmqpOnly`] when nothing else was asked
    /// for.
    pub async fn bind(config: Config, bus: Arc<dyn Bus>, process: &Process) -> Result<Self, Error> {
        check(&config)?;
        let instance = format!("gateway-{}", Uuid::new_v4().simple());
        let keys = Arc::new(config.session_keys.clone().unwrap_or_else(Keyring::random));
        let sessions = sessions(&config, &keys, &instance, process);
        let caller = caller(&config, &bus, &instance);
        let names = config.names;
        let (hub, state) = (Hub::new(), bus.state());
        let (listener, catalogue) = Listener::new(
            Arc::clone(&bus),
            names.clone(),
            instance.clone(),
            caller.clone(),
            config.patient.clone(),
            (hub.clone(), process.health.clone()),
        );
        let events = news::Listener::new(Arc::clone(&bus), names.clone(), &instance, hub.clone());
        let stdio_client = config.stdio_client.unwrap_or_else(|| instance.clone());
        let peers = Peers::new(Arc::clone(&bus), names.clone(), instance);
        let gateway = Arc::new(Gateway {
            catalogue,
            streams: Streams::new(peers.instance(), config.session_ttl),
            queues: Queues::new(bus, names, process.metrics.clone()),
            bulkhead: Arc::new(Bulkhead::new(config.limits)),
            caller,
            patient: config.patient,
            stdio_client,
            metrics: process.metrics.clone(),
            sessions,
            keys,
            inputs: Inputs::new(peers.clone(), config.session_ttl),
            hub,
            peers,
            tasks: TaskTracker::new(),
            leaving: process.shutdown.clone(),
            stop: CancellationToken::new(),
        });
        let http = match &config.http {
            Some(http) => Some(Listening::bind(http, Arc::clone(&gateway), process).await?),
            None => None,
        };
        Ok(Self {
            gateway,
            listener: Arc::new(listener),
            events: Arc::new(events),
            http,
            stdio: config.stdio,
            backoff: config.backoff,
            shutdown: process.shutdown.clone(),
            broker: process.health.component("broker"),
            publishing: process.health.optional_component("publishing"),
            state,
            health: process.health.clone(),
        })
    }

    /// The address of the HTTP front, if there is one.
    #[must_use]
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http.as_ref()?.local_address().ok()
    }

    /// Serves as [`serve`] does.
    ///
    /// # Errors
    /// As [`serve`] has them.
    pub async fn serve(self) -> Result<(), Error> {
        self.serve_on(tokio::io::stdin(), tokio::io::stdout()).await
    }

    /// Serves with these streams in place of standard input and output.
    ///
    /// # Errors
    /// As [`serve`] has them.
    pub async fn serve_on<I, O>(mut self, input: I, output: O) -> Result<(), Error>
    where
        I: AsyncRead + Send + Unpin + 'static,
        O: AsyncWrite + Send + Unpin + 'static,
    {
        let mut fronts = JoinSet::new();
        let shutdown = self.shutdown.clone();
        if let Some(http) = self.http.take() {
            let shutdown = shutdown.clone();
            fronts.spawn(async move {
                http.run(&shutdown).await;
                Ok(())
            });
        }
        if self.stdio {
            let gateway = Arc::clone(&self.gateway);
            fronts.spawn(async move {
                stdio::serve(gateway, input, output, &shutdown)
                    .await
                    .map_err(Error::Stdio)
            });
        }
        let background = CancellationToken::new();
        let mut supports = self.supports(&background);
        let outcome = tokio::select! {
            outcome = ended(&mut fronts, &mut supports) => outcome,
            () = self.drained() => Ok(()),
        };
        fronts.shutdown().await;
        self.cancel_the_rest().await;
        background.cancel();
        supports.shutdown().await;
        outcome
    }

    /// Resolves when the time to shut down is over, after running calls were ended.
    async fn drained(&self) {
        self.shutdown.cancelled().await;
        sleep(DRAIN).await;
        warn!("calls that still run are ended");
        self.gateway.stop.cancel();
        sleep(LAST_WORDS).await;
    }

    /// Starts what works behind the fronts and must outlive them.
    fn supports(&self, stop: &CancellationToken) -> JoinSet<Result<(), Error>> {
        let mut supports = JoinSet::new();
        let (caller, backoff, token) = (self.gateway.caller.clone(), self.backoff, stop.clone());
        supports.spawn(async move { Ok(caller.run(&backoff, &token).await?) });
        let (listener, token) = (Arc::clone(&self.listener), stop.clone());
        supports.spawn(async move { Ok(listener.run(&backoff, &token).await?) });
        let (events, token) = (Arc::clone(&self.events), stop.clone());
        supports.spawn(async move { Ok(events.run(&backoff, &token).await?) });
        let (gateway, token) = (Arc::clone(&self.gateway), stop.clone());
        supports.spawn(async move { Ok(gateway.peers.run(&gateway, &backoff, &token).await?) });
        let gateway = Arc::clone(&self.gateway);
        supports.spawn(until(stop.clone(), async move {
            gateway.sessions.run(&gateway.peers).await;
        }));
        let (gateway, health) = (Arc::clone(&self.gateway), self.health.clone());
        supports.spawn(until(stop.clone(), async move {
            gateway.queues.watch(&gateway.catalogue, &health).await;
        }));
        supports.spawn(until(stop.clone(), self.watch()));
        supports
    }

    /// Keeps the health of the bus, and how much is kept for clients, up to date for ever.
    fn watch(&self) -> impl Future<Output = ()> + use<> {
        let (broker, publishing) = (self.broker.clone(), self.publishing.clone());
        let state = self.state.clone();
        let gateway = Arc::clone(&self.gateway);
        let pulse = self.health.pulse("bus watch", LONGEST_TURN);
        async move {
            let mut look = interval(LOOK_EVERY);
            loop {
                look.tick().await;
                pulse.beat();
                if gateway.caller.is_connected() {
                    broker.up();
                } else {
                    broker.down("no connection to the message broker");
                }
                match &*state.borrow() {
                    BusState::Connected => publishing.up(),
                    BusState::Disconnected => {
                        publishing.down("no connection to the message broker");
                    }
                    BusState::Blocked(reason) => {
                        publishing
                            .down(format!("the message broker has raised an alarm: {reason}"));
                    }
                }
                let (sessions, streams) = (gateway.sessions.len(), gateway.streams.len());
                let inputs = gateway.inputs.pending();
                gateway.metrics.set_kept(sessions, streams, inputs);
            }
        }
    }

    /// Cancels the calls that nobody waits for any more, while there is a bus to say so.
    async fn cancel_the_rest(&self) {
        self.gateway.stop.cancel();
        self.gateway.tasks.close();
        if timeout(LAST_CANCELS, self.gateway.tasks.wait())
            .await
            .is_err()
        {
            warn!("some calls could not be cancelled");
        }
        info!("the gateway has ended");
    }
}

/// Says what of a configuration cannot be had, or has consequences that may not be wanted.
fn check(config: &Config) -> Result<(), Error> {
    if config.amqp {
        if !config.stdio && config.http.is_none() {
            return Err(Error::AmqpOnly);
        }
        warn!("clients over AMQP are not served yet; the other transports are");
    }
    if config.broker && config.http.is_some() && config.session_keys.is_none() {
        warn!(
            "SESSION_KEY is not set: sessions of this gateway end with it, and no other \
             gateway serves them; set the same key at every replica"
        );
    }
    Ok(())
}

/// Who makes the calls of this gateway.
fn caller(config: &Config, bus: &Arc<dyn Bus>, instance: &str) -> Caller {
    let (bus, names) = (Arc::clone(bus), config.names.clone());
    Caller::new(bus, names, instance, config.message_ttl).routed_by(config.routing)
}

/// The sessions of HTTP clients; a gateway without an HTTP front has none.
fn sessions(config: &Config, keys: &Arc<Keyring>, instance: &str, process: &Process) -> Sessions {
    let health = || process.health.optional_component("session-keys");
    Sessions::new(session::Options {
        keys: Arc::clone(keys),
        site: config.names.prefix().to_string(),
        instance: instance.to_owned(),
        ttl: config.session_ttl,
        health: config.http.as_ref().map(|_| health()),
    })
}

/// Waits until all fronts have ended, or something failed.
async fn ended(
    fronts: &mut JoinSet<Result<(), Error>>,
    supports: &mut JoinSet<Result<(), Error>>,
) -> Result<(), Error> {
    loop {
        tokio::select! {
            front = fronts.join_next() => match front {
                Some(front) => joined(front, "a front")?,
                None => return Ok(()),
            },
            Some(support) = supports.join_next() => {
                joined(support, "the connection to the message bus")?;
                return Err(Error::Ended("the connection to the message bus"));
            }
        }
    }
}

fn joined(task: Result<Result<(), Error>, JoinError>, name: &'static str) -> Result<(), Error> {
    task.unwrap_or(Err(Error::Ended(name)))
}

async fn until(stop: CancellationToken, work: impl Future<Output = ()>) -> Result<(), Error> {
    stop.run_until_cancelled(work).await;
    Ok(())
}
