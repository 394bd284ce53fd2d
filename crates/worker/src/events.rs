use protocol::{Change, Event};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::mpsc;
use uuid::Uuid;

/// The way of a worker's events to the task that publishes them.
#[derive(Debug, Clone)]
pub(crate) struct Events {
    queue: mpsc::Sender<(Change, Event)>,
    /// `/{category}/{instance}`.
    source: String,
    site: String,
}

impl Events {
    /// At most `capacity` events wait to be published.
    pub(crate) fn new(
        source: String,
        site: String,
        capacity: usize,
    ) -> (Self, mpsc::Receiver<(Change, Event)>) {
        let (queue, events) = mpsc::channel(capacity);
        let events_of = Self {
            queue,
            source,
            site,
        };
        (events_of, events)
    }

    /// Takes an event without ever blocking; with too many waiting it is dropped, and said so
    /// in the log.
    pub(crate) fn notify(&self, change: Change, traceparent: Option<String>) {
        let mut event = Event::new(Uuid::now_v7().to_string(), &self.source, &change);
        event.time = OffsetDateTime::now_utc().format(&Rfc3339).ok();
        event.site = Some(self.site.clone());
        event.traceparent = traceparent;
        if self.queue.try_send((change, event)).is_err() {
            tracing::warn!("an event was dropped: the message broker takes them too slowly");
        }
    }
}
