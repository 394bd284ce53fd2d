//! The Streamable HTTP front: both eras on one URL.
//!
//! A request passes the [`guard`], then [`front`] reads its body, [`message`] finds its era and
//! [`respond`] writes the answer.

mod front;
mod guard;
mod headers;
mod listen;
mod message;
mod patient;
mod respond;
mod see_through;

pub(crate) use listen::Listening;
