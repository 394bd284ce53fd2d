//! A broker that dies, with calls in flight.

use std::time::{Duration, Instant};

use futures::future::join_all;
use testkit::rabbitmq::Node;
use testkit::wait;

use crate::site::{Answer, Running, SOON, Site, Target, body_of};

/// Calls in flight when the broker dies.
const N_CALLS: usize = 64;
/// How often it dies.
const ROUNDS: usize = 5;
/// How soon calls are served when it is back.
const SERVICE: Duration = Duration::from_secs(10);

/// Half of the numbers are never answered the first time, so their calls are surely in flight when
/// the broker dies. The others are answered around that moment, one after the other.
fn script(path: &str, before: usize) -> Answer {
    let number = path
        .rsplit('/')
        .next()
        .and_then(|it| it.parse::<u64>().ok());
    match (number, before) {
        (Some(number), 0) if number.is_multiple_of(2) => Answer::Never,
        (Some(number), 0) => Answer::After(Duration::from_millis(10 * number)),
        _ => Answer::AtOnce,
    }
}

/// RabbitMQ writes what it knows of a new quorum queue to disk with a delay of seconds; a kill in
/// between leaves a queue that no client can repair.
async fn sync(node: &Node) {
    let sync = "begin disk_log:sync(latest_log), [dets:sync(T) || T <- dets:all()], \"ok\" end";
    node.eval(sync).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_in_flight_get_their_results_when_the_broker_is_killed_and_restarted() {
    let mut node = Node::start().await.expect("a broker: run scripts/test");
    let site = Site::on(&node);
    let (worker, gateway) = tokio::join!(site.worker(), site.gateway());
    gateway.lists("wget").await;
    sync(&node).await;
    let target = Target::start(script).await;
    for round in 0..ROUNDS {
        let asked_before = target.asked().len();
        let calls = (0..N_CALLS).map(async |number| {
            let path = format!("/{round}/{number}");
            let answer = gateway.call("wget", target.arguments(&path)).await;
            assert_eq!(body_of(&answer), path);
        });
        let outage = async {
            target.until_asked(asked_before + N_CALLS).await;
            node.kill_9().unwrap();
            for process in [&gateway, &worker] {
                not_ready(process).await;
            }
            node.restart().await.unwrap();
            let back = Instant::now();
            let path = format!("/{round}/fresh");
            let answer = gateway.call("wget", target.arguments(&path)).await;
            assert_eq!(body_of(&answer), path);
            println!("round {round}: served after {:?}", back.elapsed());
            assert!(back.elapsed() < SERVICE, "{:?}", back.elapsed());
            back
        };
        let (back, _) = tokio::join!(outage, join_all(calls));
        println!("round {round}: all answered after {:?}", back.elapsed());
        for process in [&gateway, &worker] {
            process.ready().await;
        }
    }
    let reconnects = worker.metric("discovery_amqp_reconnects_total", "").await;
    assert!(reconnects >= 5.0, "{reconnects}");
}

async fn not_ready(process: &Running) {
    let noticed = async || (!process.is_ready().await).then_some(());
    wait::until("the loss is noticed", SOON, noticed)
        .await
        .unwrap();
}
