use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::clock::Moment;

/// How long the other replicas have to say that they know.
const KNOW_TIME: Duration = Duration::from_millis(250);
/// Most replicas that are waited for.
const MAX_REPLICAS: usize = 1000;

/// The other replicas, and how much of what this one has told each of them knows.
///
/// The broker takes a message before anybody has read it. So that a client finds at the next
/// replica what it has changed here, it gets its answer when those that are there have said that
/// they know. One that does not say so in time is not waited for until it is heard again.
#[derive(Debug, Default)]
pub(super) struct Replicas {
    all: Mutex<HashMap<String, Replica>>,
    changed: watch::Sender<()>,
}

#[derive(Debug)]
struct Replica {
    heard: Moment,
    /// Everything up to this mark is known to it.
    knows: u64,
    is_awaited: bool,
}

impl Replicas {
    /// A replica was heard. What was put in until then counts as known to one that was not
    /// waited for: it may have begun to listen after that, and asks for it by itself.
    pub(super) fn heard(&self, sender: &str, put_in: u64, now: Moment) {
        let mut all = self.all();
        if let Some(replica) = all.get_mut(sender) {
            replica.heard = now;
            if !replica.is_awaited {
                replica.is_awaited = true;
                replica.knows = put_in;
            }
        } else if all.len() < MAX_REPLICAS {
            let replica = Replica {
                heard: now,
                knows: put_in,
                is_awaited: true,
            };
            all.insert(sender.to_owned(), replica);
        }
    }

    /// A replica has said that it knows everything up to a mark.
    pub(super) fn knows(&self, sender: &str, mark: u64) {
        if let Some(replica) = self.all().get_mut(sender) {
            replica.knows = replica.knows.max(mark);
        }
        self.changed.send_replace(());
    }

    /// Waits until all others know everything up to a mark, 250 ms at most; at once where there
    /// are none.
    pub(super) async fn know(&self, mark: u64) {
        let mut changed = self.changed.subscribe();
        let known = changed.wait_for(|()| !self.all().values().any(|it| it.lacks(mark)));
        if timeout(KNOW_TIME, known).await.is_err() {
            let mut all = self.all();
            for replica in all.values_mut().filter(|it| it.lacks(mark)) {
                replica.is_awaited = false;
            }
        }
    }

    /// Forgets replicas that were not heard for so long.
    pub(super) fn expire(&self, now: Moment, silence: Duration) {
        self.all().retain(|_, it| it.heard.until(now) < silence);
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, Replica>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Replica {
    fn lacks(&self, mark: u64) -> bool {
        self.is_awaited && self.knows < mark
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::super::clock::Clock;
    use super::*;

    /// How long it takes until all know a mark.
    async fn waited(replicas: &Replicas, mark: u64) -> Duration {
        let before = Instant::now();
        replicas.know(mark).await;
        before.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn alone_a_replica_waits_for_nobody() {
        assert_eq!(waited(&Replicas::default(), 7).await, Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn all_that_were_heard_have_to_know() {
        let (replicas, now) = (Replicas::default(), Clock::steady().now());
        replicas.heard("a", 6, now);
        replicas.heard("b", 6, now);
        assert_eq!(waited(&replicas, 6).await, Duration::ZERO);
        let late = Duration::from_millis(100);
        let (time, ()) = tokio::join!(waited(&replicas, 7), async {
            replicas.knows("a", 8);
            tokio::time::sleep(late).await;
            replicas.knows("b", 7);
        });
        assert_eq!(time, late);
        assert_eq!(waited(&replicas, 7).await, Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_late_is_not_waited_for_until_it_is_heard_again() {
        let (replicas, now) = (Replicas::default(), Clock::steady().now());
        replicas.heard("a", 0, now);
        assert_eq!(waited(&replicas, 1).await, KNOW_TIME);
        assert_eq!(waited(&replicas, 2).await, Duration::ZERO);
        replicas.heard("a", 2, now);
        assert_eq!(waited(&replicas, 2).await, Duration::ZERO);
        assert_eq!(waited(&replicas, 3).await, KNOW_TIME);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_silent_for_too_long_is_forgotten() {
        let (replicas, clock) = (Replicas::default(), Clock::steady());
        replicas.heard("a", 0, clock.now());
        tokio::time::advance(Duration::from_secs(90)).await;
        replicas.expire(clock.now(), Duration::from_secs(90));
        assert_eq!(waited(&replicas, 1).await, Duration::ZERO);
    }
}
