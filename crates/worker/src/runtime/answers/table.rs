use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Kept;
use crate::runtime::recent::Recent;

/// Bounds of a [`Table`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Answers that are kept.
    pub(super) answers: usize,
    /// Bytes that they have together.
    pub(super) bytes: usize,
    /// How long an answer is kept.
    pub(super) keep: Duration,
    /// Claims of other workers that are known.
    pub(super) claims: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            answers: 16_384,
            bytes: 64 * 1024 * 1024,
            keep: Duration::from_hours(24),
            claims: 4096,
        }
    }
}

/// Claims of which is remembered that they are over, since other connections of this process may
/// hear of them later.
const RELEASED: usize = 4096;
/// How long that is remembered.
const RELEASED_FOR: Duration = Duration::from_mins(5);
/// Claims of one key that are known: as many workers can hardly want it in the same moment.
const CLAIMS_OF_A_KEY: usize = 64;
/// How long a worker may take to stop a call that its caller cancelled.
const STOP_TIME: Duration = Duration::from_secs(2);

/// A worker's word that it is about to run a call, or runs it.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// In the order in which claims were made, across workers as far as their clocks agree.
    pub(super) id: String,
    pub(super) fingerprint: String,
    pub(super) correlation_id: String,
    /// When the caller stops waiting, in milliseconds since the Unix epoch.
    pub(super) deadline: u64,
    /// When a claim of another worker counts no more.
    pub(super) until: Instant,
    /// The call must not run twice, and has begun.
    pub(super) begun: bool,
    /// It is this worker's.
    pub(super) is_own: bool,
    /// Every claim that was confirmed before this one is known.
    pub(super) marked: bool,
}

/// What is known of a key.
#[derive(Debug)]
pub(super) enum Look {
    Answered(Arc<Kept>),
    /// Somebody has it: until it goes, or until then.
    Claimed {
        fingerprint: String,
        until: Instant,
    },
    Free,
}

/// How a claim of this worker stands.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nobody else has one.
    Alone,
    /// It is not known yet who else has one.
    Unmarked,
    /// The others will withdraw theirs, answer, or be gone then.
    First(Instant),
    /// It is to be withdrawn.
    Behind,
    /// There is an answer.
    Over,
}

/// Answers and claims by key.
#[derive(Debug)]
pub(super) struct Table {
    limits: Limits,
    answers: HashMap<String, Arc<Kept>>,
    /// Oldest first.
    order: VecDeque<(Instant, String)>,
    bytes: usize,
    claims: HashMap<String, Vec<Entry>>,
    released: Recent<()>,
}

