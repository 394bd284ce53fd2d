//! A broker of three nodes loses the one that leads the work queue.

use std::time::{Duration, Instant};

use testkit::rabbitmq::Cluster;

use super::{Allowed, Fleet, Load, Plan, Record, answering, calm};
use crate::site::{Site, WORK_QUEUE};

/// How soon calls are served again.
const SERVICE: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_is_answered_when_the_leader_of_a_cluster_is_killed_own_broker() {
    let plan = Plan::read();
    let mut cluster = Cluster::start(3).await.expect("a broker: run scripts/test");
    let site = Site::on_cluster(&cluster);
    let fleet = Fleet::start(&site, 2, 1).await;
    let target = answering().await;
    let load = Load::mixed();
    let fault = "leader of a 3-node cluster kill -9";
    let mut record = Record::new(fault, "longest pause", SERVICE);
    for _ in 0..plan.rounds {
        cluster.in_sync("/", WORK_QUEUE).await.unwrap();
        let fault = async {
            calm().await;
            let leader = cluster.leader("/", WORK_QUEUE).await.unwrap();
            cluster.kill_9(leader).unwrap();
            let killed = Instant::now();
            cluster.leader("/", WORK_QUEUE).await.unwrap();
            for process in fleet.all() {
                process.ready().await;
            }
            calm().await;
            cluster.restart(leader).await.unwrap();
            killed
        };
        let (killed, books) = load.during(&fleet.url(), &target, fault).await;
        let allowed = Allowed {
            unknown: true,
            ..Allowed::default()
        };
        books.balance(load.deadline, &target, allowed);
        record.round(&books, books.longest_pause_after(killed));
    }
    record.finish(&plan);
}
