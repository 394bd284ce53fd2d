use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde_json::value::RawValue;
use tokio::time::Instant;
use uuid::Uuid;

use super::event_id::{Address, StreamId};
use super::relay::Relays;
use super::standalone::Opened;
use super::stream::Stream;
use crate::budget::Budget;

/// How long a stream can be resumed after its end, and one that nobody reads is kept open.
const LINGER: Duration = Duration::from_mins(1);
/// Most streams that can be resumed; beyond, the one that ended first is forgotten.
const MAX_STREAMS: usize = 16_384;
/// Most bytes that all streams keep.
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// The streams that clients may come back to.
#[derive(Debug)]
pub(crate) struct Streams {
    instance: String,
    last_number: AtomicU64,
    held: Mutex<Held>,
    pub(super) budget: Arc<Budget>,
    pub(super) relays: Relays,
    limits: Limits,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) linger: Duration,
    pub(super) streams: usize,
    pub(super) bytes: usize,
}

#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) streams: HashMap<StreamId, Arc<Stream>>,
    /// Those that are over, by the time of that.
    over: VecDeque<(Instant, StreamId)>,
    /// The stream of what no request asked for, one per session.
    pub(super) standalone: HashMap<Uuid, Opened>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            linger: LINGER,
            streams: MAX_STREAMS,
            bytes: MAX_BYTES,
        }
    }
}

impl Streams {
    /// Streams of sessions that live so long without use: nobody comes back to a stream later
    /// than that.
    pub(crate) fn new(instance: &str, session_ttl: Duration) -> Self {
        let limits = Limits {
            linger: LINGER.min(session_ttl),
            ..Limits::default()
        };
        Self::with(instance, limits)
    }

    pub(super) fn with(instance: &str, limits: Limits) -> Self {
        Self {
            instance: instance.to_owned(),
            last_number: AtomicU64::new(0),
            held: Mutex::default(),
            budget: Arc::new(Budget::new(limits.bytes)),
            relays: Relays::default(),
            limits,
        }
    }

    /// A stream for the answer to a request; it can be resumed once it is [kept](Self::keep).
    pub(crate) fn call(&self, session: Uuid, request: &RawValue) -> Arc<Stream> {
        let address = Address::call(&self.instance, self.number(), request);
        self.stream(address, session)
    }

    /// A stream for what no request asked for.
    pub(super) fn unasked(&self, session: Uuid) -> Arc<Stream> {
        let address = Address::standalone(&self.instance, self.number());
        self.stream(address, session)
    }

    /// Lets the client come back to a stream; false when there are too many.
    pub(crate) fn keep(&self, stream: &Arc<Stream>) -> bool {
        let mut held = self.held();
        if held.streams.len() >= self.limits.streams && !held.forget_oldest() {
            return false;
        }
        let id = stream.address().stream;
        held.streams.insert(id, Arc::clone(stream));
        if stream.is_over() {
            held.over.push_back((Instant::now(), id));
        }
        true
    }

    /// Sends a message.
    pub(crate) fn push(&self, stream: &Stream, message: Bytes) {
        self.make_room(message.len());
        stream.push(message);
    }

    /// Ends a stream, with an answer if there is one. It can be resumed for a while.
    pub(crate) fn finish(&self, stream: &Stream, answer: Option<Bytes>) {
        self.make_room(answer.as_ref().map_or(0, Bytes::len));
        let mut held = self.held();
        stream.finish(answer);
        held.note_over(stream);
    }

    /// Forgets what nobody came back for in time.
    pub(crate) fn sweep(&self) {
        let mut held = self.held();
        while let Some((since, id)) = held.over.front().copied() {
            if since.elapsed() < self.limits.linger {
                break;
            }
            held.over.pop_front();
            held.streams.remove(&id);
        }
        held.close_unread(self.limits.linger);
    }

    /// A stream of this session that can be resumed.
    pub(super) fn find(&self, id: StreamId, session: Uuid) -> Option<Arc<Stream>> {
        let held = self.held();
        let stream = held.streams.get(&id)?;
        (stream.session() == session).then(|| Arc::clone(stream))
    }

    /// Streams that are kept.
    pub(crate) fn len(&self) -> usize {
        self.held().streams.len()
    }

    pub(super) fn instance(&self) -> &str {
        &self.instance
    }

