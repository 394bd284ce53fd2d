//! Events of a worker's handlers, on their way to the exchange.

use std::sync::Arc;
use std::time::Duration;

use bus::{Bus, Message, Publish};
use protocol::{Change, Event, Names};
use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Events that wait to be published.
pub(super) const CAPACITY: usize = 64;
/// How long one event may take.
const EVENT_TIME: Duration = Duration::from_secs(4);
/// How long a worker that stops waits for its last events.
pub(super) const LAST_TIME: Duration = Duration::from_secs(1);

/// Publishes events one after the other; once stopped, those that wait and no more.
pub(super) async fn publish(
    mut events: Receiver<(Change, Event)>,
    bus: Arc<dyn Bus>,
    names: Names,
    stop: CancellationToken,
) {
    loop {
        let event = tokio::select! {
            biased;
            event = events.recv() => event,
            () = stop.cancelled() => None,
        };
        let Some((change, event)) = event else {
            return;
        };
        let kind = change.kind();
        let Ok(body) = serde_json::to_vec(&event) else {
            continue;
        };
        let message = Message {
            message_id: Some(event.id),
            body: body.into(),
            ..Message::default()
        };
        let publish = Publish::broadcast(names.events_exchange(), names.event_key(kind), message);
        match timeout(EVENT_TIME, bus.publish(publish)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(kind, %error, "an event was not published"),
            Err(_) => tracing::warn!(kind, "an event was not published in time"),
        }
    }
}
