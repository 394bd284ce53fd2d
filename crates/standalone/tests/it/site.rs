//! The platform as its users run it: processes around a broker, and what tests ask of them.

mod running;
mod session;
mod stdio;
mod target;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use testkit::process::{Program, binary};
use testkit::queues::{self, Counts};
use testkit::rabbitmq::{Broker, Cluster, Node, Vhost, shared};
use testkit::wait;

pub(crate) use running::{Running, resident};
pub(crate) use session::{Session, legacy};
pub(crate) use stdio::Stdio;
pub(crate) use target::{Answer, Target, body_of};

/// How long a process may take until it is ready.
pub(crate) const READY: Duration = Duration::from_mins(1);
/// How long anything else may take that happens at once on an idle machine.
pub(crate) const SOON: Duration = Duration::from_secs(30);
/// How long a process has to end after a signal, with time to spare after its own deadline.
pub(crate) const END: Duration = Duration::from_secs(28);

/// The work queue of the category that all tests use.
pub(crate) const WORK_QUEUE: &str = "mcp.discovery.tools.network";

/// Gateways and workers that meet on one virtual host.
#[derive(Debug)]
pub(crate) struct Site {
    broker: Broker,
    vhost: String,
    /// What `AMQP_URL` is.
    url: String,
    /// Removes the virtual host at the end.
    _own: Option<Vhost>,
}

impl Site {
    /// A virtual host of the test's own on the broker that all tests share.
    pub(crate) async fn new() -> Self {
        let broker = shared().await.expect("a broker: run scripts/test");
        let vhost = broker.vhost().await.unwrap();
        Self {
            broker: broker.clone(),
            url: vhost.url(),
            vhost: vhost.name().to_owned(),
            _own: Some(vhost),
        }
    }

    /// On a broker of the test's own.
    pub(crate) fn on(node: &Node) -> Self {
        Self {
            broker: Broker::clone(node),
            url: node.amqp_url("/"),
            vhost: "/".to_owned(),
            _own: None,
        }
    }

    /// On a cluster of the test's own, known by all of its nodes; what is asked of the broker
    /// goes to the first one.
    pub(crate) fn on_cluster(cluster: &Cluster) -> Self {
        Self {
            url: cluster.amqp_urls("/").join(","),
            ..Self::on(cluster.node(0))
        }
    }

    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    /// Where its broker listens.
    pub(crate) fn broker_address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.broker.amqp_port()))
    }

    /// The URL of the virtual host for whoever takes another way to the broker.
    pub(crate) fn url_at(&self, address: SocketAddr) -> String {
        let usual = self.broker_address().to_string();
        self.url().replace(&usual, &address.to_string())
    }

    /// A gateway, not started yet. Without further variables it serves HTTP.
    pub(crate) async fn gateway_program(&self) -> Program {
        program("gateway", "discovery-gateway")
            .await
            .env("TRANSPORT_MODE", "http")
            .env("AMQP_URL", self.url())
    }

    /// A network worker, not started yet.
    pub(crate) async fn worker_program(&self) -> Program {
        program("worker-network", "discovery-worker-network")
            .await
            .env("AMQP_URL", self.url())
    }

    /// An SNMP worker, not started yet.
    pub(crate) async fn snmp_worker_program(&self) -> Program {
        program("worker-snmp", "discovery-worker-snmp")
            .await
            .env("AMQP_URL", self.url())
    }

    /// A worker of any category by its package and binary, not started yet.
    pub(crate) async fn program_of(&self, package: &str, name: &str) -> Program {
        program(package, name).await.env("AMQP_URL", self.url())
    }

    /// A worker with the tools, prompts and resources of the conformance suite, not started yet.
    pub(crate) async fn conformance_program(&self) -> Program {
        program("testkit", "discovery-conformance-worker")
            .await
            .env("AMQP_URL", self.url())
    }

    /// The same, which consumes.
    pub(crate) async fn conformance_worker(&self) -> Running {
        let worker = Running::worker(self.conformance_program().await);
        worker.ready().await;
        worker
    }

    /// A gateway that serves HTTP and is ready; it may know no tools yet, see
    /// [`Running::lists`].
    pub(crate) async fn gateway(&self) -> Running {
        let gateway = Running::gateway(self.gateway_program().await);
        gateway.ready().await;
        gateway
    }

    /// A worker that consumes.
    pub(crate) async fn worker(&self) -> Running {
        self.worker_with(&[]).await
    }

    /// A worker that consumes, with further settings.
    pub(crate) async fn worker_with(&self, settings: &[(&str, &str)]) -> Running {
        let mut program = self.worker_program().await;
        for (name, value) in settings {
            program = program.env(name, value);
        }
        let worker = Running::worker(program);
        worker.ready().await;
        worker
    }

    /// A client's own gateway, on standard input and output.
    pub(crate) async fn stdio(&self) -> Stdio {
        Stdio::start(&self.gateway_program().await.env("TRANSPORT_MODE", "stdio"))
    }

    /// What the broker holds in the work queue; nothing while there is none.
    pub(crate) async fn work_queue(&self) -> Option<Counts> {
        self.queue(WORK_QUEUE).await
    }

    /// What the broker holds in a queue; nothing while there is none.
    pub(crate) async fn queue(&self, name: &str) -> Option<Counts> {
        queues::counts(&self.broker, &self.vhost, name)
            .await
            .unwrap()
    }

    /// Gives the work queues so little room, by a policy of the broker.
    pub(crate) async fn limit_queues(&self, length: u32) {
        let vhost = &self.vhost;
        let policy = format!(
            "begin ok = rabbit_policy:set(<<\"{vhost}\">>, <<\"short\">>, \
             <<\"^mcp.discovery.tools\">>, [{{<<\"max-length\">>, {length}}}], 0, \
             <<\"queues\">>, <<\"test\">>), \"set\" end"
        );
        self.broker.eval(&policy).await.unwrap();
    }

    /// Waits until the work queue is as expected.
    pub(crate) async fn until_work_queue(&self, what: &str, expected: impl Fn(Counts) -> bool) {
        let state = async || self.work_queue().await.filter(|counts| expected(*counts));
        wait::until(what, SOON, state).await.unwrap();
    }

    /// The names of all queues.
    pub(crate) async fn queues(&self) -> Vec<String> {
        let topology = queues::topology(&self.broker, &self.vhost).await.unwrap();
        topology
            .queues
            .into_iter()
            .map(|queue| queue.name)
            .collect()
    }
}

/// A binary of ours, not started yet, with a log that says enough to understand a failure.
async fn program(package: &str, name: &str) -> Program {
    Program::new(binary(package, name).await.unwrap()).env("RUST_LOG", "info,worker=debug")
}

/// The embedded platform, not started yet. Without further variables it serves HTTP.
pub(crate) async fn embedded_program() -> Program {
    program("cli", "discovery")
        .await
        .arg("up")
        .env("TRANSPORT_MODE", "http")
}

/// The embedded platform, which serves HTTP and lists its tools.
pub(crate) async fn embedded() -> Running {
    let platform = Running::gateway(embedded_program().await);
    platform.ready().await;
    platform.lists("ping").await;
    platform
}

/// The embedded platform on standard input and output.
pub(crate) async fn embedded_stdio() -> Stdio {
    Stdio::start(&embedded_program().await.env("TRANSPORT_MODE", "stdio"))
}
