//! What replicas say to each other about sessions.
//!
//! Each says at once what its clients changed, and from time to time which sessions they used.
//! One that starts, or could not hear the others for a while, asks them for what they know.
//! What could not be said stays to be said.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use protocol::RequestParams;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};
use tracing::{debug, warn};
use uuid::Uuid;

use super::clock::Moment;
use super::facts::{CANCEL, Cancel, FULL, Fact, HELLO, Hello, KNOWN, Known, TOLD, Told};
use super::running::LOGGED;
use super::state::Which;
use super::store::stop;
use super::token::MAX_AGE;
use super::{Session, Sessions};
use crate::gateway::Gateway;
use crate::peers::Peers;

/// How long other replicas have to answer the first question.
const ANSWER_TIME: Duration = Duration::from_millis(500);
/// How long a broker is waited for before clients are served without the others' knowledge.
const BROKER_TIME: Duration = Duration::from_secs(2);
/// An outage may have begun so long before it was noticed.
const UNNOTICED: Duration = Duration::from_mins(10);
/// What the mark of an ended session takes, in bytes of JSON.
const MARK: usize = 64;
/// Longest JSON-RPC identifier that is looked for at other replicas, in bytes.
const MAX_ID: usize = 4096;

/// What is to be said, in as many messages as it takes.
pub(super) struct Letter {
    which: Which,
    ended: Vec<(Uuid, u64)>,
    sessions: Vec<Uuid>,
    /// Of a session that was begun.
    facts: VecDeque<Fact>,
    /// Since when the letter holds every use of every session, if it does.
    complete: Option<Moment>,
    /// What those who have read the letter say back, if they are asked to.
    mark: Option<u64>,
}

impl Sessions {
    /// Talks to the other replicas, and ends what nobody uses, for ever. Where no clients with
    /// sessions are served there is nothing to do.
    pub(crate) async fn run(&self, peers: &Peers) {
        if !self.is_serving {
            return std::future::pending().await;
        }
        let mut joined = peers.joined();
        if *joined.borrow() > 0 {
            joined.mark_changed();
        }
        let mut tick = interval_at(Instant::now() + self.period, self.period);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut catch_up = std::pin::pin!(sleep(BROKER_TIME));
        let mut has_asked = false;
        loop {
            tokio::select! {
                Ok(()) = joined.changed() => {
                    self.greet(peers).await;
                    if !std::mem::replace(&mut has_asked, true) {
                        catch_up.as_mut().reset(Instant::now() + ANSWER_TIME);
                    }
                }
                () = self.outbox.wanted() => self.tell(peers, false).await,
                _ = tick.tick() => {
                    self.sweep();
                    self.tell(peers, true).await;
                }
                () = &mut catch_up, if !self.is_caught_up() => {
                    self.caught_up.send_replace(true);
                }
            }
        }
    }

    /// Takes a message of another replica.
    pub(crate) fn heard(
        &self,
        gateway: &Arc<Gateway>,
        sender: &str,
        method: &str,
        params: &RawValue,
    ) {
        if !self.is_serving {
            return;
        }
        let taken = match method {
            HELLO => read(params).map(|hello| self.greeted(gateway, sender, &hello)),
            TOLD => read(params).map(|told| self.told(gateway, sender, told)),
            KNOWN => read(params).map(|Known { mark }| {
                self.outbox.heard(sender);
                self.outbox.replicas.knows(sender, mark);
            }),
            CANCEL => read(params).map(|cancel| self.cancel(&cancel)),
            _ => {
                debug!(sender, method, "unknown news of sessions");
                return;
            }
        };
        if let Err(error) = taken {
            warn!(sender, method, %error, "news of sessions were refused");
        }
    }

    /// Stops a request that this replica does not run, at the one that does.
    pub(crate) async fn cancel_elsewhere(
        &self,
        peers: &Peers,
        session: &Session,
        params: &RequestParams<'_>,
    ) {
        let Some(id) = params.get("requestId").filter(|id| is_id(id)) else {
            return;
        };
        let reason = params.string("reason");
        let cancel = Cancel {
            session: session.id().simple().to_string(),
            request_id: id.to_owned(),
            reason: reason.map(|reason| reason.chars().take(LOGGED).collect()),
        };
        peers.broadcast(CANCEL, &cancel).await;
    }

