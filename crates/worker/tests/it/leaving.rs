use serde_json::json;

use crate::gate::{Gate, until};
use crate::site::{Site, worker};

#[tokio::test]
async fn a_worker_that_stops_finishes_what_runs_and_takes_no_more() {
    let gate = Gate::new();
    let mut site = Site::with(worker(2, [gate.tool("hold")])).await;
    site.call("a", "hold").await;
    gate.entered().await;
    site.process.shutdown.cancel();
    assert_eq!(site.news().await["method"], "opendiscovery/goodbye");
    until("the worker to stop consuming", async || {
        site.consumers().await == 0
    })
    .await;
    site.call("b", "hold").await;
    assert_eq!(site.queued().await, 1);
    gate.open(1);
    assert_eq!(site.reply().await.text(), "run 1");
    site.ended().await.unwrap();
    assert_eq!((gate.runs(), site.queued().await), (1, 1));
}

#[tokio::test]
async fn what_has_not_started_goes_back() {
    let gate = Gate::new();
    let mut site = Site::with(worker(1, [gate.tool("hold").at_most_once()])).await;
    site.call("a", "hold").await;
    let question = site.reply().await;
    site.grant(&question, true).await;
    gate.entered().await;
    site.call("b", "hold").await;
    // Handed out, and waiting for its right to run.
    until("the call to be handed out", async || {
        site.queued().await == 0
    })
    .await;
    site.process.shutdown.cancel();
    until("the call to come back", async || site.queued().await == 1).await;
    gate.open(2);
    site.ended().await.unwrap();
    assert_eq!(gate.runs(), 1);
}

#[tokio::test]
async fn goodbye_waits_for_calls_that_must_not_run_twice() {
    let gate = Gate::new();
    let mut site = Site::with(worker(1, [gate.tool("hold").at_most_once()])).await;
    site.call("a", "hold").await;
    let question = site.reply().await;
    site.grant(&question, true).await;
    gate.entered().await;
    site.process.shutdown.cancel();
    // It still says that it is there.
    assert_eq!(site.news().await["method"], "opendiscovery/digest");
    gate.open(1);
    assert_eq!(site.reply().await.text(), "run 1");
    assert_eq!(site.news().await["method"], "opendiscovery/goodbye");
    site.ended().await.unwrap();
}

#[tokio::test]
async fn a_call_can_be_cancelled_while_the_worker_stops() {
    let gate = Gate::new();
    let mut site = Site::with(worker(1, [gate.tool("hold")])).await;
    site.call("a", "hold").await;
    gate.entered().await;
    site.process.shutdown.cancel();
    until("the worker to stop consuming", async || {
        site.consumers().await == 0
    })
    .await;
    site.cancel("a").await;
    site.ended().await.unwrap();
    assert_eq!((gate.left(), site.queued().await), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_does_not_end_goes_to_another_worker() {
    let gate = Gate::new();
    let mut site = Site::with(worker(1, [gate.tool("hold")])).await;
    let mut request = site.request("a", "hold", &json!({}));
    request.message.headers = bus::Headers::default();
    site.publish(request).await;
    gate.entered().await;
    site.process.shutdown.cancel();
    let stopped = tokio::time::Instant::now();
    tokio::time::sleep(std::time::Duration::from_secs(20)).await;
    site.ended().await.unwrap();
    assert!(stopped.elapsed() < service::process::DRAIN_DEADLINE);
    assert_eq!(site.queued().await, 1);
}
