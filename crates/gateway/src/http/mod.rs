//! The Streamable HTTP front: both eras on one URL.
//!
//! A request passes the [`guard`], then [`front`] reads its body, [`message`] finds its era and
//! [`respond`] writes the answer; one that takes time is written by [`stateless`] or, up to
//! revision 2025-11-25, by [`resumable`], as events of [`sse`]. [`get`] opens streams.

mod front;
mod get;
mod guard;
mod headers;
mod listen;
mod message;
mod patient;
mod respond;
mod resumable;
mod see_through;
mod sse;
mod stateless;

pub(crate) use listen::Listening;