    /// Asks for what the others know, and says what they missed.
    async fn greet(&self, peers: &Peers) {
        let away = peers.lost().map(|lost| lost.elapsed() + UNNOTICED);
        let hello = Hello {
            keys: self.others.keys().to_vec(),
            recent_ms: away.map(milliseconds),
        };
        peers.broadcast(HELLO, &hello).await;
        self.tell(peers, true).await;
    }

    /// Says what the others do not know yet; with uses even if that is nothing, so that they
    /// know of this replica and its keys.
    async fn tell(&self, peers: &Peers, with_uses: bool) {
        let until = self.clock.now();
        let (mut letter, mark) = self.unsent(with_uses);
        let mut is_said = true;
        if with_uses || letter.mark.is_some() {
            is_said = self.say(peers, &mut letter).await;
        }
        if is_said && with_uses {
            *self.reported() = Some(until);
        }
        self.outbox.tried(mark);
    }

    /// What the others do not know yet, and how much of the outbox that is.
    pub(super) fn unsent(&self, with_uses: bool) -> (Letter, u64) {
        let (mut changed, ended, mark) = self.outbox.contents();
        // What was put in may have gone out with what was put in before; that it did is news too.
        let has_news = !changed.is_empty() || !ended.is_empty() || !self.outbox.is_tried(mark);
        if with_uses {
            let reported = *self.reported();
            changed.extend(self.table().used_here_since(reported));
        }
        let letter = Letter {
            which: Which::Unsent,
            ended,
            sessions: changed.into_iter().collect(),
            facts: VecDeque::new(),
            complete: None,
            mark: has_news.then_some(mark),
        };
        (letter, mark)
    }

    /// Says all of a letter to everybody; false when that was not possible.
    async fn say(&self, peers: &Peers, letter: &mut Letter) -> bool {
        loop {
            let told = self.next_part(letter);
            if !peers.broadcast(TOLD, &told).await {
                return false;
            }
            self.was_told(&told);
            if letter.is_empty() {
                return true;
            }
        }
    }

    pub(super) fn was_told(&self, told: &Told) {
        for (id, _) in &told.ended {
            if let Ok(id) = id.parse() {
                self.outbox.remove_ended(id);
            }
        }
        for fact in &told.sessions {
            let Ok(id) = fact.id.parse() else { continue };
            // In this order: what changes meanwhile is put in again.
            self.outbox.remove_changed(id);
            let known = self.table().known(id);
            if known.is_some_and(|(state, _)| !state.sent(fact)) {
                self.outbox.put_back(id);
            }
        }
    }

    /// As much of a letter as one message takes.
    pub(super) fn next_part(&self, letter: &mut Letter) -> Told {
        let mut told = Told {
            keys: self.others.keys().to_vec(),
            ..Told::default()
        };
        let mut bytes = 0;
        while bytes < FULL {
            if let Some((id, expires)) = letter.ended.pop() {
                bytes += MARK;
                told.ended.push((id.simple().to_string(), expires));
            } else if let Some(fact) = letter.facts.pop_front() {
                bytes += serde_json::to_vec(&fact).map_or(0, |json| json.len());
                told.sessions.push(fact);
            } else if let Some(id) = letter.sessions.pop() {
                self.begin(id, letter);
            } else {
                break;
            }
        }
        if letter.is_empty() {
            let age = |since: Moment| milliseconds(since.until(self.clock.now()));
            told.complete_ms = letter.complete.map(age);
            told.mark = letter.mark;
        }
        told
    }

    /// Adds what there is to say of one session.
    fn begin(&self, id: Uuid, letter: &mut Letter) {
        let known = self.table().known(id);
        match known {
            Some((state, last_used)) => {
                let idle = milliseconds(last_used.until(self.clock.now()));
                state.facts(id, idle, letter.which, &mut letter.facts);
            }
            // It ended meanwhile.
            None => self.outbox.remove_changed(id),
        }
    }

