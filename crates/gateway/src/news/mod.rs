//! What changes, and which clients are told of it.
//!
//! Changes come from the catalogue and from the events exchange; the [`Hub`] passes each to
//! everybody who listens: streams of `subscriptions/listen`, and clients with a session.

mod hub;
mod session;
mod subscription;

pub(crate) use hub::{Heard, Hub, News};
pub(crate) use session::SessionNews;
pub(crate) use subscription::Subscription;
