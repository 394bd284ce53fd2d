//! Hours of ordinary work leave nothing behind.

use std::time::Duration;

use testkit::rabbitmq::Node;
use testkit::wait;
use tokio::time::sleep;

use super::load::Tool;
use super::{Allowed, Fleet, Load, Outcome, Plan, answering};
use crate::site::{SOON, Site, resident};

/// Memory may grow by so much.
const GROWTH: f64 = 1.05;
/// How long a soak takes at least whose figures count.
const LONG: Duration = Duration::from_mins(1);
/// How long full load is measured.
const FULL: Duration = Duration::from_secs(4);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_load_leaves_neither_memory_nor_queues_nor_channels_own_broker() {
    let plan = Plan::read();
    let node = Node::start().await.expect("a broker: run scripts/test");
    let site = Site::on(&node);
    let fleet = Fleet::start(&site, 1, 1).await;
    let target = answering().await;
    let load = half_load(&fleet, &target).await;
    // What the processes keep for good they take while they warm up. Last are the buffers of a
    // connection that carries nothing but acknowledgements one way: 2 MiB, and 21 bytes for a call
    // or for many at once. So it is calls that count: they come as fast as they can, and as many to
    // one worker as to the other.
    let warming = Load {
        n_clients: 2 * load.n_clients,
        tools: vec![Tool::Fetch, Tool::Once],
        pace: Duration::ZERO,
        ..load.clone()
    };
    let warm_up = sleep(plan.soak / 3);
    let ((), books) = warming.during(&fleet.url(), &target, warm_up).await;
    books.balance(warming.deadline, &target, Allowed::default());
    println!("warm-up: {} calls", books.entries.len());
    let held = held(&site, &node).await;
    let memory: Vec<u32> = fleet.all().map(resident).collect();

    let ((), books) = load.during(&fleet.url(), &target, sleep(plan.soak)).await;
    books.balance(load.deadline, &target, Allowed::default());
    let same = async || (self::held(&site, &node).await == held).then_some(());
    wait::until("nothing is left behind", SOON, same)
        .await
        .unwrap();
    let now: Vec<u32> = fleet.all().map(resident).collect();
    let growth = memory.iter().zip(&now);
    let growth = growth.map(|(before, now)| f64::from(*now) / f64::from(*before));
    let worst = growth.fold(0.0, f64::max);
    let (n_calls, n_real) = (books.entries.len(), books.count(Outcome::Real));
    plan.write(&format!(
        "| soak at half load, {:.1} min | 1 | {n_calls} | {n_calls} | {n_real} | 0 | 0 | memory \
         {memory:?} KiB, then {now:?}: worst {:+.1} %; p99 {:?} | 5 % |",
        plan.soak.as_secs_f64() / 60.0,
        (worst - 1.0) * 100.0,
        books.p99(),
    ));
    // In seconds processes do no more than warm up.
    if plan.soak >= LONG {
        plan.check("growth of memory", worst, GROWTH);
    }
}

/// Half of the calls per second that the clients get answered when they do not pause.
async fn half_load(fleet: &Fleet, target: &crate::site::Target) -> Load {
    let mut load = Load::mixed();
    load.pace = Duration::ZERO;
    let ((), books) = load.during(&fleet.url(), target, sleep(FULL)).await;
    books.balance(load.deadline, target, Allowed::default());
    let n_calls = u32::try_from(books.entries.len()).unwrap();
    let n_clients = u32::try_from(load.n_clients).unwrap();
    load.pace = FULL * 2 * n_clients / n_calls;
    println!("full load: {n_calls} calls in {FULL:?}");
    load
}

/// The names of all queues, and how many connections and channels the broker has.
async fn held(site: &Site, node: &Node) -> (Vec<String>, String) {
    let count = "io_lib:format(\"~w connections, ~w channels\", \
                 [length(rabbit_networking:connections()), length(rabbit_channel:list())])";
    let counts = node.eval(count).await.unwrap();
    (site.queues().await, counts)
}
