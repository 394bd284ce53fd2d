//! A broker that can take no more: callers are told so at once, and it is over by itself.

use std::time::{Duration, Instant};

use testkit::rabbitmq::Node;
use testkit::wait;
use tokio::time::sleep;

use super::scene::until_serving;
use super::{Allowed, Books, Fleet, Load, Outcome, Plan, Record, answering, calm};
use crate::site::{Running, SOON, Site, Target};

/// How long a refusal may take.
const AT_ONCE: Duration = Duration::from_secs(1);
/// How long the pressure lasts.
const LASTS: Duration = Duration::from_secs(2);
/// Calls that the worker runs at once.
const ROOM: u16 = 16;
/// Calls that wait for it at most.
const LENGTH: u32 = 20;

/// Clients that come as long as nobody takes calls: more than the queue has room for.
fn crowd() -> Load {
    Load {
        n_clients: 128,
        pace: Duration::from_millis(250),
        ..Load::fetches()
    }
}

/// The slowest refusal; fails if there was none.
fn slowest_refusal(books: &Books) -> Duration {
    let refused = books.entries.iter();
    let refused = refused.filter(|entry| entry.outcome == Outcome::Busy);
    let times = refused.map(|entry| entry.ended - entry.sent);
    times.max().expect("nobody was refused")
}

/// When pressure ended, and when calls had room again.
struct Ends {
    over: Instant,
    has_room: Instant,
}

fn check(plan: &Plan, books: &Books, target: &Target, allowed: Allowed, ends: &Ends) {
    books.balance(Load::fetches().deadline, target, allowed);
    println!("served again {:?} after it", books.served_after(ends.over));
    // How soon there is room is the machine's matter as much as ours.
    let from = if plan.is_bounded {
        ends.over + AT_ONCE
    } else {
        ends.has_room
    };
    let late = books.entries.iter().filter(|entry| entry.sent > from);
    let n_refused = late.filter(|entry| entry.outcome == Outcome::Busy).count();
    assert_eq!(n_refused, 0, "calls are refused when it is over");
}

/// Waits until calls have room again, then lets the load go on; `books` get the calls that try it.
async fn until_room(url: &str, target: &Target, over: Instant, books: &mut Books) -> Ends {
    let one = Load {
        n_clients: 1,
        ..Load::fetches()
    };
    let room = async || {
        let ((), probes) = one.during(url, target, calm()).await;
        let has_room = probes.count(Outcome::Busy) == 0;
        books.entries.extend(probes.entries);
        has_room.then(Instant::now)
    };
    let has_room = wait::until("calls have room again", SOON, room)
        .await
        .unwrap();
    sleep(LASTS).await;
    Ends { over, has_room }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_queue_refuses_at_once_and_recovers_by_itself() {
    let plan = Plan::read();
    let site = Site::new().await;
    let room = ROOM.to_string();
    let settings = [("AMQP_PREFETCH_COUNT", room.as_str())];
    let (worker, _other, gateway) = tokio::join!(
        site.worker_with(&settings),
        site.conformance_worker(),
        site.gateway()
    );
    until_serving(&gateway).await;
    site.limit_queues(LENGTH).await;
    let target = answering().await;
    let load = Load::fetches();
    let mut record = Record::new("queue full", "slowest refusal", AT_ONCE);
    for _ in 0..plan.rounds {
        let url = gateway.url();
        let fault = stand_still(&worker, &url, &target);
        let ((ends, crowded), mut books) = load.during(&url, &target, fault).await;
        books.entries.extend(crowded.entries);
        let allowed = Allowed {
            busy: true,
            ..Allowed::default()
        };
        check(&plan, &books, &target, allowed, &ends);
        record.round(&books, slowest_refusal(&books));
    }
    record.finish(&plan);
}

/// Nobody takes calls for a while, and many call. Shorter than a heartbeat is patient.
async fn stand_still(worker: &Running, url: &str, target: &Target) -> (Ends, Books) {
    calm().await;
    worker.freeze().unwrap();
    let still = async {
        sleep(LASTS).await;
        worker.thaw().unwrap();
        Instant::now()
    };
    let (over, mut crowded) = crowd().during(url, target, still).await;
    let ends = until_room(url, target, over, &mut crowded).await;
    (ends, crowded)
}

/// How a broker is brought to raise an alarm, and to take it back.
struct Alarm {
    fault: &'static str,
    raise: &'static str,
    clear: &'static str,
}

const DISK: Alarm = Alarm {
    fault: "disk alarm",
    raise: "begin rabbit_disk_monitor:set_disk_free_limit(1000000000000000), \"raised\" end",
    clear: "begin rabbit_disk_monitor:set_disk_free_limit(50000000), \"cleared\" end",
};

const MEMORY: Alarm = Alarm {
    fault: "memory alarm",
    raise: "begin vm_memory_monitor:set_vm_memory_high_watermark(0.000001), \"raised\" end",
    clear: "begin vm_memory_monitor:set_vm_memory_high_watermark(0.4), \"cleared\" end",
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alarmed_broker_refuses_at_once_and_recovers_by_itself_own_broker() {
    let plan = Plan::read();
    let node = Node::start().await.expect("a broker: run scripts/test");
    let site = Site::on(&node);
    let fleet = Fleet::start(&site, 2, 1).await;
    let target = answering().await;
    let load = Load::mixed();
    for alarm in [DISK, MEMORY] {
        let mut record = Record::new(alarm.fault, "slowest refusal", AT_ONCE);
        for _ in 0..plan.rounds {
            let url = fleet.url();
            let fault = async {
                calm().await;
                node.eval(alarm.raise).await.unwrap();
                // The clients that there are may all wait for calls that the broker has confirmed.
                let alarmed = alarmed(&node, &alarm);
                let (over, mut newcomers) = load.during(&url, &target, alarmed).await;
                let ends = until_room(&url, &target, over, &mut newcomers).await;
                (ends, newcomers)
            };
            let ((ends, newcomers), mut books) = load.during(&url, &target, fault).await;
            books.entries.extend(newcomers.entries);
            let allowed = Allowed {
                busy: true,
                unheard: true,
                ..Allowed::default()
            };
            check(&plan, &books, &target, allowed, &ends);
            record.round(&books, slowest_refusal(&books));
        }
        record.finish(&plan);
    }
}

/// The time of the alarm, and its end.
async fn alarmed(node: &Node, alarm: &Alarm) -> Instant {
    sleep(LASTS).await;
    node.eval(alarm.clear).await.unwrap();
    Instant::now()
}
