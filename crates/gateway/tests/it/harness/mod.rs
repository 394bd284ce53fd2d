//! What the tests are made of: a gateway, a scripted worker, a client.

mod asks;
mod client;
mod gate;
mod offer;
mod reading;
mod worker;

pub use asks::asks;
pub use client::*;
pub use gate::*;
pub use offer::{Offer, prompt, resource};
pub use reading::*;
pub use worker::*;
