//! Several nodes of one test's own that are one broker.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, Result};
use serde::Deserialize;
use uuid::Uuid;

use super::{
    broker::{Broker, quoted},
    files::{Membership, fresh_name},
    node::Node,
};
use crate::{
    ports::free_port,
    process::{Process, Program},
    wait,
};

/// How long a queue may take to have a leader, or to have its members in step.
const SOON: Duration = Duration::from_mins(1);

/// Nodes that are one broker. Dropping it kills them and removes their folders.
///
/// Each node is a process with a folder and ports of its own; all of them are on this machine.
/// Quorum queues get a member on every node, up to five, when they are declared without a size.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Node>,
    /// Where the nodes look each other up; it must outlive any one of them.
    _epmd: Process,
}

/// What the members of a quorum queue know.
#[derive(Debug, Deserialize)]
struct Members {
    leader: Option<String>,
    /// The position up to which each reachable member's log is committed.
    committed: BTreeMap<String, u64>,
}

impl Cluster {
    /// Starts the nodes, and waits until all of them know each other.
    ///
    /// # Errors
    /// `RabbitMQ` is not installed, or does not start.
    pub async fn start(n_nodes: usize) -> Result<Self> {
        let epmd_port = free_port()?;
        let epmd = Program::new("epmd")
            .args(["-port", &epmd_port.to_string(), "-address", "127.0.0.1"])
            .start()?;
        let cookie = Uuid::new_v4().simple().to_string();
        let all: Vec<String> = (0..n_nodes).map(|_| fresh_name()).collect();
        let mut nodes = Vec::new();
        // One after the other: the first one makes the cluster that the others join.
        for name in &all {
            let member = Membership {
                name: name.clone(),
                all: all.clone(),
                cookie: cookie.clone(),
                epmd_port,
            };
            nodes.push(Node::builder().member(member).start().await?);
        }
        let cluster = Self { nodes, _epmd: epmd };
        let complete = async || (cluster.n_running().await.ok()? == n_nodes).then_some(());
        wait::until("all nodes are one cluster", SOON, complete).await?;
        Ok(cluster)
    }

    /// One of its nodes, counted from 0.
    ///
    /// # Panics
    /// There is no such node.
    #[must_use]
    pub fn node(&self, number: usize) -> &Node {
        &self.nodes[number]
    }

    /// How many nodes it was made of.
    #[must_use]
    pub fn n_nodes(&self) -> usize {
        self.nodes.len()
    }

    /// The URLs of a virtual host, one for each node, in their order.
    #[must_use]
    pub fn amqp_urls(&self, vhost: &str) -> Vec<String> {
        self.nodes.iter().map(|node| node.amqp_url(vhost)).collect()
    }

    /// Kills a node with `SIGKILL`.
    ///
    /// # Errors
    /// The node does not run.
    ///
    /// # Panics
    /// There is no such node.
    pub fn kill_9(&mut self, number: usize) -> Result<()> {
        self.nodes[number].kill_9()
    }

    /// Starts a node again, which joins the others, and waits until it speaks AMQP.
    ///
    /// # Errors
    /// It does not start.
    ///
    /// # Panics
    /// There is no such node.
    pub async fn restart(&mut self, number: usize) -> Result<()> {
        self.nodes[number].restart().await
    }

    /// The node with the leader of a quorum queue, as soon as there is one.
    ///
    /// # Errors
    /// There is none within a minute.
    pub async fn leader(&self, vhost: &str, queue: &str) -> Result<usize> {
        let leader = async || {
            let leader = self.members(vhost, queue).await.ok()?.leader?;
            self.nodes.iter().position(|node| node.node == leader)
        };
        wait::until(&format!("{queue} has a leader"), SOON, leader).await
    }

    /// Waits until every node has a member of a quorum queue that holds all that is committed at
    /// this moment, so that any one of them may die.
    ///
    /// # Errors
    /// One is missing, or behind, after a minute.
    pub async fn in_sync(&self, vhost: &str, queue: &str) -> Result<()> {
        let (mut expected, mut last) = (None, String::new());
        let in_sync = async || {
            let members = self.members(vhost, queue).await;
            last = format!("{members:?}");
            let members = members.ok()?;
            let committed = members.committed.get(members.leader.as_ref()?)?;
            let expected = *expected.get_or_insert(*committed);
            let holds_all = |node: &Node| members.committed.get(&node.node) >= Some(&expected);
            self.nodes.iter().all(holds_all).then_some(())
        };
        let waited = wait::until(&format!("{queue} is in sync"), SOON, in_sync).await;
        waited.with_context(|| format!("its members at last: {last}"))
    }

    /// How many nodes run, by the word of one of them.
    async fn n_running(&self) -> Result<usize> {
        let running = "integer_to_list(length(rabbit_nodes:all_running()))";
        Ok(self.any()?.eval(running).await?.parse()?)
    }

    async fn members(&self, vhost: &str, queue: &str) -> Result<Members> {
        let expression = include_str!("members.erl")
            .replace("VHOST", &quoted(vhost))
            .replace("QUEUE", &quoted(queue));
        let text = self.any()?.eval(&expression).await?;
        serde_json::from_str(&text).with_context(|| format!("members of {queue}: {text}"))
    }

    /// A node that runs.
    fn any(&self) -> Result<&Broker> {
        let node = self.nodes.iter().find(|node| node.is_ready());
        Ok(node.context("no node runs")?)
    }
}
