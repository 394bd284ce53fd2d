use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::task::AtomicWaker;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::Options;

/// How long the broker may be silent on a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Until its first word.
    first: Duration,
    /// After that. It sends a heartbeat at least every interval, RabbitMQ two.
    later: Duration,
}

/// Ends the reading of a connection on which nothing has come for too long.
///
/// The protocol's heartbeats end a connection that is established, and nothing else: one that
/// goes half open while it is made or closed would keep its socket, and the thread that reads it,
/// for as long as the system believes in it, which may be for ever.
pub(super) struct Silence {
    words: Arc<Words>,
    /// Ends with the connection.
    _watch: JoinSet<()>,
}

struct Words {
    began: Instant,
    /// Milliseconds from then to the last word, plus one; 0 as long as there was none.
    last: AtomicU64,
    is_over: AtomicBool,
    reader: AtomicWaker,
}

impl Limits {
    pub(super) fn of(options: &Options) -> Self {
        Self {
            first: options.connect_timeout,
            later: options.heartbeat * 3,
        }
    }

    /// How long a connection may take that is not one yet.
    pub(super) fn connecting(self) -> Duration {
        self.first
    }
}

impl Silence {
    /// Must be called within a Tokio runtime.
    pub(super) fn begin(limits: Limits) -> Self {
        let words = Arc::new(Words {
            began: Instant::now(),
            last: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
            reader: AtomicWaker::new(),
        });
        let mut watch = JoinSet::new();
        watch.spawn(Arc::clone(&words).watch(limits));
        Self {
            words,
            _watch: watch,
        }
    }

    /// Passes on what reading has come to.
    pub(super) fn check<T>(
        &self,
        read: Poll<io::Result<T>>,
        cx: &Context<'_>,
    ) -> Poll<io::Result<T>> {
        if read.is_ready() {
            self.words.heard();
            return read;
        }
        self.words.reader.register(cx.waker());
        if self.words.is_over.load(Ordering::Acquire) {
            let why = "nothing has come from the message broker for too long";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, why)));
        }
        Poll::Pending
    }
}

impl Words {
    fn heard(&self) {
        let since = self.began.elapsed().as_millis();
        let last = u64::try_from(since).unwrap_or(u64::MAX).saturating_add(1);
        self.last.store(last, Ordering::Relaxed);
    }

    async fn watch(self: Arc<Self>, limits: Limits) {
        loop {
            let until = match self.last.load(Ordering::Relaxed) {
                0 => self.began + limits.first,
                last => self.began + Duration::from_millis(last) + limits.later,
            };
            if until <= Instant::now() {
                break;
            }
            sleep_until(until).await;
        }
        self.is_over.store(true, Ordering::Release);
        self.reader.wake();
    }
}

#[cfg(test)]
mod tests {
    use futures::future::poll_fn;
    use tokio::time::{advance, timeout};

    use super::*;

    const LIMITS: Limits = Limits {
        first: Duration::from_secs(5),
        later: Duration::from_secs(30),
    };

    /// When reading without a word ends.
    async fn ends_after(silence: &Silence) -> Duration {
        let began = Instant::now();
        let reading = poll_fn(|cx| silence.check(Poll::<io::Result<()>>::Pending, cx));
        let hour = Duration::from_hours(1);
        let error = timeout(hour, reading).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        began.elapsed()
    }

    async fn word(silence: &Silence) {
        let read = poll_fn(|cx| silence.check(Poll::Ready(Ok(())), cx));
        read.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_without_a_first_word_ends_as_connecting_does() {
        let silence = Silence::begin(LIMITS);
        assert_eq!(ends_after(&silence).await.as_secs(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn every_word_gives_as_much_time_again() {
        let silence = Silence::begin(LIMITS);
        for _ in 0..10 {
            word(&silence).await;
            advance(Duration::from_secs(29)).await;
        }
        word(&silence).await;
        assert_eq!(ends_after(&silence).await.as_secs(), 30);
    }
}
