//! The gateway as its clients see it, over the in-memory bus and a scripted worker.

#![expect(unreachable_pub, reason = "a test binary has no public interface")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod crowd;
mod harness;
mod headers;
mod health;
mod keys;
mod legacy;
mod limits;
mod modern;
mod mrtr;
mod offers;
mod passthrough;
mod process;
mod replicas;
mod safety;
mod stdio;
mod stdio_news;
mod streams;
mod streams_elsewhere;
mod subscriptions;
mod wire;
mod workers;
