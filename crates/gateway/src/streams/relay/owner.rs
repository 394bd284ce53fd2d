use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tracing::debug;
use uuid::Uuid;

use super::{About, CLOSED, EVENT, LEASE, MAX_RELAYS, RENEW, RESUME, Reason, Resume, Said, Word};
use crate::gateway::Gateway;
use crate::peers::Unreachable;
use crate::streams::reader::Reader;
use crate::streams::standalone::OPENED;
use crate::streams::stream::Attached;

impl Gateway {
    /// Takes a message of another gateway, `opendiscovery/stream/…`. Never waits.
    pub(crate) fn heard_of_streams(
        self: &Arc<Self>,
        sender: &str,
        method: &str,
        params: &RawValue,
    ) {
        match method {
            OPENED => self.opened_elsewhere(params),
            EVENT => {
                if let Some(said) = read(params) {
                    self.said(sender, said);
                }
            }
            RESUME => {
                if let Some(resume) = read(params) {
                    self.resume_for(sender, resume);
                }
            }
            RENEW | CLOSED => {
                if let Some(About { relay }) = read(params) {
                    self.heard_of_relay(sender, relay, method == RENEW);
                }
            }
            _ => debug!(
                sender,
                method, "a message of another gateway is not known here"
            ),
        }
    }

    fn resume_for(self: &Arc<Self>, asker: &str, resume: Resume) {
        let key = (asker.to_owned(), resume.relay.clone());
        let mut outgoing = self.streams.relays.outgoing();
        if outgoing.contains_key(&key) {
            return;
        }
        let has_room = outgoing.len() < MAX_RELAYS;
        let attached = if has_room {
            self.attach_for(&resume)
        } else {
            Err(Reason::Busy)
        };
        let sending = Sending {
            gateway: Arc::clone(self),
            asker: asker.to_owned(),
            relay: resume.relay,
            number: 0,
        };
        match attached {
            Ok(reader) => {
                let (lease, renewed) = watch::channel(Instant::now());
                outgoing.insert(key, lease);
                self.tasks.spawn(sending.all(reader, renewed));
            }
            Err(reason) => {
                self.tasks.spawn(sending.refusal(reason));
            }
        }
    }

    fn attach_for(&self, resume: &Resume) -> Result<Reader, Reason> {
        let session: Uuid = resume.session.parse().map_err(|_| Reason::Unknown)?;
        let stream = self.streams.find(resume.stream, session);
        match stream.ok_or(Reason::Unknown)?.attach(resume.after) {
            Attached::Reader(reader) => Ok(reader),
            Attached::Over => Err(Reason::Over),
            Attached::Replaced => Err(Reason::Replaced),
            Attached::Unknown => Err(Reason::Unknown),
        }
    }

    fn heard_of_relay(&self, asker: &str, relay: String, goes_on: bool) {
        let key = (asker.to_owned(), relay);
        let mut outgoing = self.streams.relays.outgoing();
        if !goes_on {
            outgoing.remove(&key);
        } else if let Some(lease) = outgoing.get(&key) {
            lease.send_replace(Instant::now());
        }
    }
}

/// A stream on its way to another gateway.
struct Sending {
    gateway: Arc<Gateway>,
    asker: String,
    relay: String,
    number: u64,
}

impl Sending {
    async fn refusal(mut self, reason: Reason) {
        // An asker that cannot be told has waited long enough.
        let _ = self.say(Word::Refused(reason)).await;
    }

    async fn all(mut self, reader: Reader, renewed: watch::Receiver<Instant>) {
        if self.events(reader, renewed).await.is_err() {
            debug!(
                asker = self.asker,
                "a gateway that asked for a stream is gone"
            );
        }
        let key = (self.asker, self.relay);
        self.gateway.streams.relays.outgoing().remove(&key);
    }

    async fn events(
        &mut self,
        mut reader: Reader,
        mut renewed: watch::Receiver<Instant>,
    ) -> Result<(), Unreachable> {
        self.say(Word::Accepted).await?;
        loop {
            let deadline = *renewed.borrow_and_update() + LEASE;
            let event = tokio::select! {
                event = reader.next() => event,
                renewed = renewed.changed() => match renewed {
                    Ok(()) => continue,
                    Err(_) => return Ok(()),
                },
                () = sleep_until(deadline) => return Err(Unreachable),
                () = self.gateway.stop.cancelled() => None,
            };
            let Some(event) = event else {
                return self.say(Word::End).await;
            };
            // What came from a worker over the bus is text, or the client could not read it.
            let message = String::from_utf8_lossy(&event.message).into_owned();
            let seq = event.seq;
            self.say(Word::Event { seq, message }).await?;
        }
    }

    async fn say(&mut self, word: Word) -> Result<(), Unreachable> {
        let said = Said {
            relay: self.relay.clone(),
            number: self.number,
            word,
        };
        self.number += 1;
        self.gateway.peers.send(&self.asker, EVENT, &said).await
    }
}

fn read<T: DeserializeOwned>(params: &RawValue) -> Option<T> {
    serde_json::from_str(params.get())
        .inspect_err(|error| debug!(%error, "a gateway said what is not understood"))
        .ok()
}
