//! A call that nobody wants any more stops, and only then.

use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::http::{Connection, Request};

use crate::site::{
    Answer, Running, SOON, Session, Site, Stdio, Target, body_of, embedded, embedded_stdio, legacy,
};

/// How long a cancelled call may go on.
const STOPS: Duration = Duration::from_secs(1);

/// A target that keeps every request waiting.
async fn slow_target() -> Target {
    Target::start(|_, _| Answer::Released).await
}

/// Checks that the call of a path was stopped in time.
async fn check_stopped(target: &Target, path: &str, cancelled: Instant) {
    let time = target.left(path).await.duration_since(cancelled);
    println!("{path} stopped after {time:?}");
    assert!(time < STOPS, "{path}: {time:?}");
}

/// Calls of two eras: some are to be cancelled, the others go on.
struct Calls {
    closing: Connection,
    modern: Connection,
    cancelling: Connection,
    legacy: Connection,
    broken: Connection,
    session: Session,
}

impl Calls {
    async fn begin(gateway: &Running, target: &Target) -> Self {
        let session = Session::open(gateway).await;
        let modern = async |path| gateway.open(&modern_call(target, path)).await;
        let legacy = async |id, path| {
            let call = legacy_call(&session, id, target, path);
            gateway.open(&call).await
        };
        let calls = Self {
            closing: modern("/closed").await,
            modern: modern("/modern").await,
            cancelling: legacy(2, "/cancelled").await,
            legacy: legacy(3, "/legacy").await,
            broken: legacy(4, "/broken").await,
            session,
        };
        target.until_asked(5).await;
        calls
    }
}

/// Cancels calls in each way that HTTP knows; the others go on.
async fn check_http(gateway: &Running) {
    let target = slow_target().await;
    let mut calls = Calls::begin(gateway, &target).await;
    let cancelled = Instant::now();
    drop(calls.closing);
    // In the revisions with sessions a broken stream is no cancel.
    drop(calls.broken);
    calls.session.cancel(2).await;
    check_stopped(&target, "/closed", cancelled).await;
    check_stopped(&target, "/cancelled", cancelled).await;
    let nothing = calls.cancelling.response(SOON).await.unwrap();
    assert_eq!(nothing.text(), "", "no answer follows a cancel");

    target.release();
    check_answer(calls.modern, "/modern").await;
    check_answer(calls.legacy, "/legacy").await;
    for path in ["/modern", "/legacy", "/broken"] {
        assert_eq!(
            (target.times(path), target.has_left(path)),
            (1, None),
            "{path}"
        );
    }
}

async fn check_answer(mut connection: Connection, path: &str) {
    let answer = connection.response(SOON).await.unwrap();
    assert_eq!(body_of(&answer.json().unwrap()), path);
}

fn modern_call(target: &Target, path: &str) -> Request {
    Request::modern_call(1, "wget", &target.arguments(path))
}

fn legacy_call(session: &Session, id: u64, target: &Target, path: &str) -> Request {
    session.request(legacy(id, "wget", &target.arguments(path)))
}

#[tokio::test]
async fn cancelled_http_call_stops_and_others_go_on_embedded() {
    check_http(&embedded().await).await;
}

#[tokio::test]
async fn cancelled_http_call_stops_and_others_go_on_through_rabbitmq() {
    let site = Site::new().await;
    let (_worker, gateway) = tokio::join!(site.worker(), site.gateway());
    gateway.lists("wget").await;
    check_http(&gateway).await;
}

/// Cancels a call of each era on standard input; others go on.
async fn check_stdio(gateway: &Stdio) {
    gateway.initialize().await;
    let target = slow_target().await;
    let arguments = |path: &str| target.arguments(path);
    gateway.send(&legacy(1, "wget", &arguments("/legacy/cancelled")));
    gateway.send(&legacy(2, "wget", &arguments("/legacy")));
    gateway.send_modern_call(3, "wget", &arguments("/modern/cancelled"));
    gateway.send_modern_call(4, "wget", &arguments("/modern"));
    target.until_asked(4).await;
    let cancelled = Instant::now();
    gateway.cancel(1);
    gateway.cancel(3);
    check_stopped(&target, "/legacy/cancelled", cancelled).await;
    check_stopped(&target, "/modern/cancelled", cancelled).await;
    target.release();
    assert_eq!(body_of(&gateway.answer(2).await), "/legacy");
    assert_eq!(body_of(&gateway.answer(4).await), "/modern");
    gateway.close_stdin();
    assert_eq!(gateway.exit_code(SOON).await.unwrap(), 0);
    let answered: Vec<Value> = gateway
        .messages()
        .iter()
        .map(|it| it["id"].clone())
        .collect();
    assert!(
        !answered.contains(&1.into()) && !answered.contains(&3.into()),
        "{answered:?}"
    );
}

#[tokio::test]
async fn cancelled_stdio_call_stops_and_others_go_on_embedded() {
    check_stdio(&embedded_stdio().await).await;
}

#[tokio::test]
async fn cancelled_stdio_call_stops_and_others_go_on_through_rabbitmq() {
    let site = Site::new().await;
    let _worker = site.worker().await;
    check_stdio(&site.stdio().await).await;
}

/// A call that is cancelled while no worker has taken it never runs.
#[tokio::test]
async fn call_that_is_cancelled_in_the_queue_never_runs() {
    let site = Site::new().await;
    let worker = site.worker_with(&[("AMQP_PREFETCH_COUNT", "1")]).await;
    let gateway = site.gateway().await;
    gateway.lists("wget").await;
    let target = slow_target().await;
    let running = gateway.open(&modern_call(&target, "/running")).await;
    target.until_asked(1).await;
    let queued = gateway.open(&modern_call(&target, "/queued")).await;
    site.until_work_queue("a call waits", |counts| counts.ready == 1)
        .await;
    let last = gateway.open(&modern_call(&target, "/last")).await;
    site.until_work_queue("two calls wait", |counts| counts.ready == 2)
        .await;
    drop(queued);
    // The worker has heard of it, and remembers.
    let heard = |line: &str| line.contains("a call is cancelled");
    worker
        .stderr()
        .line("the cancel", SOON, heard)
        .await
        .unwrap();
    target.release();
    check_answer(running, "/running").await;
    check_answer(last, "/last").await;
    assert_eq!(target.asked(), ["/running", "/last"]);
}
