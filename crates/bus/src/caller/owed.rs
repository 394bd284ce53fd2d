use std::sync::Arc;

use futures::StreamExt;
use futures::stream;
use tokio::sync::{Mutex, mpsc};
use tokio::time::{Instant, timeout_at};
use tracing::debug;

use super::MAX_PENDING;
use crate::{Bus, Publish};

/// Cancels that are sent at a time.
const AT_ONCE: usize = 64;

/// Cancels that the broker did not take while it was blocked. They go out when it does, so that
/// calls whose callers were refused do not run after the alarm.
#[derive(Debug)]
pub(super) struct Owed {
    sender: mpsc::Sender<Cancel>,
    receiver: Mutex<mpsc::Receiver<Cancel>>,
}

#[derive(Debug)]
struct Cancel {
    publish: Publish,
    /// When the call is over anyway.
    until: Instant,
}

impl Owed {
    pub(super) fn new() -> Self {
        let (sender, receiver) = mpsc::channel(MAX_PENDING);
        Self {
            sender,
            receiver: Mutex::new(receiver),
        }
    }

    /// Takes a cancel that matters until then. Where there are too many the deadline of the call
    /// has to do.
    pub(super) fn add(&self, publish: Publish, until: Instant) {
        if self.sender.try_send(Cancel { publish, until }).is_err() {
            debug!("a cancel was dropped: too many wait for the end of the alarm");
        }
    }

    /// Sends what is owed, for ever.
    pub(super) async fn pay(&self, bus: &Arc<dyn Bus>) {
        let mut receiver = self.receiver.lock().await;
        stream::poll_fn(|cx| receiver.poll_recv(cx))
            .for_each_concurrent(AT_ONCE, |Cancel { publish, until }| async move {
                let sent = timeout_at(until, bus.publish(publish)).await;
                if !matches!(sent, Ok(Ok(()))) {
                    debug!("a cancel that was owed could not be sent");
                }
            })
            .await;
    }
}
