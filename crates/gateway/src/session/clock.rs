use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// Tells sessions the time.
///
/// How long something is ago is measured by a clock that nobody sets. Wall time is only what
/// stands in a token or is written beside a change, because it must mean the same elsewhere.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    origin: Instant,
    /// The wall time at the origin, for a wall clock that goes as the other one.
    wall: Option<SystemTime>,
}

/// Milliseconds since the origin of a [`Clock`]; before it they are negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(i64);

impl Clock {
    pub(super) fn system() -> Self {
        Self {
            origin: Instant::now(),
            wall: None,
        }
    }

    /// A clock whose wall time follows the paused time of a test.
    #[cfg(test)]
    pub(super) fn steady() -> Self {
        Self {
            origin: Instant::now(),
            wall: Some(SystemTime::now()),
        }
    }

    pub(super) fn now(&self) -> Moment {
        Moment(milliseconds(self.origin.elapsed()))
    }

    /// The moment that lies so long back.
    pub(super) fn ago(&self, age: Duration) -> Moment {
        Moment(self.now().0.saturating_sub(milliseconds(age)))
    }

    /// The moment of a wall time, in milliseconds since the Unix epoch.
    pub(super) fn at(&self, unix_ms: u64) -> Moment {
        let age = self.unix_ms().saturating_sub(unix_ms);
        self.ago(Duration::from_millis(age))
    }

    pub(super) fn wall(&self) -> SystemTime {
        match self.wall {
            Some(wall) => wall + self.origin.elapsed(),
            None => SystemTime::now(),
        }
    }

    /// The wall time in milliseconds since the Unix epoch.
    pub(super) fn unix_ms(&self) -> u64 {
        let since = self.wall().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}

impl Moment {
    /// How long it lies before another one; nothing if it lies behind.
    pub(super) fn until(self, later: Self) -> Duration {
        let between = later.0.saturating_sub(self.0);
        Duration::from_millis(u64::try_from(between).unwrap_or_default())
    }
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
