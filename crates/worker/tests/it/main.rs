//! What the runtime promises to tools and to callers.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod announcing;
mod arguments;
mod calls;
mod cancelling;
mod declaration;
mod failures;
mod gate;
mod lab;
mod leaving;
mod on_rabbitmq;
mod once;
mod progress;
mod requests;
mod results;
mod site;
mod spans;
mod starting;
mod unruly;
