//! Answers that take time, up to revision 2025-11-25: their events have ids, and a client whose
//! connection broke comes back for the rest (MCP 2025-11-25, "Resumability and Redelivery").

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::Response;
use bytes::Bytes;
use serde_json::value::RawValue;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::respond;
use super::see_through::see_through;
use super::sse::{self, COMMENT, Events, event, priming};
use crate::call::RunningCall;
use crate::gateway::Gateway;
use crate::message::Reply;
use crate::session::{Begun, Hold, Session};
use crate::streams::{Address, Reader, Relayed};

/// How long an answer may take to come as JSON.
const SOON: Duration = Duration::from_secs(1);

/// What clients of a revision know of event streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dialect {
    /// Events have ids.
    ids: bool,
    /// A stream begins with an event without data, and may end before its answer. Clients
    /// before 2025-11-25 would take such an event for a broken message.
    primes: bool,
}

/// What a stream occupies that was opened by GET: a place, and its session, which is in use for
/// as long as the client reads.
pub(super) type Occupied = (OwnedSemaphorePermit, Hold);

/// A stream that is here.
struct Live {
    reader: Reader,
    ids: bool,
    _occupied: Option<Occupied>,
}

/// A stream that comes from another gateway.
struct FromElsewhere {
    relayed: Relayed,
    address: Address,
    ids: bool,
    _occupied: Occupied,
}

impl Dialect {
    pub(super) fn of(session: &Session) -> Self {
        // Revisions are dates.
        Self {
            ids: session.version >= "2025-03-26",
            primes: session.version >= "2025-11-25",
        }
    }

    /// What a stream begins with, if it is continued after this event.
    fn beginning(self, address: &Address, after: u64) -> Bytes {
        if self.primes {
            priming(&address.event(after))
        } else {
            COMMENT
        }
    }
}

/// The answer to a call, which is seen through to its end whatever becomes of the connection:
/// JSON if it comes soon and first, otherwise events.
pub(super) async fn call(
    gateway: &Arc<Gateway>,
    session: &Session,
    (id, call): (&RawValue, RunningCall),
    begun: Begun,
    place: OwnedSemaphorePermit,
) -> Response<Body> {
    let dialect = Dialect::of(session);
    let stream = gateway.streams.call(session.id(), id);
    let mut reader = stream.read();
    let may_detach = dialect.primes;
    see_through(
        gateway,
        call,
        begun,
        (Arc::clone(&stream), may_detach),
        place,
    );
    let first = match timeout(SOON, reader.next()).await {
        Ok(Some(event)) if event.is_answer => {
            let reply = Reply {
                body: event.message,
                code: None,
                retry_after: stream.retry_after(),
            };
            return respond::json(reply, false);
        }
        Ok(first) => first,
        Err(_) => None,
    };
    if first.is_none() && stream.is_over() {
        // Cancelled: there is no answer, which only an event stream can say, and nothing to
        // come back for.
        return sse::whole(Bytes::new());
    }
    // When there are too many, this one is sent all the same; it just cannot be resumed.
    let is_kept = gateway.streams.keep(&stream);
    let dialect = if is_kept { dialect } else { Dialect::NONE };
    let mut beginning = dialect.beginning(stream.address(), 0).to_vec();
    let live = Live {
        reader,
        ids: dialect.ids,
        _occupied: None,
    };
    if let Some(first) = first {
        beginning.extend_from_slice(&live.event(first.seq, &first.message));
    }
    sse::response(Some(beginning.into()), live)
}

/// The stream of a session, or the rest of one, that is here.
pub(super) fn live(reader: Reader, dialect: Dialect, occupied: Occupied) -> Response<Body> {
    let first = dialect.beginning(reader.stream().address(), reader.after());
    let live = Live {
        reader,
        ids: dialect.ids,
        _occupied: Some(occupied),
    };
    sse::response(Some(first), live)
}

/// The rest of a stream, from another gateway.
pub(super) fn from_elsewhere(
    relayed: Relayed,
    (address, after): (&Address, u64),
    dialect: Dialect,
    occupied: Occupied,
) -> Response<Body> {
    let first = dialect.beginning(address, after);
    let events = FromElsewhere {
        relayed,
        address: address.clone(),
        ids: dialect.ids,
        _occupied: occupied,
    };
    sse::response(Some(first), events)
}

impl Dialect {
    const NONE: Self = Self {
        ids: false,
        primes: false,
    };
}

impl Live {
    fn event(&self, seq: u64, message: &[u8]) -> Bytes {
        let id = self.ids.then(|| self.reader.stream().address().event(seq));
        event(id.as_ref(), message)
    }
}

impl Events for Live {
    async fn next(&mut self) -> Option<Bytes> {
        let next = self.reader.next().await?;
        Some(self.event(next.seq, &next.message))
    }
}

impl Events for FromElsewhere {
    async fn next(&mut self) -> Option<Bytes> {
        let (seq, message) = self.relayed.next().await?;
        let id = self.ids.then(|| self.address.event(seq));
        Some(event(id.as_ref(), &message))
    }
}