    fn greeted(&self, gateway: &Arc<Gateway>, sender: &str, hello: &Hello) {
        self.others.note(sender, &hello.keys, self.clock.now());
        self.outbox.heard(sender);
        let recent = hello.recent_ms.map(Duration::from_millis);
        let (host, sender) = (Arc::clone(gateway), sender.to_owned());
        gateway.tasks.spawn(async move {
            let answer = host.sessions.answer(&host.peers, &sender, recent);
            host.stop.run_until_cancelled(answer).await;
        });
    }

    /// Tells another replica what is known here, all or what was learnt recently.
    async fn answer(&self, peers: &Peers, to: &str, recent: Option<Duration>) {
        let Ok(_place) = self.answers.acquire().await else {
            return;
        };
        let mut letter = self.all_since(recent.map(|recent| self.clock.ago(recent)));
        loop {
            let told = self.next_part(&mut letter);
            if peers.send(to, TOLD, &told).await.is_err() || letter.is_empty() {
                return;
            }
        }
    }

    /// What was learnt since, or ever.
    pub(super) fn all_since(&self, moment: Option<Moment>) -> Letter {
        let table = self.table();
        Letter {
            which: Which::Since(moment),
            ended: table.ended.since(moment).collect(),
            sessions: table.used_since(moment),
            facts: VecDeque::new(),
            // Only all that is known here can complete what is known elsewhere.
            complete: moment.is_none().then(|| table.floor()),
            mark: None,
        }
    }

    fn told(&self, gateway: &Arc<Gateway>, sender: &str, told: Told) {
        let mark = told.mark;
        self.learn(sender, told);
        let Some(mark) = mark else { return };
        let (host, sender) = (Arc::clone(gateway), sender.to_owned());
        gateway.tasks.spawn(async move {
            // A sender that does not hear it has waited long enough.
            let known = Known { mark };
            let answer = host.peers.send(&sender, KNOWN, &known);
            host.stop.run_until_cancelled(answer).await;
        });
    }

    pub(super) fn learn(&self, sender: &str, told: Told) {
        let now = self.clock.now();
        self.others.note(sender, &told.keys, now);
        self.outbox.heard(sender);
        // No token lives longer, whatever the sender's clock says.
        let latest = self.clock.unix_ms().saturating_add(milliseconds(MAX_AGE));
        for (id, expires) in told.ended {
            let Ok(id) = id.parse() else { continue };
            let held = self.table().end(id, expires.min(latest), now);
            if let Some(session) = held {
                stop(&session);
            }
        }
        for fact in told.sessions {
            let Ok(id) = fact.id.parse() else { continue };
            let used = self.clock.ago(Duration::from_millis(fact.idle_ms));
            let state = self.table().used_elsewhere(id, used, &self.outbox, now);
            if let Some(state) = state {
                state.merge(fact, now);
            }
        }
        if let Some(age) = told.complete_ms {
            let since = self.clock.ago(Duration::from_millis(age));
            self.table().is_complete_since(since);
            self.caught_up.send_replace(true);
        }
    }

    fn cancel(&self, cancel: &Cancel) {
        let session = cancel.session.parse().ok();
        let session = session.and_then(|id| self.table().held(id).cloned());
        if let Some(session) = session {
            let reason = cancel.reason.as_deref().unwrap_or_default();
            session.running().cancel_one(&cancel.request_id, reason);
        }
    }

    fn is_caught_up(&self) -> bool {
        *self.caught_up.borrow()
    }

    fn reported(&self) -> std::sync::MutexGuard<'_, Option<Moment>> {
        self.reported.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Letter {
    pub(super) fn is_empty(&self) -> bool {
        self.ended.is_empty() && self.sessions.is_empty() && self.facts.is_empty()
    }
}

fn read<T: DeserializeOwned>(params: &RawValue) -> serde_json::Result<T> {
    serde_json::from_str(params.get())
}

fn is_id(id: &RawValue) -> bool {
    let text = id.get();
    let begins_well = text.starts_with(|c: char| c == '"' || c == '-' || c.is_ascii_digit());
    begins_well && text.len() <= MAX_ID
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
