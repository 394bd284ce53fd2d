//! The test harness: real things to test against, started and stopped by the tests themselves.
//!
//! * [`rabbitmq`]: a `RabbitMQ` node or cluster of one's own, or the node that all tests share,
//!   with a virtual host per test. [`queues`]: what a node holds, read back for assertions.
//! * [`process`]: a program as a child, with its lines, signals and exit code.
//! * [`python`]: MCP clients that others wrote.
//! * [`http`]: HTTP clients that send any bytes, or very many requests.
//! * [`proxy`]: one address in front of several replicas, a turn for each request.
//! * [`tcp_proxy`]: a bad network in front of one address.
//! * [`conformance`]: a worker with what the MCP conformance suite asks for.
//! * [`otlp`]: a receiver for spans.
//! * [`namespaces`]: a test as root of a network of its own.
//! * [`lab`]: a network of switches, routers and hosts, wired at random.
//! * [`snmp`]: SNMP agents, real and simulated.
//! * [`targets`]: small loopback servers to point tools at.
//! * [`certificates`]: an authority with valid and faulty certificates.
//! * [`ports`] and [`wait`]: free ports and conditions with a deadline.
//!
//! It is *not* part of the product: other crates name it under `[dev-dependencies]` only.
//! It knows nothing of our own crates either, so it can be used by all of them; only
//! [`conformance`] is built from them, under the feature of that name, which the crates'
//! own tests leave out.
//! Everything that is started here ends with the test process, even when that process is killed.
//!
//! To add a target, write a module that starts it, waits until it answers and stops it on drop.

pub mod certificates;
mod command;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod http;
pub mod lab;
pub mod namespaces;
pub mod otlp;
pub mod ports;
pub mod process;
pub mod proxy;
pub mod python;
pub mod queues;
pub mod rabbitmq;
pub mod snmp;
pub mod targets;
pub mod tcp_proxy;
pub mod wait;
