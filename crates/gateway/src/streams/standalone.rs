//! The stream of a GET request: what no request of the client asked for.
//!
//! A session has one. A newer one ends the older, at whatever replica, because a message must
//! not be sent on two streams (MCP 2025-11-25, "Multiple Connections").

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::time::Instant;
use tracing::debug;
use uuid::Uuid;

use super::event_id::StreamId;
use super::reader::Reader;
use super::registry::{Held, Streams};
use super::stream::Stream;
use crate::gateway::Gateway;
use crate::news::SessionNews;
use crate::session::Session;

/// Method of the message by which a gateway says that it holds the stream of a session now.
pub(super) const OPENED: &str = "opendiscovery/stream/opened";
/// Streams that two gateways open within this time count as opened at once.
const AT_ONCE: Duration = Duration::from_secs(2);

/// The stream of a session, open.
#[derive(Debug)]
pub(super) struct Opened {
    stream: StreamId,
    at: Instant,
    claim: Claim,
}

/// Which of two streams is the newer: the clocks of two gateways agree well enough to decide
/// between those opened [at once](AT_ONCE).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Claim {
    /// Milliseconds since 1970.
    at: u64,
    instance: String,
}

/// A session whose stream is open now.
#[derive(Debug, Serialize, Deserialize)]
struct Said {
    session: String,
    #[serde(flatten)]
    claim: Claim,
}

impl Gateway {
    /// Opens the stream of a session in place of an older one; `None` when there are too many.
    pub(crate) fn open_standalone(self: &Arc<Self>, session: &Arc<Session>) -> Option<Reader> {
        let news = SessionNews::new(Arc::clone(session), self.hub.listen());
        self.open_with(session, news)
    }

    /// The same for a client that could not come back to an older one: what was sent there
    /// meanwhile is lost, so it is told of everything that may have changed.
    pub(crate) fn reopen_standalone(self: &Arc<Self>, session: &Arc<Session>) -> Option<Reader> {
        let news = SessionNews::after_a_gap(Arc::clone(session), self.hub.listen());
        self.open_with(session, news)
    }

    /// The news listen already, so that nothing is lost between the answer and the first read.
    fn open_with(self: &Arc<Self>, session: &Arc<Session>, news: SessionNews) -> Option<Reader> {
        let (stream, claim) = self.streams.open_standalone(session.id())?;
        let reader = stream.read();
        let gateway = Arc::clone(self);
        let session = Arc::clone(session);
        self.tasks.spawn(async move {
            let feed = async {
                gateway.feed(&session, news, &stream).await;
                gateway.streams.close_standalone(&stream);
            };
            tokio::join!(gateway.claim(session.id(), claim), feed);
        });
        Some(reader)
    }

    /// Sends news until the stream, the session or this process ends.
    async fn feed(&self, session: &Session, mut news: SessionNews, stream: &Stream) {
        loop {
            let message = tokio::select! {
                message = news.next() => message,
                () = stream.over() => None,
                () = session.ended().cancelled() => None,
                () = self.leaving.cancelled() => None,
            };
            match message {
                Some(message) => self.streams.push(stream, message),
                None => return,
            }
        }
    }

    async fn claim(&self, session: Uuid, claim: Claim) {
        let session = session.to_string();
        self.peers.broadcast(OPENED, &Said { session, claim }).await;
    }

    /// Another gateway has opened the stream of a session.
    pub(super) fn opened_elsewhere(self: &Arc<Self>, params: &RawValue) {
        let said = serde_json::from_str::<Said>(params.get())
            .ok()
            .and_then(|said| Some((said.session.parse::<Uuid>().ok()?, said.claim)));
        let Some((session, claim)) = said else {
            debug!(%params, "a gateway said what is not understood");
            return;
        };
        if let Some(ours) = self.streams.yield_standalone(session, &claim) {
            let gateway = Arc::clone(self);
            self.tasks
                .spawn(async move { gateway.claim(session, ours).await });
        }
    }
}

impl Streams {
    fn open_standalone(&self, session: Uuid) -> Option<(Arc<Stream>, Claim)> {
        let stream = self.unasked(session);
        let claim = Claim {
            at: now(),
            instance: self.instance().to_owned(),
        };
        self.held().replace(session);
        if !self.keep(&stream) {
            return None;
        }
        let opened = Opened {
            stream: stream.address().stream,
            at: Instant::now(),
            claim: claim.clone(),
        };
        let mut held = self.held();
        // Another request of the same session may have been faster.
        held.replace(session);
        held.standalone.insert(session, opened);
        Some((stream, claim))
    }

    /// Ends a stream for good.
    fn close_standalone(&self, stream: &Stream) {
        stream.finish(None);
        let mut held = self.held();
        let id = stream.address().stream;
        let session = stream.session();
        if held
            .standalone
            .get(&session)
            .is_some_and(|opened| opened.stream == id)
        {
            held.standalone.remove(&session);
            held.streams.remove(&id);
        }
    }

