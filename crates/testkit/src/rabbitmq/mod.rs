//! `RabbitMQ`: one node that all tests share, or a node of one's own.
//!
//! * [`shared`] gives the node that every test process of this machine's checkout uses at the same
//!   time. The first process that asks starts it (5 to 14 s), the last one that goes lets it end
//!   half a minute later. Nothing has to be prepared: it is the same under `cargo test`, under
//!   `cargo nextest` (a process per test) and for one test alone.
//! * [`Broker::vhost`] gives each test a virtual host of its own, removed when it is dropped.
//! * [`Node::start`] gives a node of one's own, for tests that kill or restart the broker or need
//!   TLS.
//! * [`Cluster::start`] gives several nodes of one's own that are one broker.
//!
//! Nothing is left behind when a test process is killed: a shell watches each node and ends it.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! let vhost = testkit::rabbitmq::shared().await?.vhost().await?;
//! let url = vhost.url(); // amqp://guest:guest@127.0.0.1:PORT/NAME
//! # Ok(())
//! # }
//! ```

mod broker;
mod cluster;
mod erlang;
mod files;
mod node;
mod shared;

pub(crate) use broker::quoted;
pub use broker::{Broker, Vhost};
pub use cluster::Cluster;
pub use node::{Node, NodeBuilder};
pub use shared::shared;
