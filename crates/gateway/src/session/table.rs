use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::clock::Moment;
use super::ended::Ended;
use super::outbox::Outbox;
use super::state::State;
use super::{Gone, Session};

/// What a replica knows of sessions.
///
/// All of it can be lost without ending a session: the client's token brings back what was
/// agreed on, other replicas tell the rest.
#[derive(Debug)]
pub(super) struct Table {
    /// Sessions that were used here, with what they have open.
    held: HashMap<Uuid, Arc<Session>>,
    /// What became of sessions since they began, here and elsewhere.
    known: HashMap<Uuid, Known>,
    pub(super) ended: Ended,
    /// Since when every use of every session was heard of. A session of which nothing was heard
    /// may have been used until then.
    floor: Moment,
    limits: Limits,
}

/// How much is kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// How long a session may be idle.
    pub(super) idle: Duration,
    /// Most sessions that are held; beyond, those go that were idle longest and have nothing
    /// open.
    pub(super) held: usize,
    /// Most sessions of which something is known; beyond, those go that were idle longest.
    pub(super) known: usize,
}

#[derive(Debug)]
struct Known {
    last_used: Moment,
    /// The last use that the other replicas cannot know unless they are told.
    used_here: Option<Moment>,
    state: Arc<State>,
}

/// What a table says of a session that a client names.
#[derive(Debug)]
pub(super) enum Found {
    Held(Arc<Session>),
    /// It goes on, but this replica does not hold it.
    Elsewhere,
    Over(Gone),
}

impl Table {
    pub(super) fn new(limits: Limits, now: Moment) -> Self {
        Self {
            held: HashMap::new(),
            known: HashMap::new(),
            ended: Ended::default(),
            floor: now,
            limits,
        }
    }

    /// Looks for a session; what is found counts as used.
    pub(super) fn find(&mut self, id: Uuid, created: Moment, now: Moment) -> Found {
        if self.ended.contains(id) {
            return Found::Over(Gone::Ended);
        }
        let is_open = self.held.get(&id).is_some_and(|session| session.is_open());
        let last_used = self.known.get(&id).map_or(created, |it| it.last_used);
        let last_used = last_used.max(created).max(self.floor.min(now));
        if !is_open && last_used.until(now) > self.limits.idle {
            self.forget(id);
            return Found::Over(Gone::Idle);
        }
        match self.held.get(&id) {
            Some(session) => {
                let session = Arc::clone(session);
                if let Some(known) = self.known.get_mut(&id) {
                    known.use_here(now);
                }
                Found::Held(session)
            }
            None => Found::Elsewhere,
        }
    }

    /// Holds a session from now on, with the state that is known of it.
    pub(super) fn hold(
        &mut self,
        mut session: Session,
        outbox: &Arc<Outbox>,
        now: Moment,
    ) -> Arc<Session> {
        let id = session.id();
        if let Some(held) = self.held.get(&id) {
            return Arc::clone(held);
        }
        self.make_room();
        let known = self
            .known
            .entry(id)
            .or_insert_with(|| Known::new(id, outbox, now));
        known.use_here(now);
        session.state = Arc::clone(&known.state);
        let session = Arc::new(session);
        self.held.insert(id, Arc::clone(&session));
        session
    }

    pub(super) fn held(&self, id: Uuid) -> Option<&Arc<Session>> {
        self.held.get(&id)
    }

    /// Remembers that a session was ended by its client; gives it where it is held.
    pub(super) fn end(&mut self, id: Uuid, expires: u64, now: Moment) -> Option<Arc<Session>> {
        self.ended.insert(id, expires, now);
        self.known.remove(&id);
        self.held.remove(&id)
    }

    /// The state of a session that was used elsewhere; `None` when it is over.
    pub(super) fn used_elsewhere(
        &mut self,
        id: Uuid,
        used: Moment,
        outbox: &Arc<Outbox>,
        now: Moment,
    ) -> Option<Arc<State>> {
        let is_news = !self.known.contains_key(&id);
        if self.ended.contains(id) || (is_news && used.until(now) > self.limits.idle) {
            return None;
        }
        if is_news {
            self.make_room();
        }
        let known = self
            .known
            .entry(id)
            .or_insert_with(|| Known::new(id, outbox, used));
        known.last_used = known.last_used.max(used);
        Some(Arc::clone(&known.state))
    }

