use std::future::Future;

use bus::memory::MemoryBus;
use bus::{Backoff, Binding, Queue};
use futures::StreamExt;
use protocol::Envelope;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::gateway::Gateway;

fn peers(bus: &MemoryBus, instance: &str) -> Peers {
    Peers::new(Arc::new(bus.clone()), Names::default(), instance.to_owned())
}

/// Listens as a gateway does.
async fn listen(peers: &Peers, tasks: &mut JoinSet<()>) {
    let mut joined = peers.joined();
    let peers = peers.clone();
    let gateway = Gateway::for_test();
    tasks.spawn(async move {
        let _ = peers
            .run(&gateway, &Backoff::default(), &CancellationToken::new())
            .await;
    });
    joined.wait_for(|times| *times > 0).await.unwrap();
}

/// What is sent with a routing key while `act` runs, with its sender.
async fn sent(bus: &MemoryBus, key: String, act: impl Future<Output = ()>) -> Vec<(String, Value)> {
    let link = bus.open("test").await.unwrap();
    let binding = Binding {
        exchange: Names::CONTROL.to_owned(),
        pattern: key,
    };
    link.declare(&Queue::exclusive("spy", vec![binding]))
        .await
        .unwrap();
    let consumer = link.consume("spy", None).await.unwrap();
    act.await;
    let waiting = bus.queue_state("spy").await.unwrap().unwrap();
    assert_eq!(waiting.messages, 0);
    link.close().await;
    consumer
        .map(|delivery| {
            let message = delivery.message;
            let envelope = Envelope::parse(&message.body).unwrap();
            let method = envelope.method().unwrap().into_owned();
            let body: Value = serde_json::from_slice(&message.body).unwrap();
            let said = json!({ "method": method, "params": body["params"] });
            (message.app_id.unwrap(), said)
        })
        .collect()
        .await
}

#[tokio::test(start_paused = true)]
async fn what_is_said_to_all_goes_out_in_its_order_under_the_senders_name() {
    let bus = MemoryBus::new();
    let one = peers(&bus, "one");
    let all = sent(&bus, Names::default().gateways_key(), async {
        for number in 0..3 {
            assert!(
                one.broadcast("opendiscovery/x", &json!({ "n": number }))
                    .await
            );
        }
    })
    .await;
    let expected: Vec<_> = (0..3)
        .map(|n| {
            let said = json!({ "method": "opendiscovery/x", "params": { "n": n } });
            ("one".to_owned(), said)
        })
        .collect();
    assert_eq!(all, expected);
}

#[test]
fn no_two_messages_are_taken_for_each_other_when_the_broker_returns_one() {
    let one = peers(&MemoryBus::new(), "one");
    let number = || {
        let message = one.message("opendiscovery/x", &json!({})).unwrap();
        message.headers.int(headers::SEQ).unwrap()
    };
    assert_ne!(number(), number());
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_listens_is_reached_and_one_that_is_gone_is_not() {
    let bus = MemoryBus::new();
    let (one, two) = (peers(&bus, "one"), peers(&bus, "two"));
    let mut tasks = JoinSet::new();
    listen(&two, &mut tasks).await;
    let params = json!({});
    assert_eq!(one.send("two", "opendiscovery/x", &params).await, Ok(()));
    let before = Instant::now();
    let nobody = one.send("three", "opendiscovery/x", &params).await;
    assert_eq!(nobody, Err(Unreachable));
    assert_eq!(before.elapsed(), Duration::ZERO, "it is known at once");
    tasks.shutdown().await;
    let gone = one.send("two", "opendiscovery/x", &params).await;
    assert_eq!(gone, Err(Unreachable));
}

#[tokio::test(start_paused = true)]
async fn without_a_broker_a_message_is_given_up_after_two_seconds() {
    let bus = MemoryBus::new();
    let (one, two) = (peers(&bus, "one"), peers(&bus, "two"));
    let mut tasks = JoinSet::new();
    listen(&two, &mut tasks).await;
    bus.go_away();
    let before = Instant::now();
    assert!(!one.broadcast("opendiscovery/x", &json!({})).await);
    assert_eq!(before.elapsed(), SEND_TIME);
    let gone = one.send("two", "opendiscovery/x", &json!({})).await;
    assert_eq!(gone, Err(Unreachable));
    bus.come_back();
    two.joined().wait_for(|times| *times == 2).await.unwrap();
    assert_eq!(one.send("two", "opendiscovery/x", &json!({})).await, Ok(()));
}