    pub(super) fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn number(&self) -> u64 {
        self.last_number.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn stream(&self, address: Address, session: Uuid) -> Arc<Stream> {
        Arc::new(Stream::new(address, session, Arc::clone(&self.budget)))
    }

    /// Forgets streams that are over, oldest first, until there is room for a message.
    fn make_room(&self, bytes: usize) {
        while !self.budget.has_room(bytes) && self.held().forget_oldest() {}
    }
}

impl Held {
    /// Forgets the stream that was over first; false when none is.
    fn forget_oldest(&mut self) -> bool {
        let oldest = self.over.pop_front();
        if let Some((_, id)) = &oldest {
            self.streams.remove(id);
        }
        oldest.is_some()
    }

    /// Lets a stream that has just ended be resumed for a while, if it is kept at all.
    pub(super) fn note_over(&mut self, stream: &Stream) {
        let id = stream.address().stream;
        if self.streams.contains_key(&id) {
            self.over.push_back((Instant::now(), id));
        }
    }
}

#[cfg(test)]
impl Streams {
    /// Whether nothing is kept at all.
    pub(crate) fn is_empty(&self) -> bool {
        let held = self.held();
        held.streams.is_empty()
            && held.over.is_empty()
            && held.standalone.is_empty()
            && self.budget.used() == 0
            && self.relays.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Box<RawValue> {
        serde_json::from_str("1").unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_thousand_abandoned_streams_leave_nothing_behind() {
        let streams = Streams::new("test", LINGER);
        for number in 0..1000 {
            let stream = streams.call(Uuid::new_v4(), &request());
            let reader = stream.read();
            streams.push(&stream, Bytes::from_static(b"{}"));
            assert!(streams.keep(&stream));
            drop(reader);
            let answer = (number % 2 == 0).then(|| Bytes::from_static(b"{}"));
            streams.finish(&stream, answer);
        }
        streams.sweep();
        assert_eq!(streams.held().streams.len(), 1000);
        tokio::time::advance(LINGER).await;
        streams.sweep();
        assert!(streams.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_whose_call_runs_is_kept_and_one_that_ended_before_is_too() {
        let streams = Streams::new("test", LINGER);
        let session = Uuid::new_v4();
        let running = streams.call(session, &request());
        let ended = streams.call(session, &request());
        streams.finish(&ended, Some(Bytes::from_static(b"{}")));
        streams.keep(&running);
        streams.keep(&ended);
        tokio::time::advance(LINGER / 2).await;
        streams.sweep();
        assert!(streams.find(ended.address().stream, session).is_some());
        tokio::time::advance(LINGER / 2).await;
        streams.sweep();
        assert!(streams.find(ended.address().stream, session).is_none());
        assert!(streams.find(running.address().stream, session).is_some());
    }

    #[test]
    fn a_session_does_not_find_the_stream_of_another() {
        let streams = Streams::new("test", LINGER);
        let (mine, other) = (Uuid::new_v4(), Uuid::new_v4());
        let stream = streams.call(mine, &request());
        let id = stream.address().stream;
        assert!(streams.find(id, mine).is_none(), "it is not kept yet");
        streams.keep(&stream);
        assert!(streams.find(id, mine).is_some());
        assert!(streams.find(id, other).is_none());
    }

    #[test]
    fn beyond_the_bounds_what_ended_first_is_forgotten() {
        let limits = Limits {
            streams: 3,
            bytes: 2000,
            ..Limits::default()
        };
        let streams = Streams::with("test", limits);
        let session = Uuid::new_v4();
        let message = || Bytes::from(vec![b' '; 900]);
        let mut running: Vec<_> = (0..4).map(|_| streams.call(session, &request())).collect();
        let ids: Vec<_> = running.iter().map(|it| it.address().stream).collect();
        let found = |number: usize| streams.find(ids[number], session).is_some();
        for stream in &running[..3] {
            assert!(streams.keep(stream));
        }
        assert!(!streams.keep(&running[3]), "three run already");
        for number in [1, 0] {
            streams.finish(&running.remove(number), Some(message()));
        }
        let [second, third] = &*running else {
            panic!("two are left")
        };
        assert!(streams.keep(third));
        assert!(!found(1) && found(0) && found(3));
        streams.push(second, message());
        assert!(found(0), "there is room for both");
        streams.push(third, message());
        assert!(!found(0) && found(2) && found(3));
        streams.push(third, message());
        assert!(streams.budget.used() < 2000, "only the newest is kept");
    }
}
