//! Connections that are half open: nobody hears the other side, and nobody is told.

use std::time::{Duration, Instant};

use testkit::tcp_proxy::TcpProxy;
use testkit::wait;

use super::scene::until_serving;
use super::{Allowed, Load, Plan, Record, answering, calm};
use crate::site::{Running, SOON, Site};

/// The interval of heartbeats that both sides agree on.
const HEARTBEAT: &str = "1";
/// Three heartbeats.
const NOTICED: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_open_connections_are_noticed_and_every_call_is_answered() {
    let plan = Plan::read();
    let site = Site::new().await;
    let (to_worker, to_gateway) = tokio::join!(proxy(&site), proxy(&site));
    let program = site.worker_program().await;
    let worker = Running::worker(
        program
            .env("AMQP_URL", site.url_at(to_worker.address()))
            .env("AMQP_HEARTBEAT_INTERVAL", HEARTBEAT),
    );
    let program = site.gateway_program().await;
    let gateway = Running::gateway(
        program
            .env("AMQP_URL", site.url_at(to_gateway.address()))
            .env("AMQP_HEARTBEAT_INTERVAL", HEARTBEAT),
    );
    let _conformance = site.conformance_worker().await;
    worker.ready().await;
    until_serving(&gateway).await;
    let target = answering().await;
    let load = Load::fetches();
    let mut record = Record::new("half-open connection", "noticed", NOTICED);
    for round in 0..plan.rounds * 2 {
        let proxy = if round % 2 == 0 {
            &to_worker
        } else {
            &to_gateway
        };
        let fault = async {
            calm().await;
            let noticed = forget(proxy).await;
            for process in [&worker, &gateway] {
                process.ready().await;
            }
            calm().await;
            noticed
        };
        let (noticed, books) = load.during(&gateway.url(), &target, fault).await;
        books.balance(load.deadline, &target, Allowed::default());
        record.round(&books, noticed);
    }
    record.finish(&plan);
}

async fn proxy(site: &Site) -> TcpProxy {
    TcpProxy::start(site.broker_address()).await.unwrap()
}

/// Lets the open connections go half open, and says how long it takes until there is a new one.
async fn forget(proxy: &TcpProxy) -> Duration {
    let n_before = proxy.n_accepted();
    let began = Instant::now();
    proxy.forget();
    let again = async || (proxy.n_accepted() > n_before).then_some(());
    wait::until("it connects again", SOON, again).await.unwrap();
    began.elapsed()
}
