//! A gateway that dies: its calls are stopped, and nobody else notices.

use std::time::{Duration, Instant};

use futures::future::join_all;
use testkit::http::Request;

use super::scene::{start_gateway, until_serving};
use super::{Allowed, Fleet, Load, Plan, Record, answering, calm};
use crate::site::{Answer, SOON, Site, Target};

/// How soon workers have stopped what nobody waits for any more.
const STOPPED: Duration = Duration::from_secs(5);
/// Calls that the gateway has open when it dies.
const N_OPEN: usize = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_stop_the_calls_of_a_gateway_that_is_killed_and_other_gateways_go_on() {
    let plan = Plan::read();
    let site = Site::new().await;
    let fleet = Fleet::start(&site, 1, 2).await;
    let (target, endless) = tokio::join!(answering(), Target::start(|_, _| Answer::Never));
    let load = Load::mixed();
    let mut record = Record::new("gateway kill -9", "its calls are stopped", STOPPED);
    for round in 0..plan.rounds {
        let dying = start_gateway(&site).await;
        until_serving(&dying).await;
        let fault = async {
            let paths: Vec<String> = (0..N_OPEN).map(|n| format!("/{round}/{n}")).collect();
            let mut clients = Vec::new();
            for path in &paths {
                let request = Request::modern_call(1, "wget", &endless.arguments(path));
                clients.push(dying.open(&request).await);
            }
            endless.until_asked((round + 1) * N_OPEN).await;
            calm().await;
            dying.kill_9().unwrap();
            let killed = Instant::now();
            for mut client in clients {
                client.closed(SOON).await.unwrap();
            }
            let left = join_all(paths.iter().map(|path| endless.left(path))).await;
            calm().await;
            let last = left.into_iter().max().unwrap();
            last.saturating_duration_since(killed)
        };
        let (stopped, books) = load.during(&fleet.url(), &target, fault).await;
        books.balance(load.deadline, &target, Allowed::default());
        record.round(&books, stopped);
        assert!(stopped < SOON, "{stopped:?}");
    }
    record.finish(&plan);
}
