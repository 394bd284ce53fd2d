use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_rs::Runtime;
use deadpool_lapin::{Manager, Pool};
use lapin::ConnectionProperties;
use tokio::time::timeout;
use tracing::warn;
use uuid::Uuid;

use super::Options;
use super::transport::Transport;
use crate::Error;

/// How long a node that failed is tried after the others.
const DISTRUST: Duration = Duration::from_secs(10);

/// One node of the broker.
pub(super) struct Node {
    /// For people: no credentials in it.
    pub(super) address: String,
    pub(super) url: String,
    pub(super) runtime: Runtime<Transport>,
    /// Connections for publishing.
    pub(super) pool: Pool,
    failed: Mutex<Option<Instant>>,
}

/// The nodes of one broker; each of them serves everything.
pub(super) struct Nodes {
    nodes: Vec<Arc<Node>>,
    /// Where the next round begins, so that connections spread over the nodes.
    next: AtomicUsize,
}

impl Node {
    fn new(options: &Options, position: usize) -> Result<Self, Error> {
        let address = options.address(position)?;
        let uri = options.uri(position)?;
        let host = &uri.authority.host;
        let runtime = Runtime::new(Transport::new(options, host)?);
        let url = uri.to_string();
        let name = properties(options, "publisher");
        let manager = Manager::new(url.clone(), move || name.clone(), runtime.clone());
        let pool = Pool::builder(manager)
            .max_size(usize::from(options.pool_size.get()))
            .build()
            .map_err(|error| Error::Settings {
                setting: "AMQP_CONNECTION_POOL_SIZE",
                reason: error.to_string(),
            })?;
        Ok(Self {
            address,
            url,
            runtime,
            pool,
            failed: Mutex::default(),
        })
    }

    /// It did not connect, or a connection to it was lost.
    pub(super) fn failed(&self) {
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    fn is_distrusted(&self) -> bool {
        let failed = *self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.is_some_and(|at| at.elapsed() < DISTRUST)
    }
}

/// What the broker shows beside a connection.
pub(super) fn properties(options: &Options, purpose: &str) -> ConnectionProperties {
    let name = format!("{} {purpose}", options.connection_name);
    ConnectionProperties::default().with_connection_name(name.into())
}

impl Nodes {
    /// # Errors
    /// [`Error::Settings`] when an address, a certificate or a key is unusable.
    pub(super) fn new(options: &Options) -> Result<Self, Error> {
        let nodes: Vec<_> = (0..options.urls.len())
            .map(|position| Node::new(options, position).map(Arc::new))
            .collect::<Result<_, _>>()?;
        if nodes.is_empty() {
            return Err(Error::Settings {
                setting: "AMQP_URL",
                reason: "it names no address".to_owned(),
            });
        }
        // Processes that start together begin at different nodes.
        let (first, _) = Uuid::new_v4().as_u64_pair();
        let next = usize::try_from(first).unwrap_or_default() % nodes.len();
        Ok(Self {
            nodes,
            next: AtomicUsize::new(next),
        })
    }

    pub(super) fn are_many(&self) -> bool {
        self.nodes.len() > 1
    }

    /// Every node once, those that failed lately after the others.
    fn round(&self) -> Vec<Arc<Node>> {
        let mut round = self.nodes.clone();
        let start = self.next.fetch_add(1, Ordering::Relaxed);
        if let Some(start) = start.checked_rem(round.len()) {
            round.rotate_left(start);
        }
        round.sort_by_key(|node| node.is_distrusted());
        round
    }

    /// Tries one node after the other until one connects; each has so much time.
    ///
    /// # Errors
    /// [`Error::Connect`] with what each of them said.
    pub(super) async fn connect<T, F>(
        &self,
        time: Duration,
        attempt: impl Fn(Arc<Node>) -> F,
    ) -> Result<(Arc<Node>, T), Error>
    where
        F: Future<Output = Result<T, String>>,
    {
        let mut failures = Vec::new();
        for node in self.round() {
            let reason = match timeout(time, attempt(Arc::clone(&node))).await {
                Ok(Ok(connected)) => return Ok((node, connected)),
                Ok(Err(reason)) => reason,
                Err(_) => format!("no answer within {time:?}"),
            };
            node.failed();
            if self.are_many() {
                warn!(
                    node = node.address,
                    reason, "a node of the message broker does not serve"
                );
            }
            failures.push((node.address.clone(), reason));
        }
        Err(unreachable(failures))
    }
}

fn unreachable(mut failures: Vec<(String, String)>) -> Error {
    failures.sort();
    let url = failures
        .iter()
        .map(|(address, _)| address.as_str())
        .collect::<Vec<_>>()
        .join(", ");
    let reason = match failures.as_slice() {
        [(_, reason)] => reason.clone(),
        several => several
            .iter()
            .map(|(address, reason)| format!("{address}: {reason}"))
            .collect::<Vec<_>>()
            .join("; "),
    };
    Error::Connect { url, reason }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn nodes() -> Nodes {
        let urls = ["amqp://a", "amqp://u:p@b:5673", "amqp://c"].map(str::to_owned);
        Nodes::new(&Options {
            urls: urls.to_vec(),
            ..Options::default()
        })
        .unwrap()
    }

    fn firsts(nodes: &Nodes) -> BTreeSet<String> {
        let first = |_| nodes.round()[0].address.clone();
        (0..3).map(first).collect()
    }

    #[tokio::test]
    async fn rounds_begin_at_every_node_in_turn_and_end_at_those_that_failed() {
        let nodes = nodes();
        assert_eq!(firsts(&nodes).len(), 3);
        nodes.nodes[1].failed();
        let expected = ["amqp://a:5672", "amqp://c:5672"].map(str::to_owned);
        assert_eq!(firsts(&nodes), BTreeSet::from(expected));
        let last = nodes.round().pop().unwrap();
        assert_eq!(last.address, "amqp://b:5673");
    }

    #[tokio::test]
    async fn the_error_names_every_node_with_its_reason_and_without_credentials() {
        let nodes = nodes();
        let time = Duration::from_secs(1);
        let attempt = async |node: Arc<Node>| Err::<(), _>(format!("{} is down", node.address));
        let error = nodes
            .connect(time, attempt)
            .await
            .err()
            .unwrap()
            .to_string();
        for part in ["a:5672 is down", "b:5673 is down", "c:5672 is down"] {
            assert!(error.contains(part), "{error}");
        }
        assert!(!error.contains("u:p"), "{error}");
    }
}
