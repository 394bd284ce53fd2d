use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use protocol::LogLevel;
use protocol::response::RpcError;
use serde_json::json;
use uuid::Uuid;

use super::clock::Moment;
use super::facts::{FULL_FACT, Fact, Stamp};
use super::invalid;
use super::outbox::Outbox;
use crate::budget::Charge;
use crate::busy::Busy;

/// Most resources that one session is told of.
const MAX_SUBSCRIPTIONS: usize = 1000;
/// Longest URI that is subscribed to, in bytes.
const MAX_URI: usize = 2048;
/// Most bytes of all URIs of one session together.
const MAX_URIS: usize = 128 * 1024;
/// Most ended subscriptions that are remembered, so that older news of them is known as such.
const MAX_UNSUBSCRIBED: usize = 1000;
/// Most bytes of ended subscriptions that one session remembers.
const MAX_UNSUBSCRIBED_URIS: usize = MAX_URIS;
/// What a fact takes beside its texts, in bytes of JSON; rather too much than too little.
const FRAME: usize = 160;

/// What changes in a session after `initialize`, the same at every replica sooner or later: of
/// two writers the later one wins, for the level and for each resource by itself.
#[derive(Debug, Default)]
pub(super) struct State {
    changing: Mutex<Changing>,
    /// For a session that other replicas may serve.
    shared: Option<(Uuid, Arc<Outbox>)>,
}

/// What all sessions may keep together, in bytes of URIs.
pub(super) const ROOM: usize = 64 * 1024 * 1024;

#[derive(Debug, Default)]
struct Changing {
    level: Written<LogLevel>,
    /// Whether the client wants news of a resource.
    subscriptions: BTreeMap<String, Written<bool>>,
    /// How many it wants news of, and the bytes of their URIs.
    n_wanted: usize,
    wanted_bytes: usize,
    /// The bytes of those that it wants no more news of.
    ended_bytes: usize,
}

#[derive(Debug, Default)]
struct Written<T> {
    value: T,
    stamp: Stamp,
    /// Whether the other replicas have to be told yet.
    is_unsent: bool,
    /// When this replica learnt it; never, if it is the default.
    learnt: Option<Moment>,
    /// The room that a URI takes.
    _charge: Option<Charge>,
}

/// Which part of a state is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Which {
    /// What other replicas have not been told yet.
    Unsent,
    /// What was learnt since, or ever.
    Since(Option<Moment>),
}

impl State {
    /// The state of a session whose changes concern the other replicas.
    pub(super) fn shared(id: Uuid, outbox: Arc<Outbox>) -> Self {
        Self {
            changing: Mutex::default(),
            shared: Some((id, outbox)),
        }
    }

    pub(super) fn level(&self) -> LogLevel {
        self.lock().level.value
    }

    pub(super) fn set_level(&self, level: LogLevel) {
        let mut state = self.lock();
        state.level = self.write(level, &state.level.stamp);
        drop(state);
        self.tell();
    }

    /// # Errors
    /// Invalid params when there are too many, or the URI is too long.
    pub(super) fn subscribe(&self, uri: &str) -> Result<(), RpcError> {
        let mut state = self.lock();
        self.has_room_for(uri, &state)?;
        let last = state.stamp_of(uri);
        state.put(uri.to_owned(), self.charged(uri, self.write(true, &last)));
        drop(state);
        self.tell();
        Ok(())
    }

    pub(super) fn unsubscribe(&self, uri: &str) {
        let mut state = self.lock();
        if !state.wants(uri) {
            return;
        }
        let last = state.stamp_of(uri);
        state.put(uri.to_owned(), self.charged(uri, self.write(false, &last)));
        drop(state);
        self.tell();
    }

    pub(super) fn is_subscribed(&self, uri: &str) -> bool {
        self.lock().wants(uri)
    }

    pub(super) fn subscriptions(&self) -> Vec<String> {
        let state = self.lock();
        let wanted = state.subscriptions.iter().filter(|(_, it)| it.value);
        wanted.map(|(uri, _)| uri.clone()).collect()
    }

    /// Takes what another replica knows, where it is newer.
    pub(super) fn merge(&self, fact: Fact, now: Moment) {
        let mut state = self.lock();
        if let Some((level, stamp)) = fact.level
            && stamp > state.level.stamp
        {
            state.level = Written::heard(level, stamp, now);
        }
        for (uri, value, stamp) in fact.subscriptions {
            let is_welcome = stamp > state.stamp_of(&uri)
                && (!value || state.has_room_for(&uri).is_ok())
                && (state.subscriptions.contains_key(&uri) || self.has_room(&uri))
                && uri.len() <= MAX_URI;
            if is_welcome {
                let written = self.charged(&uri, Written::heard(value, stamp, now));
                state.put(uri, written);
            }
        }
    }

