use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBuilder};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{Bus, Error, Link};

/// When to try again after a connection was lost.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    /// First delay.
    pub first: Duration,
    /// Longest delay.
    pub cap: Duration,
    /// How many attempts in a row may fail; `None` for no limit.
    pub max_attempts: Option<usize>,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(100),
            cap: Duration::from_secs(2),
            max_attempts: None,
        }
    }
}

impl Backoff {
    /// The delays: doubling from the first to the cap, with random jitter, so that many
    /// processes do not come back in step.
    pub(crate) fn delays(&self) -> impl Iterator<Item = Duration> + Send + use<> {
        let cap = self.cap.max(self.first);
        // Jitter adds up to a delay's own length, so the room for it is kept below the cap.
        ExponentialBuilder::default()
            .with_min_delay(self.first)
            .with_max_delay((cap / 2).max(self.first))
            .with_factor(2.0)
            .with_jitter()
            .without_max_times()
            .build()
            .map(move |delay| delay.min(cap))
    }
}

/// A session that lived this long was a good one: its end begins a new row of attempts.
const GOOD_SESSION: Duration = Duration::from_secs(5);

/// Keeps a link alive: opens it, runs a session on it, and begins again from nothing
/// whenever anything fails.
///
/// The session gets the link and declares, consumes and works until it is done. When the
/// connection ends first, the session is dropped with all it holds.
///
/// Returns when a session ends well or `shutdown` is cancelled. A session that wants to do
/// something at shutdown watches the token itself and returns in its own time.
///
/// # Errors
/// An error that is [final](Error::is_final), attempts used up and a bus that
/// [failed](Bus::failed) included.
pub async fn supervise<F, S>(
    bus: &Arc<dyn Bus>,
    name: &str,
    backoff: &Backoff,
    shutdown: &CancellationToken,
    session: F,
) -> Result<(), Error>
where
    F: FnMut(Arc<dyn Link>) -> S,
    S: Future<Output = Result<(), Error>>,
{
    tokio::select! {
        ended = keep(bus, name, backoff, shutdown, session) => ended,
        error = bus.failed() => Err(error),
    }
}

async fn keep<F, S>(
    bus: &Arc<dyn Bus>,
    name: &str,
    backoff: &Backoff,
    shutdown: &CancellationToken,
    mut session: F,
) -> Result<(), Error>
where
    F: FnMut(Arc<dyn Link>) -> S,
    S: Future<Output = Result<(), Error>>,
{
    let mut delays = backoff.delays();
    let mut failed_attempts = 0;
    let mut was_connected = false;
    loop {
        let started = Instant::now();
        let opened = tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            opened = bus.open(name) => opened,
        };
        let ended = match opened {
            Ok(link) => {
                if std::mem::replace(&mut was_connected, true) {
                    bus.stats().count_reconnect();
                    info!(link = name, "connected to the message broker again");
                }
                hold(Arc::from(link), &mut session).await
            }
            Err(error) => Err(error),
        };
        let Err(error) = ended else { return Ok(()) };
        if error.is_final() {
            return Err(error);
        }
        if started.elapsed() >= GOOD_SESSION {
            delays = backoff.delays();
            failed_attempts = 0;
        }
        failed_attempts += 1;
        if backoff
            .max_attempts
            .is_some_and(|most| failed_attempts > most)
        {
            let attempts = failed_attempts - 1;
            return Err(Error::AttemptsUsedUp {
                attempts,
                last: Box::new(error),
            });
        }
        let delay = delays.next().unwrap_or(backoff.cap);
        warn!(link = name, %error, ?delay, "no connection to the message broker, trying again");
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            () = tokio::time::sleep(delay) => {}
        }
    }
}

/// Runs one session for as long as its link lives.
async fn hold<F, S>(link: Arc<dyn Link>, session: &mut F) -> Result<(), Error>
where
    F: FnMut(Arc<dyn Link>) -> S,
    S: Future<Output = Result<(), Error>>,
{
    let ended = tokio::select! {
        ended = session(Arc::clone(&link)) => ended,
        error = link.lost() => Err(error),
    };
    link.close().await;
    ended
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_from_the_first_to_the_cap_and_stay_there() {
        let backoff = Backoff::default();
        let delays: Vec<Duration> = backoff.delays().take(50).collect();
        assert!(
            delays[0] >= backoff.first && delays[0] <= 2 * backoff.first,
            "{delays:?}"
        );
        assert!(
            delays.iter().all(|delay| *delay <= backoff.cap),
            "{delays:?}"
        );
        assert!(
            delays[10..].iter().all(|delay| *delay >= backoff.cap / 2),
            "{delays:?}"
        );
        assert!(
            delays[10..].windows(2).any(|pair| pair[0] != pair[1]),
            "no jitter: {delays:?}"
        );
    }
}
