use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use bus::{Consumer, Delivery, Error, Link, Queue};
use futures::StreamExt;
use service::health::LONGEST_TURN;
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, interval, sleep_until, timeout};

use super::answers::Listening;
use super::handle::{Seat, handle};
use super::{DRAIN_TIME, Runtime, answers, control};

/// How long deliveries that were on their way may still come after consuming has stopped.
const ON_THEIR_WAY: Duration = Duration::from_secs(1);

/// How often the loop turns at least.
const TURN: Duration = Duration::from_secs(5);

/// One connection's life: declare, consume, and hand each delivery to a task of its own.
///
/// Dropping the future aborts every call that came over the connection: the broker hands
/// them to somebody else. When the worker stops, no more is taken, what has not started
/// goes back, and what runs is finished.
pub(super) async fn session(
    runtime: Arc<Runtime>,
    prefetch: NonZeroU16,
    link: Arc<dyn Link>,
) -> Result<(), Error> {
    let control_queue = control::queue(&runtime);
    let (mut deliveries, mut control, _listening) =
        begin(&runtime, prefetch, &control_queue, &*link).await?;
    let consuming = runtime.presence.consuming();
    let seat = Arc::new(Seat {
        runtime: Arc::clone(&runtime),
        permits: Arc::new(Semaphore::new(prefetch.get().into())),
        control_queue: control_queue.name.into(),
    });
    let mut renew = runtime.renew.subscribe();
    let mut calls = JoinSet::new();
    let name = format!("{} consumer", runtime.worker.category());
    let pulse = runtime.health.pulse(name, LONGEST_TURN);
    let mut turn = interval(TURN);
    loop {
        pulse.beat();
        tokio::select! {
            biased;
            () = runtime.stop.cancelled() => break,
            _ = renew.changed() => return Err(ended("the broker knows no consumer")),
            message = control.next() => {
                let message = message.ok_or_else(|| ended("the control queue is gone"))?;
                control::take(&runtime, &message);
            }
            delivery = deliveries.next() => {
                let delivery = delivery.ok_or_else(|| ended("the work queue is gone"))?;
                runtime.taken.note(&delivery.message);
                // Large as it is, it would be copied each time its task is moved.
                calls.spawn(Box::pin(handle(Arc::clone(&seat), delivery)));
                over(&mut calls)?;
            }
            // Without anything to do it turns all the same.
            _ = turn.tick() => over(&mut calls)?,
        }
    }
    drop(pulse);
    drain(&runtime, deliveries, control, calls).await;
    drop(consuming);
    Ok(())
}

/// Control first: a cancel must not be missed for a call that is consumed.
async fn begin(
    runtime: &Runtime,
    prefetch: NonZeroU16,
    control: &Queue,
    link: &dyn Link,
) -> Result<(Consumer, Consumer, Listening), Error> {
    let category = runtime.worker.category();
    let work = Queue::work(&runtime.names, category);
    link.declare(&work).await?;
    link.declare(&Queue::dead(&runtime.names)).await?;
    link.declare(control).await?;
    let listening = runtime.answers.listen(&control.name);
    let queue = &control.name;
    let mut control = link.consume(queue, None).await?;
    // A worker that stops need not know anything, and takes no calls either.
    let knowing = answers::catch_up(runtime, queue, &mut control);
    runtime.stop.run_until_cancelled(knowing).await;
    let deliveries = link.consume(&work.name, Some(prefetch)).await?;
    tracing::info!(queue = work.name, prefetch, "consuming");
    Ok((deliveries, control, listening))
}

/// Stops taking calls and sees the running ones through, within a bound. As long as a call runs
/// that must not run twice it can be granted and cancelled.
async fn drain(
    runtime: &Runtime,
    mut deliveries: Consumer,
    mut control: Consumer,
    mut calls: JoinSet<()>,
) {
    if let Err(error) = deliveries.cancel().await {
        tracing::debug!(%error, "the consumer was gone already");
    }
    let quiet = Instant::now() + ON_THEIR_WAY;
    let ended = async {
        let mut is_open = true;
        let mut once = runtime.once.subscribe();
        while is_open || !calls.is_empty() || *once.borrow_and_update() > 0 {
            tokio::select! {
                biased;
                _ = once.changed() => {}
                Some(joined) = calls.join_next() => drop(whole(joined)),
                Some(message) = control.next() => control::take(runtime, &message),
                delivery = deliveries.next(), if is_open => match delivery {
                    Some(delivery) => give_back(&delivery).await,
                    None => is_open = false,
                },
                () = sleep_until(quiet), if is_open => is_open = false,
            }
        }
    };
    if timeout(DRAIN_TIME, ended).await.is_err() {
        tracing::warn!("calls did not end in time and go to other workers");
    }
}

async fn give_back(delivery: &Delivery) {
    if let Err(error) = delivery.requeue().await {
        tracing::debug!(%error, "the broker takes the delivery back by itself");
    }
}

/// Forgets the calls that are over. Nothing waits for that, so that the end of a call wakes nobody.
fn over(calls: &mut JoinSet<()>) -> Result<(), Error> {
    while let Some(joined) = calls.try_join_next() {
        whole(joined)?;
    }
    Ok(())
}

/// A task that panicked has not settled its delivery; a new link gives it back.
fn whole(joined: Result<(), JoinError>) -> Result<(), Error> {
    joined.map_err(|error| {
        tracing::error!(%error, "handling a delivery failed by a fault of the runtime");
        ended("a fault of the runtime")
    })
}

fn ended(why: &str) -> Error {
    Error::Lost(why.to_owned())
}
