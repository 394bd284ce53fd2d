use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::debug;
use uuid::Uuid;

use super::{About, CLOSED, FIRST_WORD, RENEW, RENEW_EVERY, RESUME, Reason, Resume, Said, Word};
use crate::budget::Charge;
use crate::gateway::Gateway;
use crate::streams::event_id::EventId;

/// Words that wait for a slow client; beyond, its stream breaks, and it comes back for the rest.
/// More than a stream keeps, so that all of it can come at once.
const WAITING: usize = 512;

/// A stream that comes from another gateway.
#[derive(Debug)]
pub(crate) struct Relayed {
    words: mpsc::Receiver<Taken>,
    _until_dropped: DropGuard,
}

/// What the owner said when it was asked.
#[derive(Debug)]
pub(in crate::streams) enum Asked {
    Accepted(Relayed),
    Over,
    Replaced,
    Unknown,
    /// The owner can say nothing now.
    Busy,
    /// There is no such gateway, or none that can be reached.
    Unreachable,
}

/// Where the words of an owner go.
#[derive(Debug)]
pub(super) struct Waiting {
    owner: String,
    next: u64,
    words: mpsc::Sender<Taken>,
}

/// A word with the room it takes.
type Taken = (Word, Option<Charge>);

impl Relayed {
    /// The number of the next event, and its message; `None` when there is nothing more for
    /// this reader. Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<(u64, Bytes)> {
        match self.words.recv().await? {
            (Word::Event { seq, message }, _) => Some((seq, message.into())),
            _ => None,
        }
    }
}

impl Gateway {
    /// Asks the owner of a stream for what comes after an event.
    pub(in crate::streams) async fn ask(self: &Arc<Self>, session: Uuid, event: &EventId) -> Asked {
        let owner = &event.address.instance;
        let relay = Uuid::new_v4().simple().to_string();
        let (sender, words) = mpsc::channel(WAITING);
        let waiting = Waiting {
            owner: owner.clone(),
            next: 0,
            words: sender,
        };
        let relays = &self.streams.relays;
        relays.incoming().insert(relay.clone(), waiting);
        let mut relayed = self.relayed(relay.clone(), owner.clone(), words);
        let resume = Resume {
            relay,
            session: session.to_string(),
            stream: event.address.stream,
            after: event.seq,
        };
        if self.peers.send(owner, RESUME, &resume).await.is_err() {
            relays.incoming().remove(&resume.relay);
            return Asked::Unreachable;
        }
        match timeout(FIRST_WORD, relayed.words.recv()).await {
            Ok(Some((Word::Accepted, _))) => Asked::Accepted(relayed),
            Ok(Some((Word::Refused(Reason::Over), _))) => Asked::Over,
            Ok(Some((Word::Refused(Reason::Replaced), _))) => Asked::Replaced,
            Ok(Some((Word::Refused(Reason::Unknown), _))) => Asked::Unknown,
            _ => Asked::Busy,
        }
    }

    /// Renews the wish for as long as somebody reads, and takes it back then.
    fn relayed(
        self: &Arc<Self>,
        relay: String,
        owner: String,
        words: mpsc::Receiver<Taken>,
    ) -> Relayed {
        let dropped = CancellationToken::new();
        let guard = dropped.clone().drop_guard();
        let gateway = Arc::clone(self);
        self.tasks.spawn(async move {
            let about = About { relay };
            loop {
                tokio::select! {
                    () = dropped.cancelled() => break,
                    // The client goes on elsewhere.
                    () = gateway.leaving.cancelled() => break,
                    () = sleep(RENEW_EVERY) => {}
                }
                if gateway.peers.send(&owner, RENEW, &about).await.is_err() {
                    break;
                }
            }
            let was_open = gateway.streams.relays.incoming().remove(&about.relay);
            if was_open.is_some() {
                // An owner that cannot be told stops by itself.
                let _ = gateway.peers.send(&owner, CLOSED, &about).await;
            }
        });
        Relayed {
            words,
            _until_dropped: guard,
        }
    }

    /// Takes a word of an owner.
    pub(super) fn said(&self, sender: &str, said: Said) {
        let mut incoming = self.streams.relays.incoming();
        let Some(waiting) = incoming.get_mut(&said.relay) else {
            return;
        };
        // A message can arrive twice when a connection is lost meanwhile.
        if waiting.owner != sender || said.number < waiting.next {
            return;
        }
        let ends = matches!(said.word, Word::Refused(_) | Word::End);
        let budget = &self.streams.budget;
        let charge = match &said.word {
            Word::Event { message, .. } => Some(budget.charge(message.len())),
            _ => None,
        };
        let is_whole = said.number == waiting.next && !budget.is_over();
        waiting.next = said.number + 1;
        let goes_on = is_whole && waiting.words.try_send((said.word, charge)).is_ok();
        if !goes_on {
            debug!(
                sender,
                "a stream from another gateway breaks: its client is too slow"
            );
        }
        if ends || !goes_on {
            incoming.remove(&said.relay);
        }
    }
}
