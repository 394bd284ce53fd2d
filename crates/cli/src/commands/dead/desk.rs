use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use bus::{Bus, Consumer, Error, Link, Queue};
use futures::StreamExt as _;
use protocol::Names;
use service::{ExitError, Process, broker};
use tokio::time::{Instant, sleep, timeout};

use super::Letter;

/// How long the broker may take to connect or to answer.
const BROKER_TIME: Duration = Duration::from_secs(10);
/// How long another command may go on before this one says so and ends.
const TURN_TIME: Duration = Duration::from_secs(5);
/// Pause between two looks whether the other command has ended.
const LOOK: Duration = Duration::from_millis(200);
/// Time without a letter after which the queue is looked at.
const QUIET: Duration = Duration::from_millis(250);

/// A connection to the broker whose turn it is to work on dead letters.
pub(super) struct Desk {
    pub(super) bus: Arc<dyn Bus>,
    pub(super) names: Names,
    link: Box<dyn Link>,
}

impl Desk {
    /// Connects, and waits a while for its turn.
    pub(super) async fn open(process: &Process) -> Result<Self, ExitError> {
        let settings = &process.settings;
        if settings.amqp_url.is_none() {
            let hint = "set AMQP_URL, and AMQP_QUEUE_PREFIX where it is not the usual one, to what \
                        the workers have; for example: AMQP_URL=amqp://user:password@broker \
                        discovery dead list";
            let error = "dead letters are kept by a message broker, and AMQP_URL is not set";
            return Err(ExitError::usage(error).hint(hint));
        }
        let names = broker::names(settings)?;
        let bus = broker::connect(settings, process.name)?;
        let connected = async {
            let link = bus.open("dead letters").await?;
            bus.connected().await;
            Ok(link)
        };
        let link = in_time(connected).await?;
        let desk = Self { bus, names, link };
        desk.take_turn().await?;
        Ok(desk)
    }

    /// Letters that somebody else holds are not in the queue, so two at a time would each see
    /// some of them. The right to work is an exclusive queue, which goes with its connection.
    async fn take_turn(&self) -> Result<(), ExitError> {
        let lock = Queue::exclusive(self.names.dead_lock(), Vec::new());
        let until = Instant::now() + TURN_TIME;
        loop {
            match self.link.declare(&lock).await {
                Ok(()) => return Ok(()),
                Err(Error::Refused(_)) if Instant::now() < until => sleep(LOOK).await,
                Err(Error::Refused(why)) => {
                    let error = format!("somebody else works on the dead letters now ({why})");
                    return Err(ExitError::unavailable(error).hint(
                        "try again when that command has ended; where it was cut off, the \
                         broker notices within half a minute",
                    ));
                }
                Err(error) => return Err(broker::exit(error)),
            }
        }
    }

    /// All letters, the oldest first, with what holds them.
    pub(super) async fn read(&self) -> Result<(Vec<Letter>, Option<Consumer>), ExitError> {
        let Some(n_waiting) = self.waiting().await? else {
            // No worker has ever run here.
            return Ok((Vec::new(), None));
        };
        let queue = self.names.dead_queue();
        // The queue holds no more than 10,000.
        let mut held = self
            .link
            .consume(&queue, Some(NonZeroU16::MAX))
            .await
            .map_err(broker::exit)?;
        let mut deliveries = Vec::new();
        let n_waiting = usize::try_from(n_waiting).unwrap_or(usize::MAX);
        let mut last = Instant::now();
        loop {
            match timeout(QUIET, held.next()).await {
                Ok(Some(delivery)) => {
                    deliveries.push(delivery);
                    last = Instant::now();
                    if deliveries.len() < n_waiting {
                        continue;
                    }
                }
                Ok(None) => return Err(lost()),
                Err(_) if last.elapsed() > BROKER_TIME => {
                    return Err(broker::exit(Error::Timeout(BROKER_TIME)));
                }
                Err(_) => {}
            }
            if self.waiting().await? == Some(0) {
                return Ok((Letter::of_all(deliveries), Some(held)));
            }
        }
    }

    async fn waiting(&self) -> Result<Option<u32>, ExitError> {
        let state = in_time(self.bus.queue_state(&self.names.dead_queue())).await?;
        Ok(state.map(|state| state.messages))
    }

    /// Resolves when the connection that holds the letters has ended.
    pub(super) async fn lost(&self) -> ExitError {
        self.link.lost().await;
        lost()
    }

    /// Ends the connection: what is held goes back.
    pub(super) async fn close(self) {
        self.link.close().await;
        self.bus.close().await;
    }
}

async fn in_time<T>(operation: impl Future<Output = Result<T, Error>>) -> Result<T, ExitError> {
    match timeout(BROKER_TIME, operation).await {
        Ok(done) => done.map_err(broker::exit),
        Err(_) => Err(broker::exit(Error::Timeout(BROKER_TIME))),
    }
}

fn lost() -> ExitError {
    ExitError::unavailable(
        "the connection to the message broker was lost; every letter that was not finished is in \
         its place",
    )
    .hint("try again when the broker is back")
}
