//! How many requests are sent when.

use std::time::Duration;

/// Time between two bursts of requests.
const TICK: u32 = 2;
/// Rate from which on each burst has a request at least.
const ONE_EACH: u32 = 1000 / TICK;

/// A rate, in bursts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// Milliseconds between two bursts.
    tick: u32,
    /// Thousandths of requests that become due from one burst to the next.
    due_each: u64,
    /// Those that are due and were not sent.
    due: u64,
}

impl Pace {
    /// This many requests per second.
    pub(super) fn new(rate: u32) -> Self {
        let rate = rate.max(1);
        let tick = TICK * (ONE_EACH / rate).max(1);
        let due_each = u64::from(rate) * u64::from(tick);
        Self {
            tick,
            due_each,
            due: 0,
        }
    }

    /// Time between two bursts.
    pub(super) fn tick(&self) -> Duration {
        Duration::from_millis(self.tick.into())
    }

    /// How many requests the next burst has.
    pub(super) fn burst(&mut self) -> usize {
        self.due += self.due_each;
        let burst = self.due / 1000;
        self.due %= 1000;
        usize::try_from(burst).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_has_as_many_requests_as_the_rate_says() {
        for rate in [
            10, 11, 99, 300, 499, 500, 501, 700, 999, 1000, 1999, 20_000, 100_000,
        ] {
            let mut pace = Pace::new(rate);
            let n_bursts = 60_000 / pace.tick;
            let n_requests: usize = (0..n_bursts).map(|_| pace.burst()).sum();
            let expected = usize::try_from(60 * rate).unwrap();
            // The minute need not end with a burst.
            let most_late = usize::try_from(rate * pace.tick / 1000 + 1).unwrap();
            assert!(n_requests <= expected, "{n_requests} at {rate}");
            assert!(n_requests + most_late >= expected, "{n_requests} at {rate}");
            assert!(pace.tick() <= Duration::from_millis(100), "{pace:?}");
        }
    }
}
