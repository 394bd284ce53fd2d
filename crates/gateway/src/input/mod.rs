//! What workers ask of clients, and the clients' answers.
//!
//! A worker asks for input by a result ([`Asked`]). A client of the stateless revision gets
//! that result and comes back with its answers, and with the worker's state in a token that is
//! good for the same request only ([`Bond`]). Clients of older revisions are asked by requests
//! on the stream of their call ([`Round`]), and answer with messages of their own, at any
//! replica ([`Inputs`]).
//!
//! It is *not* the place for the call itself: `call` sends the rounds to workers.

mod asked;
mod client;
mod inputs;
mod round;
mod state;

pub(crate) use asked::{Asked, Fault};
pub(crate) use client::{Client, missing_capability};
pub(crate) use inputs::Inputs;
pub(crate) use round::Round;
pub(crate) use state::Bond;

/// Parameters with which a client comes back: its answers by the worker's keys.
pub(crate) const RESPONSES: &str = "inputResponses";
/// Parameter with which a client comes back: the worker's state.
pub(crate) const STATE: &str = "requestState";
