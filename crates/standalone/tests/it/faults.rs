//! Processes that die, hang or are asked to go, with calls in flight: every caller gets an answer.

mod ends;
mod under_load;

use std::time::{Duration, Instant};

use futures::future::join_all;
use testkit::http::Request;
use testkit::process::Process;
use testkit::queues::Counts;
use testkit::rabbitmq::Broker;
use testkit::wait;
use tokio_util::sync::CancellationToken;

use crate::site::{Answer, END, Running, SOON, Site, Target, body_of};

/// The gauge of calls that have not ended.
const IN_FLIGHT: &str = "discovery_calls_in_flight";

/// A target that never answers the first request for a path, and all others at once.
async fn second_time_lucky() -> Target {
    Target::start(|_, before| match before {
        0 => Answer::Never,
        _ => Answer::AtOnce,
    })
    .await
}

/// Ends the worker that runs a call, in the midst of it, and gives the other one too.
async fn lose_worker(
    site: &Site,
    settings: &[(&str, &str)],
    lose: impl Fn(&Process),
) -> (Running, Running, Target) {
    let (one, other, gateway) = tokio::join!(
        site.worker_with(settings),
        site.worker_with(settings),
        site.gateway()
    );
    gateway.lists("wget").await;
    let target = second_time_lucky().await;
    let call = gateway.call("wget", target.arguments("/call"));
    let fault = async {
        target.until_asked(1).await;
        let is_busy = one.metric(IN_FLIGHT, "network").await > 0.5;
        let (busy, idle) = if is_busy { (one, other) } else { (other, one) };
        lose(&busy);
        (Instant::now(), busy, idle)
    };
    let (answer, (since, gone, other)) = tokio::join!(call, fault);
    println!("answered by another worker after {:?}", since.elapsed());
    assert_eq!(body_of(&answer), "/call");
    assert_eq!(target.times("/call"), 2);
    (gone, other, target)
}

#[tokio::test]
async fn call_of_a_worker_that_is_killed_is_answered_by_another() {
    let site = Site::new().await;
    let (_, other, _) = lose_worker(&site, &[], |worker| worker.kill_9().unwrap()).await;
    assert!((other.metric("discovery_redeliveries_total", "").await - 1.0).abs() < 0.5);
}

#[tokio::test]
async fn call_of_a_worker_that_is_frozen_is_answered_by_another() {
    let site = Site::new().await;
    let settings = [("AMQP_HEARTBEAT_INTERVAL", "1")];
    let freeze = |worker: &Process| worker.freeze().unwrap();
    let (frozen, other, target) = lose_worker(&site, &settings, freeze).await;
    assert_eq!(target.has_left("/call"), None, "it is frozen");
    frozen.thaw().unwrap();
    // Its call has become somebody else's.
    target.left("/call").await;
    let both = |counts: Counts| counts.consumers == 2;
    site.until_work_queue("it consumes again", both).await;
    frozen.ready().await;
    drop(other);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_fails_while_workers_are_replaced_one_by_one() {
    let site = Site::new().await;
    let (first, second, gateway) = tokio::join!(site.worker(), site.worker(), site.gateway());
    gateway.lists("wget").await;
    let target = Target::start(|_, _| Answer::After(Duration::from_millis(100))).await;
    let done = CancellationToken::new();
    let clients = join_all((0..16).map(async |client| {
        let mut n_calls = 0;
        while !done.is_cancelled() {
            let path = format!("/{client}/{n_calls}");
            let answer = gateway.call("wget", target.arguments(&path)).await;
            assert_eq!(body_of(&answer), path);
            n_calls += 1;
        }
        n_calls
    }));
    let restart = async {
        let mut new = Vec::new();
        for old in [first, second] {
            wait::until("it has calls to finish", SOON, async || {
                (old.metric(IN_FLIGHT, "network").await > 0.5).then_some(())
            })
            .await
            .unwrap();
            old.terminate().unwrap();
            let (code, replacement) = tokio::join!(old.exit_code(END), site.worker());
            assert_eq!(code.unwrap(), 0);
            new.push(replacement);
        }
        done.cancel();
        new
    };
    let (counts, _workers) = tokio::join!(clients, restart);
    let n_calls: usize = counts.iter().sum();
    println!("{n_calls} calls during the restart of two workers");
    assert_eq!(target.asked().len(), n_calls, "a call ran twice");
}

#[tokio::test]
async fn queues_of_a_killed_gateway_vanish_and_its_calls_are_stopped() {
    let site = Site::new().await;
    let worker = site.worker().await;
    let before = site.queues().await;
    let gateway = site.gateway().await;
    gateway.lists("wget").await;
    let n_with_gateway = site.queues().await.len();
    assert!(n_with_gateway > before.len(), "{n_with_gateway}");
    let target = Target::start(|path, _| match path {
        "/orphan" => Answer::Never,
        _ => Answer::AtOnce,
    })
    .await;
    let request = Request::modern_call(1, "wget", &target.arguments("/orphan"));
    let mut client = gateway.open(&request).await;
    target.until_asked(1).await;

    gateway.kill_9().unwrap();
    client.closed(SOON).await.unwrap();
    let vanished = async || (site.queues().await == before).then_some(());
    wait::until("its queues are gone", SOON, vanished)
        .await
        .unwrap();
    // Nobody has cancelled the call: the worker finds out that nobody waits.
    target.left("/orphan").await;
    let settled = |counts: Counts| counts.ready + counts.unacknowledged == 0;
    site.until_work_queue("the call is settled", settled).await;

    let next = site.gateway().await;
    next.lists("wget").await;
    let answer = next.call("wget", target.arguments("/next")).await;
    assert_eq!(body_of(&answer), "/next");
    assert_eq!(target.asked(), ["/orphan", "/next"]);
    assert!(worker.is_ready().await);
}

/// RabbitMQ writes what it knows of a new quorum queue to disk with a delay of seconds; a kill in
/// between leaves a queue that no client can repair.
async fn sync(node: &Broker) {
    let sync = "begin disk_log:sync(latest_log), [dets:sync(T) || T <- dets:all()], \"ok\" end";
    node.eval(sync).await.unwrap();
}
