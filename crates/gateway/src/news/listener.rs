use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bus::{Backoff, Binding, Bus, Error, Link, Queue, supervise};
use futures::StreamExt;
use protocol::{Change, Event, Names};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::Hub;
use super::filter::MAX_URI;

/// Largest event, in bytes.
const MAX_EVENT: usize = 64 * 1024;

/// Hears the events that workers publish and tells the [`Hub`].
#[derive(Debug)]
pub(crate) struct Listener {
    bus: Arc<dyn Bus>,
    names: Names,
    /// Tells the queue from the others of this process.
    name: String,
    generation: AtomicU64,
    hub: Hub,
}

impl Listener {
    pub(crate) fn new(bus: Arc<dyn Bus>, names: Names, instance: &str, hub: Hub) -> Self {
        Self {
            bus,
            names,
            name: format!("{instance}.events"),
            generation: AtomicU64::new(0),
            hub,
        }
    }

    /// Listens until `shutdown`.
    ///
    /// # Errors
    /// When the bus gives up; see [`supervise`].
    pub(crate) async fn run(
        &self,
        backoff: &Backoff,
        shutdown: &CancellationToken,
    ) -> Result<(), Error> {
        supervise(&self.bus, "events", backoff, shutdown, |link| {
            self.session(link)
        })
        .await
    }

    async fn session(&self, link: Arc<dyn Link>) -> Result<(), Error> {
        let generation = self.generation.fetch_add(1, Ordering::Relaxed) + 1;
        let queue = self.names.control_queue(&self.name, generation);
        let bindings = Change::KINDS.map(|kind| Binding {
            exchange: self.names.events_exchange().to_owned(),
            pattern: self.names.event_key(kind),
        });
        link.declare(&Queue::exclusive(queue.clone(), bindings.into()))
            .await?;
        let mut consumer = link.consume(&queue, None).await?;
        // What was published before this queue was bound, nobody here has heard.
        self.hub.begin();
        while let Some(delivery) = consumer.next().await {
            match self.read(&delivery.routing_key, &delivery.message.body) {
                Ok(change) => self.hub.tell(change),
                Err(reason) => warn!(reason, key = delivery.routing_key, "an event was refused"),
            }
        }
        Err(Error::Lost("events are no longer delivered".to_owned()))
    }

    /// The change that an event tells of.
    fn read(&self, routing_key: &str, body: &[u8]) -> Result<Change, String> {
        if body.len() > MAX_EVENT {
            return Err(format!("it has more than {MAX_EVENT} bytes"));
        }
        if !body.trim_ascii_start().starts_with(b"{") {
            return Err("it is no JSON object".to_owned());
        }
        let event: Event = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        if event.specversion != "1.0" {
            return Err("its specversion is not 1.0".to_owned());
        }
        if event.id.is_empty() || event.source.is_empty() {
            return Err("its id and source must not be empty".to_owned());
        }
        if event.tenant.is_some() {
            return Err("it concerns one tenant, and clients of none are served".to_owned());
        }
        let change = event
            .change()
            .ok_or("its type is not known, or it lacks a subject")?;
        // The broker's permissions are on routing keys, so the key is what the sender may say.
        if self.names.event_key(change.kind()) != routing_key {
            return Err("its type does not belong to its routing key".to_owned());
        }
        match &change {
            Change::ResourceUpdated { uri } if uri.is_empty() || uri.len() > MAX_URI => {
                Err(format!("its subject must have 1 to {MAX_URI} bytes"))
            }
            _ => Ok(change),
        }
    }
}

#[cfg(test)]
mod tests {
    use bus::memory::MemoryBus;
    use serde_json::{Value, json};

    use super::*;

    fn check(kind: &str, change: impl FnOnce(&mut Value), expected: Result<Change, &str>) {
        let names = Names::default();
        let bus = Arc::new(MemoryBus::new());
        let listener = Listener::new(bus, names.clone(), "gateway-x", Hub::new());
        let mut event = json!({
            "specversion": "1.0", "id": "1", "source": "/lab/x",
            "type": format!("io.opendiscovery.{kind}"), "subject": "test://a",
        });
        change(&mut event);
        let read = listener.read(&names.event_key(kind), event.to_string().as_bytes());
        match (read, expected) {
            (Ok(read), Ok(expected)) => assert_eq!(read, expected),
            (Err(reason), Err(expected)) => assert!(reason.contains(expected), "{reason}"),
            (read, expected) => panic!("{event} gave {read:?}, not {expected:?}"),
        }
    }

    #[test]
    fn an_event_becomes_its_change() {
        let uri = "test://a".to_owned();
        check("tools.list_changed", |_| {}, Ok(Change::ToolsListChanged));
        check(
            "prompts.list_changed",
            |_| {},
            Ok(Change::PromptsListChanged),
        );
        check(
            "resources.updated",
            |event| event["data"] = json!({ "more": [1] }),
            Ok(Change::ResourceUpdated { uri }),
        );
    }

    #[test]
    fn a_malformed_event_is_refused() {
        let kind = "resources.updated";
        let cases: [(&str, Value, &str); 8] = [
            ("specversion", json!("0.3"), "specversion"),
            ("id", json!(""), "id and source"),
            ("source", json!(""), "id and source"),
            ("source", json!(5), "expected a string"),
            ("type", json!("com.example.other"), "type"),
            (
                "type",
                json!("io.opendiscovery.tools.list_changed"),
                "routing key",
            ),
            ("subject", json!("x".repeat(MAX_URI + 1)), "subject"),
            ("tenant", json!("other"), "tenant"),
        ];
        for (member, value, reason) in cases {
            check(kind, |event| event[member] = value, Err(reason));
        }
        check(kind, |event| *event = json!([]), Err("no JSON object"));
        check(
            kind,
            |event| _ = event.as_object_mut().unwrap().remove("id"),
            Err("`id`"),
        );
        check(
            kind,
            |event| event["data"] = "x".repeat(MAX_EVENT).into(),
            Err("bytes"),
        );
    }
}
