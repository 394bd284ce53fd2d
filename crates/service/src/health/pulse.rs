//! Whether the loops of a process turn.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use super::Status;

/// How long a loop may take for one turn, unless it says otherwise: far longer than any bound
/// within it, and short enough that somebody notices.
pub const LONGEST_TURN: Duration = Duration::from_secs(30);

/// A loop that is watched until this is dropped.
#[derive(Debug)]
pub struct Pulse {
    beats: Arc<Beats>,
    pulses: Pulses,
}

/// What `/live` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Liveness {
    /// Down if a loop is stuck.
    pub status: Status,
    /// The loops that are.
    pub stuck: Vec<Stuck>,
}

/// A loop that takes longer for a turn than it ever should.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stuck {
    /// What the loop does.
    pub name: String,
    /// Whole seconds since its last turn.
    pub for_seconds: u64,
}

/// The loops of a process that are watched.
#[derive(Clone, Debug, Default)]
pub(super) struct Pulses(Arc<Mutex<Vec<Arc<Beats>>>>);

#[derive(Debug)]
struct Beats {
    name: String,
    longest: Duration,
    last: Mutex<Instant>,
}

impl Pulse {
    /// Says that the loop has turned.
    pub fn beat(&self) {
        *self.beats.last() = Instant::now();
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        let mut all = self.pulses.all();
        all.retain(|beats| !Arc::ptr_eq(beats, &self.beats));
    }
}

impl Pulses {
    pub(super) fn begin(&self, name: String, longest: Duration) -> Pulse {
        let beats = Arc::new(Beats {
            name,
            longest,
            last: Mutex::new(Instant::now()),
        });
        self.all().push(Arc::clone(&beats));
        Pulse {
            beats,
            pulses: self.clone(),
        }
    }

    pub(super) fn liveness(&self) -> Liveness {
        let stuck: Vec<Stuck> = self.all().iter().filter_map(|it| it.stuck()).collect();
        let status = if stuck.is_empty() {
            Status::Up
        } else {
            Status::Down
        };
        Liveness { status, stuck }
    }

    /// No code panics while it holds the lock.
    fn all(&self) -> MutexGuard<'_, Vec<Arc<Beats>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Beats {
    fn stuck(&self) -> Option<Stuck> {
        let since = self.last().elapsed();
        (since >= self.longest).then(|| Stuck {
            name: self.name.clone(),
            for_seconds: since.as_secs(),
        })
    }

    fn last(&self) -> MutexGuard<'_, Instant> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use crate::Health;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_process_lives_while_all_its_loops_turn() {
        let health = Health::default();
        let check = |stuck: &[&str]| {
            let liveness = health.liveness();
            let names: Vec<&str> = liveness.stuck.iter().map(|it| it.name.as_str()).collect();
            assert_eq!(names, stuck);
            assert_eq!(liveness.status == Status::Up, stuck.is_empty());
        };
        check(&[]);
        let watch = health.pulse("watch", LONGEST_TURN);
        let quick = health.pulse("quick", Duration::from_secs(1));
        advance(Duration::from_secs(1)).await;
        check(&["quick"]);
        quick.beat();
        check(&[]);
        advance(Duration::from_secs(29)).await;
        quick.beat();
        check(&["watch"]);
        assert_eq!(health.liveness().stuck[0].for_seconds, 30);
        watch.beat();
        check(&[]);
        // A loop that has ended on purpose is not stuck.
        drop((watch, quick));
        advance(LONGEST_TURN).await;
        check(&[]);
    }
}
