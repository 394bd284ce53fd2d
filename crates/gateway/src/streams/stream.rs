use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::time::Instant;
use uuid::Uuid;

use super::event_id::Address;
use super::reader::Reader;
use crate::budget::{Budget, Charge};

/// Most events that one stream keeps.
pub(super) const MAX_EVENTS: usize = 256;
/// Most bytes of messages that one stream keeps, unless its answer alone has more.
pub(super) const MAX_BYTES: usize = 1024 * 1024;
/// Bytes that one stream keeps for a client that reads it, however little room there is: it has
/// to get what it has not read yet.
const UNREAD_BYTES: usize = 16 * 1024;

/// What was sent to one client on one stream, numbered from 1.
///
/// It keeps the newest events, the answer always; who comes back for older ones gets what is
/// left. One reader at a time: a newer one ends the older.
#[derive(Debug)]
pub(crate) struct Stream {
    address: Address,
    session: Uuid,
    budget: Arc<Budget>,
    inner: Mutex<Inner>,
    changed: Notify,
}

#[derive(Debug)]
struct Inner {
    events: VecDeque<Kept>,
    bytes: usize,
    /// Number of the newest event.
    last: u64,
    state: State,
    /// Number of the newest reader.
    reader: u64,
    /// Number of the newest event that it has read.
    read: u64,
    /// The newest reader that is to end as soon as it has everything.
    detached: u64,
    /// Since when nobody reads.
    unread_since: Option<Instant>,
    /// When to try again, if the answer is that there is no room.
    retry_after: Option<Duration>,
}

#[derive(Debug)]
struct Kept {
    event: Event,
    charge: Charge,
}

/// One message on a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) seq: u64,
    pub(crate) message: Bytes,
    /// Whether it is the answer, after which nothing comes.
    pub(crate) is_answer: bool,
}

/// How far a stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Open,
    /// Nothing more will come.
    Finished,
    /// The client has opened another stream in its place.
    Replaced,
}

/// What a reader finds.
pub(super) enum Found {
    Event(Event),
    /// Nothing yet.
    Quiet,
    /// Nothing more for this reader.
    End,
}

/// What becomes of a client that comes back.
#[derive(Debug)]
pub(super) enum Attached {
    Reader(Reader),
    /// There is nothing more to come.
    Over,
    /// The client has opened another stream in its place.
    Replaced,
    /// No event of that number was ever sent.
    Unknown,
}

impl Stream {
    pub(super) fn new(address: Address, session: Uuid, budget: Arc<Budget>) -> Self {
        Self {
            address,
            session,
            budget,
            inner: Mutex::new(Inner {
                events: VecDeque::new(),
                bytes: 0,
                last: 0,
                state: State::Open,
                reader: 0,
                read: 0,
                detached: 0,
                unread_since: Some(Instant::now()),
                retry_after: None,
            }),
            changed: Notify::new(),
        }
    }

    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// The session of the client whose stream this is; no other may read it.
    pub(super) fn session(&self) -> Uuid {
        self.session
    }

    /// Adds a message to what is sent; without effect when nothing more may come.
    pub(super) fn push(&self, message: Bytes) {
        self.add(message, false);
    }

    /// Ends the stream, with an answer if there is one.
    pub(super) fn finish(&self, answer: Option<Bytes>) {
        if let Some(answer) = answer {
            self.add(answer, true);
        }
        let mut inner = self.lock();
        if inner.state == State::Open {
            inner.state = State::Finished;
        }
        drop(inner);
        self.changed.notify_waiters();
    }

    /// Says that the answer, which comes next, is that there is no room, and when to try again.
    pub(crate) fn refused(&self, retry_after: Duration) {
        self.lock().retry_after = Some(retry_after);
    }

