use std::pin::pin;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use deadpool_lapin::Connection as Pooled;
use lapin::Channel;
use lapin::options::ConfirmSelectOptions;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{info, warn};

use super::encoding::Outgoing;
use super::in_flight::{Done, InFlight};
use super::link::{declare_exchanges, in_time};
use super::nodes::Node;
use super::states::States;
use super::watcher::{Turn, Watcher};
use super::{ANSWER_TIME, CLOSE_TIME, Endpoint};
use crate::topology::Exchange;
use crate::{BusState, Error, PublishError, Stats};

/// Messages of each kind that wait to be sent.
const WAITING: usize = 1024;
/// Messages taken in before confirmations are looked at again.
const BATCH: usize = 64;
/// How long requests that are on their way when the broker raises an alarm may still be
/// confirmed; then their senders are told of the alarm.
const GRACE: Duration = Duration::from_millis(500);

struct Job {
    outgoing: Outgoing,
    done: Done,
}

/// What a publisher has to send on.
#[derive(Clone, Default)]
struct Line {
    connection: Option<Arc<Pooled>>,
    /// Why the broker takes nothing on it.
    blocked: Option<Arc<str>>,
}

/// The sending end of a task that holds one pooled connection.
pub(super) struct Publisher {
    /// Refused while the broker is blocked.
    requests: mpsc::Sender<Job>,
    /// Kept back meanwhile.
    others: mpsc::Sender<Job>,
    line: watch::Receiver<Line>,
}

/// What publishers of one bus share.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) stats: Arc<Stats>,
    pub(super) states: Arc<States>,
}

impl Publisher {
    /// Starts the task; it ends when this is gone. `number` is its own among the states.
    pub(super) fn start(shared: Shared, number: usize, tasks: &mut JoinSet<()>) -> Self {
        let (requests_in, requests) = mpsc::channel(WAITING);
        let (others_in, others) = mpsc::channel(WAITING);
        let (line_in, line) = watch::channel(Line::default());
        let task = Task {
            shared,
            number,
            jobs: Jobs { requests, others },
            line: line_in,
        };
        tasks.spawn(task.run());
        Self {
            requests: requests_in,
            others: others_in,
            line,
        }
    }

    pub(super) async fn publish(&self, outgoing: Outgoing) -> Result<(), PublishError> {
        let gives_way = outgoing.publish.gives_way();
        if self.line.borrow().connection.is_none() {
            return Err(PublishError::Disconnected);
        }
        let jobs = if gives_way {
            &self.requests
        } else {
            &self.others
        };
        let (done_in, done) = oneshot::channel();
        let job = Job {
            outgoing,
            done: done_in,
        };
        let mut confirmed = pin!(async {
            jobs.send(job)
                .await
                .map_err(|_| PublishError::Disconnected)?;
            done.await.unwrap_or(Err(PublishError::Lost))
        });
        loop {
            if let Ok(outcome) = timeout(ANSWER_TIME, &mut confirmed).await {
                return outcome;
            }
            if gives_way || !self.is_blocked() {
                return Err(PublishError::Lost);
            }
            tokio::select! {
                outcome = &mut confirmed => return outcome,
                () = self.unblocked() => {}
            }
        }
    }

    fn is_blocked(&self) -> bool {
        self.line.borrow().blocked.is_some()
    }

    async fn unblocked(&self) {
        // A task that is gone blocks nothing.
        let _ = self
            .line
            .clone()
            .wait_for(|line| line.blocked.is_none())
            .await;
    }

    pub(super) async fn connected(&self) {
        // Without the task there will be no connection any more: wait for the caller's deadline.
        if self
            .line
            .clone()
            .wait_for(|line| line.connection.is_some())
            .await
            .is_err()
        {
            std::future::pending::<()>().await;
        }
    }

    /// Resolves when the task has ended, which it does by a fault of its own only while this is
    /// there.
    pub(super) async fn ended(&self) {
        let mut line = self.line.clone();
        while line.changed().await.is_ok() {}
    }

    /// The connection, unless the broker takes nothing on it.
    pub(super) fn open_connection(&self) -> Option<Arc<Pooled>> {
        let line = self.line.borrow();
        line.connection.clone().filter(|_| line.blocked.is_none())
    }

    pub(super) async fn close(&self) {
        // A blocked connection would not even take a farewell.
        if let Some(connection) = self.open_connection() {
            let close = connection.close(200, "done".into());
            // A connection that is gone already is closed well enough.
            let _ = timeout(CLOSE_TIME, close).await;
        }
    }
}

/// What waits to be sent.
struct Jobs {
    requests: mpsc::Receiver<Job>,
    others: mpsc::Receiver<Job>,
}

impl Jobs {
    /// Waits for jobs and adds them to the batch; false when there will be none any more. Cancel
    /// safe.
    async fn receive(&mut self, batch: &mut Vec<Job>, only_requests: bool) -> bool {
        std::future::poll_fn(|cx| {
            let requests = self.requests.poll_recv_many(cx, batch, BATCH);
            if only_requests {
                return Poll::Ready(ready!(requests) > 0);
            }
            match (requests, self.others.poll_recv_many(cx, batch, BATCH)) {
                (Poll::Pending, Poll::Pending) => Poll::Pending,
                (Poll::Ready(0), _) | (_, Poll::Ready(0)) => Poll::Ready(false),
                _ => Poll::Ready(true),
            }
        })
        .await
    }

    /// What came in while a connection ended was never sent.
    fn refuse_all(&mut self) {
        while let Ok(job) = self.requests.try_recv() {
            let _ = job.done.send(Err(PublishError::Disconnected));
        }
        while let Ok(job) = self.others.try_recv() {
            let _ = job.done.send(Err(PublishError::Disconnected));
        }
    }
}