    /// Adds what there is to tell of this session; its last use in any case.
    pub(super) fn facts(
        &self,
        id: Uuid,
        idle_ms: u64,
        which: Which,
        facts: &mut impl Extend<Fact>,
    ) {
        let new = || Fact {
            id: id.simple().to_string(),
            idle_ms,
            level: None,
            subscriptions: Vec::new(),
        };
        let state = self.lock();
        let mut fact = new();
        let level = &state.level;
        fact.level = which
            .asks_for(level)
            .then(|| (level.value, level.stamp.clone()));
        let mut bytes = 0;
        let asked = state.subscriptions.iter().filter(|it| which.asks_for(it.1));
        for (uri, written) in asked {
            bytes += json!(uri).to_string().len() + FRAME;
            let entry = (uri.clone(), written.value, written.stamp.clone());
            fact.subscriptions.push(entry);
            if bytes >= FULL_FACT {
                bytes = 0;
                facts.extend([std::mem::replace(&mut fact, new())]);
            }
        }
        facts.extend([fact]);
    }

    /// The other replicas know this now; true when they know all.
    pub(super) fn sent(&self, fact: &Fact) -> bool {
        let mut state = self.lock();
        if let Some((_, stamp)) = &fact.level {
            state.level.sent(stamp);
        }
        for (uri, _, stamp) in &fact.subscriptions {
            if let Some(written) = state.subscriptions.get_mut(uri) {
                written.sent(stamp);
            }
        }
        !state.level.is_unsent && state.subscriptions.values().all(|it| !it.is_unsent)
    }

    fn write<T>(&self, value: T, last: &Stamp) -> Written<T> {
        let shared = self.shared.as_ref();
        Written {
            value,
            stamp: shared.map_or_else(Stamp::default, |(_, outbox)| outbox.stamp(last)),
            is_unsent: shared.is_some(),
            learnt: shared.map(|(_, outbox)| outbox.now()),
            _charge: None,
        }
    }

    /// # Errors
    /// Invalid params when the session has too many, or the URI is too long; busy when all
    /// sessions together have too many.
    fn has_room_for(&self, uri: &str, state: &Changing) -> Result<(), RpcError> {
        state.has_room_for(uri)?;
        if state.subscriptions.contains_key(uri) || self.has_room(uri) {
            return Ok(());
        }
        let message = "the sessions of all clients have too many subscriptions; try again later";
        Err(Busy::Subscriptions.error(message))
    }

    fn has_room(&self, uri: &str) -> bool {
        let shared = self.shared.as_ref();
        shared.is_none_or(|(_, outbox)| outbox.room.has_room(uri.len()))
    }

    fn charged(&self, uri: &str, written: Written<bool>) -> Written<bool> {
        let shared = self.shared.as_ref();
        Written {
            _charge: shared.map(|(_, outbox)| outbox.room.charge(uri.len())),
            ..written
        }
    }

