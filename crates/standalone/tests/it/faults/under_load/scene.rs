//! What the tests of this folder need around their faults.

use std::time::Duration;

use testkit::process::Program;
use testkit::proxy::RoundRobin;
use tokio::time::sleep;

use crate::site::{Answer, Running, Site, Target};

/// Load before a fault and after it, so that something is in flight and caches are warm.
const CALM: Duration = Duration::from_millis(700);

/// A target that takes a moment, so that calls are found running.
pub(super) async fn answering() -> Target {
    Target::start(|_, _| Answer::After(Duration::from_millis(25))).await
}

/// Lets the load go on.
pub(super) async fn calm() {
    sleep(CALM).await;
}

/// Gateways behind a balancer, and workers of both categories.
#[derive(Debug)]
pub(super) struct Fleet {
    pub(super) gateways: Vec<Running>,
    pub(super) network: Vec<Running>,
    pub(super) conformance: Vec<Running>,
    pub(super) balancer: RoundRobin,
}

impl Fleet {
    /// So many of each, all of them ready and known to each other.
    pub(super) async fn start(site: &Site, n_gateways: usize, n_workers: usize) -> Self {
        let mut fleet = Self {
            gateways: Vec::new(),
            network: Vec::new(),
            conformance: Vec::new(),
            balancer: RoundRobin::start(Vec::new()).await.unwrap(),
        };
        for _ in 0..n_workers {
            fleet.network.push(start_worker(site).await);
            fleet.conformance.push(start_conformance(site).await);
        }
        for _ in 0..n_gateways {
            fleet.gateways.push(start_gateway(site).await);
        }
        for process in fleet.network.iter().chain(&fleet.conformance) {
            process.ready().await;
        }
        for gateway in &fleet.gateways {
            until_serving(gateway).await;
        }
        fleet.balance();
        fleet
    }

    /// Has the balancer send requests to the gateways that there are.
    pub(super) fn balance(&self) {
        let addresses = self.gateways.iter().map(Running::address).collect();
        self.balancer.set_upstreams(addresses);
    }

    /// Where clients call.
    pub(super) fn url(&self) -> String {
        format!("http://{}/mcp", self.balancer.address())
    }

    /// Every process.
    pub(super) fn all(&self) -> impl Iterator<Item = &Running> {
        let workers = self.network.iter().chain(&self.conformance);
        workers.chain(&self.gateways)
    }
}

/// Waits until a gateway lists the tools of both categories.
pub(super) async fn until_serving(gateway: &Running) {
    gateway.ready().await;
    gateway.lists("wget").await;
    gateway.lists("test_at_most_once").await;
}

pub(super) async fn start_gateway(site: &Site) -> Running {
    Running::gateway(quiet(site.gateway_program().await))
}

pub(super) async fn start_worker(site: &Site) -> Running {
    Running::worker(quiet(site.worker_program().await))
}

pub(super) async fn start_conformance(site: &Site) -> Running {
    Running::worker(quiet(site.conformance_program().await))
}

/// Under load a line for each call is too many.
fn quiet(program: Program) -> Program {
    program.env("RUST_LOG", "info,worker=info,bus=debug")
}