struct Task {
    shared: Shared,
    number: usize,
    jobs: Jobs,
    line: watch::Sender<Line>,
}

impl Task {
    /// Connects, works until anything fails, drops everything, begins again.
    async fn run(mut self) {
        let backoff = self.shared.endpoint.options.backoff;
        let mut delays = backoff.delays();
        let mut was_connected = false;
        while !self.line.is_closed() {
            match self.connect().await {
                Ok((node, connection, channel)) => {
                    delays = backoff.delays();
                    let node_name = node.address.as_str();
                    if was_connected {
                        self.shared.stats.count_reconnect();
                        info!(
                            node = node_name,
                            "connected to the message broker again for publishing"
                        );
                    }
                    was_connected = true;
                    let error = self.work(connection, channel).await;
                    warn!(node = node_name, %error, "the connection for publishing was lost");
                    node.failed();
                }
                Err(error) => {
                    warn!(%error, "no connection for publishing, trying again");
                }
            }
            let delay = delays.next().unwrap_or(backoff.cap);
            tokio::time::sleep(delay).await;
        }
    }

    async fn connect(&self) -> Result<(Arc<Node>, Arc<Pooled>, Channel), Error> {
        let endpoint = &self.shared.endpoint;
        let time = endpoint.options.connect_timeout;
        let lost = |error: lapin::Error| Error::Lost(error.to_string());
        let connecting = async |node: Arc<Node>| {
            let pooled = node.pool.get().await;
            pooled.map_err(|error| error.to_string())
        };
        let (node, connection) = endpoint.nodes.connect(time, connecting).await?;
        let ready = async {
            let channel = connection.create_channel().await.map_err(lost)?;
            channel
                .confirm_select(ConfirmSelectOptions::default())
                .await
                .map_err(lost)?;
            declare_exchanges(&channel, &Exchange::all(&endpoint.options.names)).await?;
            Ok(channel)
        };
        let channel = in_time(ready).await.inspect_err(|_| node.failed())?;
        Ok((node, Arc::new(connection), channel))
    }

    /// Sends what comes in; returns why it had to stop.
    async fn work(&mut self, connection: Arc<Pooled>, channel: Channel) -> Error {
        let channel = Arc::new(channel);
        let mut watcher = Watcher::of(&connection);
        self.stand(Some(connection), None);
        let mut in_flight = InFlight::default();
        let mut batch = Vec::with_capacity(2 * BATCH);
        let mut alarm: Option<Alarm> = None;
        let error = loop {
            let is_blocked = alarm.is_some();
            if !is_blocked {
                in_flight.send_shared(&channel, self.shared.endpoint.encoding.limit());
            }
            tokio::select! {
                settled = in_flight.settle_some(), if in_flight.len() > 0 => {
                    if let Err(error) = settled {
                        let fault = error.to_string();
                        self.shared.endpoint.encoding.learn(&fault);
                        break Error::Lost(fault);
                    }
                }
                received = self.jobs.receive(&mut batch, is_blocked),
                    if is_blocked || in_flight.has_room() =>
                {
                    if !received {
                        break Error::Closed;
                    }
                    for Job { outgoing, done } in batch.drain(..) {
                        match &alarm {
                            Some(alarm) => alarm.refuse(done),
                            None => in_flight.take(&channel, outgoing, done),
                        }
                    }
                }
                turn = watcher.next() => match turn {
                    Turn::Blocked(reason) => alarm = Some(self.block(&reason)),
                    Turn::Unblocked => {
                        alarm = None;
                        self.unblock();
                    }
                    Turn::Ended(error) => break error,
                },
                reason = Alarm::grace_is_over(&mut alarm) => in_flight.refuse_requests(&reason),
            }
        };
        self.stand(None, None);
        in_flight.lose_all();
        self.jobs.refuse_all();
        error
    }

    fn block(&self, reason: &str) -> Alarm {
        warn!(
            reason,
            "the message broker has raised an alarm and takes no messages"
        );
        let connection = self.line.borrow().connection.clone();
        let reason: Arc<str> = reason.into();
        self.stand(connection, Some(Arc::clone(&reason)));
        Alarm {
            reason,
            grace: Some(Instant::now() + GRACE),
        }
    }

    fn unblock(&self) {
        info!("the message broker takes messages again");
        let connection = self.line.borrow().connection.clone();
        self.stand(connection, None);
    }

    fn stand(&self, connection: Option<Arc<Pooled>>, blocked: Option<Arc<str>>) {
        let state = match (&connection, &blocked) {
            (None, _) => BusState::Disconnected,
            (_, None) => BusState::Connected,
            (_, Some(reason)) => BusState::Blocked(Arc::clone(reason)),
        };
        self.line.send_replace(Line {
            connection,
            blocked,
        });
        self.shared.states.set(self.number, state);
    }
}

impl Drop for Task {
    /// However it ends, nobody may go on taking it for connected.
    fn drop(&mut self) {
        self.stand(None, None);
    }
}

/// The broker takes nothing more.
struct Alarm {
    reason: Arc<str>,
    /// Until when requests that are on their way are waited for.
    grace: Option<Instant>,
}

impl Alarm {
    fn refuse(&self, done: Done) {
        let _ = done.send(Err(PublishError::Blocked {
            reason: self.reason.to_string(),
            may_arrive: false,
        }));
    }

    /// Resolves once per alarm, with its reason. Cancel safe.
    async fn grace_is_over(alarm: &mut Option<Self>) -> Arc<str> {
        if let Some(alarm) = alarm
            && let Some(grace) = alarm.grace
        {
            sleep_until(grace).await;
            alarm.grace = None;
            return Arc::clone(&alarm.reason);
        }
        std::future::pending().await
    }
}