    fn tell(&self) {
        if let Some((id, outbox)) = &self.shared {
            outbox.changed(*id);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Changing> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Changing {
    fn stamp_of(&self, uri: &str) -> Stamp {
        let written = self.subscriptions.get(uri);
        written.map(|it| it.stamp.clone()).unwrap_or_default()
    }

    fn has_room_for(&self, uri: &str) -> Result<(), RpcError> {
        if uri.len() > MAX_URI {
            return Err(invalid(&format!(
                "params.uri is longer than {MAX_URI} bytes"
            )));
        }
        if self.wants(uri) {
            return Ok(());
        }
        if self.n_wanted >= MAX_SUBSCRIPTIONS || self.wanted_bytes + uri.len() > MAX_URIS {
            return Err(invalid(&format!(
                "the session has too many subscriptions: {MAX_SUBSCRIPTIONS} with {MAX_URIS} \
                 bytes of URIs are the most; end some with resources/unsubscribe"
            )));
        }
        Ok(())
    }

    fn wants(&self, uri: &str) -> bool {
        self.subscriptions.get(uri).is_some_and(|it| it.value)
    }

    fn put(&mut self, uri: String, written: Written<bool>) {
        let bytes = uri.len();
        if written.value {
            self.n_wanted += 1;
            self.wanted_bytes += bytes;
        } else {
            self.ended_bytes += bytes;
        }
        match self.subscriptions.insert(uri, written) {
            Some(last) if last.value => {
                self.n_wanted -= 1;
                self.wanted_bytes -= bytes;
            }
            Some(_) => self.ended_bytes -= bytes,
            None => {}
        }
        self.forget_old_ends();
    }

    /// Forgets the oldest of the ended subscriptions when there are too many.
    fn forget_old_ends(&mut self) {
        while self.subscriptions.len() - self.n_wanted > MAX_UNSUBSCRIBED
            || self.ended_bytes > MAX_UNSUBSCRIBED_URIS
        {
            let ends = self.subscriptions.iter().filter(|(_, it)| !it.value);
            let oldest = ends.min_by(|a, b| a.1.stamp.cmp(&b.1.stamp));
            let Some(uri) = oldest.map(|(uri, _)| uri.clone()) else {
                return;
            };
            self.subscriptions.remove(&uri);
            self.ended_bytes -= uri.len();
        }
    }
}

impl<T> Written<T> {
    fn heard(value: T, stamp: Stamp, now: Moment) -> Self {
        Self {
            value,
            stamp,
            is_unsent: false,
            learnt: Some(now),
            _charge: None,
        }
    }

    fn sent(&mut self, stamp: &Stamp) {
        // What was written meanwhile is to be told yet.
        if self.stamp == *stamp {
            self.is_unsent = false;
        }
    }
}

impl Which {
    fn asks_for<T>(self, written: &Written<T>) -> bool {
        match self {
            Self::Unsent => written.is_unsent,
            Self::Since(moment) => written.learnt.is_some_and(|learnt| Some(learnt) >= moment),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::clock::Clock;
    use super::*;

    fn state(instance: &str, clock: Clock) -> State {
        let outbox = Outbox::new(instance.to_owned(), clock);
        State::shared(Uuid::nil(), Arc::new(outbox))
    }

    fn facts(state: &State, which: Which) -> Vec<Fact> {
        let mut facts = Vec::new();
        state.facts(Uuid::nil(), 0, which, &mut facts);
        facts
    }

    fn tell(from: &State, to: &State, now: Moment) {
        for fact in facts(from, Which::Since(None)) {
            to.merge(fact, now);
        }
    }

    #[tokio::test]
    async fn a_session_of_stdio_has_nothing_to_tell() {
        let state = State::default();
        state.set_level(LogLevel::Error);
        state.subscribe("x:y").unwrap();
        assert_eq!(state.level(), LogLevel::Error);
        assert!(state.is_subscribed("x:y") && state.subscriptions() == ["x:y"]);
        state.unsubscribe("x:y");
        assert!(!state.is_subscribed("x:y") && state.subscriptions().is_empty());
        assert!(facts(&state, Which::Unsent)[0].level.is_none());
    }

    #[tokio::test]
    async fn the_later_writer_wins_even_if_its_clock_is_behind() {
        let clock = Clock::steady();
        let (one, two) = (state("one", clock), state("two", clock));
        one.set_level(LogLevel::Error);
        one.subscribe("x:y").unwrap();
        tell(&one, &two, clock.now());
        assert_eq!(two.level(), LogLevel::Error);
        two.set_level(LogLevel::Debug);
        two.unsubscribe("x:y");
        // Within the same millisecond, and told twice and in the wrong order.
        tell(&one, &two, clock.now());
        tell(&two, &one, clock.now());
        tell(&two, &one, clock.now());
        for state in [&one, &two] {
            assert_eq!(state.level(), LogLevel::Debug);
            assert!(!state.is_subscribed("x:y"));
        }
    }

    #[tokio::test]
    async fn what_was_sent_is_not_sent_again_and_what_came_since_is() {
        let state = state("one", Clock::steady());
        state.set_level(LogLevel::Error);
        state.subscribe("x:1").unwrap();
        let first = facts(&state, Which::Unsent).remove(0);
        assert!(first.level.is_some() && first.subscriptions.len() == 1);
        state.subscribe("x:2").unwrap();
        state.set_level(LogLevel::Debug);
        assert!(!state.sent(&first));
        let second = facts(&state, Which::Unsent).remove(0);
        assert_eq!(second.level.as_ref().unwrap().0, LogLevel::Debug);
        assert_eq!(second.subscriptions[0].0, "x:2");
        assert!(state.sent(&second));
    }

    #[tokio::test]
    async fn subscriptions_are_bounded_here_and_from_elsewhere() {
        let clock = Clock::steady();
        let (one, two) = (state("one", clock), state("two", clock));
        for number in 0..MAX_SUBSCRIPTIONS {
            one.subscribe(&format!("one:{number}")).unwrap();
            two.subscribe(&format!("two:{number}")).unwrap();
        }
        assert!(one.subscribe("one:0").is_ok(), "it has that one already");
        assert!(one.subscribe("one:more").is_err());
        assert!(two.subscribe(&"u".repeat(MAX_URI + 1)).is_err());
        tell(&one, &two, clock.now());
        assert_eq!(two.subscriptions().len(), MAX_SUBSCRIPTIONS);
        for number in 0..MAX_SUBSCRIPTIONS {
            one.unsubscribe(&format!("one:{number}"));
            one.subscribe(&format!("again:{number}")).unwrap();
        }
        for number in 0..MAX_SUBSCRIPTIONS {
            one.unsubscribe(&format!("again:{number}"));
        }
        assert!(one.subscriptions().is_empty());
        assert_eq!(one.lock().subscriptions.len(), MAX_UNSUBSCRIBED);
    }

    #[tokio::test]
    async fn long_uris_are_told_in_pieces_and_bounded_together() {
        let state = state("one", Clock::steady());
        // A control character takes six bytes of JSON.
        let long = |number: usize| format!("{number:\u{1}<MAX_URI$}");
        for number in 0..MAX_URIS / MAX_URI {
            state.subscribe(&long(number)).unwrap();
        }
        assert!(state.subscribe("one:more").is_err());
        let facts = facts(&state, Which::Since(None));
        assert!(facts.len() > 3);
        for fact in facts {
            let bytes = serde_json::to_vec(&fact).unwrap().len();
            assert!(bytes < 2 * FULL_FACT, "{bytes}");
        }
    }

    #[tokio::test]
    async fn ended_subscriptions_are_remembered_within_bounds_too() {
        let state = state("one", Clock::steady());
        for number in 0..1000 {
            let uri = format!("{number:0>MAX_URI$}");
            state.subscribe(&uri).unwrap();
            state.unsubscribe(&uri);
        }
        let kept = state.lock().subscriptions.len();
        assert_eq!(kept, MAX_UNSUBSCRIBED_URIS / MAX_URI);
    }

    #[tokio::test]
    async fn all_sessions_together_are_bounded_and_give_back_what_they_had() {
        let clock = Clock::steady();
        let outbox = Arc::new(Outbox::new("one".to_owned(), clock));
        let session = || State::shared(Uuid::nil(), Arc::clone(&outbox));
        let elsewhere = state("two", clock);
        elsewhere.subscribe("x:elsewhere").unwrap();
        let sessions: Vec<State> = (0..600).map(|_| session()).collect();
        let uris: Vec<String> = (0..60).map(|n| format!("{n:0>MAX_URI$}")).collect();
        let full = sessions
            .iter()
            .flat_map(|session| uris.iter().map(|uri| session.subscribe(uri)))
            .find_map(Result::err)
            .unwrap();
        assert_eq!(full.code, protocol::mcp::code::BUSY);
        assert!(outbox.room.used() <= ROOM);
        // No room is needed for what is there already.
        sessions[0].subscribe(&uris[0]).unwrap();
        sessions[0].unsubscribe(&uris[0]);
        let last = session();
        assert!(last.subscribe(&uris[0]).is_err());
        tell(&elsewhere, &sessions[1], clock.now());
        drop(sessions);
        assert_eq!(outbox.room.used(), 0);
        assert!(last.subscribe(&uris[0]).is_ok());
    }

    #[derive(Debug, Clone)]
    enum Act {
        Level(usize),
        Subscribe(u8),
        Unsubscribe(u8),
        Tell,
    }

    fn act() -> impl Strategy<Value = (bool, Act)> {
        let act = prop_oneof![
            (0..8usize).prop_map(Act::Level),
            (0..3u8).prop_map(Act::Subscribe),
            (0..3u8).prop_map(Act::Unsubscribe),
            Just(Act::Tell),
        ];
        (any::<bool>(), act)
    }

    proptest! {
        #[test]
        fn replicas_agree_after_they_have_told_each_other(acts in prop::collection::vec(act(), 0..40)) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            let clock = runtime.block_on(async { Clock::steady() });
            let states = [state("one", clock), state("two", clock)];
            for (first, act) in acts {
                let (it, other) = (&states[usize::from(first)], &states[usize::from(!first)]);
                match act {
                    Act::Level(level) => it.set_level(LogLevel::ALL[level]),
                    Act::Subscribe(uri) => it.subscribe(&uri.to_string()).unwrap(),
                    Act::Unsubscribe(uri) => it.unsubscribe(&uri.to_string()),
                    Act::Tell => tell(it, other, clock.now()),
                }
            }
            tell(&states[0], &states[1], clock.now());
            tell(&states[1], &states[0], clock.now());
            prop_assert_eq!(states[0].level(), states[1].level());
            prop_assert_eq!(states[0].subscriptions(), states[1].subscriptions());
        }
    }
}
