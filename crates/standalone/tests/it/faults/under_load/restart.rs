//! Every process is replaced, one after the other, and no client sees it.

use std::time::{Duration, Instant};

use super::scene::{start_conformance, start_gateway, start_worker, until_serving};
use super::{Allowed, Fleet, Load, Plan, Record, answering, calm};
use crate::site::{END, Running, Site};

/// How long one process may take to end.
const DRAINED: Duration = Duration::from_secs(25);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_fails_while_every_worker_and_gateway_is_restarted() {
    let plan = Plan::read();
    let site = Site::new().await;
    let mut fleet = Fleet::start(&site, 2, 2).await;
    let target = answering().await;
    let load = Load::mixed();
    let mut record = Record::new("rolling restart by SIGTERM", "a process ended", DRAINED);
    for _ in 0..plan.rounds {
        let url = fleet.url();
        let restart = async { replace_all(&site, &mut fleet).await };
        let (longest, books) = load.during(&url, &target, restart).await;
        books.balance(load.deadline, &target, Allowed::default());
        record.round(&books, longest);
    }
    record.finish(&plan);
}

/// Replaces each process by a new one; gives the longest time that one took to end.
async fn replace_all(site: &Site, fleet: &mut Fleet) -> Duration {
    let mut longest = Duration::ZERO;
    for worker in &mut fleet.network {
        longest = longest.max(ended(worker).await);
        *worker = start_worker(site).await;
        worker.ready().await;
    }
    for worker in &mut fleet.conformance {
        longest = longest.max(ended(worker).await);
        *worker = start_conformance(site).await;
        worker.ready().await;
    }
    for position in 0..fleet.gateways.len() {
        longest = longest.max(ended(&fleet.gateways[position]).await);
        fleet.gateways[position] = start_gateway(site).await;
        until_serving(&fleet.gateways[position]).await;
        fleet.balance();
    }
    calm().await;
    longest
}

/// Asks a process to end and says how long that takes.
async fn ended(process: &Running) -> Duration {
    calm().await;
    let began = Instant::now();
    process.terminate().unwrap();
    let code = process.exit_code(END).await.unwrap();
    assert_eq!(code, 0, "{:?}", process.stderr().all());
    began.elapsed()
}
