//! What the tests are made of: a gateway, a scripted worker, a client.

mod client;
mod gate;
mod worker;

pub use client::*;
pub use gate::*;
pub use worker::*;