    /// When to try again, if the answer is that there is no room.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        self.lock().retry_after
    }

    /// Ends the stream because another has taken its place.
    pub(super) fn replace(&self) {
        let mut inner = self.lock();
        inner.state = State::Replaced;
        inner.reader += 1;
        inner.events.clear();
        inner.bytes = 0;
        drop(inner);
        self.changed.notify_waiters();
    }

    /// Lets the present reader end when it has everything: it will come back.
    pub(crate) fn detach(&self) {
        let mut inner = self.lock();
        inner.detached = inner.reader;
        drop(inner);
        self.changed.notify_waiters();
    }

    pub(crate) fn is_over(&self) -> bool {
        self.lock().state != State::Open
    }

    /// Whether nobody has read for so long.
    pub(super) fn is_unread_for(&self, time: Duration) -> bool {
        let since = self.lock().unread_since;
        since.is_some_and(|since| since.elapsed() >= time)
    }

    /// Resolves when nothing more may come.
    pub(super) async fn over(&self) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.is_over() {
                return;
            }
            changed.await;
        }
    }

    /// Reads from the beginning; an older reader ends.
    pub(crate) fn read(self: &Arc<Self>) -> Reader {
        self.take_over(&mut self.lock(), 0)
    }

    /// Reads what comes after an event; an older reader ends.
    pub(super) fn attach(self: &Arc<Self>, after: u64) -> Attached {
        let mut inner = self.lock();
        match inner.state {
            State::Replaced => Attached::Replaced,
            _ if after > inner.last => Attached::Unknown,
            State::Finished if after == inner.last => Attached::Over,
            _ => Attached::Reader(self.take_over(&mut inner, after)),
        }
    }

    fn take_over(self: &Arc<Self>, inner: &mut Inner, after: u64) -> Reader {
        inner.reader += 1;
        inner.read = after;
        inner.unread_since = None;
        self.changed.notify_waiters();
        Reader::new(Arc::clone(self), inner.reader, after)
    }

    /// Takes note that a reader is gone.
    pub(super) fn left(&self, reader: u64) {
        let mut inner = self.lock();
        if inner.reader == reader {
            inner.unread_since = Some(Instant::now());
        }
    }

    pub(super) fn find(&self, reader: u64, after: u64) -> Found {
        let mut inner = self.lock();
        if inner.reader != reader {
            return Found::End;
        }
        inner.read = after;
        let next = inner.events.partition_point(|kept| kept.event.seq <= after);
        match inner.events.get(next) {
            Some(kept) => Found::Event(kept.event.clone()),
            None if inner.state == State::Open && inner.detached < reader => Found::Quiet,
            None => Found::End,
        }
    }

    pub(super) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    fn add(&self, message: Bytes, is_answer: bool) {
        let mut inner = self.lock();
        if inner.state != State::Open {
            return;
        }
        let charge = self.budget.charge(message.len());
        inner.last += 1;
        inner.bytes += charge.bytes();
        let event = Event {
            seq: inner.last,
            message,
            is_answer,
        };
        inner.events.push_back(Kept { event, charge });
        while inner.is_too_full(&self.budget) {
            if let Some(oldest) = inner.events.pop_front() {
                inner.bytes -= oldest.charge.bytes();
            }
        }
        drop(inner);
        self.changed.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Whether the oldest event has to go.
    fn is_too_full(&self, budget: &Budget) -> bool {
        let Some(oldest) = self.events.front().filter(|_| self.events.len() > 1) else {
            return false;
        };
        let is_awaited = self.unread_since.is_none() && oldest.event.seq > self.read;
        self.events.len() > MAX_EVENTS
            || self.bytes > MAX_BYTES
            || (budget.is_over() && !(is_awaited && self.bytes <= UNREAD_BYTES))
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn stream(most: usize) -> Arc<Stream> {
        let budget = Arc::new(Budget::new(most));
        let address = Address::standalone("test", 1);
        Arc::new(Stream::new(address, Uuid::new_v4(), budget))
    }

    fn numbers(reader: &mut Reader) -> Vec<u64> {
        std::iter::from_fn(|| Some(reader.next().now_or_never()??.seq)).collect()
    }

    fn attach(stream: &Arc<Stream>, after: u64) -> Reader {
        match stream.attach(after) {
            Attached::Reader(reader) => reader,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn who_comes_back_gets_what_was_missed_and_then_what_comes() {
        let stream = stream(usize::MAX);
        let mut first = stream.read();
        stream.push(Bytes::from_static(b"1"));
        stream.push(Bytes::from_static(b"2"));
        assert_eq!(numbers(&mut first), [1, 2]);
        drop(first);
        stream.push(Bytes::from_static(b"3"));
        let mut second = attach(&stream, 1);
        assert_eq!(numbers(&mut second), [2, 3]);
        stream.finish(Some(Bytes::from_static(b"4")));
        let answer = second.next().await.unwrap();
        assert!(answer.is_answer && answer.message == "4");
        assert!(second.next().await.is_none());
        assert!(matches!(stream.attach(4), Attached::Over));
        assert!(matches!(stream.attach(5), Attached::Unknown));
        assert_eq!(numbers(&mut attach(&stream, 3)), [4]);
    }

    #[tokio::test]
    async fn the_newest_events_and_the_answer_are_kept() {
        let stream = stream(usize::MAX);
        for _ in 0..1000 {
            stream.push(Bytes::from_static(b"{}"));
        }
        let kept = numbers(&mut attach(&stream, 0));
        assert_eq!(
            kept,
            (1000 - MAX_EVENTS as u64 + 1..=1000).collect::<Vec<_>>()
        );
        stream.push(Bytes::from(vec![b' '; MAX_BYTES / 2]));
        stream.push(Bytes::from(vec![b' '; MAX_BYTES / 2]));
        assert_eq!(numbers(&mut attach(&stream, 0)), [1002]);
        stream.finish(Some(Bytes::from(vec![b' '; 3 * MAX_BYTES])));
        assert_eq!(numbers(&mut attach(&stream, 0)), [1003]);
    }

    #[tokio::test]
    async fn without_room_for_all_streams_only_the_newest_event_is_kept() {
        let stream = stream(1000);
        for _ in 0..3 {
            stream.push(Bytes::from(vec![b' '; 900]));
        }
        assert_eq!(numbers(&mut attach(&stream, 0)), [3]);
        let budget = Arc::clone(&stream.budget);
        assert!(budget.used() > 900);
        drop(stream);
        assert_eq!(budget.used(), 0);
    }

    #[tokio::test]
    async fn who_reads_gets_everything_even_without_room_for_all_streams() {
        let stream = stream(0);
        let mut reader = stream.read();
        for round in 0..3 {
            for _ in 0..3 {
                stream.push(Bytes::from_static(b"{}"));
            }
            let read = numbers(&mut reader);
            assert_eq!(read, (3 * round + 1..=3 * round + 3).collect::<Vec<_>>());
        }
        for _ in 0..1000 {
            stream.push(Bytes::from(vec![b' '; 1000]));
        }
        let kept = stream.budget.used();
        assert!(kept <= UNREAD_BYTES, "{kept} bytes wait for a slow one");
        drop(reader);
        stream.push(Bytes::from_static(b"{}"));
        assert_eq!(numbers(&mut attach(&stream, 0)), [1010]);
    }

    #[tokio::test]
    async fn a_newer_reader_ends_the_older() {
        let stream = stream(usize::MAX);
        let mut older = stream.read();
        stream.push(Bytes::from_static(b"1"));
        let mut newer = attach(&stream, 0);
        assert!(older.next().await.is_none());
        drop(older);
        assert!(!stream.is_unread_for(Duration::ZERO), "the newer one reads");
        assert_eq!(numbers(&mut newer), [1]);
        drop(newer);
        assert!(stream.is_unread_for(Duration::ZERO));
    }

    #[tokio::test]
    async fn a_detached_reader_ends_when_it_has_everything() {
        let stream = stream(usize::MAX);
        let mut reader = stream.read();
        stream.push(Bytes::from_static(b"1"));
        stream.detach();
        assert_eq!(reader.next().await.unwrap().seq, 1);
        assert!(reader.next().await.is_none());
        drop(reader);
        let mut again = attach(&stream, 1);
        assert!(
            again.next().now_or_never().is_none(),
            "it is meant for one reader"
        );
        stream.finish(None);
        assert!(again.next().await.is_none());
    }

    #[tokio::test]
    async fn a_replaced_stream_ends_at_once_and_cannot_be_read_again() {
        let stream = stream(usize::MAX);
        let mut reader = stream.read();
        stream.push(Bytes::from_static(b"1"));
        stream.replace();
        stream.over().await;
        assert!(reader.next().await.is_none());
        assert!(matches!(stream.attach(0), Attached::Replaced));
        stream.push(Bytes::from_static(b"2"));
        assert_eq!(stream.budget.used(), 0);
    }
}
