//! The broker dies, or cannot take more.

use std::time::{Duration, Instant};

use testkit::rabbitmq::Node;

use super::{Allowed, Fleet, Load, Plan, Record, answering, calm};
use crate::faults::sync;
use crate::site::Site;

/// How soon calls are served when the broker is back.
const SERVICE: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_is_answered_when_the_broker_is_killed_own_broker() {
    let plan = Plan::read();
    let mut node = Node::start().await.expect("a broker: run scripts/test");
    let site = Site::on(&node);
    let fleet = Fleet::start(&site, 2, 2).await;
    sync(&node).await;
    let target = answering().await;
    let load = Load::mixed();
    let mut record = Record::new("broker kill -9", "served again", SERVICE);
    for _ in 0..plan.rounds {
        let fault = async {
            calm().await;
            node.kill_9().unwrap();
            node.restart().await.unwrap();
            let back = Instant::now();
            for process in fleet.all() {
                process.ready().await;
            }
            calm().await;
            back
        };
        let (back, books) = load.during(&fleet.url(), &target, fault).await;
        let allowed = Allowed {
            unknown: true,
            ..Allowed::default()
        };
        books.balance(load.deadline, &target, allowed);
        record.round(&books, books.served_after(back));
    }
    record.finish(&plan);
}
