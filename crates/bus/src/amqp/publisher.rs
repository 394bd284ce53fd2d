use std::pin::pin;
use std::sync::Arc;

use deadpool_lapin::{Connection as Pooled, Pool};
use futures::StreamExt;
use lapin::Channel;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tracing::{info, warn};

use super::in_flight::{Done, InFlight};
use super::link::{declare_exchanges, end_of, in_time};
use super::{ANSWER_TIME, Endpoint, codec};
use crate::topology::Exchange;
use crate::{Error, Publish, PublishError, Stats};

/// Messages that wait to be sent.
const WAITING: usize = 1024;
/// Messages that wait for their confirmation; beyond, sending pauses.
const MAX_IN_FLIGHT: usize = 4096;
/// Messages sent before confirmations are looked at again.
const BATCH: usize = 64;

struct Job {
    publish: Publish,
    done: Done,
}

/// The sending end of a task that holds one pooled connection.
#[derive(Clone)]
pub(super) struct Publisher {
    jobs: mpsc::Sender<Job>,
    connection: watch::Receiver<Option<Arc<Pooled>>>,
}

impl Publisher {
    /// Starts the task; it ends when this and its clones are gone.
    pub(super) fn start(
        pool: Pool,
        endpoint: Arc<Endpoint>,
        stats: Arc<Stats>,
        tasks: &mut JoinSet<()>,
    ) -> Self {
        let (jobs_in, jobs) = mpsc::channel(WAITING);
        let (connection_in, connection) = watch::channel(None);
        let task = Task {
            pool,
            endpoint,
            stats,
            jobs,
            connection: connection_in,
        };
        tasks.spawn(task.run());
        Self {
            jobs: jobs_in,
            connection,
        }
    }

    pub(super) async fn publish(&self, publish: Publish) -> Result<(), PublishError> {
        if self.connection.borrow().is_none() {
            return Err(PublishError::Disconnected);
        }
        let (done_in, done) = oneshot::channel();
        let confirmed = async {
            let job = Job {
                publish,
                done: done_in,
            };
            self.jobs
                .send(job)
                .await
                .map_err(|_| PublishError::Disconnected)?;
            done.await.unwrap_or(Err(PublishError::Lost))
        };
        tokio::time::timeout(ANSWER_TIME, confirmed)
            .await
            .unwrap_or(Err(PublishError::Lost))
    }

    pub(super) async fn connected(&self) {
        // Without the task there will be no connection any more: wait for the caller's deadline.
        if self
            .connection
            .clone()
            .wait_for(Option::is_some)
            .await
            .is_err()
        {
            std::future::pending::<()>().await;
        }
    }

    pub(super) fn connection(&self) -> Option<Arc<Pooled>> {
        self.connection.borrow().clone()
    }

    pub(super) async fn close(&self) {
        if let Some(connection) = self.connection() {
            let close = connection.close(200, "done".into());
            // A connection that is gone already is closed well enough.
            let _ = tokio::time::timeout(ANSWER_TIME, close).await;
        }
    }
}

struct Task {
    pool: Pool,
    endpoint: Arc<Endpoint>,
    stats: Arc<Stats>,
    jobs: mpsc::Receiver<Job>,
    connection: watch::Sender<Option<Arc<Pooled>>>,
}

impl Task {
    /// Connects, works until anything fails, drops everything, begins again.
    async fn run(mut self) {
        let backoff = self.endpoint.options.backoff;
        let mut delays = backoff.delays();
        let mut was_connected = false;
        while !self.connection.is_closed() {
            match self.connect().await {
                Ok((connection, channel)) => {
                    delays = backoff.delays();
                    if was_connected {
                        self.stats.count_reconnect();
                        info!("connected to the message broker again for publishing");
                    }
                    was_connected = true;
                    let error = self.work(connection, &channel).await;
                    warn!(%error, "the connection for publishing was lost");
                }
                Err(error) => {
                    warn!(%error, "no connection for publishing, trying again");
                }
            }
            let delay = delays.next().unwrap_or(backoff.cap);
            tokio::time::sleep(delay).await;
        }
    }

    async fn connect(&self) -> Result<(Arc<Pooled>, Channel), Error> {
        let time = self.endpoint.options.connect_timeout;
        let refused = |reason: String| Error::Connect {
            url: self.endpoint.options.address(),
            reason,
        };
        let connection = tokio::time::timeout(time, self.pool.get())
            .await
            .map_err(|_| Error::Timeout(time))?
            .map_err(|error| refused(error.to_string()))?;
        let ready = async {
            let lost = |error: lapin::Error| Error::Lost(error.to_string());
            let channel = connection.create_channel().await.map_err(lost)?;
            channel
                .confirm_select(ConfirmSelectOptions::default())
                .await
                .map_err(lost)?;
            declare_exchanges(&channel, &Exchange::all(&self.endpoint.options.names)).await?;
            Ok(channel)
        };
        let channel = in_time(ready).await?;
        Ok((Arc::new(connection), channel))
    }

    /// Sends what comes in; returns why it had to stop.
    async fn work(&mut self, connection: Arc<Pooled>, channel: &Channel) -> Error {
        let mut events = connection.events_listener().boxed();
        let mut ended = pin!(end_of(&connection, &mut events));
        self.connection.send_replace(Some(Arc::clone(&connection)));
        let mut in_flight = InFlight::default();
        let mut batch = Vec::with_capacity(BATCH);
        let error = loop {
            let room = in_flight.len() < MAX_IN_FLIGHT;
            tokio::select! {
                settled = in_flight.settle_some(), if in_flight.len() > 0 => {
                    if let Err(error) = settled {
                        break Error::Lost(error.to_string());
                    }
                }
                received = self.jobs.recv_many(&mut batch, BATCH), if room => {
                    if received == 0 {
                        break Error::Closed;
                    }
                    if let Err(error) = send_all(channel, &mut batch, &mut in_flight).await {
                        break Error::Lost(error.to_string());
                    }
                }
                error = &mut ended => break error,
            }
        };
        self.connection.send_replace(None);
        in_flight.lose_all();
        // What came in since was never sent.
        while let Ok(job) = self.jobs.try_recv() {
            let _ = job.done.send(Err(PublishError::Disconnected));
        }
        error
    }
}

async fn send_all(
    channel: &Channel,
    batch: &mut Vec<Job>,
    in_flight: &mut InFlight,
) -> Result<(), lapin::Error> {
    let mut jobs = batch.drain(..);
    while let Some(Job { publish, done }) = jobs.next() {
        let Publish {
            exchange,
            routing_key,
            mandatory,
            message,
        } = publish;
        let options = BasicPublishOptions {
            mandatory,
            ..BasicPublishOptions::default()
        };
        let properties = codec::properties(&message);
        let sent = channel
            .basic_publish(
                exchange.as_str().into(),
                routing_key.as_str().into(),
                options,
                &message.body,
                properties,
            )
            .await;
        match sent {
            Ok(confirm) => in_flight.push(&message, routing_key, mandatory, confirm, done),
            Err(error) => {
                let _ = done.send(Err(PublishError::Lost));
                for job in jobs {
                    let _ = job.done.send(Err(PublishError::Disconnected));
                }
                return Err(error);
            }
        }
    }
    Ok(())
}
