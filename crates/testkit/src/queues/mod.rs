//! What a broker holds, read back for assertions: queues, exchanges, bindings and counts.
//!
//! Everything is sorted by name, so that a value can be compared or kept as a snapshot.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::rabbitmq::{Broker, quoted};

/// Queues, exchanges and bindings of a virtual host, without those that every one has
/// (`amq.*`, the default exchange and its bindings).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topology {
    /// By name.
    pub exchanges: Vec<Exchange>,
    /// By name.
    pub queues: Vec<Queue>,
    /// By exchange, queue and key.
    pub bindings: Vec<Binding>,
}

/// An exchange as the broker declares it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Exchange {
    /// Its name.
    pub name: String,
    /// `topic`, `direct`, `fanout` or `headers`.
    pub kind: String,
    /// Whether it outlives the broker.
    pub durable: bool,
    /// Whether it goes with its last binding.
    pub auto_delete: bool,
}

/// A queue as the broker declares it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queue {
    /// Its name.
    pub name: String,
    /// `classic`, `quorum` or `stream`.
    pub kind: String,
    /// Whether it outlives the broker.
    pub durable: bool,
    /// Whether it goes with its last consumer.
    pub auto_delete: bool,
    /// Whether it belongs to one connection.
    pub exclusive: bool,
    /// What it was declared with, such as `x-max-length`.
    pub arguments: BTreeMap<String, Value>,
}

/// A binding of a queue, or of another exchange, to an exchange.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Binding {
    /// The exchange that messages come from.
    pub source: String,
    /// The queue or exchange that they go to.
    pub destination: String,
    /// The routing key.
    pub key: String,
}

/// How many messages and consumers a queue has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Messages that wait for a consumer.
    pub ready: u64,
    /// Messages that a consumer holds.
    pub unacknowledged: u64,
    /// Consumers.
    pub consumers: u64,
}

/// Reads the topology of a virtual host.
///
/// # Errors
/// The node is down.
pub async fn topology(broker: &Broker, vhost: &str) -> Result<Topology> {
    let expression = include_str!("topology.erl").replace("VHOST", &quoted(vhost));
    let text = broker.eval(&expression).await?;
    let mut topology: Topology =
        serde_json::from_str(&text).with_context(|| format!("topology: {text}"))?;
    topology
        .exchanges
        .retain(|it| !it.name.is_empty() && !it.name.starts_with("amq."));
    topology.bindings.retain(|it| !it.source.is_empty());
    topology.exchanges.sort();
    topology.queues.sort_by(|a, b| a.name.cmp(&b.name));
    topology.bindings.sort();
    Ok(topology)
}

/// Counts the messages and consumers of a queue; `None` when there is no such queue.
///
/// # Errors
/// The node is down.
pub async fn counts(broker: &Broker, vhost: &str, queue: &str) -> Result<Option<Counts>> {
    let expression = include_str!("counts.erl")
        .replace("VHOST", &quoted(vhost))
        .replace("QUEUE", &quoted(queue));
    let text = broker.eval(&expression).await?;
    serde_json::from_str(&text).with_context(|| format!("counts of {queue}: {text}"))
}
