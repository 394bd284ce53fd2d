//! What the runtime promises to tools and to callers.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod absent;
mod announcing;
mod answers;
mod arguments;
mod asking;
mod calls;
mod cancelling;
mod dead_letters;
mod declaration;
mod events;
mod expired;
mod failures;
mod gate;
mod joining;
mod lab;
mod leaving;
mod notifications;
mod on_rabbitmq;
mod once;
mod once_keyed;
mod progress;
mod prompts;
mod raw;
mod requests;
mod resources;
mod results;
mod site;
mod spans;
mod starting;
mod stored;
mod unruly;
