use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bus::{
    Backoff, Binding, Bus, Caller, Error, Headers, Link, Message, Publish, Queue, supervise,
};
use futures::{FutureExt, StreamExt};
use protocol::control::{self, Announcement, Digest};
use protocol::{Category, Change, Envelope, Instance, Names, headers, response};
use service::Health;
use service::health::LONGEST_TURN;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::kind::Kind;
use super::registry::Registry;
use super::{Catalogue, Writer};
use crate::news::Hub;

/// How long workers have to answer the first question for announcements.
const SETTLE: Duration = Duration::from_millis(300);
/// How often silence is looked for.
const TICK: Duration = Duration::from_millis(100);
/// How often at most announcements are asked for.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// Most announcements that are merged at a time.
const BATCH: usize = 256;
/// How long the question may take to be sent.
const ASK_TIME: Duration = Duration::from_secs(2);

/// Hears announcements and keeps a [`Catalogue`] up to date.
#[derive(Debug)]
pub(crate) struct Listener {
    bus: Arc<dyn Bus>,
    names: Names,
    instance: String,
    caller: Caller,
    generation: AtomicU64,
    registry: Arc<Mutex<Registry>>,
    health: Health,
    writer: Writer,
    hub: Hub,
}

/// When announcements were asked for, and whether they have to be.
#[derive(Debug, Default)]
struct Asking {
    is_due: bool,
    last: Option<Instant>,
}

impl Listener {
    /// A listener and the catalogue it keeps. What the categories in `always_listed` announced
    /// stays listed without a worker. `health` watches the loop; `hub` is told which lists change, once the workers that
    /// were running at the start have been heard.
    pub(crate) fn new(
        bus: Arc<dyn Bus>,
        names: Names,
        instance: String,
        caller: Caller,
        always_listed: HashSet<Category>,
        (hub, health): (Hub, Health),
    ) -> (Self, Catalogue) {
        let registry = Arc::new(Mutex::new(Registry::new(always_listed)));
        let (writer, catalogue) = Catalogue::new(Arc::clone(&registry));
        let listener = Self {
            bus,
            names,
            instance,
            caller,
            generation: AtomicU64::new(0),
            registry,
            health,
            writer,
            hub,
        };
        (listener, catalogue)
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
        supervise(&self.bus, "announcements", backoff, shutdown, |link| {
            self.session(link)
        })
        .await
    }

    async fn session(&self, link: Arc<dyn Link>) -> Result<(), Error> {
        let generation = self.generation.fetch_add(1, Ordering::Relaxed) + 1;
        let queue = self.names.control_queue(&self.instance, generation);
        let binding = Binding {
            exchange: Names::CONTROL.to_owned(),
            pattern: self.names.announce_key(),
        };
        link.declare(&Queue::exclusive(queue.clone(), vec![binding]))
            .await?;
        let mut consumer = link.consume(&queue, None).await?;
        self.registry().renew(Instant::now());
        let mut asking = Asking {
            is_due: true,
            last: None,
        };
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let pulse = self.health.pulse("announcements", LONGEST_TURN);
        loop {
            pulse.beat();
            tokio::select! {
                delivery = consumer.next() => {
                    let Some(delivery) = delivery else { return Err(ended()) };
                    asking.is_due |= !self.hear(&delivery.message.body);
                    // What has arrived together is merged together.
                    for _ in 0..BATCH {
                        let Some(Some(delivery)) = consumer.next().now_or_never() else { break };
                        asking.is_due |= !self.hear(&delivery.message.body);
                    }
                    self.publish_snapshot();
                }
                _ = tick.tick() => self.tick(&mut asking).await,
            }
        }
    }

    async fn tick(&self, asking: &mut Asking) {
        let now = Instant::now();
        let may_ask = asking
            .last
            .is_none_or(|last| now.duration_since(last) >= ASK_EVERY);
        if asking.is_due && may_ask {
            asking.is_due = !self.ask().await;
            asking.last = Some(Instant::now());
        }
        let has_heard = asking
            .last
            .is_some_and(|last| now.duration_since(last) >= SETTLE);
        if has_heard && !asking.is_due {
            self.writer
                .settled
                .send_if_modified(|settled| !std::mem::replace(settled, true));
        }
        let gone = self.registry().expire(now);
        for instance in &gone {
            self.caller.instance_gone(&instance.instance);
        }
        if !gone.is_empty() {
            self.publish_snapshot();
        }
    }

    /// Takes one message; false when it speaks of an announcement that is not known.
    fn hear(&self, body: &[u8]) -> bool {
        match read(body) {
            Ok(Heard::Announcement(announcement)) => {
                self.registry().announce(*announcement, Instant::now());
                true
            }
            Ok(Heard::Digest(digest)) => self.registry().digest(&digest, Instant::now()),
            Ok(Heard::Goodbye(instance)) => {
                self.registry().goodbye(instance, Instant::now());
                true
            }
            Err(reason) => {
                warn!(reason, "an announcement was refused");
                true
            }
        }
    }

    /// Asks all workers to announce themselves; false when the question could not be sent.
    async fn ask(&self) -> bool {
        let Ok(body) = response::notification(control::DISCOVER, &serde_json::json!({})) else {
            return false;
        };
        let message = Message {
            kind: Some(headers::kind::NOTIFICATION.to_owned()),
            app_id: Some(self.instance.clone()),
            headers: Headers::default().with(headers::METHOD, control::DISCOVER),
            body: body.into(),
            ..Message::default()
        };
        let publish = Publish::broadcast(Names::CONTROL, self.names.discover_key(), message);
        match timeout(ASK_TIME, self.bus.publish(publish)).await {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                warn!(%error, "workers could not be asked for their tools");
                false
            }
            Err(_) => false,
        }
    }

    fn publish_snapshot(&self) {
        let last = Arc::clone(&self.writer.snapshot.borrow());
        let Some(snapshot) = self.registry().snapshot(&last) else {
            return;
        };
        let kinds = snapshot.changed_since(&last);
        for kind in &kinds {
            let generation = snapshot.list(*kind).generation();
            info!(list = kind.member(), generation, "a list has changed");
        }
        self.writer.snapshot.send_replace(Arc::new(snapshot));
        if *self.writer.settled.borrow() {
            let mut changes: Vec<Change> = kinds.into_iter().map(Kind::change).collect();
            // Resources and their templates stand side by side and share their news.
            changes.dedup();
            for change in changes {
                self.hub.tell(change);
            }
        }
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn ended() -> Error {
    Error::Lost("announcements are no longer delivered".to_owned())
}

/// What is said on the announcement key.
enum Heard {
    Announcement(Box<Announcement>),
    Digest(Digest),
    Goodbye(Instance),
}

fn read(body: &[u8]) -> Result<Heard, String> {
    let envelope = Envelope::parse(body).map_err(|error| error.to_string())?;
    let protocol::Kind::Notification {
        params: Some(params),
        ..
    } = envelope.kind
    else {
        return Err("not a notification with parameters".to_owned());
    };
    let method = envelope.method().unwrap_or_default();
    let heard = match method.as_ref() {
        control::ANNOUNCE => {
            serde_json::from_str(params.get()).map(|it| Heard::Announcement(Box::new(it)))
        }
        control::DIGEST => serde_json::from_str(params.get()).map(Heard::Digest),
        control::GOODBYE => serde_json::from_str(params.get()).map(Heard::Goodbye),
        other => return Err(format!("{other:?} is not announced here")),
    };
    heard.map_err(|error| format!("{method}: {error}"))
}
