//! Nobody there to do the work: callers learn it at once, and never wait for nothing.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::http::Request;
use testkit::process::Process;
use testkit::queues::Counts;
use testkit::wait;

use crate::site::{END, READY, Running, SOON, Site, Target, body_of};

/// The code of the error that names the category without a worker.
const NO_WORKER: i64 = -31001;
/// The code of the error of a call whose time is over.
const DEADLINE_EXCEEDED: i64 = -31003;
/// How long a category without a worker is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a refusal may take.
const AT_ONCE: Duration = Duration::from_millis(100);

/// Calls `wget` with a deadline and gives the answer and how long it took.
async fn call_within(
    gateway: &Running,
    arguments: &Value,
    deadline: Duration,
) -> (Value, Duration) {
    let meta = json!({ "opendiscovery/timeoutMs": deadline.as_millis() });
    let params = json!({ "name": "wget", "arguments": arguments, "_meta": meta });
    let request = Request::modern(1, "tools/call", params);
    let began = Instant::now();
    let reply = gateway.client().send(&request, READY).await.unwrap();
    (reply.answer().unwrap().clone(), began.elapsed())
}

/// Checks that calls are refused, by name and at once.
///
/// Half of them must be as fast as promised; the other half may be slow on a busy machine.
async fn check_refused_at_once(gateway: &Running, target: &Target) {
    let mut times = Vec::new();
    for _ in 0..20 {
        let began = Instant::now();
        let answer = gateway.call("wget", target.arguments("/refused")).await;
        times.push(began.elapsed());
        check_names_category(&answer);
    }
    times.sort();
    println!("refused after {:?} to {:?}", times[0], times[19]);
    assert!(times[9] < AT_ONCE, "{times:?}");
    assert!(times[19] < 10 * AT_ONCE, "{times:?}");
}

fn check_names_category(answer: &Value) {
    let error = &answer["error"];
    assert_eq!(error["code"], NO_WORKER, "{answer}");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("category network"), "{message}");
    assert!(message.contains("discovery-worker-network"), "{message}");
    assert_eq!(error["data"]["category"], "network", "{answer}");
}

/// Waits until a gateway refuses calls, and says how long they were queued until then.
async fn until_refused(gateway: &Running, target: &Target) -> Duration {
    let began = Instant::now();
    let arguments = target.arguments("/queued");
    let refused = async || {
        let (answer, _) = call_within(gateway, &arguments, Duration::from_millis(300)).await;
        if answer["error"]["code"] == DEADLINE_EXCEEDED {
            return None;
        }
        check_names_category(&answer);
        Some(began.elapsed())
    };
    wait::until("calls are refused", SOON, refused)
        .await
        .unwrap()
}

#[tokio::test]
async fn call_without_any_worker_ever_started_is_refused_at_once() {
    let site = Site::new().await;
    let gateway = site.gateway().await;
    assert_eq!(gateway.tools().await, Vec::<Value>::new());
    check_refused_at_once(&gateway, &Target::echo().await).await;
}

#[tokio::test]
async fn calls_without_the_worker_that_said_goodbye_wait_and_are_refused_after_ten_seconds() {
    let say_goodbye = async |worker: &Process| {
        worker.terminate().unwrap();
        assert_eq!(worker.exit_code(END).await.unwrap(), 0);
    };
    check_worker_that_goes(say_goodbye).await;
}

#[tokio::test]
async fn calls_without_the_worker_that_was_killed_wait_and_are_refused_after_ten_seconds() {
    let kill = async |worker: &Process| worker.kill_9().unwrap();
    check_worker_that_goes(kill).await;
}

async fn check_worker_that_goes(end: impl AsyncFn(&Process)) {
    let site = Site::new().await;
    let (worker, gateway) = tokio::join!(site.worker(), site.gateway());
    gateway.lists("wget").await;
    let target = Target::echo().await;

    end(&worker).await;
    let replacement = check_replaced(&site, &gateway, &target).await;
    let going = Instant::now();
    end(&replacement).await;
    check_not_replaced(&gateway, &target, going).await;

    // The next worker serves, and does not run what was refused.
    let _worker = site.worker().await;
    let served = async || {
        let answer = gateway.call("wget", target.arguments("/served")).await;
        answer.get("result").map(|_| ())
    };
    wait::until("calls are served again", SOON, served)
        .await
        .unwrap();
    assert_eq!(target.asked(), ["/replaced", "/served"]);
}

