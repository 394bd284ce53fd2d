//! What a worker tells gateways of itself.

use std::sync::Arc;
use std::time::Duration;

use bus::{Headers, Message, Publish};
use protocol::control::{ANNOUNCE, DIGEST, GOODBYE};
use protocol::{Announcement, Digest, Instance, Names, headers, response};
use serde::Serialize;
use service::health::LONGEST_TURN;
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at, timeout, timeout_at};

use super::{DRAIN_TIME, Runtime};

/// Time between two digests; a gateway takes a worker for gone after three of them.
const INTERVAL: Duration = Duration::from_secs(5);
/// How long one announcement may take.
const ANNOUNCE_TIME: Duration = Duration::from_secs(4);
/// Looks at the work queue without this worker's consumer before its links are renewed.
const MAX_MISSES: u32 = 2;

/// Announces the worker while it consumes, until it stops; then says goodbye.
pub(super) async fn run(runtime: Arc<Runtime>) {
    let mut announcer = Announcer::new(&runtime);
    let mut consumers = runtime.presence.consumers();
    // A consumer may have been faster than this task.
    consumers.mark_changed();
    let mut was_consuming = false;
    let mut ticks = interval_at(Instant::now() + INTERVAL, INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let name = format!("{} announcer", runtime.worker.category());
    let pulse = runtime.health.pulse(name, LONGEST_TURN);
    loop {
        pulse.beat();
        tokio::select! {
            biased;
            () = runtime.stop.cancelled() => break,
            _ = consumers.changed() => {
                let is_consuming = *consumers.borrow_and_update() > 0;
                if is_consuming && !was_consuming {
                    announcer.announce().await;
                }
                was_consuming = is_consuming;
            }
            () = runtime.discover.notified() => {
                if runtime.presence.is_consuming() {
                    announcer.announce().await;
                }
            }
            _ = ticks.tick() => announcer.tick().await,
        }
    }
    drop(pulse);
    announcer.leave().await;
}

struct Announcer<'a> {
    runtime: &'a Runtime,
    announcement: Announcement,
    /// Looks in a row that did not find our consumer.
    misses: u32,
    reconnects: u64,
}

impl<'a> Announcer<'a> {
    fn new(runtime: &'a Runtime) -> Self {
        let worker = &runtime.worker;
        let mut announcement = Announcement {
            instance: Instance {
                instance: runtime.instance.clone(),
                category: worker.category().clone(),
            },
            digest: String::new(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            site: worker.host_identity().site.clone(),
            capacity: runtime.capacity,
            encodings: vec![headers::ZSTD.to_owned()],
            tools: worker.announced_tools(),
            resources: worker.announced_resources(),
            resource_templates: worker.announced_templates(),
            prompts: worker.announced_prompts(),
        };
        announcement.digest = announcement.digest();
        Self {
            runtime,
            announcement,
            misses: 0,
            reconnects: 0,
        }
    }

    async fn announce(&self) {
        self.publish(ANNOUNCE, &self.announcement).await;
    }

    async fn tick(&mut self) {
        self.count_reconnects();
        if self.runtime.presence.is_consuming() {
            self.digest().await;
            self.probe().await;
        }
    }

    async fn digest(&self) {
        let digest = Digest {
            instance: self.announcement.instance.clone(),
            digest: self.announcement.digest.clone(),
            taken_up_to: self.runtime.taken.up_to(),
        };
        self.publish(DIGEST, &digest).await;
    }

    /// Asks the broker whether it knows a consumer at the work queue. Being connected is
    /// not being served: a consumer can get lost while its connection lives.
    async fn probe(&mut self) {
        let Runtime {
            bus,
            names,
            worker,
            presence,
            ..
        } = self.runtime;
        let queue = names.work_queue(worker.category());
        match timeout(ANNOUNCE_TIME, bus.queue_state(&queue)).await {
            Ok(Ok(Some(state))) if state.consumers > 0 => {
                self.misses = 0;
                presence.probed(None);
            }
            Ok(Ok(_)) => {
                self.misses += 1;
                if self.misses >= MAX_MISSES {
                    self.misses = 0;
                    presence.probed(Some("the broker knows no consumer of the work queue"));
                    self.runtime.renew.send_modify(|renewals| *renewals += 1);
                }
            }
            Ok(Err(error)) => presence.probed(Some(&error.to_string())),
            Err(_) => presence.probed(Some("the message broker does not answer")),
        }
    }

    fn count_reconnects(&mut self) {
        let reconnects = self.runtime.bus.stats().reconnects();
        for _ in self.reconnects..reconnects {
            self.runtime.metrics.reconnected();
        }
        self.reconnects = reconnects;
    }

    /// Says goodbye. Not before the last call has ended that must not run twice: to its
    /// caller goodbye would mean that its outcome is unknown.
    async fn leave(&self) {
        let until = Instant::now() + DRAIN_TIME;
        let mut once = self.runtime.once.subscribe();
        let ended = async {
            let mut ticks = interval(INTERVAL);
            while *once.borrow_and_update() > 0 {
                tokio::select! {
                    _ = once.changed() => {}
                    _ = ticks.tick() => self.digest().await,
                }
            }
        };
        if timeout_at(until, ended).await.is_err() {
            tracing::warn!("calls that must not run twice did not end in time");
        }
        self.publish(GOODBYE, &self.announcement.instance).await;
    }

    async fn publish(&self, method: &'static str, params: &(impl Serialize + Sync)) {
        let Ok(body) = response::notification(method, params) else {
            return;
        };
        let message = Message {
            kind: Some(headers::kind::NOTIFICATION.to_owned()),
            app_id: Some(self.runtime.instance.clone()),
            headers: Headers::default().with(headers::METHOD, method),
            body: body.into(),
            ..Message::default()
        };
        let key = self.runtime.names.announce_key();
        let publish = Publish::broadcast(Names::CONTROL, key, message);
        match timeout(ANNOUNCE_TIME, self.runtime.bus.publish(publish)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) if error.is_final() => {
                tracing::error!(method, %error, "this worker cannot be announced");
            }
            Ok(Err(error)) => tracing::debug!(method, %error, "not announced"),
            Err(_) => tracing::debug!(method, "not announced in time"),
        }
    }
}
