//! The gateway and all workers in one process.
//!
//! The same code as in the separate binaries, on one bus: in memory, or on a broker where
//! `AMQP_URL` names one. It is *not* a place for anything but putting the parts together.
//!
//! The way in is [`Platform`]. To add a category: one line in `workers`.
//!
//! The tests of the whole system live here, because only here all rooms meet.

mod local;
mod platform;

pub use local::Local;
pub use platform::{Platform, workers};
pub use worker_nmap::Nmap;
