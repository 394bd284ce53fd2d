//! The harness tested on itself.

mod process;
mod rabbitmq;
