//! Sending and receiving messages, over RabbitMQ or inside one process.
//!
//! [`Bus`] is the one way in: it publishes with confirms and opens [`Link`]s, on which
//! queues are declared and consumed. [`amqp::AmqpBus`] speaks AMQP 0-9-1 to RabbitMQ,
//! [`memory::MemoryBus`] keeps the same promises inside a process; one suite of tests
//! holds both to them. [`supervise`] keeps a link alive through outages, and [`Caller`] makes
//! calls over any bus: it correlates, waits, and asks again after an outage.
//!
//! This crate knows nothing of tools, clients or protocol eras.
//!
//! A new kind of queue is a constructor of [`Queue`], so that both implementations and the
//! published topology follow.

pub mod amqp;
mod bus;
mod caller;
mod error;
pub mod memory;
mod message;
mod state;
mod stats;
mod supervise;
mod topology;

pub use bus::{Bus, Consumer, Delivery, Link, Publish, QueueState, Settle};
pub use caller::{CallError, CallRequest, Caller, Frame, MAX_PENDING, PendingCall, Routing};
pub use error::{Error, PublishError};
pub use message::{COMPRESSIBLE, Headers, MAX_MESSAGE_SIZE, Message, Value};
pub use state::BusState;
pub use stats::Stats;
pub use supervise::{Backoff, supervise};
pub use topology::{Binding, Exchange, Lifetime, Overflow, Queue};
