//! Event streams that outlive their connection (MCP up to 2025-11-25, "Resumability and
//! Redelivery").
//!
//! A [`Stream`] keeps what was sent to the client of one call, or of one GET request, for as
//! long as the client may come back for it. [`Streams`] finds it again by the [`EventId`] that
//! the client saw last; when another replica holds it, [`relay`] brings it here.
//! [`standalone`] feeds the streams of GET requests.

mod event_id;
mod reader;
mod registry;
mod relay;
mod resume;
mod standalone;
mod stream;

pub(crate) use event_id::{Address, EventId, Kind};
pub(crate) use reader::Reader;
pub(crate) use registry::Streams;
pub(crate) use relay::Relayed;
pub(crate) use resume::Resumed;
pub(crate) use stream::Stream;
