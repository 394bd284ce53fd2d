//! Calls that clients repeat under a key of their own, at any replica of the gateway and with any
//! worker behind it.

use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};
use testkit::http::Request;
use tokio::time::sleep;

use crate::site::{Answer, END, READY, Running, Session, Site, Target, body_of, legacy};

/// The key that the gateways of a test share.
const KEY: &str = "4f70656e20446973636f76657279206b65657073207365637265747320736166";

/// A caller's key, long enough for one that says nothing of itself.
const CALLERS: &str = "k-0123456789abcdef";

/// Two gateways and two workers.
struct Platform {
    gateways: [Running; 2],
    workers: [Running; 2],
}

impl Platform {
    async fn on(site: &Site) -> Self {
        let worker = || site.worker_with(&[("AMQP_PREFETCH_COUNT", "16")]);
        let gateway = async || {
            let gateway = Running::gateway(site.gateway_program().await.env("SESSION_KEY", KEY));
            gateway.ready().await;
            gateway.lists("wget").await;
            gateway
        };
        let (one, two) = tokio::join!(worker(), worker());
        let gateways = tokio::join!(gateway(), gateway());
        Self {
            gateways: gateways.into(),
            workers: [one, two],
        }
    }

    /// How many answers each worker has repeated.
    async fn replayed(&self) -> [f64; 2] {
        let metric = async |worker: &Running| {
            worker
                .metric("discovery_replayed_answers_total", "network")
                .await
        };
        [
            metric(&self.workers[0]).await,
            metric(&self.workers[1]).await,
        ]
    }
}

/// A call by a client of the stateless revision that says this name of itself.
fn keyed(client: &str, id: usize, key: &str, arguments: &Value) -> Request {
    let mut request = Request::modern_call(id, "wget", arguments);
    let meta = &mut request.body["params"]["_meta"];
    meta["io.modelcontextprotocol/clientInfo"] = json!({ "name": client, "version": "1" });
    meta["opendiscovery/idempotencyKey"] = key.into();
    request
}

