//! The harness tested on itself.

mod process;
mod queues;
mod rabbitmq;
