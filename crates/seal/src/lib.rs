//! Cryptography as pure functions.
//!
//! A [`Keyring`] seals small texts into tokens that clients carry and only holders of its keys
//! can read or make (AEAD: XChaCha20-Poly1305).
//!
//! It is *not* the place for what stands in a token, and it keeps nothing: no files, no clock.
//!
//! Way in: [`Keyring::seal`] and [`Keyring::open`].

mod error;
mod keyring;

pub use error::{KeyError, OpenError};
pub use keyring::{Keyring, Purpose};