    /// Ends the stream of a session in favour of one at another gateway, unless ours is the
    /// newer one: then gives what to say to the other.
    fn yield_standalone(&self, session: Uuid, theirs: &Claim) -> Option<Claim> {
        let mut held = self.held();
        let opened = held.standalone.get(&session)?;
        let is_read = held
            .streams
            .get(&opened.stream)
            .is_some_and(|stream| !stream.is_unread_for(Duration::ZERO));
        if is_read && opened.at.elapsed() < AT_ONCE && opened.claim > *theirs {
            return Some(opened.claim.clone());
        }
        held.replace(session);
        None
    }
}

impl Held {
    /// Ends the stream of a session, because there is a newer one. It is remembered for a
    /// while, so that the client is told when it comes back to it.
    fn replace(&mut self, session: Uuid) {
        if let Some(opened) = self.standalone.remove(&session)
            && let Some(stream) = self.streams.get(&opened.stream).cloned()
        {
            stream.replace();
            self.note_over(&stream);
        }
    }

    /// Ends the streams of sessions that nobody has read for so long.
    pub(super) fn close_unread(&mut self, time: Duration) {
        let streams = &mut self.streams;
        self.standalone.retain(|_, opened| {
            let unread = streams
                .get(&opened.stream)
                .is_none_or(|stream| stream.is_unread_for(time));
            if unread && let Some(stream) = streams.remove(&opened.stream) {
                stream.finish(None);
            }
            !unread
        });
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

#[cfg(test)]
mod tests {
    use super::super::stream::Attached;
    use super::*;
    use crate::session::session_for_test;

    fn claim(at: u64, instance: &str) -> Claim {
        Claim {
            at,
            instance: instance.to_owned(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_newer_stream_ends_the_older() {
        let gateway = Gateway::for_test();
        let session = Arc::new(session_for_test());
        let mut older = gateway.open_standalone(&session).unwrap();
        let newer = gateway.open_standalone(&session).unwrap();
        assert!(older.next().await.is_none());
        assert!(matches!(older.stream().attach(0), Attached::Replaced));
        assert!(!newer.stream().is_over());
        assert_eq!(gateway.streams.held().standalone.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_elsewhere_ends_ours_unless_ours_is_newer() {
        let gateway = Gateway::for_test();
        let open = || {
            let session = Arc::new(session_for_test());
            let reader = gateway.open_standalone(&session).unwrap();
            (session.id(), reader)
        };
        let (session, reader) = open();
        assert_eq!(
            gateway
                .streams
                .yield_standalone(session, &claim(u64::MAX, "z")),
            None
        );
        assert!(reader.stream().is_over(), "theirs is newer");
        let (session, reader) = open();
        let ours = gateway.streams.yield_standalone(session, &claim(1, "a"));
        assert_eq!(ours.unwrap().instance, "test");
        assert!(!reader.stream().is_over(), "ours is newer");
        tokio::time::advance(AT_ONCE).await;
        assert_eq!(
            gateway.streams.yield_standalone(session, &claim(1, "a")),
            None
        );
        assert!(reader.stream().is_over(), "their clock must be wrong");
        let (session, reader) = open();
        let stream = Arc::clone(reader.stream());
        drop(reader);
        assert_eq!(
            gateway.streams.yield_standalone(session, &claim(1, "a")),
            None
        );
        assert!(stream.is_over(), "nobody reads ours");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_nobody_reads_ends_in_time() {
        let gateway = Gateway::for_test();
        let readers: Vec<_> = (0..1000)
            .map(|_| {
                gateway
                    .open_standalone(&Arc::new(session_for_test()))
                    .unwrap()
            })
            .collect();
        tokio::time::advance(Duration::from_mins(2)).await;
        gateway.streams.sweep();
        assert_eq!(
            gateway.streams.held().standalone.len(),
            1000,
            "all are read"
        );
        drop(readers);
        tokio::time::advance(Duration::from_mins(1)).await;
        gateway.streams.sweep();
        gateway.tasks.close();
        gateway.tasks.wait().await;
        assert!(gateway.streams.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_ends_with_its_session_and_with_the_process() {
        let gateway = Gateway::for_test();
        let session = Arc::new(session_for_test());
        let mut reader = gateway.open_standalone(&session).unwrap();
        session.ended().cancel();
        assert!(reader.next().await.is_none());
        let mut other = gateway
            .open_standalone(&Arc::new(session_for_test()))
            .unwrap();
        gateway.leaving.cancel();
        assert!(other.next().await.is_none());
        gateway.tasks.close();
        gateway.tasks.wait().await;
        drop((reader, other));
        assert!(gateway.streams.is_empty());
    }
}