impl Table {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            answers: HashMap::new(),
            order: VecDeque::new(),
            bytes: 0,
            claims: HashMap::new(),
            released: Recent::new(RELEASED, RELEASED_FOR),
        }
    }

    /// What a call finds that comes under a key. One that was handed out before has been taken
    /// from whoever claimed it then.
    pub(super) fn look(&mut self, key: &str, correlation_id: &str, redelivered: bool) -> Look {
        if redelivered && let Some(claims) = self.claims.get_mut(key) {
            // A call that must not run twice is not taken from who has begun it.
            let stays = |claim: &Entry| claim.is_own || claim.begun;
            claims.retain(|claim| stays(claim) || claim.correlation_id != correlation_id);
        }
        self.forget();
        self.drop_late_claims(key);
        if let Some(kept) = self.answers.get(key) {
            return Look::Answered(Arc::clone(kept));
        }
        let first = self
            .claims
            .get(key)
            .and_then(|claims| claims.iter().min_by(|one, other| one.id.cmp(&other.id)));
        match first {
            Some(claim) => Look::Claimed {
                fingerprint: claim.fingerprint.clone(),
                until: claim.until,
            },
            None => Look::Free,
        }
    }

    /// Enters a claim, or what is new of it.
    pub(super) fn claim(&mut self, key: &str, claim: Entry) {
        let is_over = self.answers.contains_key(key) || self.released.get(&claim.id).is_some();
        if is_over {
            return;
        }
        if !claim.is_own && self.claims.len() >= self.limits.claims {
            self.drop_all_late_claims();
            if self.claims.len() >= self.limits.claims {
                return;
            }
        }
        let claims = self.claims.entry(key.to_owned()).or_default();
        let is_room = claim.is_own || claims.len() < CLAIMS_OF_A_KEY;
        match claims.iter_mut().find(|other| other.id == claim.id) {
            Some(known) => known.begun |= claim.begun,
            None if is_room => claims.push(claim),
            None => {}
        }
    }

    pub(super) fn mark(&mut self, key: &str, id: &str) {
        if let Some(claim) = self.own(key, id) {
            claim.marked = true;
        }
    }

    pub(super) fn begin(&mut self, key: &str, id: &str) {
        if let Some(claim) = self.own(key, id) {
            claim.begun = true;
        }
    }

    pub(super) fn release(&mut self, key: &str, id: &str) {
        self.released.entry(id, || ());
        if let Some(claims) = self.claims.get_mut(key) {
            claims.retain(|claim| claim.id != id);
            if claims.is_empty() {
                self.claims.remove(key);
            }
        }
    }

    /// How the claim of this worker stands among others.
    pub(super) fn standing(&mut self, key: &str, id: &str) -> Standing {
        self.drop_late_claims(key);
        let claims = self.claims.get(key).map_or(&[][..], Vec::as_slice);
        let Some(own) = claims.iter().find(|claim| claim.id == id) else {
            return Standing::Over;
        };
        if !own.marked {
            return Standing::Unmarked;
        }
        let mut others = claims.iter().filter(|claim| claim.id != id).peekable();
        if others.peek().is_none() {
            return Standing::Alone;
        }
        let mut until = None;
        for other in others {
            if other.id.as_str() < id {
                return Standing::Behind;
            }
            until = until.max(Some(other.until));
        }
        until.map_or(Standing::Alone, Standing::First)
    }

    /// Keeps an answer that there is for so long; the first one counts.
    pub(super) fn keep(&mut self, key: &str, kept: Kept, age: Duration) {
        if let Some(claims) = self.claims.remove(key) {
            for claim in claims {
                self.released.entry(&claim.id, || ());
            }
        }
        self.forget();
        if self.answers.contains_key(key) {
            return;
        }
        self.bytes += size(key, &kept);
        self.answers.insert(key.to_owned(), Arc::new(kept));
        let now = Instant::now();
        let since = now.checked_sub(age).unwrap_or(now);
        // What another worker tells may be older than what is known.
        let place = self.order.partition_point(|(other, _)| *other <= since);
        self.order.insert(place, (since, key.to_owned()));
        while self.answers.len() > self.limits.answers || self.bytes > self.limits.bytes {
            if !self.drop_oldest() {
                break;
            }
        }
    }

    /// Puts another answer in the place of one that is kept.
    pub(super) fn replace(&mut self, key: &str, kept: Kept) {
        if let Some(old) = self.answers.get_mut(key) {
            self.bytes = self.bytes - size(key, old) + size(key, &kept);
            *old = Arc::new(kept);
        }
    }

    /// A caller wants no answer: whoever runs the call stops it. How far one has come that must not
    /// run twice only its worker can say.
    pub(super) fn cancelled(&mut self, correlation_id: &str) {
        let soon = Instant::now() + STOP_TIME;
        for claim in self.claims.values_mut().flatten() {
            if !claim.is_own && !claim.begun && claim.correlation_id == correlation_id {
                claim.until = claim.until.min(soon);
            }
        }
    }

    /// Forgets what other workers claimed, since what became of it was not heard; but not what
    /// must not run twice.
    pub(super) fn unheard(&mut self) {
        self.claims.retain(|_, claims| {
            claims.retain(|claim| claim.is_own || claim.begun);
            !claims.is_empty()
        });
    }

    /// The claims that a worker must know which joins, with their keys: those of this one, and
    /// what has begun and must not run twice, as whose worker may be gone.
    pub(super) fn claims_to_tell(&self) -> Vec<(String, Entry)> {
        let claims = self.claims.iter();
        let told = claims.flat_map(|(key, claims)| {
            let told = claims.iter().filter(|claim| claim.is_own || claim.begun);
            told.map(|claim| (key.clone(), claim.clone()))
        });
        told.collect()
    }

    /// All answers with their keys, oldest first, and since when there is each.
    pub(super) fn all_answers(&self) -> Vec<(String, Instant, Arc<Kept>)> {
        let answers = self.order.iter();
        let answers = answers.filter_map(|(since, key)| {
            let kept = Arc::clone(self.answers.get(key)?);
            Some((key.clone(), *since, kept))
        });
        answers.collect()
    }

    fn own(&mut self, key: &str, id: &str) -> Option<&mut Entry> {
        let claims = self.claims.get_mut(key)?;
        claims
            .iter_mut()
            .find(|claim| claim.is_own && claim.id == id)
    }

    /// Drops the claims of workers that have had their time. What such a worker had begun, and
    /// must not run twice, is not known to have ended.
    fn drop_late_claims(&mut self, key: &str) {
        let Some(claims) = self.claims.get_mut(key) else {
            return;
        };
        let now = Instant::now();
        let is_late = |claim: &Entry| !claim.is_own && claim.until <= now;
        let begun = claims
            .iter()
            .find(|claim| is_late(claim) && claim.begun)
            .map(|claim| claim.fingerprint.clone());
        claims.retain(|claim| !is_late(claim));
        if claims.is_empty() {
            self.claims.remove(key);
        }
        if let Some(fingerprint) = begun {
            self.keep(key, Kept::unknown(fingerprint), Duration::ZERO);
        }
    }

    fn drop_all_late_claims(&mut self) {
        let keys: Vec<String> = self.claims.keys().cloned().collect();
        for key in keys {
            self.drop_late_claims(&key);
        }
    }

    /// Forgets what is too old.
    fn forget(&mut self) {
        let keep = self.limits.keep;
        while self
            .order
            .front()
            .is_some_and(|(since, _)| since.elapsed() > keep)
        {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) -> bool {
        let Some((_, key)) = self.order.pop_front() else {
            return false;
        };
        if let Some(kept) = self.answers.remove(&key) {
            self.bytes -= size(&key, &kept);
        }
        true
    }
}

/// Bytes that an answer takes: key, fingerprint and answer, with some for what holds them.
fn size(key: &str, kept: &Kept) -> usize {
    const OVERHEAD: usize = 256;
    2 * key.len() + kept.fingerprint.len() + kept.bytes() + OVERHEAD
}

#[cfg(test)]
mod tests;