    /// Another replica has heard of every use of every session since then.
    pub(super) fn is_complete_since(&mut self, moment: Moment) {
        self.floor = self.floor.min(moment);
    }

    pub(super) fn floor(&self) -> Moment {
        self.floor
    }

    /// Sessions that were used here since, or ever.
    pub(super) fn used_here_since(&self, moment: Option<Moment>) -> Vec<Uuid> {
        self.ids(|known| known.used_here.is_some_and(|used| Some(used) >= moment))
    }

    /// Sessions that were used anywhere since, or ever.
    pub(super) fn used_since(&self, moment: Option<Moment>) -> Vec<Uuid> {
        self.ids(|known| Some(known.last_used) >= moment)
    }

    /// The state of a session and its last use.
    pub(super) fn known(&self, id: Uuid) -> Option<(Arc<State>, Moment)> {
        let known = self.known.get(&id)?;
        Some((Arc::clone(&known.state), known.last_used))
    }

    /// Ends what was idle for too long or is too old, and gives what was held of it. What is
    /// open counts as used.
    pub(super) fn sweep(&mut self, now: Moment, unix_ms: u64) -> Vec<Arc<Session>> {
        self.ended.prune(unix_ms);
        let mut over = Vec::new();
        for (id, session) in &self.held {
            let Some(known) = self.known.get_mut(id) else {
                continue;
            };
            if session.expires() <= unix_ms {
                over.push(*id);
            } else if session.is_open() {
                known.use_here(now);
            }
        }
        let idle = self.limits.idle;
        let is_idle = |known: &Known| known.last_used.max(self.floor).until(now) > idle;
        over.extend(self.ids(is_idle));
        over.into_iter().filter_map(|id| self.forget(id)).collect()
    }

    /// How many sessions are held.
    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    fn ids(&self, is_asked: impl Fn(&Known) -> bool) -> Vec<Uuid> {
        let asked = self.known.iter().filter(|(_, known)| is_asked(known));
        asked.map(|(id, _)| *id).collect()
    }

    fn forget(&mut self, id: Uuid) -> Option<Arc<Session>> {
        self.known.remove(&id);
        let held = self.held.remove(&id);
        if let Some(session) = &held {
            session.ended().cancel();
        }
        held
    }

    /// Makes room for one more session: a tenth goes, so that it need not be done each time.
    /// What somebody else still works with stays, because two of the same session would not know
    /// of each other's requests.
    fn make_room(&mut self) {
        if self.held.len() >= self.limits.held {
            let free = |(id, session): (&Uuid, &Arc<Session>)| {
                let known = self.known.get(id)?;
                let is_free = Arc::strong_count(session) == 1 && !session.is_open();
                is_free.then_some((known.last_used, *id))
            };
            let idle = self.held.iter().filter_map(free).collect();
            for id in oldest(idle, self.limits.held / 10 + 1) {
                self.held.remove(&id);
            }
        }
        if self.known.len() >= self.limits.known {
            let free = |(id, known): (&Uuid, &Known)| {
                (!self.held.contains_key(id)).then_some((known.last_used, *id))
            };
            let idle = self.known.iter().filter_map(free).collect();
            for id in oldest(idle, self.limits.known / 10 + 1) {
                self.known.remove(&id);
            }
        }
    }
}

impl Known {
    fn new(id: Uuid, outbox: &Arc<Outbox>, used: Moment) -> Self {
        Self {
            last_used: used,
            used_here: None,
            state: Arc::new(State::shared(id, Arc::clone(outbox))),
        }
    }

    fn use_here(&mut self, now: Moment) {
        self.last_used = self.last_used.max(now);
        self.used_here = Some(now);
    }
}

/// Those that were used least recently.
fn oldest(mut sessions: Vec<(Moment, Uuid)>, n_sessions: usize) -> impl Iterator<Item = Uuid> {
    if n_sessions < sessions.len() {
        sessions.select_nth_unstable(n_sessions);
    }
    sessions.into_iter().take(n_sessions).map(|(_, id)| id)
}
