//! How bytes go in one direction.

use std::{num::NonZeroU64, time::Duration};

/// How bytes go in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Way {
    pub(super) delay: Duration,
    pub(super) jitter: Duration,
    pub(super) bytes_per_second: Option<NonZeroU64>,
    pub(super) is_stopped: bool,
}

impl Way {
    /// As fast as they come.
    pub const OPEN: Self = Self {
        delay: Duration::ZERO,
        jitter: Duration::ZERO,
        bytes_per_second: None,
        is_stopped: false,
    };

    /// Not at all. The sockets stay open, and nobody is told; what was sent meanwhile arrives
    /// once the way is another again.
    pub const STOPPED: Self = Self {
        is_stopped: true,
        ..Self::OPEN
    };

    /// Each piece so much later, and up to `jitter` more, by chance; in order all the same.
    #[must_use]
    pub const fn delayed(delay: Duration, jitter: Duration) -> Self {
        Self {
            delay,
            jitter,
            ..Self::OPEN
        }
    }

    /// At most so many bytes per second, for each connection.
    #[must_use]
    pub const fn throttled(bytes_per_second: NonZeroU64) -> Self {
        Self {
            bytes_per_second: Some(bytes_per_second),
            ..Self::OPEN
        }
    }
}
