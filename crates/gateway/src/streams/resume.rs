use std::sync::Arc;

use uuid::Uuid;

use super::event_id::EventId;
use super::reader::Reader;
use super::relay::{Asked, Relayed};
use super::stream::Attached;
use crate::gateway::Gateway;

/// What becomes of a client that comes back for a stream.
#[derive(Debug)]
pub(crate) enum Resumed {
    /// It is here.
    Here(Reader),
    /// It is at another gateway and comes from there.
    There(Relayed),
    /// There is nothing more to come.
    Over,
    /// The client has opened another stream in its place.
    Replaced,
    /// It is not kept any more, or never was this session's.
    Gone,
    /// Nobody can say now.
    Busy,
}

impl Gateway {
    /// Goes on after the event that the client saw last.
    pub(crate) async fn resume(self: &Arc<Self>, session: Uuid, event: &EventId) -> Resumed {
        if event.address.instance != self.streams.instance() {
            return self.resume_elsewhere(session, event).await;
        }
        let Some(stream) = self.streams.find(event.address.stream, session) else {
            return Resumed::Gone;
        };
        match stream.attach(event.seq) {
            Attached::Reader(reader) => Resumed::Here(reader),
            Attached::Over => Resumed::Over,
            Attached::Replaced => Resumed::Replaced,
            Attached::Unknown => Resumed::Gone,
        }
    }

    async fn resume_elsewhere(self: &Arc<Self>, session: Uuid, event: &EventId) -> Resumed {
        match self.ask(session, event).await {
            Asked::Accepted(relayed) => Resumed::There(relayed),
            Asked::Over => Resumed::Over,
            Asked::Replaced => Resumed::Replaced,
            Asked::Unknown => Resumed::Gone,
            // Without a broker the owner may well be there.
            Asked::Unreachable if self.caller.is_connected() => Resumed::Gone,
            Asked::Unreachable | Asked::Busy => Resumed::Busy,
        }
    }
}