/// Its answer.
async fn call(gateway: &Running, client: &str, id: usize, key: &str, arguments: &Value) -> Value {
    let request = keyed(client, id, key, arguments);
    let reply = gateway.client().send(&request, READY).await.unwrap();
    let answer = reply.answer().unwrap().clone();
    assert_eq!(answer["id"], id, "{answer}");
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_call_has_one_answer_through_every_replica_and_worker() {
    let site = Site::new().await;
    let platform = Platform::on(&site).await;
    let [one, two] = &platform.gateways;
    let target = Target::echo().await;
    let arguments = target.arguments("/once");
    let first = call(one, "a", 1, CALLERS, &arguments).await;
    assert_eq!(body_of(&first), "/once");
    for id in 2..=21 {
        let gateway = &platform.gateways[id % 2];
        let again = call(gateway, "a", id, CALLERS, &arguments).await;
        assert_eq!(again["result"], first["result"]);
    }
    assert_eq!(target.asked().len(), 1);
    let replayed = platform.replayed().await;
    assert!(replayed.iter().all(|n| *n > 0.5), "{replayed:?}");
    assert!((replayed.iter().sum::<f64>() - 20.0).abs() < 0.5);

    let another = call(two, "a", 22, CALLERS, &target.arguments("/another")).await;
    assert_eq!(another["error"]["code"], -32602, "{another}");
    assert_eq!(another["error"]["data"]["idempotencyKey"], "reused");
    assert_eq!(target.asked().len(), 1);

    // Nobody else has this key: not another client, and no session.
    assert_eq!(
        body_of(&call(two, "b", 23, CALLERS, &arguments).await),
        "/once"
    );
    assert_eq!(target.asked().len(), 2);
    let sessions = [Session::open(one).await, Session::open(two).await];
    let mut body = legacy(7, "wget", &arguments);
    body["params"]["_meta"] = json!({ "opendiscovery/idempotencyKey": CALLERS });
    for (index, session) in sessions.iter().enumerate() {
        for gateway in [one, two, one] {
            let reply = session.at(gateway).send(body.clone()).await;
            assert_eq!(body_of(reply.answer().unwrap()), "/once");
        }
        assert_eq!(target.asked().len(), 3 + index);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_of_one_moment_with_one_key_run_once() {
    let site = Site::new().await;
    let platform = Platform::on(&site).await;
    let target = Target::start(|_, _| Answer::Released).await;
    let arguments = target.arguments("/once");
    let calls = (0..12).map(|id| call(&platform.gateways[id % 2], "a", id, CALLERS, &arguments));
    let (answers, ()) = tokio::join!(join_all(calls), async {
        target.until_asked(1).await;
        target.release();
    });
    for answer in answers {
        assert_eq!(body_of(&answer), "/once");
    }
    assert_eq!(target.asked().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_whose_gateway_died_is_answered_through_another_one() {
    let site = Site::new().await;
    let platform = Platform::on(&site).await;
    let [dying, other] = &platform.gateways;
    let target = Target::start(|_, _| Answer::Released).await;
    let arguments = target.arguments("/once");
    let mut client = dying.open(&keyed("a", 1, CALLERS, &arguments)).await;
    target.until_asked(1).await;
    dying.kill_9().unwrap();
    client.closed(READY).await.unwrap();
    let again = call(other, "a", 2, CALLERS, &arguments);
    let release = async {
        // Longer than workers take to see that the first gateway is gone.
        sleep(Duration::from_secs(4)).await;
        target.release();
    };
    let (answer, ()) = tokio::join!(again, release);
    assert_eq!(body_of(&answer), "/once");
    assert_eq!(target.asked().len(), 1, "it ran once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_dies_leaves_its_key_to_another() {
    let site = Site::new().await;
    let (doomed, gateway) = tokio::join!(site.worker(), site.gateway());
    gateway.lists("wget").await;
    let target = Target::start(|_, before| match before {
        0 => Answer::Never,
        _ => Answer::AtOnce,
    })
    .await;
    let arguments = target.arguments("/again");
    let first = call(&gateway, "a", 1, CALLERS, &arguments);
    let others = async {
        target.until_asked(1).await;
        let worker = site.worker().await;
        let repeated = join_all((2..=5).map(|id| call(&gateway, "a", id, CALLERS, &arguments)));
        let (answers, ()) = tokio::join!(repeated, async { doomed.kill_9().unwrap() });
        (worker, answers)
    };
    let (first, (_worker, others)) = tokio::join!(first, others);
    for answer in std::iter::once(&first).chain(&others) {
        assert_eq!(body_of(answer), "/again");
    }
    assert_eq!(target.asked().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_outlive_the_worker_that_gave_them_while_another_one_is_there() {
    let site = Site::new().await;
    let (mut worker, gateway) = tokio::join!(site.worker(), site.gateway());
    gateway.lists("wget").await;
    let target = Target::echo().await;
    let arguments = target.arguments("/path");
    for id in 1..=4 {
        let answer = call(&gateway, "a", id, CALLERS, &arguments).await;
        assert_eq!(body_of(&answer), "/path");
        let next = site.worker().await;
        worker.terminate().unwrap();
        worker.exit_code(END).await.unwrap();
        worker = next;
    }
    assert_eq!(target.asked().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_every_worker_has_gone_so_have_the_answers() {
    let site = Site::new().await;
    let (worker, gateway) = tokio::join!(site.worker(), site.gateway());
    gateway.lists("wget").await;
    let target = Target::echo().await;
    let arguments = target.arguments("/path");
    for _ in 0..2 {
        call(&gateway, "a", 1, CALLERS, &arguments).await;
    }
    assert_eq!(target.asked().len(), 1);
    worker.terminate().unwrap();
    worker.exit_code(END).await.unwrap();
    let _worker = site.worker().await;
    assert_eq!(
        body_of(&call(&gateway, "a", 1, CALLERS, &arguments).await),
        "/path"
    );
    assert_eq!(target.asked().len(), 2);
}
