//! Workers that die in the midst of their calls.

use std::time::{Duration, Instant};

use testkit::wait;

use super::scene::{start_conformance, start_worker};
use super::{Allowed, Fleet, Load, Plan, Record, answering, calm};
use crate::site::{Running, SOON, Site, Target};

/// How soon a call is with another worker.
const REDELIVERY: Duration = Duration::from_secs(5);
/// The gauge of calls that have not ended.
const IN_FLIGHT: &str = "discovery_calls_in_flight";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_is_answered_once_when_workers_are_killed() {
    let plan = Plan::read();
    let site = Site::new().await;
    let mut fleet = Fleet::start(&site, 1, 2).await;
    let target = answering().await;
    let load = Load::mixed();
    let mut record = Record::new("worker kill -9 in mid-call", "redelivered", REDELIVERY);
    // More rounds than of other faults: each is short.
    for round in 0..plan.rounds * 5 / 2 {
        let url = fleet.url();
        let fault = async {
            calm().await;
            if round % 2 == 0 {
                let replacement = start_worker(&site).await;
                kill_busy(&mut fleet.network, replacement).await
            } else {
                let replacement = start_conformance(&site).await;
                kill_busy(&mut fleet.conformance, replacement).await
            }
        };
        let (killed, books) = load.during(&url, &target, fault).await;
        let allowed = Allowed {
            unknown: true,
            ..Allowed::default()
        };
        books.balance(load.deadline, &target, allowed);
        record.round(&books, redelivered(&target, killed));
    }
    record.finish(&plan);
}

/// Kills the first worker while it runs calls, and waits for the one that takes its place.
async fn kill_busy(workers: &mut Vec<Running>, replacement: Running) -> Instant {
    let worker = workers.remove(0);
    let is_busy = async || (worker.metric(IN_FLIGHT, "").await > 0.5).then_some(());
    wait::until("it runs calls", SOON, is_busy).await.unwrap();
    worker.kill_9().unwrap();
    let killed = Instant::now();
    replacement.ready().await;
    workers.push(replacement);
    calm().await;
    killed
}

/// The longest time until a call that ran at that moment ran again; no time if none did.
fn redelivered(target: &Target, killed: Instant) -> Duration {
    let again = target.asked_again().into_iter().filter_map(|times| {
        let ran = times.iter().any(|at| *at <= killed);
        let next = times.iter().find(|at| **at > killed)?;
        ran.then(|| *next - killed)
    });
    again.max().unwrap_or_default()
}
