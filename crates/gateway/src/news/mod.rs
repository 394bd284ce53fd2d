//! What changes, and which clients are told of it.
//!
//! Changes come from the catalogue and from the events exchange, which the [`Listener`] hears;
//! the [`Hub`] passes each to everybody who listens: streams of `subscriptions/listen`, and
//! clients with a session.

mod filter;
mod hub;
mod inbox;
mod listener;
mod message;
mod session;
mod subscription;
#[cfg(test)]
mod tests;

pub(crate) use hub::{Heard, Hub, News};
pub(crate) use listener::Listener;
pub(crate) use session::SessionNews;
pub(crate) use subscription::Subscription;
