use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::gate::{Gate, until};
use crate::lab;
use crate::site::{Site, worker};
use crate::unruly::Unruly;

#[tokio::test]
async fn a_lost_connection_aborts_its_calls_and_they_run_again() {
    let gate = Gate::new();
    let mut site = Site::with(worker(2, [gate.tool("hold")])).await;
    site.call("a", "hold").await;
    gate.entered().await;
    site.outage().await;
    until("the first run to end", async || gate.left() == 1).await;
    gate.entered().await;
    gate.open(1);
    assert_eq!(site.reply().await.text(), "run 2");
    site.metric("discovery_redeliveries_total{category=\"lab\"} 1")
        .await;
    site.metric("discovery_amqp_reconnects_total 0").await;
    site.all_is_settled().await;
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_the_broker_does_not_know_is_made_anew() {
    let mut site = Site::new().await;
    let unruly = Unruly::new(&site.memory);
    site.start_on(lab::worker(), unruly.clone()).await;
    assert_eq!(unruly.links.load(Ordering::SeqCst), 1);
    unruly.forgets_consumers.store(true, Ordering::SeqCst);
    let started = tokio::time::Instant::now();
    while unruly.links.load(Ordering::SeqCst) < 2 {
        assert!(
            started.elapsed() < Duration::from_mins(1),
            "the link was kept"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
