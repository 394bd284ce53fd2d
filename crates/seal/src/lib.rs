//! Cryptography as pure functions.
//!
//! A [`Keyring`] seals small texts into tokens that clients carry and only holders of its keys
//! can read or make (authenticated encryption: XChaCha20-Poly1305).
//!
//! It is *not* the place for what stands in a token, and it keeps nothing: no files, no clock,
//! no list of what was sealed. Whoever holds a token can show it again and again until it
//! expires.
//!
//! Way in: [`Keyring::seal`] and [`Keyring::open`]. To seal something new, add a [`Purpose`],
//! so that no token of one kind passes for another.

mod error;
mod key;
mod keyring;
mod purpose;

pub use error::{KeyError, OpenError};
pub use keyring::Keyring;
pub use purpose::Purpose;