/// A call that finds no worker is answered by the one that comes.
async fn check_replaced(site: &Site, gateway: &Running, target: &Target) -> Running {
    let gone = |counts: Counts| counts.consumers == 0;
    site.until_work_queue("no consumer", gone).await;
    let waiting = gateway.call("wget", target.arguments("/replaced"));
    let replace = async {
        let waits = |counts: Counts| counts.ready == 1;
        site.until_work_queue("a call waits", waits).await;
        assert_eq!(target.asked(), [""; 0]);
        site.worker().await
    };
    let (answer, replacement) = tokio::join!(waiting, replace);
    assert_eq!(body_of(&answer), "/replaced");
    // Killed before that, the worker would leave the call to the next one.
    let acked = |counts: Counts| counts.unacknowledged == 0;
    site.until_work_queue("the call is acked", acked).await;
    // The gateway looks once a second, and must have seen the worker to miss it.
    let seen = async || {
        let consumers = gateway.metric("discovery_queue_consumers", "network").await;
        (consumers > 0.5).then_some(())
    };
    wait::until("the gateway sees the worker", SOON, seen)
        .await
        .unwrap();
    replacement
}

/// A call that finds no worker, and none comes, waits until its time is over; later ones are
/// refused.
async fn check_not_replaced(gateway: &Running, target: &Target, going: Instant) {
    let deadline = Duration::from_secs(2);
    let (answer, time) = call_within(gateway, &target.arguments("/late"), deadline).await;
    assert_eq!(answer["error"]["code"], DEADLINE_EXCEEDED, "{answer}");
    assert!((deadline..deadline + SOON).contains(&time), "{time:?}");
    until_refused(gateway, target).await;
    let queued = going.elapsed();
    println!("refused {queued:?} after the worker was told to go");
    let expected = PATIENCE..PATIENCE + SOON / 2;
    assert!(expected.contains(&queued), "{queued:?}");
    check_refused_at_once(gateway, target).await;
}

#[tokio::test]
async fn category_that_is_set_to_queue_waits_for_a_worker_that_starts_later() {
    let site = Site::new().await;
    let patient = Running::gateway(
        site.gateway_program()
            .await
            .env("WHEN_NO_WORKER", "network=queue"),
    );
    let (worker, refusing, ()) = tokio::join!(site.worker(), site.gateway(), patient.ready());
    for gateway in [&patient, &refusing] {
        gateway.lists("wget").await;
    }
    worker.kill_9().unwrap();
    let target = Target::echo().await;
    until_refused(&refusing, &target).await;
    let waiting = patient.call("wget", target.arguments("/patient"));
    let start = async {
        site.until_work_queue("a call waits", |counts| counts.ready == 1)
            .await;
        check_refused_at_once(&refusing, &target).await;
        site.worker().await
    };
    let (answer, _worker) = tokio::join!(waiting, start);
    assert_eq!(body_of(&answer), "/patient");
}

#[tokio::test]
async fn category_that_is_set_to_queue_waits_for_the_first_worker_ever() {
    let site = Site::new().await;
    let program = site.gateway_program().await;
    let gateway = Running::gateway(program.env("WHEN_NO_WORKER", "network=queue"));
    gateway.ready().await;
    let target = Target::echo().await;
    let waiting = gateway.call("wget", target.arguments("/first"));
    let start = async {
        let in_flight = async || {
            (gateway.metric("discovery_calls_in_flight", "network").await > 0.5).then_some(())
        };
        wait::until("the call waits", SOON, in_flight)
            .await
            .unwrap();
        site.worker().await
    };
    let (answer, _worker) = tokio::join!(waiting, start);
    assert_eq!(body_of(&answer), "/first");
}
